"""Names of new objects: what PostHog would change them to, and live objects that may be meant.

PostHog derives some names itself (contract 6.1), and people change names without `renamed_from`.
In both cases a create would add a second object, in the worst case another one at every run.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import islice
from typing import Any, Final

from reconciler.kinds import KINDS, fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.lookalikes import (
    escape_name,
    format_yaml_scalar,
    simplify_name,
    squeeze_name,
)
from reconciler.model import (
    Action,
    Address,
    Change,
    Declared,
    Finding,
    Kind,
    Live,
    LiveResource,
    Resource,
    Scope,
    Severity,
    select_written,
)
from reconciler.plan.guardrails import deletes
from reconciler.suggest import find_most_similar

NOT_KEPT: Final = "name-not-kept"
LOOKALIKE: Final = "lookalike-name"
RENAMED: Final = "likely-rename"
CODES: Final = frozenset({NOT_KEPT, LOOKALIKE})
_COMPARED: Final = 100  # candidates of which the closest name is suggested
_KEYSETS: Final = 20  # combinations of written fields for which live objects are indexed
_SIGNIFICANT: Final = 2  # equality counts only if this many fields differ from the default

_Place = tuple[str, tuple[str, ...]]  # kind and scope
_Key = tuple[_Place, Any]


def find_misleading_names(
    changes: Iterable[Change],
    desired: Declared,
    live: Live,
    misnamed: Mapping[Address, Collection[str]] | None = None,
) -> Iterator[Finding]:
    """Find creates that PostHog would name differently, lookalikes, and likely renames.

    Args:
        changes: of the whole run, implied deletes included.
        desired: everything declared, including what this run leaves out.
        live: the live side.
        misnamed: names that PostHog gave to objects that earlier runs created, by address.

    """
    all_changes = tuple(changes)
    created = [
        c.desired
        for c in select_written(all_changes)
        if c.action is Action.CREATE and c.desired is not None
    ]
    if not created:
        return
    undeclared = _UndeclaredObjects(all_changes, desired, live)
    unclear: list[Resource] = []
    for resource in created:
        names = (misnamed or {}).get(resource.address, ())
        error = _check_name(resource, undeclared)
        error = error or _find_earlier_create(resource, undeclared, names)
        if error is not None:
            yield error
        else:
            unclear.append(resource)
    yield from _find_renames(unclear, undeclared)


def _check_name(resource: Resource, undeclared: "_UndeclaredObjects") -> Finding | None:
    """Check whether a create would make something else than the document says."""
    kind, address = KINDS[resource.address.kind], resource.address
    server_name = kind.made_as(address.name, resource.spec)
    if server_name != address.name:
        return _report_not_kept(resource, kind, server_name)
    if kind.scope is Scope.INSTANCE:
        return _check_organization(resource, undeclared)
    for other in undeclared.find_lookalikes(address):
        if kind.folds_case or simplify_name(other.name) == simplify_name(address.name):
            return _report_lookalike(resource, other, "both look the same", _suggest_either(other))
        if not kind.unique:  # PostHog would create a second object and keep both
            why = "the names differ only in case, and PostHog would create a second one"
            return _report_lookalike(resource, other, why, _suggest_either(other))
    return None


def _find_earlier_create(
    resource: Resource, undeclared: "_UndeclaredObjects", names: Collection[str]
) -> Finding | None:
    """Find an object that an earlier run created here, and that PostHog named differently."""
    for live_object in undeclared.places.get(_get_place(resource.address), []):
        if live_object.address.name in names:
            name = live_object.address.name
            return _build_error(
                LOOKALIKE,
                resource,
                f"an earlier run created {resource.address}, "
                f"and PostHog named it {escape_name(name)}",
                f"it is live (id {live_object.id}), and a create would add another one",
                f"write {format_yaml_scalar(name)} instead, or delete that object in PostHog",
            )
    return None


def _suggest_either(other: Address) -> str:
    """Return how to resolve two names that look the same."""
    name = format_yaml_scalar(other.name)
    rename = f"`lifecycle: {{renamed_from: {name}}}` to rename it, or "
    return (
        f"write {name} if you mean that one, or "
        f"{rename if KINDS[other.kind].renamable else ''}declare that one too"
    )


def _report_not_kept(resource: Resource, kind: Kind, server_name: str) -> Finding:
    name = resource.address.name
    if kind.scope is not Scope.INSTANCE:
        why, fix = "PostHog trims names", f"write {format_yaml_scalar(server_name)}"
    else:
        shown = escape_name(str(resource.spec.get("name") or name))
        why = f"PostHog derives the slug from the name, here {shown}, and never changes it"
        use_slug = f"write `organization: {server_name}` everywhere"
        fix = use_slug if server_name else "change the name"
        fix += f"; or choose a name that becomes {name}, and change the name afterwards"
    become = f'would become "{server_name}"' if server_name else "would have an empty slug"
    return _build_error(NOT_KEPT, resource, f"{escape_name(name)} {become}", why, fix)


def _check_organization(resource: Resource, undeclared: "_UndeclaredObjects") -> Finding | None:
    """Find a live organization with the same name and another slug.

    PostHog changes a slug that is taken, even by an organization that this key cannot see
    (contract 6.1). Every further create would add another organization.
    """
    name = str(resource.spec.get("name") or resource.address.name)
    organization = undeclared.find_organization(name)
    if organization is None:
        return None
    slug = organization.address.name
    return _build_error(
        LOOKALIKE,
        resource,
        f"an organization called {escape_name(str(organization.spec.get('name')))} is live: "
        f'its slug is "{slug}", not "{resource.address.name}"',
        "PostHog extends a slug that is taken, even by an organization that this key cannot see; "
        "a create would add another one",
        f"write `organization: {slug}` if you mean that one, declare it too, or choose another "
        "name",
    )


def _report_lookalike(resource: Resource, other: Address, why: str, fix: str) -> Finding:
    return _build_error(
        LOOKALIKE,
        resource,
        f"the new {other.kind} {escape_name(resource.address.name)} looks like "
        f"{escape_name(other.name)}, which is live",
        why,
        fix,
    )


def _build_error(code: str, resource: Resource, message: str, why: str, fix: str) -> Finding:
    named = code == NOT_KEPT and "name" in resource.spec
    source = resource.locate(("name",)) if named else resource.source
    return Finding(code, Severity.ERROR, message, why, fix, source, resource.address)


def _find_renames(
    created: Iterable[Resource], undeclared: "_UndeclaredObjects"
) -> Iterator[Finding]:
    """Find pairs of old and new names; suggest each old name only once."""
    taken: set[Address] = set()
    unpaired: list[Resource] = []
    for resource in created:
        similar = [address for address in undeclared.find_similar(resource) if address not in taken]
        if not similar:
            unpaired.append(resource)
            continue
        taken.add(similar[0])
        why = "the names differ only in case, spaces, hyphens or underscores"
        yield _report_rename(resource, similar[0], undeclared, why)
    for resource in unpaired:
        equal = [address for address in undeclared.find_equal(resource) if address not in taken]
        if equal:
            old = _select_closest(resource.address, equal)
            taken.add(old)
            yield _report_rename(resource, old, undeclared, "they are equal apart from the name")


def _select_closest(address: Address, others: list[Address]) -> Address:
    names = {other.name: other for other in islice(others, _COMPARED)}
    return names[find_most_similar(address.name, names)]


def _report_rename(
    resource: Resource, old: Address, undeclared: "_UndeclaredObjects", why: str
) -> Finding:
    state = "would be deleted" if old in undeclared.deleted else "is live, but not in any file"
    if not KINDS[old.kind].renamable:
        question, fix = "is it the same?", f"if so, write {format_yaml_scalar(old.name)}"
    else:
        line = f"renamed_from: {format_yaml_scalar(old.name)}"
        question = "is this a rename?"
        fix = f"if so, write under `metadata`: `lifecycle: {{{line}}}`"
    return Finding(
        RENAMED,
        Severity.WARNING,
        f"{resource.address} is new, and {old} {state}: {question}",
        why,
        fix,
        resource.source,
        resource.address,
    )


@dataclass(slots=True)
class _UndeclaredObjects:
    """Live objects that no document means, in the places where something is created."""

    changes: tuple[Change, ...]
    desired: Declared
    live: Live
    deleted: dict[Address, Change] = field(default_factory=dict)
    places: dict[_Place, list[LiveResource]] = field(default_factory=lambda: defaultdict(list))
    by_look: dict[_Key, list[Address]] = field(default_factory=lambda: defaultdict(list))
    by_squeezed_name: dict[_Key, list[Address]] = field(default_factory=lambda: defaultdict(list))
    removed_by_spec: dict[_Key, list[Address]] = field(default_factory=lambda: defaultdict(list))
    by_fields: dict[_Key, Mapping[str, list[Address]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deleted = {
            change.before.address: change
            for change in deletes.select_implied(self.changes)
            if change.before is not None
        }
        used_places = {_get_place(c.address) for c in self.changes if c.action is Action.CREATE}
        declared = {fold_name(a) for a in self.desired.resources if _get_place(a) in used_places}
        managed = {
            (c.address.kind, c.live_id)
            for c in self.changes
            if c.live_id is not None and not (c.removed or c.pruned)
        }
        for address, live_object in self.live.resources.items():
            place = _get_place(address)
            is_managed = (address.kind, live_object.id) in managed or fold_name(address) in declared
            if place not in used_places or is_managed:
                continue
            self.places[place].append(live_object)
            self.by_look[place, simplify_name(address.name).casefold()].append(address)
            self.by_squeezed_name[place, squeeze_name(address.name)].append(address)
        for address, change in self.deleted.items():
            if change.removed and change.desired is not None:
                key = (_get_place(address), _serialize(change.desired.spec))
                self.removed_by_spec[key].append(address)

    def find_lookalikes(self, address: Address) -> list[Address]:
        """Return the objects whose names look like this one, ignoring case."""
        key: _Key = (_get_place(address), simplify_name(address.name).casefold())
        return self.by_look.get(key, [])

    def find_similar(self, resource: Resource) -> list[Address]:
        """Return the objects with nearly the same name, or with the name in `renamed_from`."""
        address, former = resource.address, resource.lifecycle.renamed_from
        similar = self.by_squeezed_name.get((_get_place(address), squeeze_name(address.name)), [])
        if not similar and former is not None:
            similar = self.by_squeezed_name.get((_get_place(address), squeeze_name(former)), [])
        return similar

    def find_organization(self, name: str) -> LiveResource | None:
        """Return a live organization of this name."""
        wanted_look = simplify_name(name).casefold()
        for organization in self.places.get(("Organization", ()), []):
            if simplify_name(str(organization.spec.get("name") or "")).casefold() == wanted_look:
                return organization
        return None

    def find_equal(self, resource: Resource) -> list[Address]:
        """Return the deleted objects with this spec, else the live one if there is only one."""
        place, spec = _get_place(resource.address), resource.spec
        kind = KINDS[resource.address.kind]
        if place not in self.places or not kind.renamable:  # another name means another object
            return []
        if removed := self.removed_by_spec.get((place, _serialize(spec))):
            return removed
        differing = sum(1 for name, value in spec.items() if kind.defaults.get(name) != value)
        if differing < min(_SIGNIFICANT, len(kind.defaults)) or not kind.unique:
            return []
        same = self._index_by_fields(place, tuple(sorted(spec))).get(_serialize(spec), [])
        return same if len(same) == 1 else []

    def _index_by_fields(
        self, place: _Place, names: tuple[str, ...]
    ) -> Mapping[str, list[Address]]:
        """Return the live objects of a place by their values of these fields."""
        if (place, names) not in self.by_fields:
            if len(self.by_fields) >= _KEYSETS:
                return {}
            index: dict[str, list[Address]] = defaultdict(list)
            for live_object in self.places.get(place, []):
                spec = live_object.spec
                values = {name: spec[name] for name in names if name in spec}
                index[_serialize(values)].append(live_object.address)
            self.by_fields[place, names] = index
        return self.by_fields[place, names]


def _get_place(address: Address) -> _Place:
    return address.kind, address.parts[:-1]


def _serialize(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True, default=str)
