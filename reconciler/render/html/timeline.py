"""The change requests on one line of time: when each was filed, voted on, and will expire."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.model import Address, ChangeRequest, Plan, Verdict, format_time, parse_time
from reconciler.render.shared import phrases

_MARGIN: Final = 0.03  # of the line, on both sides
_STYLES: Final = {"pending": "wait", "approved": "wait", "rejected": "stop"}


@dataclass(frozen=True, slots=True)
class TimedRequest:
    """One request, with its places on the line in percent of the width."""

    request: ChangeRequest
    address: Address
    style: str
    votes: str
    events: tuple[tuple[str, str], ...]  # when and what, in the order in which it happened
    bar: tuple[float, float] | None  # where it begins, and how long it is
    trouble: str  # why it cannot be applied, and who has to do what
    dots: tuple[tuple[str, float], ...]  # of the votes: a style and a place


@dataclass(frozen=True, slots=True)
class Timeline:
    """All requests of a plan, oldest first."""

    rows: tuple[TimedRequest, ...]
    now: float | None  # where the plan was made
    has_line: bool


def draw_timeline(plan: Plan) -> Timeline:
    """Return the requests of a plan on a line from the first known moment to the last."""
    now = parse_time(plan.created_at)
    moments = [now]
    for request in plan.change_requests:
        moments += map(parse_time, (request.created_at, request.expires_at))
        moments += [parse_time(vote.at) for vote in request.votes]
    known = [moment for moment in moments if moment is not None]
    axis = _Axis(min(known), max(known)) if known else None
    quorums = _collect_quorums(plan)
    rows = tuple(_place_request(each, quorums.get(each.id), axis) for each in plan.change_requests)
    return Timeline(
        rows, axis.place(now) if axis is not None and now is not None else None, axis is not None
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    start: datetime
    end: datetime

    def place(self, moment: datetime) -> float:
        """Return the place of a moment, in percent of the width."""
        span = (self.end - self.start) or timedelta(seconds=1)
        share = (moment - self.start) / span
        return round(100 * (_MARGIN + share * (1 - 2 * _MARGIN)), 2)


def _collect_quorums(plan: Plan) -> Mapping[str, int | None]:
    """Return how many have to approve each request, as its gate says."""
    return {
        change.gate.change_request: change.gate.quorum
        for change in plan.writes
        if change.gate.change_request and change.gate.verdict is not Verdict.NONE
    }


def _place_request(request: ChangeRequest, quorum: int | None, axis: _Axis | None) -> TimedRequest:
    given = sum(vote.approved for vote in request.votes)
    trouble = request.get_validity().explain()
    return TimedRequest(
        request,
        request.address,
        _STYLES.get(request.state, "wait"),
        f"{given} of {quorum}" if quorum is not None else phrases.count(given, "vote"),
        tuple(_list_events(request)),
        _place_bar(request, axis) if axis is not None else None,
        phrases.describe_unappliable(trouble) if trouble is not None else "",
        tuple(_place_votes(request, axis)) if axis is not None else (),
    )


def _place_bar(request: ChangeRequest, axis: _Axis) -> tuple[float, float] | None:
    filed, expires = parse_time(request.created_at), parse_time(request.expires_at)
    if filed is None:
        return None
    left, right = axis.place(filed), axis.place(expires or axis.end)
    return left, round(max(right - left, 0.5), 2)


def _place_votes(request: ChangeRequest, axis: _Axis) -> Iterator[tuple[str, float]]:
    for vote in request.votes:
        if (moment := parse_time(vote.at)) is not None:
            yield "yes" if vote.approved else "no", axis.place(moment)


def _list_events(request: ChangeRequest) -> Iterator[tuple[str, str]]:
    """Yield the same in words, in the order in which it happened."""
    yield _format_time(request.created_at), f"filed by {request.requester or 'somebody unknown'}"
    for vote in request.votes:
        reason = f": {vote.reason}" if vote.reason else ""
        verb = "approved" if vote.approved else "rejected"
        yield _format_time(vote.at), f"{vote.person} {verb}{reason}"
    if request.scheduled_at:
        yield _format_time(request.scheduled_at), "scheduled: not applied before"
    if request.expires_at:
        yield _format_time(request.expires_at), "expires"


def _format_time(at: str) -> str:
    return format_time(at) if at else "at an unknown time"
