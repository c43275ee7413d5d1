"""Which live object a document means, where that is not plain: ids, namesakes, what cannot be."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.kinds import KINDS, fold
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Live,
    LiveResource,
    Resource,
    Severity,
    values_at,
)

HIDDEN: Final = "people-hidden"


def _error(code: str, resource: Resource, message: str, why: str, fix: str) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=message,
        why=why,
        fix=fix,
        source=resource.source,
        address=resource.address,
    )


def ambiguous(resource: Resource, candidates: tuple[LiveResource, ...]) -> Finding | None:
    """Several live objects share the name: never the first is picked."""
    if len(candidates) < 2:  # noqa: PLR2004  one is what it takes
        return None
    ids = ", ".join(sorted(item.id for item in candidates))
    return _error(
        "ambiguous-name",
        resource,
        f"{resource.address} is live {len(candidates)} times",
        f"these share the name: {ids}",
        "write the id of the one that is meant as metadata.id",
    )


def left_twice(resource: Resource, candidates: tuple[LiveResource, ...]) -> Finding:
    """It left the files, and which live object it was cannot be told: none is deleted."""
    ids = ", ".join(sorted(item.id for item in candidates))
    return Finding(
        code="delete-unclear",
        severity=Severity.WARNING,
        message=f"{resource.address} left the files, is live {len(candidates)} times, and is not "
        "deleted",
        why=f"these share the name: {ids}",
        fix="put the document back with metadata.id and `lifecycle: {state: absent}`",
        address=resource.address,
    )


def left_to_others(resource: Resource) -> Finding:
    """It left the files and went over to another tool: nothing is deleted under its hands."""
    return Finding(
        code="left-to-other-tools",
        severity=Severity.WARNING,
        message=f"{resource.address} left the files, and is not deleted",
        why="a tag `iac:…`, which the files did not write, says that another tool manages it",
        fix="if it is to go, declare it with `lifecycle: {state: absent}`",
        address=resource.address,
    )


def unknown_id(resource: Resource, there: LiveResource | None, live: Live) -> Finding | None:
    """An id only tells namesakes apart: it has to be that of an object of this name."""
    if resource.id is None:
        return None
    names = {resource.address.name.casefold(), (resource.lifecycle.renamed_from or "").casefold()}
    if there is not None and there.address.name.casefold() in names:
        return None
    known = live.ids.get(resource.address, ())
    return _error(
        "unknown-id",
        resource,
        f"metadata.id {resource.id} is not the id of {resource.address}",
        f"that one is {there.address}" if there is not None else "no live object has it",
        f"known: {', '.join(known)}" if known else "remove metadata.id, or mend it",
    )


def not_creatable(resource: Resource) -> Finding | None:
    """A kind that comes to exist in another way: nothing is planned for it."""
    kind = KINDS[resource.address.kind]
    if not kind.cannot_create or resource.lifecycle.absent:
        return None
    return _error(
        "cannot-create",
        resource,
        f"{resource.address} is not there and cannot be created",
        kind.cannot_create,
        "invite the person in PostHog, or remove the document",
    )


def hidden_people(resource: Resource, live: Live) -> Finding | None:
    """Find what cannot be compared because the key sees only some people (contract 8.4)."""
    address, kind = resource.address, KINDS[resource.address.kind]
    if resource.lifecycle.absent or address.organization not in live.partial:
        return None
    place: tuple[str | int, ...] | None = None
    what = ""
    for name in kind.of_people:
        if name in resource.spec:
            place, what = (name,), f"who is in {address} cannot be compared"
    for reference in kind.references if place is None else ():
        if reference.kind != "Member":
            continue
        known = live.people.get(address.organization, {})
        for path, email in values_at(resource.spec, reference.path):
            if not str(email).startswith("id:") and str(email).lower() not in known:
                place = path
                what = f"whether {email} is in {address.organization} cannot be found out"
                break
    if place is None:
        return None
    gap = next(
        one for one in live.unreadable if one.kind == "Member" and one.scope == address.parts[:1]
    )
    return Finding(
        HIDDEN, Severity.ERROR, what, gap.reason, gap.fix, resource.locate(place), address
    )


def incomplete(changes: Iterable[Change]) -> Iterator[Finding]:
    """Creates that PostHog would refuse for want of a field."""
    for change in changes:
        if change.action is not Action.CREATE or change.desired is None:
            continue
        if missing := KINDS[change.address.kind].incomplete(change.desired.spec):
            yield _error(
                "incomplete-create",
                change.desired,
                f"{change.address} cannot be created as it is written",
                missing,
                f"write it; `reconciler schema {change.address.kind}` shows the fields",
            )


def shared(changes: Iterable[Change]) -> Iterator[Finding]:
    """Two documents that mean one live object would undo each other at every run."""
    owners: dict[tuple[str, tuple[str, ...], str], Address] = {}
    for change in changes:
        if change.live_id is None or change.desired is None:
            continue
        key = (change.address.kind, change.address.parts[:-1], change.live_id)
        owner = owners.setdefault(key, change.address)
        if owner != change.address:
            yield _error(
                "one-object-twice",
                change.desired,
                f"{change.address} and {owner} are the same live object",
                f"both mean the {change.address.kind} with the id {change.live_id}",
                "remove one of the two documents, or mend metadata.id and renamed_from",
            )


class Folded:
    """Addresses, found by any spelling that their kind takes for the same."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self._plain: set[Address] = set()
        self._index: dict[Address, list[Address]] = defaultdict(list)
        folding = {name for name, kind in KINDS.items() if kind.folds_case}
        for address in addresses:
            if address.kind in folding:
                self._index[fold(address)].append(address)
            else:
                self._plain.add(address)

    def find(self, address: Address) -> Sequence[Address]:
        """Those that are the same, however they are spelled."""
        if address in self._plain:
            return (address,)
        return self._index.get(fold(address), ()) if self._index else ()


def population(live: Live) -> Counter[tuple[str, tuple[str, ...]]]:
    """How many live objects there are, by kind and scope; also where only a few were read."""
    found = Counter((address.kind, address.parts[:-1]) for address in live.resources)
    found.update({place: n - found[place] for place, n in live.counts.items()})
    return found


def project_names(live: Live) -> dict[str, list[str]]:
    """Return the names of the live projects of each organization, for selectors."""
    names: dict[str, list[str]] = {}
    for address in sorted(live.ids):
        if address.kind == "Project":
            names.setdefault(address.organization, []).append(address.name)
    return names


class Lookup:
    """One index over the live side, made once a plan."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._folded = Folded(live.resources)
        self._pinned: dict[tuple[str, tuple[str, ...], str], LiveResource] = {}

    def candidates(self, resource: Resource) -> tuple[LiveResource, ...]:
        """The live objects that `resource` may mean: none, one, or several (ambiguous)."""
        scope = resource.address.parts[:-1]
        if resource.id is not None:
            pinned = self._by_id().get((resource.address.kind, scope, resource.id))
            return () if pinned is None else (pinned,)
        found = self._at(resource.address)
        if not found and resource.lifecycle.renamed_from is not None:
            found = self._at(
                Address(resource.address.kind, (*scope, resource.lifecycle.renamed_from))
            )
        return found

    def _by_id(self) -> Mapping[tuple[str, tuple[str, ...], str], LiveResource]:
        """Made when the first id is asked for: hardly any document has one."""
        if not self._pinned:
            twins = (item for group in self._live.twins.values() for item in group)
            for item in (*self._live.resources.values(), *twins):
                self._pinned[item.address.kind, item.address.parts[:-1], item.id] = item
        return self._pinned

    def _at(self, address: Address) -> tuple[LiveResource, ...]:
        if address in self._live.twins:
            return self._live.twins[address]
        if address in self._live.resources:
            return (self._live.resources[address],)
        return tuple(self._live.resources[a] for a in self._folded.find(address))
