"""Find the live object of a document, and report where that is not certain."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from reconciler.kinds import FOLDING, KINDS, fold_name
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Live,
    LiveResource,
    Resource,
    Severity,
    iterate_values,
)

HIDDEN: Final = "people-hidden"


def _build_error(code: str, resource: Resource, message: str, why: str, fix: str) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=message,
        why=why,
        fix=fix,
        source=resource.source,
        address=resource.address,
    )


def find_problem(
    resource: Resource, candidates: tuple[LiveResource, ...], live: Live
) -> Finding | None:
    """Return why a resource cannot be compared; None if it can, or can be created.

    Nothing is wrong with a resource that has exactly one candidate and no `metadata.id`, where all
    people can be seen.
    """
    live_object = candidates[0] if candidates else None
    return (
        check_hidden_people(resource, live)
        or check_ambiguous(resource, candidates)
        or check_id(resource, live_object, live)
        or (check_creatable(resource) if live_object is None else None)
    )


def check_ambiguous(resource: Resource, candidates: tuple[LiveResource, ...]) -> Finding | None:
    """Return an error if several live objects share the name: the first is never picked."""
    if len(candidates) < 2:  # noqa: PLR2004  one candidate is not ambiguous
        return None
    ids = ", ".join(sorted(item.id for item in candidates))
    return _build_error(
        "ambiguous-name",
        resource,
        f"{resource.address} is live {len(candidates)} times",
        f"these share the name: {ids}",
        "set metadata.id to the ID of the intended object",
    )


def report_unclear_delete(resource: Resource, candidates: tuple[LiveResource, ...]) -> Finding:
    """Report that several live objects match a removed document: none is deleted."""
    ids = ", ".join(sorted(item.id for item in candidates))
    return Finding(
        code="delete-unclear",
        severity=Severity.WARNING,
        message=f"{resource.address} is no longer declared, is live {len(candidates)} times, "
        "and is not deleted",
        why=f"these share the name: {ids}",
        fix="put the document back with metadata.id and `lifecycle: {state: absent}`",
        address=resource.address,
    )


def report_foreign_delete(resource: Resource) -> Finding:
    """Report that another tool manages the object of a removed document: it is not deleted."""
    return Finding(
        code="left-to-other-tools",
        severity=Severity.WARNING,
        message=f"{resource.address} is no longer declared, and is not deleted",
        why="a tag `iac:…`, which the files did not write, says that another tool manages it",
        fix="to delete it, declare it with `lifecycle: {state: absent}`",
        address=resource.address,
    )


def check_id(resource: Resource, live_object: LiveResource | None, live: Live) -> Finding | None:
    """Return an error if `metadata.id` is not the id of a live object of this name."""
    if resource.id is None:
        return None
    names = {resource.address.name.casefold(), (resource.lifecycle.renamed_from or "").casefold()}
    if live_object is not None and live_object.address.name.casefold() in names:
        return None
    live_ids = live.ids.get(resource.address, ())
    return _build_error(
        "unknown-id",
        resource,
        f"metadata.id {resource.id} is not the id of {resource.address}",
        f"that one is {live_object.address}"
        if live_object is not None
        else "no live object has it",
        f"known: {', '.join(live_ids)}" if live_ids else "remove metadata.id, or correct it",
    )


def check_creatable(resource: Resource) -> Finding | None:
    """Return an error if the kind cannot be created: nothing is planned for it."""
    kind = KINDS[resource.address.kind]
    if not kind.cannot_create or resource.lifecycle.absent:
        return None
    return _build_error(
        "cannot-create",
        resource,
        f"{resource.address} does not exist and cannot be created",
        kind.cannot_create,
        "invite the person in PostHog, or remove the document",
    )


def check_hidden_people(resource: Resource, live: Live) -> Finding | None:
    """Return an error if the key sees too few people to compare this (contract 8.4)."""
    if not live.partial:
        return None
    address, kind = resource.address, KINDS[resource.address.kind]
    if resource.lifecycle.absent or address.organization not in live.partial:
        return None
    path: tuple[str | int, ...] | None = None
    message = ""
    for name in kind.of_people:
        if name in resource.spec:
            path, message = (name,), f"the people of {address} cannot be compared"
    for reference in kind.references if path is None else ():
        if reference.kind != "Member":
            continue
        people = live.people.get(address.organization, {})
        for reference_path, email in iterate_values(resource.spec, reference.path):
            if not str(email).startswith("id:") and str(email).lower() not in people:
                path = reference_path
                message = f"it is not known whether {email} is in {address.organization}"
                break
    if path is None:
        return None
    gap = next(
        unreadable
        for unreadable in live.unreadable
        if unreadable.kind == "Member" and unreadable.scope == address.parts[:1]
    )
    return Finding(
        HIDDEN, Severity.ERROR, message, gap.reason, gap.fix, resource.locate(path), address
    )


def find_incomplete_creates(changes: Iterable[Change]) -> Iterator[Finding]:
    """Yield creates that PostHog would refuse because a field is missing."""
    for change in changes:
        if change.action is not Action.CREATE or change.desired is None:
            continue
        if missing := KINDS[change.address.kind].incomplete(change.desired.spec):
            yield _build_error(
                "incomplete-create",
                change.desired,
                f"{change.address} cannot be created as it is written",
                missing,
                f"write it; `reconciler schema {change.address.kind}` shows the fields",
            )


def find_shared_objects(changes: Iterable[Change]) -> Iterator[Finding]:
    """Yield documents that refer to the live object of another: each would undo the other."""
    owners: dict[tuple[str, tuple[str, ...], str], Address] = {}
    for change in changes:
        if change.live_id is None or change.desired is None:
            continue
        key = (change.address.kind, change.address.parts[:-1], change.live_id)
        owner = owners.setdefault(key, change.address)
        if owner != change.address:
            yield _build_error(
                "one-object-twice",
                change.desired,
                f"{change.address} and {owner} are the same live object",
                f"both refer to the {change.address.kind} with the ID {change.live_id}",
                "remove one of the two documents, or correct metadata.id and renamed_from",
            )


class FoldedAddresses:
    """Addresses, found by any spelling that their kind treats as equal."""

    def __init__(self, addresses: Collection[Address]) -> None:
        self._addresses = addresses

    def find_equal(self, address: Address) -> Sequence[Address]:
        """Return the addresses that are equal to this one, in any spelling."""
        if address.kind not in FOLDING:
            return (address,) if address in self._addresses else ()
        return self._folded.get(fold_name(address), ())

    @cached_property
    def _folded(self) -> Mapping[Address, list[Address]]:
        """Return the addresses of kinds that fold case: most runs ask for none."""
        index: dict[Address, list[Address]] = defaultdict(list)
        for address in self._addresses:
            if address.kind in FOLDING:
                index[fold_name(address)].append(address)
        return index


def count_live_objects(live: Live) -> Counter[tuple[str, tuple[str, ...]]]:
    """Count live objects by kind and scope; also where only some of them were read."""
    totals = Counter((address.kind, address.parts[:-1]) for address in live.resources)
    totals.update({scope: total - totals[scope] for scope, total in live.counts.items()})
    return totals


def list_project_names(live: Live) -> dict[str, list[str]]:
    """Return the names of the live projects of each organization, for selectors."""
    names: dict[str, list[str]] = {}
    for address in sorted(live.ids):
        if address.kind == "Project":
            names.setdefault(address.organization, []).append(address.name)
    return names


class LiveLookup:
    """An index of the live side, built once per plan."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._folded = FoldedAddresses(live.resources)
        self._pinned: dict[tuple[str, tuple[str, ...], str], LiveResource] = {}
        # The objects that do not share their address with another one.
        self.unique: Mapping[Address, LiveResource] = live.resources
        if live.duplicates:
            addresses = live.resources.keys() - live.duplicates.keys()
            self.unique = {address: live.resources[address] for address in addresses}

    def find_candidates(self, resource: Resource) -> tuple[LiveResource, ...]:
        """Return the live objects that `resource` may refer to; several are ambiguous."""
        scope = resource.address.parts[:-1]
        if resource.id is not None:
            pinned = self._index_by_id().get((resource.address.kind, scope, resource.id))
            return () if pinned is None else (pinned,)
        matches = self._find_by_address(resource.address)
        if not matches and resource.lifecycle.renamed_from is not None:
            matches = self._find_by_address(
                Address(resource.address.kind, (*scope, resource.lifecycle.renamed_from))
            )
        return matches

    def _index_by_id(self) -> Mapping[tuple[str, tuple[str, ...], str], LiveResource]:
        """Return an index by id, built on first use: hardly any document has an id."""
        if not self._pinned:
            duplicates = (item for group in self._live.duplicates.values() for item in group)
            for item in (*self._live.resources.values(), *duplicates):
                self._pinned[item.address.kind, item.address.parts[:-1], item.id] = item
        return self._pinned

    def _find_by_address(self, address: Address) -> tuple[LiveResource, ...]:
        if address in self._live.duplicates:
            return self._live.duplicates[address]
        if address in self._live.resources:
            return (self._live.resources[address],)
        return tuple(self._live.resources[a] for a in self._folded.find_equal(address))
