"""Write references as the live side does, so that another spelling is not a difference.

This covers the case of people and roles, the former name of a renamed resource, and names instead
of ids.
"""

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.kinds import fold_name
from reconciler.model import ID, Address, Declared, Live, Reference, is_nameable, parse_id


class Spelling:
    """Know how names are written on the live side, and which name an id has.

    The index of a kind is built when the first reference to it comes: most files have none to
    flags, of which there may be very many.
    """

    def __init__(self, declared: Declared, live: Live, later: Declared | None = None) -> None:
        self._declared, self._live, self._later = declared, live, later
        self._names: dict[str, Mapping[Address, str]] = {}
        self._ids: dict[str, Mapping[tuple[tuple[str, ...], str], str]] = {}

    def build_speller(self, reference: Reference, address: Address) -> Callable[[Any], Any]:
        """Return the function that spells what the resource at `address` refers to."""
        if reference.kind == "Member":
            return self._build_person_speller(address.organization)

        def spell(name: Any) -> Any:
            target = reference.target(address, name)
            if isinstance(name, int) or (reference.takes_ids and not is_nameable(name)):
                id_ = parse_id(name) if reference.takes_ids else None
                return self._spell_id(target, id_) if id_ is not None else name
            if (
                live_name := self._index_live_names(reference.kind).get(fold_name(target))
            ) is not None:
                return live_name
            id_ = parse_id(name, digits=True) if reference.takes_ids else None
            if id_ is None or target in self._declared.resources:
                return name
            return self._spell_id(target, id_)

        return spell

    def _spell_id(self, target: Address, id_: str) -> str:
        return self._index_names_by_id(target.kind).get((target.parts[:-1], id_), f"{ID}{id_}")

    def _build_person_speller(self, organization: str) -> Callable[[Any], Any]:
        people = self._live.people.get(organization, {})

        def spell(name: Any) -> Any:
            person = people.get(str(name).lower())
            return person.email if person is not None else name

        return spell

    def _index_live_names(self, kind: str) -> Mapping[Address, str]:
        """Return the live spelling of each name of a kind, also under the name it is renamed to."""
        if kind not in self._names:
            names = {fold_name(a): a.name for a in self._live.ids if a.kind == kind}
            for address, resource in self._declared.resources.items():
                old = resource.lifecycle.renamed_from
                if address.kind == kind and old is not None and fold_name(address) not in names:
                    old_address = fold_name(Address(kind, (*address.parts[:-1], old)))
                    if old_address in names:
                        names[fold_name(address)] = names[old_address]
            names |= self._index_later_renames(kind, names)
            self._names[kind] = names
        return self._names[kind]

    def _index_later_renames(
        self, kind: str, names: Mapping[Address, str]
    ) -> Mapping[Address, str]:
        """Return the live names of what later files have renamed, by the names before."""
        live_names = {}
        for address, resource in self._later.resources.items() if self._later is not None else ():
            old, new = resource.lifecycle.renamed_from, names.get(fold_name(address))
            if address.kind == kind and old is not None and new is not None:
                old_address = fold_name(Address(kind, (*address.parts[:-1], old)))
                if old_address not in names:
                    live_names[old_address] = new
        return live_names

    def _index_names_by_id(self, kind: str) -> Mapping[tuple[tuple[str, ...], str], str]:
        """Return the name of each id, where no other object of the scope has the same."""
        if kind not in self._ids:
            self._ids[kind] = {
                (address.parts[:-1], ids[0]): address.name
                for address, ids in self._live.ids.items()
                if address.kind == kind and len(ids) == 1 and is_nameable(address.name)
            }
        return self._ids[kind]
