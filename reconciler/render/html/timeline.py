"""Open requests and scheduled changes on one time axis, the next to end or to happen first."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    ChangeRequest,
    Finding,
    Plan,
    Verdict,
    format_time,
    parse_time,
)
from reconciler.render.html.axis import Axis, Tick, make_axis
from reconciler.render.shared import phrases, schedules
from reconciler.render.shared.phrases import Phrase

_SOON: Final = 86_400  # seconds: what ends within a day is marked
_STYLES: Final = {"pending": "wait", "approved": "wait", "rejected": "stop"}


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened or will happen at a moment."""

    style: str
    place: float


@dataclass(frozen=True, slots=True)
class TimedRow:
    """One request or one scheduled change, with its places on the axis in percent."""

    address: Address
    title: str
    votes: str
    badge: tuple[str, str]  # a style and a text
    link: tuple[str, str | None]  # of a request: the beginning of its id, and its page
    left: str  # how long until it expires or happens
    soon: bool
    bar: tuple[float, float] | None  # where it begins, and how long it is
    marks: tuple[Mark, ...]
    events: tuple[tuple[str, str], ...]  # when and what, in the order in which it happened
    trouble: str = ""  # why it cannot be applied, and who has to do what
    phrase: Phrase | None = None  # of a scheduled change
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that has a time, the next to come first."""

    rows: tuple[TimedRow, ...]
    ticks: tuple[Tick, ...]
    now: float | None  # where the plan was made
    has_line: bool
    has_requests: bool
    has_schedules: bool


def draw_timeline(plan: Plan, *, drift: bool) -> Timeline:
    """Return the requests and scheduled changes of a plan on one axis."""
    now = parse_time(plan.created_at)
    flags = schedules.list_flag_schedules(plan, drift=drift)
    axis = make_axis(_list_moments(plan), now)
    quorums = _collect_quorums(plan)
    rows = [
        (parse_time(request.expires_at), _place_request(request, quorums, axis, now))
        for request in plan.change_requests
    ]
    rows += [row for flag in flags for row in _place_schedules(flag, axis, now)]
    rows.sort(key=lambda row: _rank(row[0], now))
    return Timeline(
        rows=tuple(row for _, row in rows),
        ticks=axis.list_ticks() if axis is not None else (),
        now=axis.place(now) if axis is not None and now is not None else None,
        has_line=axis is not None,
        has_requests=bool(plan.change_requests),
        has_schedules=bool(flags),
    )


def _list_moments(plan: Plan) -> Iterator[datetime | None]:
    for request in plan.change_requests:
        yield from map(parse_time, (request.created_at, request.expires_at))
        yield from (parse_time(vote.at) for vote in request.votes)
    for change in plan.changes:
        yield from (parse_time(scheduled.at) for scheduled in change.scheduled)


def _rank(moment: datetime | None, now: datetime | None) -> tuple[int, float]:
    """Return the place in the list: what comes next, then the past, then what has no time."""
    if moment is None:
        return 2, 0
    is_past = now is not None and moment < now
    return int(is_past), moment.timestamp()


def _collect_quorums(plan: Plan) -> Mapping[str, int | None]:
    """Return how many have to approve each request, as its gate says."""
    return {
        change.gate.change_request: change.gate.quorum
        for change in plan.writes
        if change.gate.change_request and change.gate.verdict is not Verdict.NONE
    }


def _place_request(
    request: ChangeRequest,
    quorums: Mapping[str, int | None],
    axis: Axis | None,
    now: datetime | None,
) -> TimedRow:
    given, quorum = sum(vote.approved for vote in request.votes), quorums.get(request.id)
    votes = phrases.count(given, "vote") if quorum is None else f"{given} of {quorum} approvals"
    trouble = request.get_validity().explain()
    expires = parse_time(request.expires_at)
    return TimedRow(
        address=request.address,
        title=request.action_key,
        votes=votes,
        badge=(_STYLES.get(request.state, "wait"), request.state),
        link=(phrases.shorten_id(request.id), request.url),
        left=_describe_distance(expires, now, "expires", "expired"),
        soon=_is_soon(expires, now),
        bar=_place_bar(request, axis) if axis is not None else None,
        marks=tuple(_mark_votes(request, axis)) if axis is not None else (),
        events=tuple(_list_events(request)),
        trouble=phrases.describe_unappliable(trouble) if trouble is not None else "",
    )


def _place_schedules(
    flag: schedules.FlagSchedule, axis: Axis | None, now: datetime | None
) -> Iterator[tuple[datetime | None, TimedRow]]:
    warnings = flag.warnings
    for scheduled, phrase in zip(flag.change.scheduled, flag.phrases, strict=True):
        moment = parse_time(scheduled.at)
        place = axis.place(moment) if axis is not None and moment is not None else None
        yield (
            moment,
            TimedRow(
                address=flag.change.address,
                title="scheduled change",
                votes="",
                badge=("", scheduled.repeats) if scheduled.repeats else ("", ""),
                link=("", None),
                left=_describe_distance(moment, now, "happens", "was due"),
                soon=_is_soon(moment, now),
                bar=None,
                marks=(Mark("planned", place),) if place is not None else (),
                events=(),
                phrase=phrase,
                warnings=warnings,
            ),
        )
        warnings = ()  # once for each flag


def _place_bar(request: ChangeRequest, axis: Axis) -> tuple[float, float] | None:
    filed, expires = parse_time(request.created_at), parse_time(request.expires_at)
    if filed is None:
        return None
    left = axis.place(filed)
    right = axis.place(expires) if expires is not None else axis.right
    return left, round(max(right - left, 0.5), 2)


def _mark_votes(request: ChangeRequest, axis: Axis) -> Iterator[Mark]:
    for vote in request.votes:
        if (moment := parse_time(vote.at)) is not None:
            yield Mark("yes" if vote.approved else "no", axis.place(moment))
    if (moment := parse_time(request.scheduled_at)) is not None:
        yield Mark("planned", axis.place(moment))


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


def _is_soon(moment: datetime | None, now: datetime | None) -> bool:
    if moment is None or now is None:
        return False
    return 0 <= (moment - now).total_seconds() <= _SOON


def _describe_distance(
    moment: datetime | None, now: datetime | None, future: str, past: str
) -> str:
    """Return `expires in 3 days`; nothing if a time is not known."""
    if moment is None or now is None:
        return ""
    seconds = (moment - now).total_seconds()
    amount = phrases.describe_span(abs(seconds))
    return f"{future} in {amount}" if seconds >= 0 else f"{past} {amount} ago"
