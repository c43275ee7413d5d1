"""Compare the gates of a saved plan with the present ones: its reviewers saw who had to approve.

A stricter gate is fine: more people have to approve. With a weaker gate, or none, the plan is not
the one that was reviewed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Live,
    LiveResource,
    ObservedObject,
    Severity,
    Verdict,
)
from reconciler.plan.approvals import server_generation
from reconciler.plan.approvals.approvers import list_planned_members, list_role_members
from reconciler.plan.approvals.evaluation import CallEvaluation, GateEvaluator
from reconciler.plan.approvals.policies import KIND as POLICY
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.guardrails.checks import GATE_MOVED
from reconciler.plan.weakening.compare import Membership, PolicyComparison, compare_policies
from reconciler.planfile.codec import Saved

_STANDS: Final = frozenset({Verdict.PENDING, Verdict.BLOCKED, Verdict.REJECTED})  # nothing is sent
_AGAIN: Final = "make the plan again, and review the changes that no longer need approval"


def find_weaker_gates(saved: Saved, todo: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield a finding for each change whose gate is weaker than the plan says.

    Args:
        saved: the plan.
        todo: the changes that are still to be applied, with their present gates.
        live: with the present policies, roles and people.

    """
    gated = [c for c in todo if KINDS[c.address.kind].gated and c.action is not Action.NONE]
    if not gated or saved.basis is None:
        return
    planned_state = GateEvaluator(todo, _restore_policies(saved.basis.policies, gated, live))
    present = GateEvaluator(todo, live)
    generations = server_generation.list_possible_generations(live)
    membership = Membership(list_planned_members(todo, list_role_members(live)), {})
    compare = partial(compare_policies, membership=membership, generations=generations)
    planned = {change.address: change for change in saved.changes}
    for change in gated:
        if change.gate.verdict in _STANDS:
            continue
        reasons = [*_find_other_reasons(planned[change.address], change)]
        for generation in generations:
            planned_calls, present_calls = (
                evaluator.evaluate_calls(change, change.before, generation)
                for evaluator in (planned_state, present)
            )
            reasons += _find_weaker_policies(planned_calls, present_calls, compare)
        if reasons:
            yield Finding(
                code=GATE_MOVED,
                severity=Severity.ERROR,
                message=f"{change.address} would meet a weaker gate than the plan says",
                why="; ".join(dict.fromkeys(reasons)),
                fix=_AGAIN,
                source=change.source,
                address=change.address,
            )


def _restore_policies(
    policies: Iterable[ObservedObject], gated: Iterable[Change], live: Live
) -> Live:
    """Return the live side with the policies of these projects as the plan recorded them."""
    scopes = {change.address.parts[:-1] for change in gated}

    def is_kept(address: Address) -> bool:
        return address.kind != POLICY or address.parts[:-1] not in scopes

    resources = {a: resource for a, resource in live.resources.items() if is_kept(a)}
    for observed in policies:
        address = Address.parse(observed.address)
        resources[address] = LiveResource(address, observed.id, observed.spec, {})
    return replace(
        live,
        resources=resources,
        unreadable=tuple(
            gap for gap in live.unreadable if gap.kind != POLICY or gap.scope not in scopes
        ),
    )


def _find_other_reasons(planned_change: Change, change: Change) -> Iterator[str]:
    """Yield why a gate is weaker apart from policies: the key's user, features, role members."""
    planned_codes = {warning.code for warning in planned_change.warnings}
    for warning in change.warnings:
        if warning.code not in planned_codes:
            yield warning.message
    planned_gate, present_gate = planned_change.gate, change.gate
    was_bypassed = (
        planned_gate.verdict is Verdict.BYPASS
        or present_gate.policy in planned_gate.bypassed_policies
    )
    if present_gate.verdict is Verdict.BYPASS and not was_bypassed:
        yield present_gate.note or "this key's user bypasses the policy"
    if present_gate.policy == planned_gate.policy and present_gate.verdict is Verdict.APPROVAL:
        for role, members in present_gate.approvers.roles.items():
            planned_members = {
                email.lower() for email in planned_gate.approvers.roles.get(role, members)
            }
            for email in members:
                if email.lower() not in planned_members:
                    yield f"{email} now holds the role {role}, and may approve"


def _find_weaker_policies(
    planned_calls: tuple[CallEvaluation, ...],
    present_calls: tuple[CallEvaluation, ...],
    compare: Callable[[Policy | None, Policy | None], PolicyComparison],
) -> Iterator[str]:
    """Yield the actions that needed approval and no longer do, or under a weaker policy."""
    present_by_action = {call.action_match.action: call for call in present_calls}
    for call in planned_calls:
        if call.verdict is not Verdict.APPROVAL:
            continue
        present_call = present_by_action.get(call.action_match.action)
        if present_call is None or present_call.verdict is not Verdict.APPROVAL:
            yield f"{call.action_match.action} needed approval and no longer does"
        present_policy = present_call.policy if present_call is not None else None
        for reason in compare(call.policy, present_policy).weaker:
            yield f"{call.action_match.action}: {reason.text}"
