"""List what waits for approval in one target, or will wait once a plan is applied."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.model import (
    REPLACES,
    Address,
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

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def list_waiting(target: str, details: TargetDetails) -> Iterator[WaitingRequest]:
    """Yield what waits in one target: as status, as the results of apply, or as the plan has it."""
    if details.status is not None:
        yield from read_status_rows(target, details.status)
    elif details.outcomes:
        waiting = (each for each in details.outcomes if each.result is Result.WAITING)
        yield from (_make_from_outcome(target, outcome) for outcome in waiting)
    elif details.plan is not None:
        requests = {each.id: each for each in details.plan.change_requests}
        for change in (*details.plan.changes, *details.plan.not_applied):
            if _waits(change):
                request = requests.get(change.gate.change_request or "")
                yield _make_from_change(target, change, request)


def sort_by_expiry(requests: Iterable[WaitingRequest]) -> tuple[WaitingRequest, ...]:
    """Return requests, those that expire first at the top; without an expiry at the end.

    `status` of several targets lists a request of their common organization: here it is one.
    """

    def get_key(request: WaitingRequest) -> tuple[datetime, str, Address, str]:
        expiry = parse_time(request.expires_at) or _NEVER
        return (expiry, request.target, request.address, request.id or "")

    unique: dict[object, WaitingRequest] = {}
    for request in sorted(requests, key=get_key):
        unique.setdefault(request.id or (request.target, request.address), request)
    return tuple(unique.values())


def _waits(change: Change) -> bool:
    gate = change.gate
    is_blocked = gate.verdict is Verdict.BLOCKED and gate.request_plan is not RequestPlan.REPLACE
    return gate.waits or is_blocked


def _make_from_change(target: str, change: Change, request: ChangeRequest | None) -> WaitingRequest:
    gate = change.gate
    if gate.request_plan in REPLACES:  # the request that is open now will be canceled
        request = None
    voted = tuple(vote.person for vote in request.votes if vote.approved) if request else ()
    unable = {*gate.cannot_approve, *voted}
    return WaitingRequest(
        target=target,
        address=change.address,
        id=request.id if request is not None else None,
        waiting_for=tuple(sorted(set(gate.approvers.list_emails()) - unable)),
        expires_at=request.expires_at if request is not None else "",
        quorum=gate.quorum,
        approved_by=voted,
        url=request.url if request is not None else None,
    )


def _make_from_outcome(target: str, outcome: Outcome) -> WaitingRequest:
    awaited = outcome.awaits
    if awaited is None:
        return WaitingRequest(target, outcome.address, outcome.change_request, (), url=outcome.url)
    return WaitingRequest(
        target=target,
        address=outcome.address,
        id=outcome.change_request,
        waiting_for=tuple(sorted(awaited.approvers.list_emails())),
        expires_at=awaited.expires_at,
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
            expires_at=node["expires_at"].maybe(Node.text) or "",
        )

    return Node(document, "")["requests"].each(read_row)
