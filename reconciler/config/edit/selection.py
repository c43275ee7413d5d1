"""Select the live objects to write, and match them with documents. Reads nothing itself."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reconciler.config.edit.adopt import patch_spec
from reconciler.config.edit.documents import Item, SkippedEdit
from reconciler.errors import ReconcilerError
from reconciler.kinds import KINDS
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
    is_foreign,
    parse_path,
    print_path,
    put_back,
    root,
    value_at,
)
from reconciler.suggest import closest_match

_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "", False)
_KEPT: Final = frozenset({Cause.INTENT, Cause.CONFLICT})  # git has changed the field

Projects = Mapping[str, Mapping[str, tuple[str, ...]]]  # organization -> name -> ids


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that select what is pulled; empty: everything."""

    kinds: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    include_foreign: bool = False
    is_ignored: Callable[[Address], bool] = field(default=lambda address: False)  # noqa: ARG005  nothing is ignored

    def has_kind(self, kind: str) -> bool:
        """Return whether a kind is selected; `projects` excludes kinds outside projects."""
        if self.kinds:
            return kind in self.kinds
        return not self.projects or kind == "Project" or KINDS[kind].scope is Scope.PROJECT

    def covers(self, address: Address) -> bool:
        """Return whether an address is selected."""
        if not self.has_kind(address.kind) or self.is_ignored(address):
            return False
        if self.organizations and address.organization not in self.organizations:
            return False
        project = address.name if address.kind == "Project" else address.project
        return not self.projects or project is None or project in self.projects

    def check(self, live: Projects) -> None:
        """Raise ReconcilerError if an organization or project does not exist."""
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
                    names = (name for name in live[slug] if name in chosen)
                    yield from (Address(kind.name, (slug, name, "*")) for name in names)

    def _has_namesakes(self, kind: str, projects: Mapping[str, tuple[str, ...]]) -> bool:
        """Return whether two projects share a name, so that documents need `metadata.id`."""
        return kind == "Project" and any(len(ids) > 1 for ids in projects.values())


def _make_unknown_error(noun: str, name: str, known: Iterable[str]) -> ReconcilerError:
    match = closest_match(name, known)
    listed = ", ".join(sorted(known)[:10])
    return ReconcilerError(
        f'no {noun} is called "{name}"',
        why=f"this key can see: {listed}" if listed else f"this key can see no {noun}",
        state="nothing was written",
        fix=f'did you mean "{match}"?' if match else "correct the name, or use another key",
    )


def find_oldest_id(ids: Iterable[str]) -> str:
    """Return the id of the oldest object of several that share a name."""
    return min(ids, key=lambda id_: (not id_.isdecimal(), int(id_) if id_.isdecimal() else 0, id_))


@dataclass(frozen=True, slots=True)
class KeptChange:
    """A change in git since the base that PostHog does not have: it stays in the files.

    Attributes:
        address: of the resource.
        path: of the field; empty for the resource as a whole.
        both: whether PostHog has changed it too.
        change_request: the open one that proposes it, if there is one.
        url: its page in PostHog.

    """

    address: Address
    path: str = ""
    both: bool = False
    change_request: str = ""
    url: str = ""


@dataclass(slots=True)
class PullSelection:
    """The result of a selection: items to write, and everything that is not written."""

    kept: list[KeptChange] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    doubts: list[SkippedEdit] = field(default_factory=list)
    missing: list[Resource] = field(default_factory=list)  # declared, not live
    foreign: list[Address] = field(default_factory=list)
    unreadable: tuple[Unreadable, ...] = ()

    def add_declared(
        self,
        resource: Resource,
        there: LiveResource,
        change: Change,
        *,
        is_one: bool,
        left: Iterable[Path] = (),
    ) -> None:
        """Note a live object that a document declares.

        Args:
            resource: the document.
            there: the object.
            change: what of it differs, and which side moved.
            is_one: whether it shares its name with no other object.
            left: fields that the document had at the base and has no more.

        """
        key = f"metadata.{KINDS[resource.address.kind].key}"
        taken = [*_find_taken_fields(change)]
        paths = tuple(field_change.path for field_change in taken)
        renamed = key in paths and resource.lifecycle.renamed_from is None
        fields = frozenset(root(path) for path in paths if not path.startswith("metadata."))
        spec: Any = dict(there.spec)
        for name in self._keep_git_changes(change) & resource.spec.keys():
            values = {
                parse_path(field_change.path): field_change.live
                for field_change in taken
                if root(field_change.path) == name
            }
            spec[name] = patch_spec(resource.spec, values)[name]
        for path in left:
            if value_at(spec, path) not in _EMPTY:
                self.kept.append(KeptChange(change.address, print_path(path)))
                spec = put_back(spec, {}, path)
        hidden = KINDS[resource.address.kind].hidden(there.payload)
        address = there.address if renamed else resource.address
        pin = None if is_one else there.id
        item = Item(address, spec, pin, hidden, resource, fields, renamed, paths)
        self.items.append(item)

    def _keep_git_changes(self, change: Change) -> set[str]:
        """List the fields that git has changed; their top-level fields."""
        from_git = [field_change for field_change in change.fields if is_from_git(field_change)]
        self.kept += [
            KeptChange(change.address, field_change.path, field_change.cause is Cause.CONFLICT)
            for field_change in from_git
        ]
        return {root(field_change.path) for field_change in from_git}

    def add_templated(self, resource: Resource, change: Change) -> None:
        """Note a live object that a document with `projects` declares."""
        self._keep_git_changes(change)
        if taken := [
            field_change.path for field_change in change.fields if not is_from_git(field_change)
        ]:
            paths = ", ".join(taken)
            reason = f"{paths}: differs from the document at {resource.source}, which is for many"
            fix = "change it there, or declare this project apart"
            self.doubts.append(SkippedEdit(resource.address, reason, fix))

    def add_undeclared(self, live: Live, choice: Choice, known: Collection[int]) -> None:
        """Add live objects without a document; `known` are those that have one, by identity."""
        for address in sorted(live.resources):
            if not choice.covers(address) and not _is_namesake(address, live, choice):
                continue
            namesakes = live.duplicates.get(address, (live.resources[address],))
            if any(id(candidate) in known for candidate in namesakes):
                self._skip_namesakes(
                    namesakes, [candidate for candidate in namesakes if id(candidate) not in known]
                )
                continue
            chosen = find_oldest_id(candidate.id for candidate in namesakes)
            oldest = next(candidate for candidate in namesakes if candidate.id == chosen)
            if not choice.include_foreign and is_foreign(oldest.spec):
                self.foreign.append(address)
                continue
            pin = oldest.id if len(namesakes) > 1 else None
            hidden = KINDS[address.kind].hidden(oldest.payload)
            self.items.append(Item(address, oldest.spec, pin, hidden))
            self._skip_namesakes(
                namesakes, [candidate for candidate in namesakes if candidate is not oldest]
            )

    def _skip_namesakes(
        self, namesakes: Iterable[LiveResource], omitted: Iterable[LiveResource]
    ) -> None:
        ids = ", ".join(namesake.id for namesake in namesakes)
        for namesake in omitted:
            reason = (
                f"id {namesake.id} is left out: {ids} share the name, and a name is declared once"
            )
            fix = "rename one of them in PostHog, or write another id as `metadata.id`"
            self.doubts.append(SkippedEdit(namesake.address, reason, fix))


def is_from_git(change: FieldChange) -> bool:
    """Return whether git has changed the field, and PostHog does not have all of it yet.

    A list whose order means nothing is drift as soon as somebody has moved an item of it; what
    git has moved may still be missing from it.
    """
    if change.cause is not Cause.DRIFT or not _is_merged(change):
        return change.cause in _KEPT
    base, live, desired = (
        {*map(_fold_case, side)} for side in (change.base, change.live, change.desired)
    )
    return bool((base ^ desired) & (live ^ desired))


def _find_taken_fields(change: Change) -> Iterator[FieldChange]:
    """Return the fields that PostHog has changed, with the document's new values.

    A list whose order means nothing has the changes of both sides.
    """
    for field_change in change.fields:
        if not is_from_git(field_change):
            yield field_change
            continue
        if not _is_merged(field_change):
            continue
        base, live, desired = (
            [*map(_fold_case, side)]
            for side in (field_change.base, field_change.live, field_change.desired)
        )
        stays = [
            v
            for v, name in zip(field_change.desired, desired, strict=True)
            if _is_kept(name, base, live)
        ]
        new = [
            v
            for v, name in zip(field_change.live, live, strict=True)
            if name not in (*base, *desired)
        ]
        if new or len(stays) < len(desired):
            yield replace(field_change, live=[*stays, *new])


def _is_merged(change: FieldChange) -> bool:
    """Return whether the field is a list whose order means nothing, on all three sides."""
    return root(change.path) != "filters" and all(
        map(_is_set, (change.base, change.live, change.desired))
    )


def _is_set(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(v, Mapping | list) for v in value)


def _is_kept(name: Any, base: Sequence[Any], live: Sequence[Any]) -> bool:
    return name in live or name not in base


def _fold_case(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _is_namesake(address: Address, live: Live, choice: Choice) -> bool:
    """Return whether an address is a project with a shared name and selected contents."""
    if address.kind != "Project" or address not in live.duplicates or choice.is_ignored(address):
        return False
    inside = any(choice.has_kind(k.name) for k in KINDS.values() if k.scope is Scope.PROJECT)
    wanted = not choice.projects or address.name in choice.projects
    return (
        inside
        and wanted
        and address.organization in (choice.organizations or {address.organization})
    )
