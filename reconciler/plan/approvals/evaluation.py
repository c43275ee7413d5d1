"""What each call of a change meets at the gate: the rules of contract 5.1, in their order."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from reconciler.model import (
    Action,
    Address,
    Change,
    Confidence,
    Live,
    LiveResource,
    Verdict,
    joined,
)
from reconciler.plan.approvals import messages
from reconciler.plan.approvals.actions import ActionMatch, meetings
from reconciler.plan.approvals.approvers import Bypass, People
from reconciler.plan.approvals.conditions import RELEASE, crashes, evaluate, selects
from reconciler.plan.approvals.policies import Policy, Scope, planned
from reconciler.plan.approvals.server_generation import Generation

_ORDER: Final = (Confidence.CERTAIN, Confidence.LIKELY, Confidence.UNKNOWN)


@dataclass(frozen=True, slots=True)
class CallEvaluation:
    """One action that one call matches, and what becomes of the call."""

    meeting: ActionMatch
    verdict: Verdict  # none, approval or bypass
    confidence: Confidence = Confidence.CERTAIN
    policy: Policy | None = None  # only if it is enabled
    condition: str | None = None
    note: str = ""


class GateEvaluator:
    """Policies and people at the time flags are written; answers for one change at a time."""

    def __init__(
        self, changes: tuple[Change, ...], live: Live, last: Collection[Address] = ()
    ) -> None:
        """`last` are changes that only weaken: they go after the flags."""
        self.policies = planned(changes, live, last)
        self.people = People(changes, live, last)
        self.me = live.me.id if live.me is not None else None
        self._closed = {
            gap.scope: gap.reason for gap in live.unreadable if gap.kind == "ApprovalPolicy"
        }
        self._new = {
            change.address.organization
            for change in changes
            if change.address.kind == "Organization" and change.action is Action.CREATE
        }

    def of(
        self,
        change: Change,
        there: LiveResource | None,
        generation: Generation,
        *,
        split: bool = False,
    ) -> tuple[CallEvaluation, ...]:
        """Every action that the calls of this change match, and what becomes of it."""
        policies = self.policies.get(change.address.parts[:-1], {})
        release = any(selects(policy.conditions, RELEASE) for policy in policies.values())
        met = meetings(change, there, generation, split=split, release=release)
        found = (self._step(change.address, meeting) for meeting in met)
        return tuple(step for step in found if step is not None)

    def _step(self, flag: Address, meeting: ActionMatch) -> CallEvaluation | None:
        scope = flag.parts[:-1]
        policy = self.policies.get(scope, {}).get(meeting.action)
        if policy is None or not policy.enabled or scope in self._closed:
            return None if meeting.release_only else self._ungoverned(meeting, scope, policy)
        if meeting.release_only and not selects(policy.conditions, RELEASE):
            return None
        bypass = self.people.bypass(policy)
        if crashes(policy.conditions) and meeting.moved and not bypass.passes:
            note = f"PostHog cannot evaluate the conditions of {policy.address} and may answer 500"
            return CallEvaluation(meeting, Verdict.NONE, Confidence.UNKNOWN, policy, note=note)
        return self._governed(meeting, policy, bypass)

    def _ungoverned(
        self, meeting: ActionMatch, scope: Scope, policy: Policy | None
    ) -> CallEvaluation:
        """No policy of the project's own: an organization-wide one may gate, and cannot be read."""
        where = "/".join(scope)
        if (reason := self._closed.get(scope)) is not None:
            note = f"the policies of {where} cannot be read: {reason}"
            return CallEvaluation(meeting, Verdict.NONE, Confidence.UNKNOWN, note=note)
        note = (
            f"{where} has no enabled policy for {meeting.action}; one of the whole organization, "
            "which cannot be read, may hold the write back"
        )
        return CallEvaluation(
            meeting, Verdict.NONE, Confidence.LIKELY, note=joined(_fate(policy, meeting), note)
        )

    def _governed(self, meeting: ActionMatch, policy: Policy, bypass: Bypass) -> CallEvaluation:
        """The policy is in force: bypass comes before its conditions, and both let through."""
        answer = evaluate(policy.conditions, meeting.fields)
        confidence, said = Confidence.CERTAIN, [_fate(policy, meeting)]
        if policy.address.organization in self._new:
            confidence = Confidence.LIKELY
            said.append("a new organization may lack approvals")
        if not answer.sure:
            confidence = Confidence.LIKELY
            said.append(
                "only newer servers look at release conditions"
                if selects(policy.conditions, RELEASE)
                else "the numbers are so close that it depends on rounding"
            )
        if not answer.gates:
            said.append(f"{policy.address} is about other changes")
            return CallEvaluation(meeting, Verdict.NONE, confidence, policy, note=joined(*said))
        condition = messages.condition(policy.conditions, answer, meeting)
        if not bypass.sure:
            confidence = Confidence.LIKELY
        verdict = Verdict.BYPASS if bypass.passes else Verdict.APPROVAL
        note = joined(bypass.note, *said)
        return CallEvaluation(meeting, verdict, confidence, policy, condition, note)


def _fate(policy: Policy | None, meeting: ActionMatch) -> str:
    """What this same plan does to the policy, if it does."""
    if policy is None or not policy.planned:
        return ""
    return f"the policy for {meeting.action} is {policy.planned} by this same plan"


def worst(steps: Iterable[CallEvaluation]) -> Confidence:
    """The least sure of all."""
    return max((step.confidence for step in steps), key=_ORDER.index, default=Confidence.CERTAIN)
