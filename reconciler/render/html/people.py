"""The people who can approve: their shares of the changes, and where these are."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Verdict
from reconciler.render.html.facets import make_query
from reconciler.render.shared.approvers import ApproverTasks, count_changes, list_approvers
from reconciler.render.shared.decisions import DecisionGroup


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


def list_people(groups: Iterable[DecisionGroup]) -> tuple[Approver, ...]:
    """Return everybody whom a waiting change names, those with the most changes first."""
    groups = tuple(groups)
    total = count_changes(group for group in groups if group.can_be_decided)
    order = sorted(
        list_approvers(groups),
        key=lambda person: (-person.changes, -count_changes(person.indispensable.values())),
    )
    return tuple(_make_person(number, person, total) for number, person in enumerate(order, 1))


def number_people(people: Iterable[Approver]) -> Mapping[str, int]:
    """Return the number of each person by their address in lower case."""
    return {person.email.lower(): person.number for person in people}


def _make_person(number: int, person: ApproverTasks, total: int) -> Approver:
    indispensable = count_changes(person.indispensable.values())
    scopes = {
        change.address.parts[:-1] for group in person.groups.values() for change in group.changes
    }
    return Approver(
        number=number,
        email=person.email,
        changes=person.changes,
        projects=len(scopes),
        indispensable=indispensable,
        open=count_changes(
            group for group in person.groups.values() if group.verdict is Verdict.PENDING
        ),
        share=round(100 * person.changes / total, 2) if total else 0,
        indispensable_share=round(100 * indispensable / total, 2) if total else 0,
        policies=tuple(_list_shares(person)),
        roles=tuple(person.roles),
        reasons=tuple(person.reasons.most_common()),
        groups=tuple(person.groups),
        indispensable_groups=tuple(person.indispensable),
    )


def _list_shares(person: ApproverTasks) -> Iterator[PolicyShare]:
    """Yield the actions with their places, those with the most changes first."""
    places: dict[str, list[Place]] = defaultdict(list)
    for name, number in person.by_policy.most_common():
        decision = person.policies[name]
        query = make_query(approver=person.email, policy=name)
        places[decision.policy].append(Place(decision.where or "organization", number, query))
    for policy, listed in places.items():
        yield PolicyShare(policy, tuple(listed))
