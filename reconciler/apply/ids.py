"""Turn names into ids for writes: the reverse of what `live` does while it reads."""

from collections.abc import Mapping
from typing import Any

from reconciler.kinds import KINDS, fold_name
from reconciler.model import ID, Address, Kind, Live, Person, Reference, Spec, map_values


class UnknownNameError(Exception):
    """A name without an id. Planning reports these, so the live state has just changed."""


class IdTable:
    """The ids that are known. Only the executor's own thread adds to them; workers read."""

    def __init__(self, live: Live) -> None:
        self._ids = {fold_name(address): ids for address, ids in live.ids.items()}
        self._people: Mapping[str, Mapping[str, Person]] = live.people

    def learn(self, address: Address, id_: str) -> None:
        """Record the id of an address: from the plan, or from an outcome."""
        self._ids[fold_name(address)] = (id_,)

    def knows(self, kind_name: str, id_: str) -> bool:
        """Return whether an object of this id was there, or was made, before."""
        return any(id_ in ids for a, ids in tuple(self._ids.items()) if a.kind == kind_name)

    def scope_ids(self, address: Address) -> dict[str, str]:
        """Return the ids that the path templates of this address need, its own left out."""
        ids: dict[str, str] = {}
        if address.kind != "Organization":
            ids["organization"] = self._get_id(Address("Organization", (address.organization,)))
        if address.project is not None:
            ids["project"] = self._get_id(Address("Project", address.parts[:2]))
        if part_of := KINDS[address.kind].part_of:
            ids["id"] = self._get_id(Address(part_of, address.parts))
        return ids

    def resolve(self, kind: Kind, address: Address, spec: Spec) -> Spec:
        """Return the spec with ids where its references are; raises UnknownNameError."""
        for reference in kind.references:
            spec = map_values(spec, reference.path, self._make_resolver(reference, address))
        return spec

    def _make_resolver(self, reference: Reference, address: Address) -> Any:
        organization = address.organization

        def id_of(name: str) -> str:
            if name.startswith(ID):
                return name.removeprefix(ID)
            if reference.kind != "Member":
                return self._get_id(reference.target(address, name))
            person = self._people.get(organization, {}).get(name.lower())
            if person is None:
                raise UnknownNameError(f"nobody in {organization} has the address {name}")
            return str(getattr(person, reference.id_field))

        return id_of

    def _get_id(self, address: Address) -> str:
        ids = self._ids.get(fold_name(address), ())
        if len(ids) != 1:
            how = "is not known" if not ids else "is ambiguous"
            raise UnknownNameError(f"the id of {address} {how}")
        return ids[0]
