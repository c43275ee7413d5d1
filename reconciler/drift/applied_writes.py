"""Pair the writes of a flag in the log with the change requests that they applied, one to one.

The log does not name the request. Several writes may fit one request, and several requests one
write, if somebody writes the same value twice within seconds: the nearest in time belong together,
then those whose versions agree.
"""

from collections.abc import Iterator
from dataclasses import field, replace
from datetime import timedelta
from typing import Any, Final

from reconciler.drift import schedules
from reconciler.drift.activity_replay import LogEvent, Spell, read_entry
from reconciler.drift.approvals import APART, Approvals
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Change, ChangeRequest, FlagWrite, Schedules

_FAR: Final = 1 << 30  # where a version is not known


@dataclass(frozen=True, slots=True)
class AppliedWrite:
    """A write, the request that it applied, and whether a scheduled change may have made it."""

    write: FlagWrite
    address: Address
    number: int  # its place in the log; 0 is the newest
    request: ChangeRequest | None = None
    is_scheduled: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A write that several requests may fit, or that shares its request with a later write."""

    write: AppliedWrite
    version: int | None
    candidates: list[tuple[timedelta, ChangeRequest]]


@dataclass(slots=True)
class WritePairing:
    """Pair the writes of one flag, newest first. Few writes wait, and only briefly."""

    approvals: Approvals
    spell: Spell
    schedules: Schedules  # of this flag
    _used: set[str] = field(default_factory=set)  # ids of requests
    _waiting: list[_Waiting] = field(default_factory=list)

    def add(
        self, address: Address, write: FlagWrite, number: int, version: int | None
    ) -> Iterator[AppliedWrite]:
        """Add a write; yield the writes whose requests are certain now.

        `number` is its place in the log, `version` an upper bound of the flag's version after it.
        """
        entry = write.entry
        if self._waiting and self._waiting[-1].write.write.entry.at - entry.at > 2 * APART:
            yield from self.finish()
        change = Change(address, Action.UPDATE, live_id=entry.item)
        near = self.approvals.list_near(change, entry)
        applied = AppliedWrite(write, address, number)
        if not near and not self.schedules:
            yield applied
            return
        before, after = read_entry(address, entry, self.spell)
        event = LogEvent(entry, write.action, None if write.before is None else before, after)
        if schedules.may_have_written(change, event, self.schedules):
            applied = replace(applied, is_scheduled=True)
        candidates = [
            (distance, request)
            for distance, request in near
            if request.id not in self._used and self.approvals.fits(change, request, event)
        ]
        if candidates:
            self._waiting.append(_Waiting(applied, version, candidates))
        else:
            yield applied

    def finish(self) -> Iterator[AppliedWrite]:
        """Pair the writes that wait, and yield them."""
        pairs = sorted(
            (distance, _compare_versions(waiting.version, request), number, request.id, request)
            for number, waiting in enumerate(self._waiting)
            for distance, request in waiting.candidates
            if request.id not in self._used
        )
        requests: dict[int, ChangeRequest] = {}
        for *_, number, id_, request in pairs:
            if number not in requests and id_ not in self._used:
                requests[number] = request
                self._used.add(id_)
        for number, waiting in enumerate(self._waiting):
            yield replace(waiting.write, request=requests.get(number))
        self._waiting.clear()


def _compare_versions(bound: int | None, request: ChangeRequest) -> int:
    """Return how far a request's result is from the latest version that a write can have left."""
    result: Any = request.payload.get("result_data")
    version = result.get("resource_version") if isinstance(result, dict) else None
    if bound is None or not isinstance(version, int) or version > bound:
        return _FAR
    return bound - version
