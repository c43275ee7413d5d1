"""Differences that are not drift: only git has changed, and apply has not written it yet."""

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
    parse_time,
)
from reconciler.plan.diff import partial_creates, three_way
from reconciler.plan.diff.base_index import BaseIndex

WHOLE: Final = ""  # instead of the path of a field: the object as a whole

Since = Callable[[Change], datetime | None]
"""When the document was written last: a later log entry is somebody's change."""


class Unapplied:
    """The fields that only git has changed since it was applied last.

    Args:
        applied: what was declared then, references spelled as they are live.
        desired: what is declared now; renames are found through it.
        since: when git moved.

    """

    def __init__(self, applied: Declared, desired: Declared, since: Since) -> None:
        self._earlier = BaseIndex(desired, applied)
        self._since = since

    def paths(self, change: Change) -> Iterator[str]:
        """Yield the fields of a change that only git has changed; "" for the whole object.

        Of a change that is written in part, the rest counts as well. A field that somebody has
        changed is drift, whatever the other fields are.
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
        is_begun = (
            not known
            and change.before is not None
            and partial_creates.is_partly_created(change, change.before)
        )
        causes = three_way.find_causes(change.desired, then, change.before)
        for field in change.fields:
            attribution = field.attribution
            created_by_apply = (
                is_begun and attribution is not None and attribution.action is LogAction.CREATED
            )  # by apply itself
            if causes.get(field.path) is Cause.INTENT and (
                created_by_apply or not self._is_touched(change, attribution, field.desired)
            ):
                yield field.path

    def _is_touched(self, change: Change, attribution: Attribution | None, desired: Any) -> bool:
        """Return whether somebody changed it after git did, even within the second of a commit.

        What apply itself has set, unless that removed what is declared now, is what was applied,
        whatever the clocks of the server and of git say.
        """
        if attribution is None or (at := parse_time(attribution.at)) is None:
            return False
        if attribution.client == OWN_CLIENT and (
            attribution.change is None or attribution.change[0] != desired
        ):
            return False
        since = self._since(change)
        return since is not None and at > since
