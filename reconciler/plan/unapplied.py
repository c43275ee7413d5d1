"""What of a difference is not drift: only git has moved, and apply has not written it yet."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from reconciler.evidence import Attribution, Deed
from reconciler.kind import instant
from reconciler.model import Action, Cause, Change, Declared
from reconciler.plan import stale, three_way

WHOLE: Final = ""  # instead of the path of a field: the object as a whole

Since = Callable[[Change], datetime | None]
"""When the document was written last: what the log has after it was done by somebody."""


class Unapplied:
    """Tells what only git has moved, by what was declared when git was applied last.

    Args:
        applied: what was declared then, references spelled as they are live.
        desired: what is declared now; renames are found through it.
        since: when git moved.

    """

    def __init__(self, applied: Declared, desired: Declared, since: Since) -> None:
        self._earlier = three_way.Earlier(desired, applied)
        self._since = since

    def paths(self, change: Change) -> Iterator[str]:
        """Yield the fields of a change that only git has moved; "" for the whole object.

        Of a change that is written in part, the rest is one of those as well. A field that
        somebody has moved is drift, whatever is beside it.
        """
        then = self._earlier.of(change.desired) if change.desired is not None else None
        if change.desired is None or then is None or change.action is Action.NONE:
            return
        known = then.source is not None  # else the files did not declare it
        if change.action is not Action.UPDATE:
            was_there = known and not then.lifecycle.absent
            was_gone = known and then.lifecycle.absent
            same = was_there if change.action is Action.CREATE else was_gone
            if not same and not self._is_touched(change, change.attribution):
                yield WHOLE
            return
        begun = not known and change.before is not None and stale.is_begun(change, change.before)
        causes = three_way.causes(change.desired, then, change.before)
        for one in change.fields:
            found = one.attribution
            made = begun and found is not None and found.deed is Deed.CREATED  # by apply itself
            if causes.get(one.path) is Cause.INTENT and (
                made or not self._is_touched(change, found)
            ):
                yield one.path

    def _is_touched(self, change: Change, found: Attribution | None) -> bool:
        """Return whether somebody moved it after git did."""
        at = instant(found.at) if found is not None else None
        since = self._since(change) if at is not None else None
        return at is not None and since is not None and at > since
