"""The votes that changes wait for: changes that wait for the same ones are one group."""

from collections.abc import Iterable, Iterator, Mapping

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Approvers,
    Change,
    ChangeRequest,
    Confidence,
    Gate,
    Plan,
    Verdict,
)
from reconciler.render.shared import approvals


@dataclass(frozen=True, slots=True)
class Decision:
    """What one policy requires of a change."""

    policy: str  # its action
    where: str  # organization and project
    quorum: int | None
    approvers: Approvers
    expires_after: str | None
    cannot: Mapping[str, str]  # named people who cannot approve, by email in lower case, and why

    @property
    def name(self) -> str:
        """Return `acme/Web/feature_flag.update`: the address of the policy without its kind."""
        return f"{self.where}/{self.policy}" if self.where else self.policy


@dataclass(frozen=True, slots=True)
class DecisionGroup:
    """Changes that wait for the same decisions of the same people."""

    number: int
    verdict: Verdict
    gate: Gate  # of the first change
    decisions: tuple[Decision, ...]
    given: int  # approvals of its request
    changes: tuple[Change, ...]

    @property
    def can_be_decided(self) -> bool:
        """Return whether it waits for people, or for the end of another request."""
        return self.verdict in {Verdict.APPROVAL, Verdict.PENDING, Verdict.BLOCKED}


def group_changes(plan: Plan) -> tuple[DecisionGroup, ...]:
    """Return the gated changes by what they wait for, in the order of apply."""
    requests = {request.id: request for request in plan.change_requests}
    groups: dict[tuple[object, ...], list[Change]] = {}
    for change in plan.writes:
        if approvals.classify(change.gate) is not Verdict.NONE:
            given = _count_given(change, requests)
            groups.setdefault((*_make_key(change), given), []).append(change)
    return tuple(
        DecisionGroup(
            number,
            approvals.classify(changes[0].gate),
            changes[0].gate,
            tuple(_list_decisions(changes[0])),
            _count_given(changes[0], requests),
            tuple(changes),
        )
        for number, changes in enumerate(groups.values(), 1)
    )


def number_changes(groups: Iterable[DecisionGroup]) -> Mapping[Address, int]:
    """Return the number of the group of each change that is gated."""
    return {change.address: group.number for group in groups for change in group.changes}


def _list_decisions(change: Change) -> Iterator[Decision]:
    """Yield what each policy requires: a change that is sent in steps may meet several."""
    gate = change.gate
    steps = [step for step in gate.steps if step.verdict is Verdict.APPROVAL]
    for each in steps or (gate,):
        policy, where = approvals.split_policy(each.policy, change.address)
        excluded = gate.cannot_approve if each.policy == gate.policy else {}
        cannot = {email.lower(): why for email, why in excluded.items()}
        yield Decision(policy, where, each.quorum, each.approvers, each.expires_after, cannot)


def _count_given(change: Change, requests: Mapping[str, ChangeRequest]) -> int:
    request = requests.get(change.gate.change_request or "")
    if request is None or change.gate.verdict not in {Verdict.PENDING, Verdict.BLOCKED}:
        return 0
    return sum(vote.approved for vote in request.votes)


def _make_key(change: Change) -> tuple[object, ...]:
    gate = change.gate
    decisions = tuple(
        (
            decision.name,
            decision.quorum,
            decision.expires_after,
            *_freeze(decision.approvers),
            tuple(decision.cannot.items()),
        )
        for decision in _list_decisions(change)
    )
    sure = gate.confidence is Confidence.CERTAIN
    return approvals.classify(gate), sure, decisions


def _freeze(approvers: Approvers) -> tuple[object, ...]:
    roles = tuple((name, tuple(members)) for name, members in approvers.roles.items())
    return tuple(approvers.users), roles
