"""Keep the changes of one comparison for the next one of the same run."""

from reconciler.model import Address, Change, LiveResource, Resource


class KnownChanges:
    """Hold changes with what was compared, so that nothing is described twice.

    A run compares before it reads the gates and once more after that, because what was read may
    concern other resources. Resources without a difference are compared quickly: they are not kept.
    """

    def __init__(self) -> None:
        self._changes: dict[Address, tuple[Resource | None, Change]] = {}

    def __bool__(self) -> bool:
        """Return whether any change is known."""
        return bool(self._changes)

    def find(
        self, resource: Resource, base: Resource | None, live: LiveResource | None
    ) -> Change | None:
        """Return the change of exactly these three, if it was remembered."""
        base_then, change = self._changes.get(resource.address, (None, None))
        if change is None or change.desired is not resource or change.before is not live:
            return None
        return change if base_then is base or base_then == base else None

    def remember(self, base: Resource | None, change: Change) -> None:
        """Keep a change of a resource that was compared with this base."""
        self._changes[change.address] = (base, change)
