"""The forecast: which write will wait, and for whom (contract sections 3 to 5).

A flag is sent in several calls, so that each call meets one gate at most; the forecast names the
call that a person most needs to know of. It looks at the policies as flags meet them: this plan
writes policies before the flags, but for those that it only weakens (`leaning`). Where generations
of PostHog differ it goes by the one that answered (`generation`); if that is not known, by the
newer one, and says that it is not sure.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import (
    REPLACES,
    Action,
    Address,
    Change,
    ChangeRequest,
    Confidence,
    Finding,
    Gate,
    Live,
    LiveResource,
    RequestPlan,
    Severity,
    Verdict,
    joined,
)
from reconciler.plan.approvals import actions, change_requests, server_generation
from reconciler.plan.approvals.evaluation import CallEvaluation, GateEvaluator, worst
from reconciler.plan.approvals.server_generation import Generation

OFF: Final = "gate-off"
_WAITS, _BYPASSED = "waits for approval", "bypassed"
_TOO_MANY: Final = 2  # actions with a policy that one call may not meet at once


def projects(changes: tuple[Change, ...]) -> Collection[Address]:
    """Project addresses in which a gated kind is created, changed or deleted.

    Nothing gates a delete, but it would make an open change request unappliable.
    """
    return {Address("Project", change.address.parts[:-1]) for change in changes if _gated(change)}


def _gated(change: Change) -> bool:
    return KINDS[change.address.kind].gated and change.action is not Action.NONE


def forecast(
    changes: tuple[Change, ...],
    live: Live,
    rejections: Iterable[ChangeRequest] = (),
    *,
    last: Collection[Address],
) -> tuple[Change, ...]:
    """Each change with its gate.

    Args:
        changes: all of the plan: what it does to policies, roles and people counts.
        live: with the policies, roles, people and open requests of the projects concerned.
        rejections: rejected requests that still stand, that is, not older than the document.
        last: changes that are applied after the flags: those that only weaken a gate.

    """
    if not any(_gated(change) for change in changes):
        return changes
    forecaster = _Forecaster(GateEvaluator(changes, live, last), live, rejections)
    return tuple(forecaster.judged(c) if _gated(c) else c for c in changes)


class _Forecaster:
    """What a forecast looks at, indexed once a plan."""

    def __init__(
        self, world: GateEvaluator, live: Live, rejections: Iterable[ChangeRequest]
    ) -> None:
        self._live, self._world = live, world
        self._flags = {
            (there.address.parts[:-1], there.id): there
            for items in (live.resources.values(), *live.twins.values())
            for there in items
            if KINDS[there.address.kind].gated
        }
        self._generation = server_generation.learn(live)
        self._open = change_requests.Requests(live.change_requests)
        self._rejected = change_requests.Requests(rejections)
        self._closed = {
            gap.scope: gap.reason for gap in live.unreadable if gap.kind == "ChangeRequest"
        }

    def judged(self, change: Change) -> Change:
        """The change with its gate, and a warning where policies gate nothing."""
        if self._generation is Generation.G2:
            return self._judged(change, Generation.G2)
        older = self._judged(change, Generation.G1)
        if change.action is not Action.CREATE and self._generation is Generation.G1:
            return older
        newer = self._judged(change, Generation.G2)
        if self._generation is Generation.G1:
            return _born_free(older, newer.gate)
        if (newer.gate.verdict, newer.gate.policy) == (older.gate.verdict, older.gate.policy):
            return newer
        gate = newer.gate
        sure = Confidence.LIKELY if gate.confidence is Confidence.CERTAIN else gate.confidence
        note = joined(gate.note, "PostHog of early 2026 gates no creates; no flag tells its age")
        return replace(newer, gate=replace(gate, confidence=sure, note=note))

    def _judged(self, change: Change, spoken: Generation) -> Change:
        scope = change.address.parts[:-1]
        there = self._flags.get((scope, change.live_id or ""))
        steps = self._world.of(change, there, spoken)
        if off := is_off(self._live, change.address.organization):
            if any(step.policy is not None for step in steps):
                change = replace(change, warnings=(*change.warnings, _gate_off(change)))
            steps = ()
        gate = change_requests.held(self._open, change, there, self._world, steps)
        if gate is not None and gate.request_plan in REPLACES:
            gate = _instead(gate, self._gate(change, there, steps, spoken))
        if gate is None:
            gate = self._gate(change, there, steps, spoken)
            gate = change_requests.remembered(self._rejected, change, there, gate)
            gate = _beside(change, gate, steps)
            if scope in self._closed and not off:
                why = f"open change requests cannot be read: {self._closed[scope]}"
                gate = replace(gate, confidence=Confidence.UNKNOWN, note=joined(gate.note, why))
        return replace(change, gate=gate)

    def _gate(
        self,
        change: Change,
        there: LiveResource | None,
        steps: tuple[CallEvaluation, ...],
        spoken: Generation,
    ) -> Gate:
        """What no open request decides."""
        several = sum(step.policy is not None for step in steps) >= _TOO_MANY
        if several and spoken is Generation.G2:
            if change.action is Action.CREATE:
                steps = self._world.of(change, there, spoken, split=True)
            return self._split(steps)
        step = _deciding(steps)
        if step is None:
            return Gate()
        waits = step.verdict is Verdict.APPROVAL
        return self._as_met(step, step.confidence if waits else worst(steps))

    def _split(self, steps: tuple[CallEvaluation, ...]) -> Gate:
        """Two actions in one write: sent as several calls, of which the first gated one counts."""
        gate = self._as_met(_deciding(steps) or steps[0], worst(steps))
        if not any(step.verdict is Verdict.APPROVAL for step in steps):  # nobody is asked
            gate = replace(gate, quorum=None, expires_after=None)
        calls = ", then ".join(
            f"{step.meeting.call} ({_policy_name(step)}: {_what_happens(step)})" for step in steps
        )
        note = f"in one call PostHog would refuse it (policy_conflict); sent as {calls}"
        bypassed = tuple(_policy_name(step) for step in steps if step.verdict is Verdict.BYPASS)
        return replace(
            gate,
            verdict=Verdict.SPLIT,
            note=joined(note, gate.note),
            bypassed_policies=bypassed,
        )

    def _as_met(self, step: CallEvaluation, confidence: Confidence) -> Gate:
        """The gate as one call meets it."""
        policy = step.policy
        if policy is None or step.verdict is Verdict.NONE:
            return Gate(confidence=confidence, note=step.note)
        people, approvers = self._world.people, self._world.people.approvers(policy)
        waits = step.verdict is Verdict.APPROVAL
        obstacles = people.obstacles(policy, policy.quorum, approvers).notes if waits else ()
        if confidence is Confidence.CERTAIN and not people.are_known(policy.address.organization):
            confidence = Confidence.LIKELY
        return Gate(
            verdict=step.verdict,
            confidence=confidence,
            policy=str(policy.address),
            condition=step.condition,
            quorum=policy.quorum,
            approvers=approvers,
            expires_after=policy.spec.get("expires_after"),
            note=joined(step.note, *obstacles),
            cannot_approve=people.cannot(policy, approvers) if waits else {},
            bypassed_policies=() if waits else (str(policy.address),),
        )


def _beside(change: Change, gate: Gate, steps: tuple[CallEvaluation, ...]) -> Gate:
    """What of the change does not wait, because its calls come before the one that does."""
    if gate.verdict not in {Verdict.APPROVAL, Verdict.SPLIT}:
        return gate
    waits = next((step for step in steps if step.verdict is Verdict.APPROVAL), None)
    free = actions.earlier(change, waits.meeting.action) if waits is not None else ()
    note = f"written at once all the same: {', '.join(free)}" if free else ""
    return replace(gate, note=joined(gate.note, note))


def _instead(gate: Gate, then: Gate) -> Gate:
    """A request that makes way, and what the write meets without it: other people, or nobody."""
    if not then.waits:
        return gate
    return replace(
        gate,
        policy=then.policy,
        condition=then.condition,
        quorum=then.quorum,
        approvers=then.approvers,
        expires_after=then.expires_after,
        cannot_approve=then.cannot_approve,
        request_plan=RequestPlan.REPLACE_AND_WAIT,
        note=joined(gate.note, "what is written then waits for approval itself"),
    )


def _deciding(steps: tuple[CallEvaluation, ...]) -> CallEvaluation | None:
    """The first call that waits; else one that bypasses; else the least sure of the others."""
    for verdict in (Verdict.APPROVAL, Verdict.BYPASS):
        for step in steps:
            if step.verdict is verdict:
                return step
    return next((step for step in steps if step.confidence is worst(steps)), None)


def _policy_name(step: CallEvaluation) -> str:
    return str(step.policy.address) if step.policy is not None else step.meeting.action


def _what_happens(step: CallEvaluation) -> str:
    match step.verdict:
        case Verdict.APPROVAL:
            return _WAITS
        case Verdict.BYPASS:
            return _BYPASSED
        case _:
            return "passes"


def is_off(live: Live, organization: str) -> bool:
    """Without the feature the gate is skipped, silently, whatever the policies say."""
    there = live.resources.get(Address("Organization", (organization,)))
    if there is None or "available_product_features" not in there.payload:
        return False
    features = there.payload["available_product_features"] or ()
    return not any(feature.get("key") == "approvals" for feature in features)


def _born_free(change: Change, newer: Gate) -> Change:
    """A create on an old server, which would wait on a newer one."""
    if not newer.waits or change.gate.waits:
        return change
    note = f"PostHog of early 2026, as this server is, gates no creates; {newer.policy} would"
    return replace(change, gate=replace(change.gate, note=joined(note, change.gate.note)))


def _gate_off(change: Change) -> Finding:
    organization = change.address.organization
    return Finding(
        code=OFF,
        severity=Severity.WARNING,
        message=f"{change.address} is written without approval, although a policy covers it",
        why=f"{organization} lacks the feature `approvals`: PostHog skips its policies silently",
        fix="add the feature to the organization's plan, or remove the policies",
        source=change.source,
        address=change.address,
    )
