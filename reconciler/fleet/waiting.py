"""List what waits for approval in one target, or will wait once a plan is applied."""

from collections.abc import Iterator
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    NO_GATE,
    REPLACES,
    Address,
    Awaited,
    Change,
    ChangeRequest,
    Outcome,
    RequestPlan,
    Result,
    TargetDetails,
    Verdict,
    WaitingRequest,
    parse_time,
)
from reconciler.planfile.reader import Node

_FILED: Final = frozenset({Verdict.PENDING, Verdict.BLOCKED})  # the gate names an open request
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass
class WaitingRequests:
    """Collects what waits, one target after the other.

    `status` of several targets lists a request of their common organization: here it is one.
    """

    _requests: dict[tuple[str, str, Address], WaitingRequest] = field(default_factory=dict)

    def add(self, target: str, details: TargetDetails) -> None:
        """Add what waits in one target."""
        host = _find_host(details)
        for request in _list_waiting(target, details):
            key = (host, request.id or target, request.address)
            self._requests.setdefault(key, request)

    def list_by_expiry(self) -> tuple[WaitingRequest, ...]:
        """Return requests, those that expire first at the top; without an expiry at the end."""
        return tuple(sorted(self._requests.values(), key=_get_order))


def _get_order(request: WaitingRequest) -> tuple[datetime, str, Address, str]:
    expiry = parse_time(request.expires_at) or _NEVER
    return (expiry, request.target, request.address, request.id or "")


def _find_host(details: TargetDetails) -> str:
    if details.status is not None:
        return str(details.status.get("host"))
    return details.plan.host if details.plan is not None else ""


def _list_waiting(target: str, details: TargetDetails) -> Iterator[WaitingRequest]:
    """Yield what waits in one target: as status, as the results of apply, or as the plan has it."""
    if details.status is not None:
        yield from read_status_rows(target, details.status)
    elif details.outcomes:
        planned = details.plan.changes if details.plan is not None else ()
        changes = {change.address: change for change in planned}
        for outcome in details.outcomes:
            if outcome.result is Result.WAITING:
                yield _make_from_outcome(target, outcome, changes.get(outcome.address))
    elif details.plan is not None:
        requests = {each.id: each for each in details.plan.change_requests}
        for change in (*details.plan.changes, *details.plan.not_applied):
            if _waits(change):
                request = requests.get(change.gate.change_request or "")
                yield _make_from_change(target, change, request)


def _waits(change: Change) -> bool:
    gate = change.gate
    is_blocked = gate.verdict is Verdict.BLOCKED and gate.request_plan is not RequestPlan.REPLACE
    return gate.waits or is_blocked


def _make_from_change(target: str, change: Change, request: ChangeRequest | None) -> WaitingRequest:
    gate, id_ = change.gate, change.gate.change_request
    if gate.request_plan in REPLACES or gate.verdict not in _FILED:
        request, id_ = None, None  # a request that is open now will be canceled
    voted = tuple(vote.person for vote in request.votes if vote.approved) if request else ()
    unable = {*gate.cannot_approve, *voted}
    return WaitingRequest(
        target=target,
        address=change.address,
        id=id_,
        waiting_for=tuple(sorted(set(gate.approvers.list_emails()) - unable)),
        expires_at=(request.expires_at or None) if request is not None else None,
        quorum=gate.quorum,
        approved_by=voted,
        url=request.url if request is not None else None,
    )


def _make_from_outcome(target: str, outcome: Outcome, change: Change | None) -> WaitingRequest:
    """Return what an outcome waits for, as its request says it, else as the plan has forecast."""
    awaited = outcome.awaits
    if awaited is None:
        gate = change.gate if change is not None else NO_GATE
        awaited = Awaited(gate.quorum, gate.approvers)
    return WaitingRequest(
        target=target,
        address=outcome.address,
        id=outcome.change_request,
        waiting_for=tuple(sorted(awaited.approvers.list_emails())),
        expires_at=awaited.expires_at or None,
        quorum=awaited.quorum,
        approved_by=awaited.approved_by,
        url=outcome.url,
    )


def read_status_rows(target: str, document: Any) -> tuple[WaitingRequest, ...]:
    """Return the requests of the document of `status`; raise ConfigError."""

    def read_row(node: Node) -> WaitingRequest:
        return WaitingRequest(
            target=target,
            address=node["address"].address(),
            id=node["id"].text(),
            waiting_for=node["waiting_for"].each(Node.text),
            expires_at=node["expires_at"].maybe(Node.text) or None,
        )

    return Node(document, "")["requests"].each(read_row)
