"""Names of new objects: what PostHog would make of them, and live objects that may be meant.

PostHog makes some names itself (contract 6.1), and people change names without `renamed_from`:
either way a create would make a second object, in the worst case one more at every run.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from reconciler.kinds import KINDS, fold
from reconciler.lookalikes import escaped, look, squeeze, yaml_scalar
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
)
from reconciler.plan.guardrails import deletes
from reconciler.suggest import find_most_similar

NOT_KEPT: Final = "name-not-kept"
LOOKALIKE: Final = "lookalike-name"
RENAMED: Final = "likely-rename"
CODES: Final = frozenset({NOT_KEPT, LOOKALIKE})
_COMPARED: Final = 100  # candidates of which the closest name is suggested
_KEYSETS: Final = 20  # combinations of written fields for which live objects are indexed
_TELLING: Final = 2  # fields that differ from the default make equality more than chance

_Place = tuple[str, tuple[str, ...]]  # kind and scope
_Key = tuple[_Place, Any]


def find(
    changes: Iterable[Change],
    desired: Declared,
    live: Live,
    misnamed: Mapping[Address, Collection[str]] | None = None,
) -> Iterator[Finding]:
    """Find creates that PostHog would name otherwise, lookalikes, and likely renames.

    Args:
        changes: of the whole run, implied deletes included.
        desired: everything declared, also what this run leaves out.
        live: the live side.
        misnamed: names that PostHog gave to what earlier runs created for an address.

    """
    every = tuple(changes)
    made = [c.desired for c in every if c.action is Action.CREATE and c.desired is not None]
    if not made:
        return
    others = _Others(every, desired, live)
    unclear: list[Resource] = []
    for resource in made:
        names = (misnamed or {}).get(resource.address, ())
        error = _error(resource, others) or _made_before(resource, others, names)
        if error is not None:
            yield error
        else:
            unclear.append(resource)
    yield from _renames(unclear, others)


def _error(resource: Resource, others: "_Others") -> Finding | None:
    """Find out whether a create would make something else than the document says."""
    kind, address = KINDS[resource.address.kind], resource.address
    made = kind.made_as(address.name, resource.spec)
    if made != address.name:
        return _not_kept(resource, kind, made)
    if kind.scope is Scope.INSTANCE:
        return _same_organization(resource, others)
    for other in others.look_like(address):
        if kind.folds_case or look(other.name) == look(address.name):
            return _lookalike(resource, other, "both look the same", _either(other))
        if not kind.unique:  # PostHog would make a second one beside it, and keep both
            why = "the names differ only in capitals, and PostHog would make a second one"
            return _lookalike(resource, other, why, _either(other))
    return None


def _made_before(resource: Resource, others: "_Others", names: Collection[str]) -> Finding | None:
    """Find what an earlier run created for this document, and PostHog named otherwise."""
    for there in others.places.get(_place(resource.address), []):
        if there.address.name in names:
            name = there.address.name
            return _finding(
                LOOKALIKE,
                resource,
                f"an earlier run created {resource.address}, and PostHog named it {escaped(name)}",
                f"it is live (id {there.id}), and a create would make one more",
                f"write {yaml_scalar(name)} instead, or delete that one in PostHog",
            )
    return None


def _either(other: Address) -> str:
    """Return what a person can do about two names that are nearly the same."""
    name = yaml_scalar(other.name)
    rename = f"`lifecycle: {{renamed_from: {name}}}` to rename it, or "
    return (
        f"write {name} if that one is meant, or "
        f"{rename if KINDS[other.kind].renamable else ''}declare that one too"
    )


def _not_kept(resource: Resource, kind: Kind, made: str) -> Finding:
    name = resource.address.name
    if kind.scope is not Scope.INSTANCE:
        why, fix = "PostHog trims names", f"write {yaml_scalar(made)}"
    else:
        shown = escaped(str(resource.spec.get("name") or name))
        why = f"PostHog makes the slug from the name, here {shown}, and never changes it"
        fix = f"write `organization: {made}` wherever it is named" if made else "change the name"
        fix += f"; or give it a name that becomes {name}, and change the name afterwards"
    become = f'would become "{made}"' if made else "would have an empty slug"
    return _finding(NOT_KEPT, resource, f"{escaped(name)} {become}", why, fix)


def _same_organization(resource: Resource, others: "_Others") -> Finding | None:
    """Find a live organization of the same name: PostHog gave it another slug.

    That happens where the slug was taken, also by an organization that this key cannot see: a
    second create would make a third one, at every run.
    """
    name = str(resource.spec.get("name") or resource.address.name)
    there = others.organization(name)
    if there is None:
        return None
    slug = there.address.name
    return _finding(
        LOOKALIKE,
        resource,
        f"an organization called {escaped(str(there.spec.get('name')))} is live: its slug is "
        f'"{slug}", not "{resource.address.name}"',
        "PostHog adds letters to a slug that is taken, also by an organization that this key "
        "cannot see; a create would make one more",
        f"write `organization: {slug}` if that one is meant, declare it too, or choose another "
        "name",
    )


def _lookalike(resource: Resource, other: Address, why: str, fix: str) -> Finding:
    return _finding(
        LOOKALIKE,
        resource,
        f"the new {other.kind} {escaped(resource.address.name)} looks like {escaped(other.name)}, "
        "which is live",
        why,
        fix,
    )


def _finding(code: str, resource: Resource, message: str, why: str, fix: str) -> Finding:
    named = code == NOT_KEPT and "name" in resource.spec
    source = resource.locate(("name",)) if named else resource.source
    return Finding(code, Severity.ERROR, message, why, fix, source, resource.address)


def _renames(made: Iterable[Resource], others: "_Others") -> Iterator[Finding]:
    """Find pairs of old and new names; each old name is suggested once."""
    taken: set[Address] = set()
    rest: list[Resource] = []
    for resource in made:
        close = [one for one in others.nearly(resource) if one not in taken]
        if not close:
            rest.append(resource)
            continue
        taken.add(close[0])
        why = "the names differ only in case, spaces, hyphens or underscores"
        yield _rename(resource, close[0], others, why)
    for resource in rest:
        equal = [one for one in others.equal(resource) if one not in taken]
        if equal:
            old = _closest(resource.address, equal)
            taken.add(old)
            yield _rename(resource, old, others, "apart from the name, both are equal")


def _closest(address: Address, others: list[Address]) -> Address:
    names = {other.name: other for other in islice(others, _COMPARED)}
    return names[find_most_similar(address.name, names)]


def _rename(resource: Resource, old: Address, others: "_Others", why: str) -> Finding:
    fate = "would be deleted" if old in others.doomed else "is live and in no file"
    if not KINDS[old.kind].renamable:
        question, fix = "the same one?", f"if it is, write {yaml_scalar(old.name)}"
    else:
        line = f"renamed_from: {yaml_scalar(old.name)}"
        question, fix = f"renamed? write {line}", f"under metadata: `lifecycle: {{{line}}}`"
    return Finding(
        RENAMED,
        Severity.WARNING,
        f"{resource.address} is new, and {old} {fate}: {question}",
        why,
        fix,
        resource.source,
        resource.address,
    )


@dataclass(slots=True)
class _Others:
    """Live objects that no document means, in the places where something is created."""

    changes: tuple[Change, ...]
    desired: Declared
    live: Live
    doomed: dict[Address, Change] = field(default_factory=dict)
    places: dict[_Place, list[LiveResource]] = field(default_factory=lambda: defaultdict(list))
    looks: dict[_Key, list[Address]] = field(default_factory=lambda: defaultdict(list))
    squeezed: dict[_Key, list[Address]] = field(default_factory=lambda: defaultdict(list))
    gone: dict[_Key, list[Address]] = field(default_factory=lambda: defaultdict(list))
    values: dict[_Key, Mapping[str, list[Address]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.doomed = {
            change.before.address: change
            for change in deletes.implied(self.changes)
            if change.before is not None
        }
        wanted = {_place(c.address) for c in self.changes if c.action is Action.CREATE}
        known = {fold(a) for a in self.desired.resources if _place(a) in wanted}
        owned = {
            (c.address.kind, c.live_id)
            for c in self.changes
            if c.live_id is not None and not (c.removed or c.pruned)
        }
        for address, there in self.live.resources.items():
            place = _place(address)
            if place not in wanted or (address.kind, there.id) in owned or fold(address) in known:
                continue
            self.places[place].append(there)
            self.looks[place, look(address.name).casefold()].append(address)
            self.squeezed[place, squeeze(address.name)].append(address)
        for address, change in self.doomed.items():
            if change.removed and change.desired is not None:
                self.gone[_place(address), _text(change.desired.spec)].append(address)

    def look_like(self, address: Address) -> list[Address]:
        """Return what looks like a name, whatever its case."""
        found: list[Address] = self.looks.get((_place(address), look(address.name).casefold()), [])
        return found

    def nearly(self, resource: Resource) -> list[Address]:
        """Return what has nearly the same name, or the one that a rename is said to be from."""
        address, former = resource.address, resource.lifecycle.renamed_from
        found = self.squeezed.get((_place(address), squeeze(address.name)), [])
        if not found and former is not None:
            found = self.squeezed.get((_place(address), squeeze(former)), [])
        return found

    def organization(self, name: str) -> LiveResource | None:
        """Return a live organization of this name."""
        same = look(name).casefold()
        for there in self.places.get(("Organization", ()), []):
            if look(str(there.spec.get("name") or "")).casefold() == same:
                return there
        return None

    def equal(self, resource: Resource) -> list[Address]:
        """Return what says the same: deleted objects, else the only live one that does."""
        place, spec = _place(resource.address), resource.spec
        kind = KINDS[resource.address.kind]
        if place not in self.places or not kind.renamable:  # another name is another thing
            return []
        if found := self.gone.get((place, _text(spec))):
            return found
        differing = sum(1 for name, value in spec.items() if kind.defaults.get(name) != value)
        if differing < min(_TELLING, len(kind.defaults)) or not kind.unique:
            return []
        same = self._by_value(place, tuple(sorted(spec))).get(_text(spec), [])
        return same if len(same) == 1 else []

    def _by_value(self, place: _Place, names: tuple[str, ...]) -> Mapping[str, list[Address]]:
        """Return the live objects of a place by what they say in these fields."""
        if (place, names) not in self.values:
            if len(self.values) >= _KEYSETS:
                return {}
            found: dict[str, list[Address]] = defaultdict(list)
            for there in self.places.get(place, []):
                said = {name: there.spec[name] for name in names if name in there.spec}
                found[_text(said)].append(there.address)
            self.values[place, names] = found
        return self.values[place, names]


def _place(address: Address) -> _Place:
    return address.kind, address.parts[:-1]


def _text(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True, default=str)
