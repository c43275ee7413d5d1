"""Look up the ids of live addresses without an index of their own."""

from collections.abc import ItemsView, Iterator, Mapping

from reconciler.model import Address, LiveResource

Ids = tuple[str, ...]


class LiveIds(Mapping[Address, Ids]):
    """Map each live address to its ids: most have one, which their resource holds already.

    Args:
        resources: the first live object of each address.
        others: the ids of further addresses, and of those with several objects.

    """

    def __init__(
        self, resources: Mapping[Address, LiveResource], others: Mapping[Address, Ids]
    ) -> None:
        self._resources = resources
        self._others = others

    def __getitem__(self, address: Address) -> Ids:
        ids = self._others.get(address)
        return (self._resources[address].id,) if ids is None else ids

    def __contains__(self, address: object) -> bool:
        return address in self._resources or address in self._others

    def __iter__(self) -> Iterator[Address]:
        yield from self._resources
        yield from (address for address in self._others if address not in self._resources)

    def __len__(self) -> int:
        return len(self._resources.keys() | self._others.keys())

    def items(self) -> ItemsView[Address, Ids]:
        """Return the addresses with their ids, without a lookup for each."""
        return _Items(self)

    def iterate_items(self) -> Iterator[tuple[Address, Ids]]:
        """Yield the addresses with their ids."""
        others = self._others
        for address, resource in self._resources.items():
            yield address, others.get(address, (resource.id,))
        yield from ((a, ids) for a, ids in others.items() if a not in self._resources)


class _Items(ItemsView[Address, Ids]):
    """Iterate over the addresses and ids of `LiveIds`."""

    _mapping: LiveIds

    def __iter__(self) -> Iterator[tuple[Address, Ids]]:
        return self._mapping.iterate_items()
