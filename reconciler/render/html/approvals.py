"""Who must act, as a picture: policy, quorum, then people and roles with their members."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.model import ChangeRequest, Plan, Verdict, format_time
from reconciler.render.shared import approvals, phrases
from reconciler.render.shared.approvals import ApprovalGroup, NamedApprover
from reconciler.render.shared.sanitize import clip, escape

_PICTURES: Final = 60  # gates that are drawn; of more only the sentence is shown
_NAMED: Final = 12  # people of one role that are drawn
_ARCS: Final = 12  # a quorum up to this is drawn as so many arcs
_NEEDED: Final = {
    Verdict.BYPASS: "no approval is requested",
    Verdict.BLOCKED: "has to be decided first",
    Verdict.REJECTED: "not filed again",
}
_WIDTH: Final = 340
_TRUNK: Final = 24  # where the line goes down
_TITLE, _ROOM = 36, 34  # columns of the policy's name, of a person's


@dataclass(frozen=True, slots=True)
class Shape:
    """One element of a picture. Only `text` and `title` hold foreign words."""

    tag: str
    attributes: Mapping[str, str | float]
    text: str = ""
    title: str = ""  # all of a text that is cut


@dataclass
class Picture:
    """Shapes from top to bottom; `y` is where the next one goes."""

    width: int = _WIDTH
    shapes: list[Shape] = field(default_factory=list)
    y: float = 0

    @property
    def height(self) -> int:
        """Return how high it has become."""
        return round(self.y + 6)

    def add(self, tag: str, style: str, **attributes: str | float) -> None:
        """Draw a shape."""
        self.shapes.append(Shape(tag, {"class": style, **attributes}))

    def add_text(self, x: float, y: float, text: str, style: str, room: int = 99) -> None:
        """Write at a place, cut to so many columns; all of it where a mouse rests."""
        text = escape(text)  # before it is cut: what is shown for a character may be longer
        shown = clip(text, room)
        place: dict[str, str | float] = {"class": style, "x": x, "y": y}
        self.shapes.append(Shape("text", place, shown, text if shown != text else ""))


@dataclass(frozen=True, slots=True)
class ApprovalCard:
    """One gate: the changes that it holds, its request if there is one, and its picture."""

    group: ApprovalGroup
    request: ChangeRequest | None
    picture: Picture | None  # None: too many to draw


def draw_cards(plan: Plan) -> tuple[ApprovalCard, ...]:
    """Return every gate that holds changes or is bypassed."""
    requests = {request.id: request for request in plan.change_requests}
    listed = []
    for number, group in enumerate(approvals.group_by_gate(plan.writes)):
        request = requests.get(group.gate.change_request or "")
        picture = _draw_picture(group, request) if number < _PICTURES else None
        listed.append(ApprovalCard(group, request, picture))
    return tuple(listed)


def _draw_picture(group: ApprovalGroup, request: ChangeRequest | None) -> Picture:
    picture = Picture()
    _draw_policy(picture, group)
    _draw_quorum(picture, group, request)
    start = picture.y
    people = tuple(approvals.list_people(group.gate))
    votes = {vote.person.lower(): vote.approved for vote in request.votes} if request else {}
    end = _draw_people(picture, people, votes)
    if people:
        picture.add("path", "wire", d=f"M{_TRUNK} {start}V{end}")
        picture.shapes.insert(0, picture.shapes.pop())  # below everything else
    else:
        picture.add_text(52, picture.y + 16, "nobody is named", "soft")
        picture.y += 24
    return picture


def _draw_policy(picture: Picture, group: ApprovalGroup) -> None:
    picture.add("rect", "node", x=1, y=1, width=_WIDTH - 2, height=48, rx=8)
    picture.add_text(14, 21, group.policy, "strong", _TITLE)
    picture.add_text(14, 39, group.where or "policy", "soft", _TITLE + 4)
    picture.add("path", "wire", d=f"M{_TRUNK} 49V66")
    picture.y = 66


def _draw_quorum(picture: Picture, group: ApprovalGroup, request: ChangeRequest | None) -> None:
    """Draw a ring with an arc for each vote that is needed, and how many there are."""
    quorum, y = group.gate.quorum, picture.y + 18
    given = sum(vote.approved for vote in request.votes) if request is not None else 0
    picture.add("circle", "hole", cx=_TRUNK, cy=y, r=16)
    if quorum is None or not 1 < quorum <= _ARCS:
        style = "arc yes" if quorum == 1 and given else "arc"
        picture.add("circle", style, cx=_TRUNK, cy=y, r=16)
    else:
        for number, path in enumerate(_compute_arcs(quorum, y)):
            picture.add("path", "arc yes" if number < given else "arc", d=path)
    bypassed = group.verdict is Verdict.BYPASS
    shown = "!" if bypassed else "?" if quorum is None else str(quorum)
    picture.add_text(_TRUNK, y + 5, shown, "centre", 3)
    picture.add_text(52, y - 2, _describe_need(group, given), "strong")
    picture.add_text(52, y + 14, _describe_expiry(group, request), "soft", _ROOM + 6)
    picture.y = y + 16


def _compute_arcs(quorum: int, y: float) -> Iterator[str]:
    gap = 0.28
    step = 2 * math.pi / quorum
    for number in range(quorum):
        ends = (number * step + gap / 2, (number + 1) * step - gap / 2)
        (x1, y1), (x2, y2) = (
            (round(_TRUNK + 16 * math.sin(at), 2), round(y - 16 * math.cos(at), 2)) for at in ends
        )
        large = int(ends[1] - ends[0] > math.pi)
        yield f"M{x1} {y1}A16 16 0 {large} 1 {x2} {y2}"


def _describe_need(group: ApprovalGroup, given: int) -> str:
    quorum = group.gate.quorum
    if group.verdict in _NEEDED:
        return _NEEDED[group.verdict]
    if quorum is None:
        return "how many is not known"
    need = phrases.count(quorum, "approval")
    return f"{given} of {need} given" if given else f"{need} needed"


def _describe_expiry(group: ApprovalGroup, request: ChangeRequest | None) -> str:
    if group.verdict is Verdict.BYPASS:
        return "these people would be:"
    if request is not None and request.expires_at:
        return f"expires {format_time(request.expires_at)}"
    after = group.gate.expires_after
    return f"expires {after} after it is filed" if after else "from among:"


def _draw_people(
    picture: Picture,
    people: Iterable[tuple[str, tuple[NamedApprover, ...]]],
    votes: Mapping[str, bool],
) -> float:
    """Draw everybody as branches of the trunk; return where the trunk ends."""
    end = picture.y
    for role, members in people:
        if role:
            picture.y += 32
            end = picture.y - 5
            _draw_branch(picture, _TRUNK, 40, end)
            picture.add("rect", "role", x=42, y=end - 9, width=18, height=18, rx=5)
            picture.add_text(68, end + 4.5, role, "strong", _ROOM)
            _draw_members(picture, members, votes)
        else:
            for person in members:
                picture.y += 30
                end = picture.y - 5
                _draw_branch(picture, _TRUNK, 40, end)
                _draw_person(picture, 51, end, person, votes)
    return max(end - 8, 0)


def _draw_members(
    picture: Picture, members: tuple[NamedApprover, ...], votes: Mapping[str, bool]
) -> None:
    """Draw the people of a role as branches of the role."""
    top = picture.y + 4
    rest = len(members) - _NAMED
    shown = members if rest <= 1 else members[:_NAMED]
    for person in shown:
        picture.y += 28
        _draw_branch(picture, 51, 66, picture.y - 5)
        _draw_person(picture, 77, picture.y - 5, person, votes)
    if shown:
        picture.add("path", "wire", d=f"M51 {top}V{picture.y - 13}")
    if len(shown) < len(members):
        picture.y += 22
        picture.add_text(77, picture.y - 3, f"and {rest:,} more", "soft")
    if not members:
        picture.y += 22
        picture.add_text(68, picture.y - 4, "nobody holds it", "soft")


def _draw_branch(picture: Picture, x: float, to_x: float, y: float) -> None:
    picture.add("path", "wire", d=f"M{x} {y - 9}Q{x} {y} {x + 8} {y}H{to_x}")


def _draw_person(
    picture: Picture, x: float, y: float, person: NamedApprover, votes: Mapping[str, bool]
) -> None:
    """Draw a disc with an initial; hollow if they cannot approve, with a tick if they have."""
    vote = votes.get(person.email.lower())
    kind, mark = "cannot" if person.cannot else "can", escape(person.email)[:1].upper() or "?"
    if vote is not None:
        kind, mark = ("yes", "✓") if vote else ("no", "✗")
    room = _ROOM - round((x - 51) / 8)
    picture.add("circle", f"person {kind}", cx=x, cy=y, r=9.5)
    picture.add_text(x, y + 4, mark, f"initial {kind}", 2)
    picture.add_text(x + 17, y + 4.5, person.email, "out" if kind == "cannot" else "", room)
    if person.cannot and vote is None:
        picture.y += 14
        picture.add_text(x + 17, y + 19, person.cannot, "soft", room + 4)
