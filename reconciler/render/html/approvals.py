"""Who must act, as a picture: policy, quorum, then people and roles with their members."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.model import Address, ChangeRequest, Plan, Verdict
from reconciler.render.html.change import numbers
from reconciler.render.html.components import link, mark, text, tone
from reconciler.render.shared import approvals, attribution, phrases
from reconciler.render.shared.approvals import ApprovalGroup, NamedApprover
from reconciler.render.shared.sanitize import clip
from reconciler.render.shared.sanitize import escape as quiet

_PICTURES: Final = 60  # gates that are drawn; of more only the sentence is shown
_LINKED: Final = 8  # changes of a gate that are named before they are folded
_NAMED: Final = 12  # people of one role that are drawn
_ARCS: Final = 12  # a quorum up to this is drawn as so many arcs
_SAID: Final = {
    Verdict.BYPASS: "nobody is asked",
    Verdict.BLOCKED: "has to be decided first",
    Verdict.REJECTED: "not filed again",
}
_WIDTH: Final = 340
_TRUNK: Final = 24  # where the line goes down
_TITLE, _ROOM = 36, 34  # columns of the policy's name, of a person's


def section(plan: Plan) -> Iterator[str]:
    """Every gate with the changes it holds or lets by."""
    groups = approvals.groups(plan.writes)
    if not groups:
        return
    numbered = numbers(plan)
    requests = {one.id: one for one in plan.change_requests}
    yield '<section id="gates"><h2>Who must act</h2><div class="gates">'
    for one in groups[:_PICTURES]:
        yield from _card(one, numbered, requests, plan.host)
    yield "</div>"
    if rest := groups[_PICTURES:]:
        yield f'<details class="notice"><summary>{phrases.count(len(rest), "more gate")}</summary>'
        yield from (f"<p>{text(f'{one.what}: {one.of_whom}')}</p>" for one in rest)
        yield "</details>"
    yield "</section>"


def _card(
    one: ApprovalGroup,
    numbered: Mapping[Address, int],
    requests: Mapping[str, ChangeRequest],
    host: str,
) -> Iterator[str]:
    request = requests.get(one.gate.change_request or "")
    yield f'<figure class="gate {tone(one.tone)}"><figcaption>'
    yield f'<p class="what">{mark(one.mark)} {text(one.what)}</p>'
    yield f'<p class="held">{", ".join(_held(one, numbered))}</p>'
    if request is not None:
        shown = link("open the request", request.url, host)
        yield f'<p class="about">{shown} of {text(request.requester or "somebody unknown")}</p>'
    yield f"</figcaption>{_picture(one, request)}</figure>"


def _held(one: ApprovalGroup, numbered: Mapping[Address, int]) -> Iterator[str]:
    for change in one.changes[:_LINKED]:
        name = f"<code>{text(change.address.name)}</code>"
        number = numbered.get(change.address)
        yield f'<a href="#c{number}">{name}</a>' if number else name
    if (rest := len(one.changes) - _LINKED) > 0:
        yield f"and {rest:,} more"


@dataclass
class _Drawing:
    """Shapes from top to bottom; `y` is where the next one goes."""

    shapes: list[str] = field(default_factory=list)
    y: float = 0

    def add(self, *shapes: str) -> None:
        """Draw."""
        self.shapes.extend(shapes)

    def words(self, x: float, y: float, said: str, kind: str, room: int = 99) -> None:
        """Foreign text at a place, cut to so many columns; all of it where a mouse rests."""
        said = quiet(said)
        shown = clip(said, room)
        full = f"<title>{text(said)}</title>" if shown != said else ""
        self.add(f'<text class="{kind}" x="{x}" y="{y}">{full}{text(shown)}</text>')


def _picture(one: ApprovalGroup, request: ChangeRequest | None) -> str:
    drawing = _Drawing()
    _policy(drawing, one)
    _quorum(drawing, one, request)
    start = drawing.y
    people = tuple(approvals.people(one.gate))
    votes = {vote.person.lower(): vote.approved for vote in request.votes} if request else {}
    trunk_end = _people(drawing, people, votes)
    if not people:
        drawing.words(52, drawing.y + 16, "nobody is named", "soft")
        drawing.y += 24
    height = round(drawing.y + 6)
    trunk = f'<path class="wire" d="M{_TRUNK} {start}V{trunk_end}"/>' if people else ""
    label = text(f"{one.what}: {one.of_whom}")
    return (
        f'<svg class="picture" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{label}">{trunk}{"".join(drawing.shapes)}</svg>'
    )


def _policy(drawing: _Drawing, one: ApprovalGroup) -> None:
    drawing.add(f'<rect class="node" x="1" y="1" width="{_WIDTH - 2}" height="48" rx="8"/>')
    drawing.words(14, 21, one.policy, "strong", _TITLE)
    drawing.words(14, 39, one.where or "policy", "soft", _TITLE + 4)
    drawing.add(f'<path class="wire" d="M{_TRUNK} 49V66"/>')
    drawing.y = 66


def _quorum(drawing: _Drawing, one: ApprovalGroup, request: ChangeRequest | None) -> None:
    """A ring with an arc for each vote that is needed, and what it comes to."""
    quorum, y = one.gate.quorum, drawing.y + 18
    given = sum(vote.approved for vote in request.votes) if request is not None else 0
    passed = one.verdict is Verdict.BYPASS
    drawing.add(f'<circle class="hole" cx="{_TRUNK}" cy="{y}" r="16"/>')
    if quorum is None or not 0 < quorum <= _ARCS:
        drawing.add(f'<circle class="arc" cx="{_TRUNK}" cy="{y}" r="16"/>')
    else:
        drawing.add(*_arcs(quorum, given, y))
    shown = "!" if passed else "?" if quorum is None else str(quorum)
    drawing.words(_TRUNK, y + 5, shown, "centre", 3)
    drawing.words(52, y - 2, _needed(one, given), "strong")
    drawing.words(52, y + 14, _until(one, request), "soft", _ROOM + 6)
    drawing.y = y + 16


def _arcs(quorum: int, given: int, y: float) -> Iterator[str]:
    gap = 0.0 if quorum == 1 else 0.28
    step = 2 * math.pi / quorum
    for number in range(quorum):
        kind = "arc yes" if number < given else "arc"
        if quorum == 1:
            yield f'<circle class="{kind}" cx="{_TRUNK}" cy="{y}" r="16"/>'
            return
        ends = (number * step + gap / 2, (number + 1) * step - gap / 2)
        (x1, y1), (x2, y2) = (
            (round(_TRUNK + 16 * math.sin(at), 2), round(y - 16 * math.cos(at), 2)) for at in ends
        )
        large = int(ends[1] - ends[0] > math.pi)
        yield f'<path class="{kind}" d="M{x1} {y1}A16 16 0 {large} 1 {x2} {y2}"/>'


def _needed(one: ApprovalGroup, given: int) -> str:
    quorum = one.gate.quorum
    if one.verdict in _SAID:
        return _SAID[one.verdict]
    if quorum is None:
        return "how many is not known"
    need = phrases.count(quorum, "approval")
    return f"{given} of {need} given" if given else f"{need} needed"


def _until(one: ApprovalGroup, request: ChangeRequest | None) -> str:
    if one.verdict is Verdict.BYPASS:
        return "these people would be:"
    if request is not None and request.expires_at:
        return f"expires {attribution.when(request.expires_at)}"
    after = one.gate.expires_after
    return f"expires {after} after it is filed" if after else "from among:"


def _people(
    drawing: _Drawing,
    people: Iterable[tuple[str, tuple[NamedApprover, ...]]],
    votes: Mapping[str, bool],
) -> float:
    """Everybody, hung on the trunk; where the trunk ends."""
    end = drawing.y
    for role, members in people:
        if role:
            drawing.y += 32
            end = drawing.y - 5
            _branch(drawing, _TRUNK, 40, end)
            drawing.add(f'<rect class="role" x="42" y="{end - 9}" width="18" height="18" rx="5"/>')
            drawing.words(68, end + 4.5, role, "strong", _ROOM)
            _members(drawing, members, votes)
        else:
            for person in members:
                drawing.y += 30
                end = drawing.y - 5
                _branch(drawing, _TRUNK, 40, end)
                _person(drawing, 51, end, person, votes)
    return max(end - 8, 0)


def _members(
    drawing: _Drawing, members: tuple[NamedApprover, ...], votes: Mapping[str, bool]
) -> None:
    """The people of a role, hung on the role."""
    top = drawing.y + 4
    rest = len(members) - _NAMED
    shown = members if rest <= 1 else members[:_NAMED]
    for person in shown:
        drawing.y += 28
        _branch(drawing, 51, 66, drawing.y - 5)
        _person(drawing, 77, drawing.y - 5, person, votes)
    if shown:
        drawing.add(f'<path class="wire" d="M51 {top}V{drawing.y - 13}"/>')
    if len(shown) < len(members):
        drawing.y += 22
        drawing.words(77, drawing.y - 3, f"and {rest:,} more", "soft")
    if not members:
        drawing.y += 22
        drawing.words(68, drawing.y - 4, "nobody holds it", "soft")


def _branch(drawing: _Drawing, x: float, to_x: float, y: float) -> None:
    drawing.add(f'<path class="wire" d="M{x} {y - 9}Q{x} {y} {x + 8} {y}H{to_x}"/>')


def _person(
    drawing: _Drawing, x: float, y: float, person: NamedApprover, votes: Mapping[str, bool]
) -> None:
    """A disc with an initial; hollow if they cannot approve, with a tick if they have."""
    vote = votes.get(person.email.lower())
    kind, mark = "cannot" if person.cannot else "can", quiet(person.email)[:1].upper() or "?"
    if vote is not None:
        kind, mark = ("yes", "✓") if vote else ("no", "✗")
    room = _ROOM - round((x - 51) / 8)
    drawing.add(f'<circle class="person {kind}" cx="{x}" cy="{y}" r="9.5"/>')
    drawing.words(x, y + 4, mark, f"initial {kind}", 2)
    struck = kind == "cannot"
    drawing.words(x + 17, y + 4.5, person.email, "out" if struck else "", room)
    if person.cannot and vote is None:
        drawing.y += 14
        drawing.words(x + 17, y + 19, person.cannot, "soft", room + 4)
