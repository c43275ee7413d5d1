"""From a declared address to the live object it means; case is folded where the kind folds it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reconciler.kinds import KINDS, fold
from reconciler.model import Address, Live, LiveResource, Resource


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
