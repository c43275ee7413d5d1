"""Approval policies as compact cards: the quorum as a ring, who may approve, what waits."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Approvers, Verdict
from reconciler.render.html.facets import make_query
from reconciler.render.shared import phrases
from reconciler.render.shared.decisions import Decision, DecisionGroup
from reconciler.render.shared.phrases import Tone

_ARCS: Final = 12  # a quorum up to this is drawn as so many arcs
_SHOWN: Final = 60  # policies that have a card; the others are listed by name
_NAMED: Final = 8  # people of one role that are named
_RADIUS: Final = 16
_VERDICTS: Final = {
    Verdict.REJECTED: (Tone.STOP, "rejected before", "rejected before"),
    Verdict.BLOCKED: (
        Tone.STOP,
        "blocked by another change request",
        "blocked by other change requests",
    ),
    Verdict.BYPASS: (Tone.LOUD, "bypasses approval", "bypass approval"),
    Verdict.PENDING: (Tone.WAIT, "has an open change request", "have an open change request"),
    Verdict.APPROVAL: (Tone.WAIT, "needs approval", "need approval"),
}


@dataclass(frozen=True, slots=True)
class VerdictCount:
    """How many changes of a policy share a verdict."""

    tone: Tone
    number: int
    words: str
    query: str


@dataclass(frozen=True, slots=True)
class NamedPerson:
    """Somebody who may approve, and the number of their entry in the list of people."""

    email: str
    number: int | None


@dataclass(frozen=True, slots=True)
class NamedRole:
    """A role, or nothing for people who are named by themselves, with its members."""

    name: str
    members: tuple[NamedPerson, ...]
    more: int  # members that are not named here


@dataclass(frozen=True, slots=True)
class PolicyCard:
    """One policy: its quorum, its people, and the changes that it gates."""

    decision: Decision
    tone: Tone
    need: str
    arcs: tuple[str, ...]  # paths of the ring; a whole circle if empty
    approvers: tuple[NamedRole, ...]
    verdicts: tuple[VerdictCount, ...]
    groups: tuple[int, ...]

    @property
    def quorum(self) -> str:
        """Return what the ring shows."""
        return "?" if self.decision.quorum is None else str(self.decision.quorum)


@dataclass
class _Tally:
    decision: Decision
    groups: list[DecisionGroup] = field(default_factory=list)


def draw_cards(
    groups: Iterable[DecisionGroup], people: Mapping[str, int]
) -> tuple[PolicyCard, ...]:
    """Return each policy that gates changes or is bypassed, the most urgent first."""
    tallies: dict[str, _Tally] = {}
    for group in groups:
        for decision in group.decisions:
            tally = tallies.setdefault(decision.name, _Tally(decision))
            tally.groups.append(group)
            if tally.decision.quorum is None:
                tally.decision = decision
    cards = (_draw_card(tally, people) for tally in tallies.values())
    order = tuple(tone for tone, *_ in _VERDICTS.values())
    return tuple(sorted(cards, key=lambda card: order.index(card.tone)))


def split_cards(
    cards: tuple[PolicyCard, ...],
) -> tuple[tuple[PolicyCard, ...], tuple[PolicyCard, ...]]:
    """Return the cards that are drawn, and those that are only named."""
    return cards[:_SHOWN], cards[_SHOWN:]


def _draw_card(tally: _Tally, people: Mapping[str, int]) -> PolicyCard:
    decision, groups = tally.decision, tally.groups
    verdicts = tuple(_count_verdicts(decision, groups))
    return PolicyCard(
        decision=decision,
        tone=verdicts[0].tone,
        need=_describe_need(decision),
        arcs=tuple(_compute_arcs(decision.quorum)),
        approvers=tuple(_list_approvers(decision.approvers, people)),
        verdicts=verdicts,
        groups=tuple(group.number for group in groups),
    )


def _count_verdicts(decision: Decision, groups: list[DecisionGroup]) -> Iterator[VerdictCount]:
    for verdict, (tone, singular, plural) in _VERDICTS.items():
        number = sum(len(group.changes) for group in groups if group.verdict is verdict)
        if number:
            words = phrases.choose(number, singular, plural)
            query = make_query(policy=decision.name, gate=verdict.value)
            yield VerdictCount(tone, number, words, query)


def _describe_need(decision: Decision) -> str:
    quorum, after = decision.quorum, decision.expires_after
    need = "approvals" if quorum is None else phrases.count(quorum, "approval")
    return f"{need}; expires after {after}" if after else need


def _list_approvers(approvers: Approvers, people: Mapping[str, int]) -> Iterator[NamedRole]:
    """Yield the people who are named by themselves, then each role."""

    def know(emails: Iterable[str]) -> tuple[NamedPerson, ...]:
        return tuple(NamedPerson(email, people.get(email.lower())) for email in emails)

    if approvers.users:
        yield NamedRole("", know(approvers.users), 0)
    for name, members in approvers.roles.items():
        rest = len(members) - _NAMED
        shown = members if rest <= 1 else members[:_NAMED]
        yield NamedRole(name, know(shown), len(members) - len(shown))


def _compute_arcs(quorum: int | None) -> Iterator[str]:
    """Yield an arc for each approval that is needed; nothing where a whole circle is drawn."""
    if quorum is None or not 1 < quorum <= _ARCS:
        return
    gap, centre = 0.28, _RADIUS + 2
    step = 2 * math.pi / quorum
    for number in range(quorum):
        ends = (number * step + gap / 2, (number + 1) * step - gap / 2)
        (x1, y1), (x2, y2) = (
            (
                round(centre + _RADIUS * math.sin(at), 2),
                round(centre - _RADIUS * math.cos(at), 2),
            )
            for at in ends
        )
        large = int(ends[1] - ends[0] > math.pi)
        yield f"M{x1} {y1}A{_RADIUS} {_RADIUS} 0 {large} 1 {x2} {y2}"
