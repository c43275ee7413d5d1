"""A saved plan against the gates of now: whoever looked at it saw who would be asked.

A gate that is stricter than it was is fine: more people are asked. One that asks fewer people, or
nobody, is another plan than the one that was looked at.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
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
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.guardrails.checks import GATE_MOVED
from reconciler.plan.weakening.compare import Membership, compare_policies
from reconciler.planfile.codec import Saved

_STANDS: Final = frozenset({Verdict.PENDING, Verdict.BLOCKED, Verdict.REJECTED})  # nothing is sent
_AGAIN: Final = "make the plan again, and look at what nobody would be asked any more"


def find(saved: Saved, todo: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """One finding for each change that would meet a weaker gate than the plan says.

    Args:
        saved: the plan.
        todo: what of it is still to be done, with its gates as they are now.
        live: with the policies, roles and people of now.

    """
    gated = [one for one in todo if KINDS[one.address.kind].gated and one.action is not Action.NONE]
    if not gated or saved.basis is None:
        return
    then = GateEvaluator(todo, _then(saved.basis.policies, gated, live))
    now = GateEvaluator(todo, live)
    spoken = server_generation.detect_generation(live) or Generation.G2
    crowd = Membership(list_planned_members(todo, list_role_members(live)), {})
    planned = {change.address: change for change in saved.changes}
    for change in gated:
        if change.gate.verdict in _STANDS:
            continue
        met = (side.evaluate_calls(change, change.before, spoken) for side in (then, now))
        reasons = (*_unasked(planned[change.address], change), *_weaker(*met, crowd=crowd))
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


def _then(policies: Iterable[ObservedObject], gated: Iterable[Change], live: Live) -> Live:
    """The live side with the policies of these projects as the plan saw them."""
    scopes = {change.address.parts[:-1] for change in gated}

    def kept(address: Address) -> bool:
        return address.kind != POLICY or address.parts[:-1] not in scopes

    resources = {a: there for a, there in live.resources.items() if kept(a)}
    for seen in policies:
        address = Address.parse(seen.address)
        resources[address] = LiveResource(address, seen.id, seen.spec, {})
    return replace(
        live,
        resources=resources,
        unreadable=tuple(
            gap for gap in live.unreadable if gap.kind != POLICY or gap.scope not in scopes
        ),
    )


def _unasked(told: Change, change: Change) -> Iterator[str]:
    """What does not depend on policies: who the key is, what the organization has paid for."""
    warned = {warning.code for warning in told.warnings}
    for warning in change.warnings:
        if warning.code not in warned:
            yield warning.message
    then, now = told.gate, change.gate
    was_bypassed = then.verdict is Verdict.BYPASS or now.policy in then.bypassed_policies
    if now.verdict is Verdict.BYPASS and not was_bypassed:
        yield now.note or "this key's user bypasses the policy"
    if now.policy == then.policy and now.verdict is Verdict.APPROVAL:
        for role, held in now.approvers.roles.items():
            before = {email.lower() for email in then.approvers.roles.get(role, held)}
            for email in held:
                if email.lower() not in before:
                    yield f"{email} holds the role {role} now, and may approve"


def _weaker(
    then: tuple[CallEvaluation, ...], now: tuple[CallEvaluation, ...], *, crowd: Membership
) -> Iterator[str]:
    """What was held back by a policy and is not any more, or by a weaker one."""
    today = {step.action_match.action: step for step in now}
    for step in then:
        if step.verdict is not Verdict.APPROVAL:
            continue
        other = today.get(step.action_match.action)
        if other is None or other.verdict is not Verdict.APPROVAL:
            yield f"{step.action_match.action} held it back, and does not any more"
        for reason in compare_policies(
            step.policy, other.policy if other is not None else None, crowd
        ).weaker:
            yield f"{step.action_match.action}: {reason.text}"
