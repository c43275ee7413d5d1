"""Find the collections that addresses need, and references by id that no listing has yet. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from reconciler.kinds import KINDS, READ
from reconciler.live.listed_payload import ListedPayload, read_id, read_name
from reconciler.model import (
    ID,
    Address,
    Declared,
    Payload,
    RewrittenObject,
    Scope,
    iterate_values,
    parse_id,
)

ALL: Final = "*"  # in an address, means every object of its scope
Place = tuple[str, tuple[str, ...]]  # kind and scope: one collection
_Owner = tuple[str, tuple[str, ...], str]  # kind, scope and id
Payloads = Mapping[Place, tuple[Payload, ...]]
Names = Mapping[Place, Collection[str]]  # of addresses, by collection
_DETAILED = frozenset(kind.name for kind in KINDS.values() if kind.details or kind.part_of)


def get_scope(address: Address) -> tuple[str, ...]:
    """Return the scope of an address: () for organizations, else the parts before its name."""
    return address.parts[:-1]


def group_names(addresses: Iterable[Address]) -> Names:
    """Return the names in addresses by collection."""
    names: dict[Place, set[str]] = defaultdict(set)
    for kind, parts in addresses:
        names[kind, parts[:-1]].add(parts[-1])
    return names


def list_collections(names: Names) -> set[Place]:
    """Return every collection that these objects and what they name need."""
    wanted = set(names)
    owners = {
        (kind, organization)
        for (kind, scope), own in names.items()
        for organization in scope[:1] or own  # an organization is in no scope: its name is one
    }
    for kind, organization in owners:
        for reference in KINDS[kind].references:
            if not reference.takes_ids:  # others are listed if a condition needs them
                wanted.add((reference.kind, (organization,)))
    return {
        (kind, scope)
        for kind, scope in wanted
        if KINDS[kind].scope is not Scope.INSTANCE and not KINDS[kind].part_of
    }


def list_detailed(addresses: Collection[Address], *sides: Declared | None) -> frozenset[Address]:
    """Return the declared objects with fields that only the endpoint of the object shows.

    A part of another object has nothing else.
    """
    return frozenset(
        address
        for address in addresses
        if address.kind in _DETAILED
        for kind in (KINDS[address.kind],)
        for side in sides
        if side is not None
        and (resource := side.resources.get(address)) is not None
        and (kind.part_of or not kind.details.keys().isdisjoint(resource.spec))
    )


def find_referred(payloads: Payloads, names: Names) -> Iterator[Address]:
    """Yield the addresses that the live objects with these names refer to, as `id:…`."""
    for place, wanted_names in names.items():
        kind = KINDS[place[0]]
        references = [reference for reference in kind.references if reference.takes_ids]
        for payload in payloads.get(place, ()) if references else ():
            if isinstance(payload, ListedPayload) and payload.spec is not None:
                continue  # it refers to nothing
            address = Address(kind.name, (*place[1], read_name(kind, payload)))
            if address.name in wanted_names or ALL in wanted_names:
                fields = payload.unpack() if isinstance(payload, ListedPayload) else payload
                for reference in references:
                    for _, id_ in iterate_values(fields, reference.path):
                        yield reference.target(address, f"{ID}{id_}")


def find_lacking(payloads: Payloads, wanted: Collection[Address]) -> set[Place]:
    """Return the incomplete collections that lack one of these addresses."""
    known: dict[Place, set[str]] = {}
    missing: set[Place] = set()
    for address in wanted:
        kind, place = READ[address.kind], (address.kind, address.parts[:-1])
        if not kind.fallback_params or place not in payloads or place in missing:
            continue
        if place not in known:
            known[place] = {
                name
                for item in payloads[place]
                for name in (read_name(kind, item), f"{ID}{read_id(kind, item)}")
            }
        id_ = parse_id(address.name, digits=True)
        if address.name not in known[place] and f"{ID}{id_}" not in known[place]:
            missing.add(place)
    return missing


def list_undeclared_ids(payloads: Payloads) -> Mapping[Address, tuple[str, ...]]:
    """Return the ids of objects that files name but never declare, by address."""
    ids: dict[Address, tuple[str, ...]] = {}
    for (kind, scope), items in payloads.items():
        read = READ[kind]
        for payload in () if read.declared else items:
            address = Address(kind, (*scope, read_name(read, payload)))
            ids[address] = (*ids.get(address, ()), read_id(read, payload))
    return ids


def list_verified_domains(payloads: Payloads) -> Mapping[str, frozenset[str]]:
    """Return the verified email domains of each organization that was asked."""
    return {
        scope[0]: frozenset(str(row["domain"]).lower() for row in items if row.get("is_verified"))
        for (kind, scope), items in payloads.items()
        if kind == "OrganizationDomain"
    }


def list_rewritten(payloads: Payloads) -> Mapping[_Owner, tuple[RewrittenObject, ...]]:
    """Return which objects the writes of an object rewrite, from what connects them."""
    by_owner: dict[_Owner, list[RewrittenObject]] = defaultdict(list)
    rewriting = {kind.rewrites.through: kind for kind in KINDS.values() if kind.rewrites}
    for (through, scope), items in payloads.items():
        kind = rewriting.get(through)
        if kind is None or kind.rewrites is None:
            continue
        for payload in items:
            owner, name = kind.rewrites.owner(payload), kind.rewrites.name(payload)
            if owner is not None and name:
                address = Address(kind.rewrites.kind, (*scope, name))
                rewritten = RewrittenObject(address, kind.rewrites.id(payload), str(payload["id"]))
                by_owner[kind.name, scope, owner].append(rewritten)
    return {owner: tuple(objects) for owner, objects in by_owner.items()}
