"""Names to ids, on the way out: the reverse of what `live` does on the way in."""

from collections.abc import Mapping
from typing import Any

from reconciler.kinds import fold
from reconciler.model import ID, Address, Kind, Live, Person, Reference, Spec, map_values


class UnknownNameError(Exception):
    """A name without an id: planning reports these, so here the world has just moved."""


class Names:
    """What ids are known. Only the executor's own thread adds to it; workers read."""

    def __init__(self, live: Live) -> None:
        self._ids = {fold(address): ids for address, ids in live.ids.items()}
        self._people: Mapping[str, Mapping[str, Person]] = live.people

    def learn(self, address: Address, id_: str) -> None:
        """The id of an address: from the plan, or from an outcome."""
        self._ids[fold(address)] = (id_,)

    def knows(self, kind_name: str, id_: str) -> bool:
        """Return whether an object of this id was there, or was made, before."""
        return any(id_ in ids for a, ids in tuple(self._ids.items()) if a.kind == kind_name)

    def scope_ids(self, address: Address) -> dict[str, str]:
        """What the path templates of this address need, itself left out."""
        ids: dict[str, str] = {}
        if address.kind != "Organization":
            ids["organization"] = self._one(Address("Organization", (address.organization,)))
        if address.project is not None:
            ids["project"] = self._one(Address("Project", address.parts[:2]))
        return ids

    def resolve(self, kind: Kind, address: Address, spec: Spec) -> Spec:
        """Return the spec with ids where its references are; raises UnknownNameError."""
        for reference in kind.references:
            spec = map_values(spec, reference.path, self._by(reference, address))
        return spec

    def _by(self, reference: Reference, address: Address) -> Any:
        organization = address.organization

        def id_of(name: str) -> str:
            if name.startswith(ID):
                return name.removeprefix(ID)
            if reference.kind != "Member":
                return self._one(reference.target(address, name))
            person = self._people.get(organization, {}).get(name.lower())
            if person is None:
                raise UnknownNameError(f"nobody in {organization} has the address {name}")
            return person.uuid if reference.id_field == "uuid" else str(person.id)

        return id_of

    def _one(self, address: Address) -> str:
        ids = self._ids.get(fold(address), ())
        if len(ids) != 1:
            how = "is not known" if not ids else "is ambiguous"
            raise UnknownNameError(f"the id of {address} {how}")
        return ids[0]
