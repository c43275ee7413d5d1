"""Who can approve what: each person once, with the changes that wait for them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model import Confidence, Verdict
from reconciler.render.html.decisions import Decision, DecisionGroup
from reconciler.render.html.links import make_query


@dataclass(frozen=True, slots=True)
class Place:
    """A project, and how many changes of it a person can approve under one policy."""

    name: str
    number: int
    query: str


@dataclass(frozen=True, slots=True)
class PolicyShare:
    """The changes that a person can approve under the policies of one action."""

    policy: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Approver:
    """One person, with what they can approve and what they cannot."""

    number: int
    email: str
    changes: int
    projects: int
    indispensable: int  # changes that cannot be approved without this person
    open: int  # changes whose request is open: to be decided now
    share: float  # of all changes that wait, in percent
    indispensable_share: float
    policies: tuple[PolicyShare, ...]
    roles: tuple[str, ...]
    reasons: tuple[tuple[str, int], ...]  # why they cannot approve, and how many changes
    groups: tuple[int, ...]  # numbers of the groups: what the filters compare
    indispensable_groups: tuple[int, ...]


@dataclass
class _Tally:
    """What is known about one person so far."""

    email: str
    groups: dict[int, DecisionGroup] = field(default_factory=dict)
    indispensable: dict[int, DecisionGroup] = field(default_factory=dict)
    policies: dict[str, Decision] = field(default_factory=dict)
    by_policy: Counter[str] = field(default_factory=Counter)
    roles: dict[str, None] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)


def list_people(groups: Iterable[DecisionGroup]) -> tuple[Approver, ...]:
    """Return everybody whom a waiting change names, those with the most changes first."""
    waiting = [group for group in groups if group.can_be_decided]
    total = _count_changes(waiting)
    tallies: dict[str, _Tally] = {}
    for group in waiting:
        for decision in group.decisions:
            _count_decision(tallies, group, decision)
    order = sorted(
        tallies.values(),
        key=lambda tally: (
            -_count_changes(tally.groups.values()),
            -_count_changes(tally.indispensable.values()),
            tally.email.lower(),
        ),
    )
    return tuple(_make_person(number, tally, total) for number, tally in enumerate(order, 1))


def number_people(people: Iterable[Approver]) -> Mapping[str, int]:
    """Return the number of each person by their address in lower case."""
    return {person.email.lower(): person.number for person in people}


def _count_decision(tallies: dict[str, _Tally], group: DecisionGroup, decision: Decision) -> None:
    """Add one decision to everybody whom its policy names."""
    cannot = {email.lower(): why for email, why in group.gate.cannot_approve.items()}
    named = dict(_list_named(decision))
    able = [email for email in named if email.lower() not in cannot]
    for email, roles in named.items():
        tally = tallies.setdefault(email.lower(), _Tally(email))
        tally.roles.update(dict.fromkeys(roles))
        if email.lower() in cannot:
            tally.reasons[cannot[email.lower()]] += len(group.changes)
            continue
        tally.groups[group.number] = group
        tally.policies[decision.name] = decision
        tally.by_policy[decision.name] += len(group.changes)
        if _is_indispensable(group, decision, len(able)):
            tally.indispensable[group.number] = group


def _list_named(decision: Decision) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each named person once, with the roles by which they are named."""
    roles: dict[str, list[str]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for email in decision.approvers.users:
        spelled.setdefault(email.lower(), email)
    for role, members in decision.approvers.roles.items():
        for email in members:
            spelled.setdefault(email.lower(), email)
            roles[email.lower()].append(role)
    for key, email in spelled.items():
        yield email, tuple(roles[key])


def _is_indispensable(group: DecisionGroup, decision: Decision, able: int) -> bool:
    """Return whether the quorum needs everybody who can still approve."""
    unknown = group.gate.confidence is not Confidence.CERTAIN and not all(
        decision.approvers.roles.values()
    )
    if decision.quorum is None or unknown:
        return False
    return able == max(decision.quorum - group.given, 0)


def _make_person(number: int, tally: _Tally, total: int) -> Approver:
    changes = _count_changes(tally.groups.values())
    indispensable = _count_changes(tally.indispensable.values())
    scopes = {
        change.address.parts[:-1] for group in tally.groups.values() for change in group.changes
    }
    return Approver(
        number=number,
        email=tally.email,
        changes=changes,
        projects=len(scopes),
        indispensable=indispensable,
        open=_count_changes(
            group for group in tally.groups.values() if group.verdict is Verdict.PENDING
        ),
        share=round(100 * changes / total, 2) if total else 0,
        indispensable_share=round(100 * indispensable / total, 2) if total else 0,
        policies=tuple(_list_shares(tally)),
        roles=tuple(tally.roles),
        reasons=tuple(tally.reasons.most_common()),
        groups=tuple(tally.groups),
        indispensable_groups=tuple(tally.indispensable),
    )


def _list_shares(tally: _Tally) -> Iterator[PolicyShare]:
    """Yield the actions with their places, those with the most changes first."""
    places: dict[str, list[Place]] = defaultdict(list)
    for name, number in tally.by_policy.most_common():
        decision = tally.policies[name]
        query = make_query(approver=tally.email, policy=name)
        places[decision.policy].append(Place(decision.where or "organization", number, query))
    for policy, listed in places.items():
        yield PolicyShare(policy, tuple(listed))


def _count_changes(groups: Iterable[DecisionGroup]) -> int:
    return sum(len(group.changes) for group in groups)
