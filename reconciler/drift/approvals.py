"""Which write of the log was an approved change request being applied.

The log does not say. A request that was applied was written at that moment, as its requester,
with the values that it proposed (contract 7.5).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from reconciler.drift.activity_replay import Spell, Step
from reconciler.model import Change, ChangeRequest, LogAction, instant

_APART: Final = timedelta(seconds=10)  # between the write and the request's own time of it
_Key = tuple[str, str]  # organization, id of the flag


class Approvals:
    """Applied change requests, by the object that they changed."""

    def __init__(self, requests: Iterable[ChangeRequest], spell: Spell) -> None:
        self._spell = spell
        self._of: dict[_Key, list[ChangeRequest]] = defaultdict(list)
        for request in requests:
            if request.state == "applied":
                self._of[request.organization, _resource(request)].append(request)

    def behind(self, change: Change, step: Step) -> ChangeRequest | None:
        """The request whose application this write was; the nearest in time of those that fit."""
        near = [
            (abs(at - step.entry.at), request.id, request)
            for request in self._about(change)
            if request.requester_id is not None
            and request.requester_id == step.entry.user_id
            and (at := _applied_at(request)) is not None
            and abs(at - step.entry.at) <= _APART
            and self._fits(change, request, step)
        ]
        return min(near, default=(None, "", None))[2] if near else None

    def last(self, change: Change) -> ChangeRequest | None:
        """The request that was the last write of the flag, told by its version; without a log."""
        if change.before is None or change.before.payload.get("version") is None:
            return None
        version = change.before.payload["version"]
        for request in self._about(change):
            if _result(request).get("resource_version") == version:
                return request
        return None

    def proposed(self, change: Change, request: ChangeRequest) -> Mapping[str, Any]:
        """The managed fields that a request set."""
        data = (request.payload.get("intent") or {}).get("full_request_data") or {}
        spec: dict[str, Any] = {}
        for name, value in data.items():
            spec |= self._spell(change.address, str(name), value)
        return spec

    def _about(self, change: Change) -> list[ChangeRequest]:
        return self._of.get((change.address.organization, change.live_id or ""), [])

    def _fits(self, change: Change, request: ChangeRequest, step: Step) -> bool:
        """Whether it proposed what was written; of a create there is nothing to compare."""
        if step.deed is LogAction.CREATED:
            return request.resource_id is None
        proposed = self.proposed(change, request)
        shared = [name for name in proposed if name in step.after]
        return bool(shared) and all(_holds(proposed[name], step.after[name]) for name in shared)


def _holds(proposed: Any, written: Any) -> bool:
    """Equal; of a mapping what is proposed, for a server may merge it into what is stored."""
    if isinstance(proposed, Mapping) and isinstance(written, Mapping):
        return all(written.get(name) == value for name, value in proposed.items())
    return bool(proposed == written)


def _resource(request: ChangeRequest) -> str:
    return str(request.resource_id or _result(request).get("resource_id") or "")


def _result(request: ChangeRequest) -> Mapping[str, Any]:
    result = request.payload.get("result_data")
    return result if isinstance(result, Mapping) else {}


def _applied_at(request: ChangeRequest) -> datetime | None:
    return instant(request.payload.get("applied_at"))
