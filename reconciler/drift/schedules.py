"""Find the scheduled change behind a write in the log (contract 18).

The log does not name it. PostHog writes as the person who scheduled the change, and the schedule
says when and what.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from reconciler.drift.activity_replay import LogEvent
from reconciler.model import ADD_CONDITION, Change, ScheduledChange, Schedules, parse_time

_APART: Final = timedelta(seconds=10)  # between the write and the time that the schedule has


def describe_schedule(change: Change, event: LogEvent, schedules: Schedules) -> str:
    """Return a note that a scheduled change wrote this; empty if none did."""
    for scheduled in _list_fitting(change, event, schedules):
        at = parse_time(scheduled.executed_at)
        if at is not None and abs(at - event.entry.at) <= _APART:
            return "a scheduled change wrote it"
    return ""


def may_have_written(change: Change, event: LogEvent, schedules: Schedules) -> bool:
    """Return whether a scheduled change wrote this, or a recurring one may have, before its last.

    A recurring one shows only when it was made last.
    """
    is_recurring = any(each.repeats for each in _list_fitting(change, event, schedules))
    return is_recurring or bool(describe_schedule(change, event, schedules))


def _list_fitting(
    change: Change, event: LogEvent, schedules: Schedules
) -> Iterator[ScheduledChange]:
    """Yield the schedules of the flag that write what was written, as the same person."""
    for scheduled in schedules.get((change.address.parts[:-1], change.live_id or ""), ()):
        if scheduled.made_by == event.entry.user_id and _fits(scheduled, event.after):
            yield scheduled


def _fits(scheduled: ScheduledChange, written: Mapping[str, Any]) -> bool:
    """Return whether a schedule writes what was written."""
    return bool(scheduled.writes) and all(
        _is_in(value, written.get(name), appended=scheduled.operation == ADD_CONDITION)
        for name, value in scheduled.writes.items()
    )


def _is_in(value: Any, written: Any, *, appended: bool) -> bool:
    """Compare values: in a mapping only what the schedule has; condition sets are appended."""
    if isinstance(value, Mapping) and isinstance(written, Mapping):
        return all(
            _is_in(item, written.get(name), appended=appended) for name, item in value.items()
        )
    if appended and isinstance(value, list) and isinstance(written, list):
        return bool(value) and written[-len(value) :] == value
    return bool(value == written)
