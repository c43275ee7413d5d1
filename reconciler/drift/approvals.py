"""Find the approved change request behind a write in the log.

The log does not name it. An approved request is applied at that moment, as its requester, with the
values that it proposed (contract 7.5).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from reconciler.drift.activity_replay import LogEvent, Spell
from reconciler.kinds import KINDS
from reconciler.model import Change, ChangeRequest, Entry, LogAction, parse_time

APART: Final = timedelta(
    seconds=10
)  # between the time of the write and `applied_at` of the request
_Key = tuple[str, str, str]  # kind, organization, id


class Approvals:
    """Hold the applied change requests by the object that they changed."""

    def __init__(self, requests: Iterable[ChangeRequest], spell: Spell) -> None:
        self._spell = spell
        self._requests: dict[_Key, list[ChangeRequest]] = defaultdict(list)
        for request in requests:
            if request.state == "applied":
                key = (request.kind, request.organization, _get_resource_id(request))
                self._requests[key].append(request)

    def find_applied(self, change: Change, event: LogEvent) -> ChangeRequest | None:
        """Return the request that this write applied; the nearest in time if several fit."""
        candidates = [
            (distance, request.id, request)
            for distance, request in self.list_near(change, event.entry)
            if self.fits(change, request, event)
        ]
        return min(candidates)[2] if candidates else None

    def list_near(self, change: Change, entry: Entry) -> Sequence[tuple[timedelta, ChangeRequest]]:
        """Return the requests about this object that were applied at about the time of an entry.

        Each has the person of the entry, and comes with its distance in time.
        """
        return [
            (abs(at - entry.at), request)
            for request in self._list_requests(change)
            if request.requester_id is not None
            and request.requester_id == entry.user_id
            and (at := _parse_applied_at(request)) is not None
            and abs(at - entry.at) <= APART
        ]

    def find_last(self, change: Change) -> ChangeRequest | None:
        """Return the request that was the last write of the flag, by its version; without a log."""
        if change.before is None or change.before.payload.get("version") is None:
            return None
        version = change.before.payload["version"]
        for request in self._list_requests(change):
            if _get_result(request).get("resource_version") == version:
                return request
        return None

    def list_proposed_fields(self, change: Change, request: ChangeRequest) -> Mapping[str, Any]:
        """Return the managed fields that a request set."""
        data = KINDS[request.kind].proposal(request.payload.get("intent") or {})
        spec: dict[str, Any] = {}
        for name, value in data.items():
            spec |= self._spell(change.address, str(name), value)
        return spec

    def _list_requests(self, change: Change) -> list[ChangeRequest]:
        address = change.address
        return self._requests.get((address.kind, address.organization, change.live_id or ""), [])

    def fits(self, change: Change, request: ChangeRequest, event: LogEvent) -> bool:
        """Return whether a request proposed what was written; a create has nothing to compare."""
        if event.action is LogAction.CREATED:
            return request.resource_id is None
        if event.action is LogAction.DELETED:
            intent = request.payload.get("intent") or {}
            return bool(KINDS[request.kind].proposal(intent).get("deleted"))
        proposed = self.list_proposed_fields(change, request)
        common = [name for name in proposed if name in event.after]
        return bool(common) and all(
            _contains_proposal(proposed[name], event.after[name]) for name in common
        )


def _contains_proposal(proposed: Any, written: Any) -> bool:
    """Compare values; in a mapping only what is proposed, because a server may merge it."""
    if isinstance(proposed, Mapping) and isinstance(written, Mapping):
        return all(written.get(name) == value for name, value in proposed.items())
    return bool(proposed == written)


def _get_resource_id(request: ChangeRequest) -> str:
    return str(request.resource_id or _get_result(request).get("resource_id") or "")


def _get_result(request: ChangeRequest) -> Mapping[str, Any]:
    result = request.payload.get("result_data")
    return result if isinstance(result, Mapping) else {}


def _parse_applied_at(request: ChangeRequest) -> datetime | None:
    return parse_time(request.payload.get("applied_at"))
