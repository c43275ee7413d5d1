"""Forecast the approval gate: which write will wait, and for whom (contract 3 to 5).

A flag is written in several calls, so that each call matches one policy at most; the forecast
reports the call that matters most to a person. It uses the policies at the time flags are written:
this plan writes policies before the flags, except those that it only weakens
(`weakening.effects`). Where generations of PostHog differ it uses the detected one
(`server_generation`); if that is not known, the newer one, with less confidence.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS, READ
from reconciler.model import (
    REPLACES,
    Action,
    Address,
    Change,
    ChangeRequest,
    Confidence,
    Finding,
    Gate,
    GateStep,
    Live,
    LiveResource,
    RequestPlan,
    Severity,
    Verdict,
    join_sentences,
    select_written,
)
from reconciler.plan.approvals import (
    actions,
    change_requests,
    server_generation,
    write_gates,
)
from reconciler.plan.approvals.evaluation import CallEvaluation, GateEvaluator, find_least_certain
from reconciler.plan.approvals.server_generation import Generation

OFF: Final = "gate-off"
_DIFFERENCES: Final = {
    Generation.G1: "PostHog of early 2026 does not gate creates; no flag shows the version",
    Generation.G2: "PostHog before autumn 2026 does not gate targeting; nothing shows the version",
}
_WHOLE_WRITES: Final = "PostHog before autumn 2026 does not gate {noun}s; nothing shows the version"
_TOO_MANY: Final = 2  # actions with a policy that one call may not meet at once


def list_gated_projects(changes: tuple[Change, ...]) -> Collection[Address]:
    """Return the projects with a change that may be gated, or that would end a change request.

    The delete of a flag is not gated, but it would make an open change request stale.
    """
    return {
        Address("Project", change.address.parts[:-1]) for change in changes if _is_gated(change)
    }


def _is_gated(change: Change) -> bool:
    return write_gates.may_be_gated(change)


def forecast_gates(
    changes: tuple[Change, ...],
    live: Live,
    rejections: Iterable[ChangeRequest] = (),
    *,
    last: Collection[Address],
) -> tuple[Change, ...]:
    """Return each change with its gate.

    Args:
        changes: all changes of the plan: those of policies, roles and people matter, too.
        live: with the policies, roles, people and open requests of the gated projects.
        rejections: rejected requests that are still active: not older than the document.
        last: changes that are applied after the flags: those that only weaken a gate.

    """
    if not any(map(_is_gated, select_written(changes))):
        return changes
    forecaster = _Forecaster(GateEvaluator(changes, live, last), live, rejections)
    return tuple(forecaster.forecast_change(c) if _is_gated(c) else c for c in changes)


class _Forecaster:
    """The inputs of a forecast, indexed once per plan."""

    def __init__(
        self, evaluator: GateEvaluator, live: Live, rejections: Iterable[ChangeRequest]
    ) -> None:
        self._live, self._evaluator = live, evaluator
        self._objects = {
            (item.address.kind, item.address.parts[:-1], item.id): item
            for items in (live.resources.values(), *live.duplicates.values())
            for item in items
            if KINDS[item.address.kind].gated
        }
        self._generations = server_generation.list_possible_generations(live)
        self._open = change_requests.RequestIndex(live.change_requests, live)
        self._rejected = change_requests.RequestIndex(rejections, live)
        self._closed = {
            gap.scope: gap.reason for gap in live.unreadable if gap.kind == "ChangeRequest"
        }

    def forecast_change(self, change: Change) -> Change:
        """Return the change with its gate, and a warning where policies have no effect."""
        newest = self._forecast_for(change, self._generations[0])
        if not self._evaluator.has_enabled_policy(change.address.parts[:-1]):
            return newest  # generations differ only in what they apply a policy to
        older = [self._forecast_for(change, item) for item in self._generations[1:]]
        if self._generations[0] is Generation.G1 and change.action is Action.CREATE:
            return _note_ungated_create(newest, self._forecast_for(change, Generation.G3).gate)
        gate = newest.gate
        doubts = [
            _describe_difference(change, generation)
            for generation, other in zip(self._generations[1:], older, strict=True)
            if _summarize(other.gate) != _summarize(gate)
        ]
        if not doubts:
            return newest
        confidence = Confidence.LIKELY if gate.confidence is Confidence.CERTAIN else gate.confidence
        note = join_sentences(gate.note, doubts[0])
        return replace(newest, gate=replace(gate, confidence=confidence, note=note))

    def _forecast_for(self, change: Change, generation: Generation) -> Change:
        scope = change.address.parts[:-1]
        live_resource = self._objects.get((change.address.kind, scope, change.live_id or ""))
        evaluations = self._evaluator.evaluate_calls(change, live_resource, generation)
        if off := is_off(self._live, change.address.organization):
            if any(evaluation.policy is not None for evaluation in evaluations):
                change = replace(change, warnings=(*change.warnings, _report_gate_off(change)))
            evaluations = ()
        gate = change_requests.find_open_gate(
            self._open, change, live_resource, self._evaluator, evaluations
        )
        if gate is not None and gate.request_plan in REPLACES:
            gate = _merge_replaced_gate(
                gate, self._build_new_gate(change, live_resource, evaluations, generation)
            )
        if gate is None:
            gate = self._build_new_gate(change, live_resource, evaluations, generation)
            gate = change_requests.apply_past_requests(self._rejected, change, live_resource, gate)
            if scope in self._closed and not off:
                reason = f"open change requests cannot be read: {self._closed[scope]}"
                gate = replace(
                    gate, confidence=Confidence.UNKNOWN, note=join_sentences(gate.note, reason)
                )
        return replace(change, gate=gate)

    def _build_new_gate(
        self,
        change: Change,
        live_resource: LiveResource | None,
        evaluations: tuple[CallEvaluation, ...],
        generation: Generation,
    ) -> Gate:
        """Return the gate where no open request decides."""
        is_split = sum(evaluation.policy is not None for evaluation in evaluations) >= _TOO_MANY
        if is_split and generation is not Generation.G1:
            if change.action is Action.CREATE:
                evaluations = self._evaluator.evaluate_calls(
                    change, live_resource, generation, split=True
                )
            gate = self._build_split_gate(evaluations)
            return replace(gate, steps=self._list_steps(change, evaluations, split=True))
        evaluation = _find_deciding(evaluations)
        if evaluation is None:
            return Gate()
        # Where another call may meet a policy of the organization, one write might meet two.
        unseen = next((each.note for each in evaluations if each.policy is None), "")
        gate = self._build_gate(evaluation, find_least_certain(evaluations))
        if evaluation.policy is not None:
            gate = replace(gate, note=join_sentences(gate.note, unseen))
        steps = self._list_steps(change, evaluations, split=False)
        return replace(gate, steps=steps) if steps else gate

    def _list_steps(
        self, change: Change, evaluations: tuple[CallEvaluation, ...], *, split: bool
    ) -> tuple[GateStep, ...]:
        """Return what happens to each call; nothing if there is only one, or none is gated."""
        if all(evaluation.verdict is Verdict.NONE for evaluation in evaluations):
            return ()
        calls = actions.list_calls(change, split=split)
        steps = tuple(
            self._build_step(fields, [each for each in evaluations if _is_of(each, fields)])
            for fields in calls
        )
        is_gated = any(step.verdict is not Verdict.NONE for step in steps)
        return steps if len(steps) > 1 and is_gated else ()

    def _build_step(self, fields: tuple[str, ...], evaluations: list[CallEvaluation]) -> GateStep:
        deciding = _find_deciding(tuple(evaluations))
        if deciding is None or deciding.policy is None or deciding.verdict is Verdict.NONE:
            return GateStep(fields)
        policy = deciding.policy
        return GateStep(
            fields,
            deciding.verdict,
            str(policy.address),
            policy.quorum,
            self._evaluator.people.list_approvers(policy),
            policy.spec.get("expires_after"),
        )

    def _build_split_gate(self, evaluations: tuple[CallEvaluation, ...]) -> Gate:
        """Return the gate of a write that is sent as several calls: that of the first gated one."""
        gate = self._build_gate(
            _find_deciding(evaluations) or evaluations[0], find_least_certain(evaluations)
        )
        if not any(evaluation.verdict is Verdict.APPROVAL for evaluation in evaluations):
            gate = replace(gate, quorum=None, expires_after=None)
        bypassed_policies = tuple(
            _name_policy(evaluation)
            for evaluation in evaluations
            if evaluation.verdict is Verdict.BYPASS
        )
        may_be_free = any(evaluation.action_match.may_be_free for evaluation in evaluations)
        if may_be_free and gate.confidence is Confidence.CERTAIN:
            gate = replace(gate, confidence=Confidence.LIKELY)
        return replace(
            gate,
            verdict=Verdict.SPLIT,
            bypassed_policies=bypassed_policies,
        )

    def _build_gate(self, evaluation: CallEvaluation, confidence: Confidence) -> Gate:
        """Return the gate of one call."""
        policy = evaluation.policy
        if policy is None or evaluation.verdict is Verdict.NONE:
            return Gate(confidence=confidence, note=evaluation.note)
        people, approvers = self._evaluator.people, self._evaluator.people.list_approvers(policy)
        needs_approval = evaluation.verdict is Verdict.APPROVAL
        obstacles = (
            people.find_obstacles(policy, policy.quorum, approvers).notes if needs_approval else ()
        )
        if confidence is Confidence.CERTAIN and not people.knows_everybody(
            policy.address.organization
        ):
            confidence = Confidence.LIKELY
        return Gate(
            verdict=evaluation.verdict,
            confidence=confidence,
            policy=str(policy.address),
            condition=evaluation.condition,
            quorum=policy.quorum,
            approvers=approvers,
            expires_after=policy.spec.get("expires_after"),
            note=join_sentences(evaluation.note, *obstacles),
            cannot_approve=people.list_excluded(policy, approvers) if needs_approval else {},
            bypassed_policies=() if needs_approval else (str(policy.address),),
        )


def _summarize(gate: Gate) -> tuple[Verdict, str | None, bool]:
    """Return what generations may differ on: a split write waits, or all of its calls pass."""
    return gate.verdict, gate.policy, gate.waits


def _describe_difference(change: Change, generation: Generation) -> str:
    """Return what an older server would do with a write that the newer one gates."""
    if KINDS[change.address.kind].write_gates:
        return _WHOLE_WRITES.format(noun=READ[change.address.kind].noun)
    return _DIFFERENCES[generation]


def _merge_replaced_gate(gate: Gate, next_gate: Gate) -> Gate:
    """Return the gate of a request that is replaced, with the approvers of the write after it."""
    if not next_gate.waits:
        return gate
    return replace(
        gate,
        policy=next_gate.policy,
        condition=next_gate.condition,
        quorum=next_gate.quorum,
        approvers=next_gate.approvers,
        expires_after=next_gate.expires_after,
        cannot_approve=next_gate.cannot_approve,
        request_plan=RequestPlan.REPLACE_AND_WAIT,
        note=join_sentences(gate.note, "the write that follows waits for approval itself"),
    )


def _find_deciding(evaluations: tuple[CallEvaluation, ...]) -> CallEvaluation | None:
    """Return the first call that waits, else one that bypasses, else the least certain one."""
    if len(evaluations) == 1:
        return evaluations[0]
    for verdict in (Verdict.APPROVAL, Verdict.BYPASS):
        for evaluation in evaluations:
            if evaluation.verdict is verdict:
                return evaluation
    lowest = find_least_certain(evaluations)
    return next((each for each in evaluations if each.confidence is lowest), None)


def _name_policy(evaluation: CallEvaluation) -> str:
    return (
        str(evaluation.policy.address)
        if evaluation.policy is not None
        else evaluation.action_match.action
    )


def _is_of(evaluation: CallEvaluation, fields: tuple[str, ...]) -> bool:
    """Return whether an evaluation is about the call that writes these fields."""
    return evaluation.action_match.sends == fields


def is_off(live: Live, organization: str) -> bool:
    """Return whether policies have no effect: without the feature PostHog skips them silently."""
    organization_object = live.resources.get(Address("Organization", (organization,)))
    if (
        organization_object is None
        or "available_product_features" not in organization_object.payload
    ):
        return False
    features = organization_object.payload["available_product_features"] or ()
    return not any(feature.get("key") == "approvals" for feature in features)


def _note_ungated_create(change: Change, newer_gate: Gate) -> Change:
    """Return the change with a note if an old server lets a create pass that a newer one gates."""
    if not newer_gate.waits or change.gate.waits:
        return change
    policy = newer_gate.policy
    note = f"this server (PostHog of early 2026) does not gate creates; newer ones apply {policy}"
    return replace(change, gate=replace(change.gate, note=join_sentences(note, change.gate.note)))


def _report_gate_off(change: Change) -> Finding:
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
