"""Select the live resources to write, with their documents if they have any. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Final

from reconciler.config.edit.adopt import patch_spec
from reconciler.config.edit.documents import Item, SkippedEdit
from reconciler.errors import ReconcilerError
from reconciler.kinds import KINDS, find_project
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Cause,
    Change,
    FieldChange,
    Live,
    LiveResource,
    Path,
    Resource,
    Scope,
    Unreadable,
    format_path,
    get_root,
    get_value,
    is_foreign,
    parse_path,
    put_back,
)
from reconciler.suggest import closest_match

_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "", False)
_KEPT: Final = frozenset({Cause.INTENT, Cause.CONFLICT})  # git has changed the field

Projects = Mapping[str, Mapping[str, tuple[str, ...]]]  # organization -> name -> ids


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that limit a pull; an empty option does not limit it."""

    kinds: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    include_foreign: bool = False
    can_name: Callable[[str], bool] = field(default=lambda live_project: True)  # noqa: ARG005  every project has a name in the files
    is_ignored: Callable[[Address], bool] = field(default=lambda address: False)  # noqa: ARG005  nothing is ignored

    def has_kind(self, kind: str) -> bool:
        """Return whether a kind is selected; `projects` leaves out kinds outside of projects."""
        if self.kinds:
            return kind in self.kinds
        in_project = KINDS[kind].scope is Scope.PROJECT or KINDS[kind].part_of
        return not self.projects or kind == "Project" or bool(in_project)

    def covers(self, address: Address) -> bool:
        """Return whether an address is selected."""
        if not self.has_kind(address.kind) or self.is_ignored(address):
            return False
        if self.organizations and address.organization not in self.organizations:
            return False
        project = find_project(address)
        if project is not None and not self.can_name(project):
            return False
        return not self.projects or project is None or project in self.projects

    def check_names(self, live: Projects) -> None:
        """Raise ReconcilerError if a selected organization or project is not live."""
        for slug in self.organizations:
            if slug not in live:
                raise _make_unknown_error("organization", slug, live)
        chosen = self.organizations or tuple(live)
        names = {name for slug in chosen for name in live[slug]}
        for name in self.projects:
            if name not in names:
                raise _make_unknown_error("project", name, names)

    def list_collections(self, live: Projects) -> Iterator[Address]:
        """Yield one address for each collection that has to be listed."""
        for slug in self.organizations or tuple(live):
            for kind in KINDS.values():
                if kind.scope is Scope.INSTANCE:
                    if self.has_kind(kind.name):
                        yield Address(kind.name, (slug,))
                elif kind.scope is Scope.ORGANIZATION:
                    if self.has_kind(kind.name) or self._has_namesakes(kind.name, live[slug]):
                        yield Address(kind.name, (slug, "*"))
                elif self.has_kind(kind.name):
                    chosen = self.projects or live[slug]
                    names = (name for name in live[slug] if name in chosen and self.can_name(name))
                    yield from (Address(kind.name, (slug, name, "*")) for name in names)

    def _has_namesakes(self, kind: str, projects: Mapping[str, tuple[str, ...]]) -> bool:
        """Return whether two projects share a name: then their documents are needed for the ids."""
        return kind == "Project" and any(len(ids) > 1 for ids in projects.values())


def _make_unknown_error(noun: str, name: str, known: Iterable[str]) -> ReconcilerError:
    meant = closest_match(name, known)
    listed = ", ".join(sorted(known)[:10])
    return ReconcilerError(
        f'unknown {noun} "{name}"',
        why=f"this key can see: {listed}" if listed else f"this key cannot see any {noun}",
        state="nothing was written",
        fix=f'did you mean "{meant}"?' if meant else "correct the name, or use another key",
    )


def find_oldest_id(ids: Iterable[str]) -> str:
    """Return the oldest id of objects that share a name: this object is the one to write."""
    return min(ids, key=lambda id_: (not id_.isdecimal(), int(id_) if id_.isdecimal() else 0, id_))


@dataclass(frozen=True, slots=True)
class KeptChange:
    """A change by git since the base that PostHog does not have yet: it stays in the files.

    Attributes:
        address: of the resource.
        path: of the field; empty for the resource as a whole.
        both: whether PostHog has changed it too.
        change_request: id of the open change request that proposes it, if there is one.
        url: the page of the change request in PostHog.

    """

    address: Address
    path: str = ""
    both: bool = False
    change_request: str = ""
    url: str = ""


@dataclass(slots=True)
class PullSelection:
    """The items to write, and everything that is not written."""

    kept: list[KeptChange] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    skipped: list[SkippedEdit] = field(default_factory=list)
    missing: list[Resource] = field(default_factory=list)  # declared, not live
    foreign: list[Address] = field(default_factory=list)
    unreadable: tuple[Unreadable, ...] = ()

    def add_declared(
        self,
        resource: Resource,
        live: LiveResource,
        change: Change,
        *,
        is_unique: bool,
        removed: Iterable[Path] = (),
    ) -> None:
        """Add an item for a live object that has a document.

        Args:
            resource: the document.
            live: the object.
            change: the fields that differ, and which side changed them.
            is_unique: whether no other live object has the same name.
            removed: fields that the document had at the base and does not have now.

        """
        if self._skip_locked(resource.address, live):
            return
        key = f"metadata.{KINDS[resource.address.kind].key}"
        taken = [*_find_taken_fields(change)]
        paths = tuple(field_change.path for field_change in taken)
        renamed = key in paths and resource.lifecycle.renamed_from is None
        fields = frozenset(get_root(path) for path in paths if not path.startswith("metadata."))
        spec: Any = dict(live.spec)
        for name in self._keep_changes(change) & resource.spec.keys():
            values = {
                parse_path(field_change.path): field_change.live
                for field_change in taken
                if get_root(field_change.path) == name
            }
            spec[name] = patch_spec(resource.spec, values)[name]
        for path in removed:
            if get_value(spec, path) not in _EMPTY:
                self.kept.append(KeptChange(change.address, format_path(path)))
                spec = put_back(spec, {}, path)
        hidden = KINDS[resource.address.kind].hidden(live.payload)
        address = live.address if renamed else resource.address
        pin = None if is_unique else live.id
        item = Item(address, spec, pin, hidden, resource, fields, renamed, paths)
        self.items.append(item)

    def _skip_locked(self, address: Address, live: LiveResource) -> bool:
        """Note an object that no document can describe, because it is never updated."""
        if why := KINDS[address.kind].locked(live.payload):
            fix = "manage it in PostHog until the format is supported"
            self.skipped.append(SkippedEdit(address, f"left out: {why}", fix))
        return bool(why)

    def _keep_changes(self, change: Change) -> set[str]:
        """Note the fields that git has changed; return their top-level fields."""
        from_git = [field_change for field_change in change.fields if is_from_git(field_change)]
        self.kept += [
            KeptChange(change.address, field_change.path, field_change.cause is Cause.CONFLICT)
            for field_change in from_git
        ]
        return {get_root(field_change.path) for field_change in from_git}

    def skip_template(self, resource: Resource, change: Change) -> None:
        """Note the differences of a live object from a document with `projects`: never written."""
        self._keep_changes(change)
        if drifted := [
            field_change for field_change in change.fields if not is_from_git(field_change)
        ]:
            paths = ", ".join(field_change.path for field_change in drifted)
            source = resource.source
            reason = (
                f"{paths}: differs from the document at {source}, which is for several projects"
            )
            fix = "change that document, or write a separate one for this project"
            self.skipped.append(SkippedEdit(resource.address, reason, fix))

    def add_undeclared(self, live: Live, choice: Choice, known: Collection[int]) -> None:
        """Add live objects without a document; `known` has the `id()` of those with a document."""
        for address in sorted(live.resources):
            if not choice.covers(address) and not _is_namesake(address, live, choice):
                continue
            if KINDS[address.kind].blank(live.resources[address].payload):
                continue
            candidates = live.duplicates.get(address, (live.resources[address],))
            unknown = [candidate for candidate in candidates if id(candidate) not in known]
            if len(unknown) < len(candidates):
                self._skip_namesakes(candidates, unknown)
                continue
            oldest_id = find_oldest_id(candidate.id for candidate in candidates)
            resource = next(candidate for candidate in candidates if candidate.id == oldest_id)
            if not choice.include_foreign and is_foreign(resource.spec):
                self.foreign.append(address)
                continue
            if self._skip_locked(address, resource):
                continue
            pin = resource.id if len(candidates) > 1 else None
            hidden = KINDS[address.kind].hidden(resource.payload)
            self.items.append(Item(address, resource.spec, pin, hidden))
            self._skip_namesakes(
                candidates, [other for other in candidates if other is not resource]
            )

    def _skip_namesakes(
        self, namesakes: Iterable[LiveResource], skipped: Iterable[LiveResource]
    ) -> None:
        """Note the live objects that are not written because another has the same name."""
        ids = ", ".join(resource.id for resource in namesakes)
        for resource in skipped:
            reason = f"id {resource.id} is left out: {ids} share the name, which one document has"
            fix = "rename one of them in PostHog, or write another id as `metadata.id`"
            self.skipped.append(SkippedEdit(resource.address, reason, fix))


def is_from_git(field_change: FieldChange) -> bool:
    """Return whether git has changed the field, and PostHog does not have all of it yet.

    A list whose order has no meaning is drift as soon as PostHog has changed an item of it; the
    changes of git may still be missing from it.
    """
    if field_change.cause is not Cause.DRIFT or not _is_merged(field_change):
        return field_change.cause in _KEPT
    base, live, desired = ({*map(_fold_case, side)} for side in _list_sides(field_change))
    return bool((base ^ desired) & (live ^ desired))


def _find_taken_fields(change: Change) -> Iterator[FieldChange]:
    """Yield the fields that PostHog has changed, with the new values for the document.

    A list whose order has no meaning gets the changes of both sides.
    """
    for field_change in change.fields:
        if not is_from_git(field_change):
            yield field_change
            continue
        if not _is_merged(field_change):
            continue
        base, live, desired = ([*map(_fold_case, side)] for side in _list_sides(field_change))
        written = zip(field_change.desired, desired, strict=True)
        kept = [item for item, name in written if name in live or name not in base]
        present = zip(field_change.live, live, strict=True)
        added = [item for item, name in present if name not in (*base, *desired)]
        if added or len(kept) < len(desired):
            yield replace(field_change, live=[*kept, *added])


def _is_merged(field_change: FieldChange) -> bool:
    """Return whether the field is a list whose order has no meaning, on all three sides."""
    return get_root(field_change.path) != "filters" and all(map(_is_set, _list_sides(field_change)))


def _list_sides(field_change: FieldChange) -> tuple[Any, Any, Any]:
    return field_change.base, field_change.live, field_change.desired


def _is_set(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(v, Mapping | list) for v in value)


def _fold_case(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _is_namesake(address: Address, live: Live, choice: Choice) -> bool:
    """Return whether it is a project that shares its name, and something in it is selected."""
    if address.kind != "Project" or address not in live.duplicates or choice.is_ignored(address):
        return False
    has_selected_kind = any(
        choice.has_kind(k.name) for k in KINDS.values() if k.scope is Scope.PROJECT
    )
    is_selected = not choice.projects or address.name in choice.projects
    return (
        has_selected_kind
        and is_selected
        and address.organization in (choice.organizations or {address.organization})
    )
