"""Evaluate the approval gate for each call of a change: the rules of contract 5.1, in order."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Change,
    Confidence,
    Live,
    LiveResource,
    Verdict,
    join_sentences,
)
from reconciler.plan.approvals import messages, owners, write_gates
from reconciler.plan.approvals.actions import ActionMatch, match_actions
from reconciler.plan.approvals.approvers import Bypass, People
from reconciler.plan.approvals.conditions import (
    RELEASE,
    ConditionResult,
    are_about,
    are_crashing,
    evaluate_conditions,
)
from reconciler.plan.approvals.owners import Owner
from reconciler.plan.approvals.policies import Policy, Scope, list_planned_policies
from reconciler.plan.approvals.server_generation import Generation

_ORDER: Final = (Confidence.CERTAIN, Confidence.LIKELY, Confidence.UNKNOWN)


@dataclass(frozen=True, slots=True)
class CallEvaluation:
    """One action that one call matches, and what happens to the call."""

    action_match: ActionMatch
    verdict: Verdict  # none, approval or bypass
    confidence: Confidence = Confidence.CERTAIN
    policy: Policy | None = None  # only if it is enabled
    condition: str | None = None
    note: str = ""


class GateEvaluator:
    """The policies and people at the time flags are written; evaluates one change at a time."""

    def __init__(
        self,
        changes: tuple[Change, ...],
        live: Live,
        last: Collection[Address] = (),
        *,
        scoped: Collection[str] | None = None,
    ) -> None:
        """Index what decides.

        `last` are changes that only weaken: they go after the flags. `scoped`: organizations that
        are assumed to have policies per owner; if not given, as far as their policies show it.
        """
        self.policies = list_planned_policies(changes, live, last)
        self.people = People(changes, live, last)
        self.me = live.me.id if live.me is not None else None
        self.scoped = owners.list_scoped_organizations(live) if scoped is None else scoped
        self._closed = {
            gap.scope: gap.reason for gap in live.unreadable if gap.kind == "ApprovalPolicy"
        }
        self._new = {
            change.address.organization
            for change in changes
            if change.address.kind == "Organization" and change.action is Action.CREATE
        }

    def has_enabled_policy(self, scope: Scope) -> bool:
        """Return whether any policy of a project gates anything."""
        return any(policy.enabled for policy in self.policies.get(scope, {}).values())

    def evaluate_calls(
        self,
        change: Change,
        live_flag: LiveResource | None,
        generation: Generation,
        *,
        split: bool = False,
        owner: Owner | None = None,
    ) -> tuple[CallEvaluation, ...]:
        """Return every action that the calls of this change match, and what happens to each.

        What a match says of release conditions may be missing where no policy looks at it.
        `owner`: who is assumed to own the flag; if not given, as far as the flag shows it.
        """
        if KINDS[change.address.kind].write_gates:
            return self._evaluate_write(change, generation)
        policies = self.policies.get(change.address.parts[:-1], {})
        release = any(are_about(policy.conditions, RELEASE) for policy in policies.values())
        action_matches = match_actions(
            change,
            live_flag,
            generation,
            split=split,
            release=release,
            examined=self.has_enabled_policy(change.address.parts[:-1]),
            scoped=change.address.organization in self.scoped,
            owner=owner,
        )
        evaluations = (
            self._evaluate_action(change.address, action_match) for action_match in action_matches
        )
        return tuple(evaluation for evaluation in evaluations if evaluation is not None)

    def _evaluate_write(self, change: Change, generation: Generation) -> tuple[CallEvaluation, ...]:
        """Evaluate a write that is gated as a whole; only G3 gates such writes (contract 16)."""
        matched = write_gates.match_write(change)
        if matched is None or generation is not Generation.G3:
            return ()
        scope, action_match = change.address.parts[:-1], matched.action_match
        policies = self.policies.get(scope, {})
        governing = write_gates.find_governing_policy(matched.gate, policies)
        if governing is None or scope in self._closed:
            own = policies.get(matched.gate.action)
            return (self._evaluate_without_policy(action_match, scope, own),)
        bypass = self.people.find_bypass(governing.policy)
        if governing.crashes and not bypass.passes:
            note = _describe_crash(governing.policy)
            return (
                CallEvaluation(
                    action_match, Verdict.NONE, Confidence.UNKNOWN, governing.policy, note=note
                ),
            )
        evaluation = self._evaluate_under_policy(action_match, governing.policy, bypass)
        if governing.doubt:
            note = join_sentences(evaluation.note, governing.doubt)
            evaluation = replace(evaluation, confidence=Confidence.LIKELY, note=note)
        return (evaluation,)

    def _evaluate_action(self, flag: Address, action_match: ActionMatch) -> CallEvaluation | None:
        scope = flag.parts[:-1]
        policy = self.policies.get(scope, {}).get(action_match.action)
        if policy is None or not policy.enabled or scope in self._closed:
            return (
                None
                if action_match.only_if_selected
                else self._evaluate_without_policy(action_match, scope, policy)
            )
        if action_match.only_if_selected and not are_about(policy.conditions, RELEASE):
            return None
        bypass = self.people.find_bypass(policy)
        if are_crashing(policy.conditions) and action_match.transition and not bypass.passes:
            note = _describe_crash(policy)
            return CallEvaluation(action_match, Verdict.NONE, Confidence.UNKNOWN, policy, note=note)
        return self._evaluate_under_policy(action_match, policy, bypass)

    def _evaluate_without_policy(
        self, action_match: ActionMatch, scope: Scope, policy: Policy | None
    ) -> CallEvaluation:
        """Evaluate a call without a project policy: one of the organization is unreadable."""
        project = "/".join(scope)
        if (reason := self._closed.get(scope)) is not None:
            note = f"the policies of {project} cannot be read: {reason}"
            return CallEvaluation(action_match, Verdict.NONE, Confidence.UNKNOWN, note=note)
        note = (
            f"{project} has no enabled policy for {action_match.action}; an organization-wide one, "
            "which cannot be read, may still require approval"
        )
        return CallEvaluation(
            action_match,
            Verdict.NONE,
            Confidence.LIKELY,
            note=join_sentences(_describe_planned_change(policy, action_match), note),
        )

    def _evaluate_under_policy(
        self, action_match: ActionMatch, policy: Policy, bypass: Bypass
    ) -> CallEvaluation:
        """Evaluate a call under an enabled policy: its bypass first, then its conditions."""
        result = evaluate_conditions(policy.conditions, action_match.fields)
        confidence, notes = Confidence.CERTAIN, [_describe_planned_change(policy, action_match)]
        if policy.address.organization in self._new:
            confidence = Confidence.LIKELY
            notes.append("a new organization may lack approvals")
        if not result.is_certain:
            confidence = Confidence.LIKELY
            notes.append(
                "only newer servers evaluate release conditions"
                if are_about(policy.conditions, RELEASE)
                else "the result depends on rounding by the server"
            )
        if doubt := describe_owner_doubt(policy, action_match, result):
            confidence = Confidence.LIKELY
            notes.append(doubt)
        if not result.gates:
            notes.append(f"{policy.address} does not cover this change")
            return CallEvaluation(
                action_match, Verdict.NONE, confidence, policy, note=join_sentences(*notes)
            )
        condition = messages.describe_condition(policy.conditions, result, action_match)
        if not bypass.is_certain:
            confidence = Confidence.LIKELY
        verdict = Verdict.BYPASS if bypass.passes else Verdict.APPROVAL
        note = join_sentences(bypass.note, *notes)
        return CallEvaluation(action_match, verdict, confidence, policy, condition, note)


def _describe_crash(policy: Policy) -> str:
    return f"PostHog cannot evaluate the conditions of {policy.address} and may answer 500"


def describe_owner_doubt(policy: Policy, action_match: ActionMatch, result: ConditionResult) -> str:
    """Return why it matters who owns the flag; empty if it does not (contract 5.8).

    Whether an organization has policies per owner is known only if it shows such a policy.
    """
    match action_match.owner:
        case Owner.EXPERIMENT | Owner.EARLY_ACCESS_FEATURE as owner:
            return (
                f"{owner.value} owns the flag: if PostHog has switched the organization to "
                "policies per owner, this policy does not apply"
            )
        case Owner.UNKNOWN if result.gates and (
            action_match.may_be_free or _is_due_to_release(policy, action_match)
        ):
            return "if a survey or a product tour owns the flag, no approval is needed"
    return ""


def _is_due_to_release(policy: Policy, action_match: ActionMatch) -> bool:
    """Return whether a gated change would pass if its release conditions did not count."""
    if not action_match.changes_release:
        return False
    fields = {**action_match.fields, RELEASE: ({}, {})}
    return not evaluate_conditions(policy.conditions, fields).gates


def _describe_planned_change(policy: Policy | None, action_match: ActionMatch) -> str:
    """Return what the same plan does to the policy; empty if nothing."""
    if policy is None or not policy.planned:
        return ""
    return f"the policy for {action_match.action} is {policy.planned} by the same plan"


def find_least_certain(evaluations: Iterable[CallEvaluation]) -> Confidence:
    """Return the least certain confidence."""
    return max(
        (evaluation.confidence for evaluation in evaluations),
        key=_ORDER.index,
        default=Confidence.CERTAIN,
    )
