"""From a declared address to the live object it means; case is folded where the kind folds it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from reconciler.kinds import fold
from reconciler.model import Address, Live, LiveResource, Resource


def folded(addresses: Iterable[Address]) -> Mapping[Address, tuple[Address, ...]]:
    """Folded address -> the addresses behind it."""
    index: dict[Address, list[Address]] = defaultdict(list)
    for address in addresses:
        index[fold(address)].append(address)
    return {key: tuple(found) for key, found in index.items()}


class Lookup:
    """One index over the live side, made once a plan."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._folded = folded(live.resources)
        self._by_id = {
            (item.address.kind, item.address.parts[:-1], item.id): item
            for items in ([(r,) for r in live.resources.values()], live.twins.values())
            for group in items
            for item in group
        }

    def candidates(self, resource: Resource) -> tuple[LiveResource, ...]:
        """The live objects that `resource` may mean: none, one, or several (ambiguous)."""
        scope = resource.address.parts[:-1]
        if resource.id is not None:
            pinned = self._by_id.get((resource.address.kind, scope, resource.id))
            return () if pinned is None else (pinned,)
        found = self._at(resource.address)
        if not found and resource.lifecycle.renamed_from is not None:
            found = self._at(
                Address(resource.address.kind, (*scope, resource.lifecycle.renamed_from))
            )
        return found

    def _at(self, address: Address) -> tuple[LiveResource, ...]:
        if address in self._live.twins:
            return self._live.twins[address]
        if address in self._live.resources:
            return (self._live.resources[address],)
        return tuple(self._live.resources[a] for a in self._folded.get(fold(address), ()))
