"""Keep the changes of one comparison for the next one of the same run."""

from collections.abc import Callable, Sequence

from reconciler.model import Change, LiveResource, Resource
from reconciler.plan.diff.base_index import BaseIndex

Find = Callable[[Resource, Resource | None, LiveResource | None], Change | None]


class KnownChanges:
    """Hold the changes of a comparison, so that nothing is compared twice.

    A run compares before it reads the gates and once more after that, because what was read may
    concern other resources. It hardly ever does.
    """

    def __init__(self, changes: Sequence[Change], base_index: BaseIndex) -> None:
        self._changes = changes
        self._base_index = base_index

    def build_finder(self) -> Find:
        """Return a function that finds the change of exactly these three, if it is known."""
        by_address = {change.address: change for change in self._changes}
        find_declaration = self._base_index.find_declaration

        def find(
            resource: Resource, base: Resource | None, live: LiveResource | None
        ) -> Change | None:
            change = by_address.get(resource.address)
            if change is None or change.desired is not resource or change.before is not live:
                return None
            base_then = find_declaration(resource)
            return change if base_then is base or base_then == base else None

        return find
