"""Differences that are not drift: only git has moved, and apply has not written it yet."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from reconciler.model import (
    ABSENT,
    OWN_CLIENT,
    Action,
    Attribution,
    Cause,
    Change,
    Declared,
    LogAction,
    instant,
)
from reconciler.plan.diff import three_way
from reconciler.plan.saved import compare

WHOLE: Final = ""  # instead of the path of a field: the object as a whole

Since = Callable[[Change], datetime | None]
"""When the document was written last: what the log has after it was done by somebody."""


class Unapplied:
    """The fields that only git has moved, by what was declared when git was applied last.

    Args:
        applied: what was declared then, references spelled as they are live.
        desired: what is declared now; renames are found through it.
        since: when git moved.

    """

    def __init__(self, applied: Declared, desired: Declared, since: Since) -> None:
        self._earlier = three_way.BaseIndex(desired, applied)
        self._since = since

    def paths(self, change: Change) -> Iterator[str]:
        """Yield the fields of a change that only git has moved; "" for the whole object.

        Of a change that is written in part, the rest is one of those as well. A field that
        somebody has moved is drift, whatever is beside it.
        """
        then = (
            self._earlier.find_declaration(change.desired) if change.desired is not None else None
        )
        if change.desired is None or then is None or change.action is Action.NONE:
            return
        known = then.source is not None  # else the files did not declare it
        if change.action is not Action.UPDATE:
            was_there = known and not then.lifecycle.absent
            was_gone = known and then.lifecycle.absent
            same = was_there if change.action is Action.CREATE else was_gone
            if not same and not self._is_touched(change, change.attribution, ABSENT):
                yield WHOLE
            return
        begun = not known and change.before is not None and compare.is_begun(change, change.before)
        causes = three_way.find_causes(change.desired, then, change.before)
        for one in change.fields:
            found = one.attribution
            made = (
                begun and found is not None and found.deed is LogAction.CREATED
            )  # by apply itself
            if causes.get(one.path) is Cause.INTENT and (
                made or not self._is_touched(change, found, one.desired)
            ):
                yield one.path

    def _is_touched(self, change: Change, found: Attribution | None, desired: Any) -> bool:
        """Return whether somebody moved it after git did; within the second of a commit, too.

        What apply itself has set before, and not by undoing what is declared now, is what was
        applied, whatever the clocks of the server and of git say.
        """
        if found is None or (at := instant(found.at)) is None:
            return False
        if found.client == OWN_CLIENT and (found.moved is None or found.moved[0] != desired):
            return False
        since = self._since(change)
        return since is not None and at > since
