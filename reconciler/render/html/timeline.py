"""The change requests on one line of time: when each was filed, voted on, and will expire."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.model import Address, ChangeRequest, Plan, Verdict, instant
from reconciler.render.html.change import numbers, to
from reconciler.render.html.components import link, text
from reconciler.render.shared import attribution, phrases

_SHOWN: Final = 40  # the rest is folded
_MARGIN: Final = 0.03  # of the line, on both sides
_STATES: Final = {"pending": "wait", "approved": "wait", "rejected": "stop"}


@dataclass(frozen=True, slots=True)
class _Axis:
    """From the first thing that happened to the last that will."""

    start: datetime
    end: datetime

    def at(self, moment: datetime) -> float:
        """The place of a moment, in percent of the width."""
        span = (self.end - self.start) or timedelta(seconds=1)
        share = (moment - self.start) / span
        return round(100 * (_MARGIN + share * (1 - 2 * _MARGIN)), 2)


@dataclass(frozen=True, slots=True)
class _Around:
    """What a request is drawn among."""

    numbered: Mapping[Address, int]
    needed: Mapping[str, int | None]
    host: str
    now: datetime | None
    axis: _Axis | None


def section(plan: Plan) -> Iterator[str]:
    """All requests that the plan speaks of, oldest first."""
    asked = plan.change_requests
    if not asked:
        return
    now = instant(plan.created_at)
    around = _Around(numbers(plan), _needed(plan), plan.host, now, _axis(asked, now))
    yield '<section id="requests"><h2>Change requests</h2>'
    yield '<p class="legend"><span class="bar"></span> filed until it expires '
    yield '<span class="dot yes"></span> vote for <span class="dot no"></span> vote against '
    yield '<span class="now"></span> this plan was made</p>'
    for number, one in enumerate(asked):
        if number == _SHOWN:
            more = phrases.count(len(asked) - _SHOWN, "more request")
            yield f'<details class="notice"><summary>{more}</summary>'
        yield from _request(one, around)
    if len(asked) > _SHOWN:
        yield "</details>"
    yield "</section>"


def _needed(plan: Plan) -> Mapping[str, int | None]:
    """How many have to approve each request, as its gate says."""
    return {
        one.gate.change_request: one.gate.quorum
        for one in plan.writes
        if one.gate.change_request and one.gate.verdict is not Verdict.NONE
    }


def _request(one: ChangeRequest, around: _Around) -> Iterator[str]:
    address = Address("FeatureFlag", (one.organization, one.project, one.flag_key))
    given, quorum = sum(vote.approved for vote in one.votes), around.needed.get(one.id)
    votes = f"{given} of {quorum}" if quorum is not None else phrases.count(given, "vote")
    yield f'<div class="request"><p>{to(address, around.numbered)} '
    yield f'<i class="badge {_STATES.get(one.state, "wait")}">{text(one.state)}</i> '
    yield f"{text(one.action_key)} · {votes} · "
    yield f"{link(text(one.id), one.url, around.host)}</p>"
    if around.axis is not None:
        yield _line(one, around.axis, around.now)
    yield f'<ol class="events">{"".join(_events(one))}</ol></div>'


def _events(one: ChangeRequest) -> Iterator[str]:
    """The same in words, in the order it happened."""
    yield f"<li>{_when(one.created_at)} filed by {text(one.requester or 'somebody unknown')}</li>"
    for vote in one.votes:
        said = f": {vote.reason}" if vote.reason else ""
        verb = "approved" if vote.approved else "rejected"
        yield f"<li>{_when(vote.at)} {text(vote.person)} {verb}{text(said)}</li>"
    if one.expires_at:
        yield f"<li>{_when(one.expires_at)} expires</li>"


def _when(at: str) -> str:
    return f"<time>{text(attribution.when(at)) if at else 'at an unknown time'}</time>"


def _line(one: ChangeRequest, axis: _Axis, now: datetime | None) -> str:
    filed, expires = instant(one.created_at), instant(one.expires_at)
    shapes = []
    if filed is not None:
        left, right = axis.at(filed), axis.at(expires or axis.end)
        width = round(max(right - left, 0.5), 2)
        shapes.append(f'<rect class="bar" x="{left}%" y="10" width="{width}%" height="6" rx="3"/>')
        shapes.append(f'<circle class="filed" cx="{left}%" cy="13" r="5"/>')
    if now is not None:
        at = axis.at(now)
        shapes.append(f'<line class="now" x1="{at}%" x2="{at}%" y1="1" y2="25"/>')
    for vote in one.votes:
        if (moment := instant(vote.at)) is not None:
            kind = "yes" if vote.approved else "no"
            shapes.append(f'<circle class="{kind}" cx="{axis.at(moment)}%" cy="13" r="7"/>')
    drawn = "".join(shapes)
    return f'<svg class="line" width="100%" height="26" aria-hidden="true">{drawn}</svg>'


def _axis(asked: Iterable[ChangeRequest], now: datetime | None) -> _Axis | None:
    found = [now]
    for one in asked:
        found += [instant(one.created_at), instant(one.expires_at)]
        found += [instant(vote.at) for vote in one.votes]
    moments = [moment for moment in found if moment is not None]
    return _Axis(min(moments), max(moments)) if moments else None
