"""Who can approve what: each person once, with the changes that wait for them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import field

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Confidence
from reconciler.render.shared.decisions import Decision, DecisionGroup


@dataclass
class ApproverTasks:
    """One person, and the decisions that wait for them."""

    email: str
    groups: dict[int, DecisionGroup] = field(default_factory=dict)  # they can approve, by number
    indispensable: dict[int, DecisionGroup] = field(default_factory=dict)  # not without them
    policies: dict[str, Decision] = field(default_factory=dict)
    by_policy: Counter[str] = field(default_factory=Counter)  # changes
    roles: dict[str, None] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)  # why they cannot approve changes

    @property
    def changes(self) -> int:
        """Return how many changes the person can approve."""
        return count_changes(self.groups.values())


def list_approvers(groups: Iterable[DecisionGroup]) -> tuple[ApproverTasks, ...]:
    """Return everybody whom a waiting change names, those with the most changes first."""
    people: dict[str, ApproverTasks] = {}
    for group in groups:
        if group.can_be_decided:
            for decision in group.decisions:
                _add_decision(people, group, decision)
    return tuple(sorted(people.values(), key=lambda each: (-each.changes, each.email.lower())))


def count_changes(groups: Iterable[DecisionGroup]) -> int:
    """Return the number of changes in some groups."""
    return sum(len(group.changes) for group in groups)


def _add_decision(
    people: dict[str, ApproverTasks], group: DecisionGroup, decision: Decision
) -> None:
    """Add one decision to everybody whom its policy names."""
    named = dict(_list_named(decision))
    able = [email for email in named if email.lower() not in decision.cannot]
    for email, roles in named.items():
        person = people.setdefault(email.lower(), ApproverTasks(email))
        person.roles.update(dict.fromkeys(roles))
        if email.lower() in decision.cannot:
            person.reasons[decision.cannot[email.lower()]] += len(group.changes)
            continue
        person.groups[group.number] = group
        person.policies[decision.name] = decision
        person.by_policy[decision.name] += len(group.changes)
        if _is_indispensable(group, decision, len(able)):
            person.indispensable[group.number] = group


def _list_named(decision: Decision) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each named person once, with the roles by which they are named."""
    roles: dict[str, list[str]] = defaultdict(list)
    for role, members in decision.approvers.roles.items():
        for email in members:
            roles[email.lower()].append(role)
    spelled: dict[str, str] = {}
    for email in decision.approvers.list_emails():
        spelled.setdefault(email.lower(), email)
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
