"""The forecast: which write will wait, and for whom (contract sections 3 to 5).

Written from the contract for generation G2. A flag is sent in several calls, so that each call
meets one gate at most; the forecast names the call that a person most needs to know of. It looks
at the policies as this plan leaves them, since policies are written before flags.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Change,
    ChangeRequest,
    Confidence,
    Finding,
    Gate,
    Live,
    LiveResource,
    Severity,
    Verdict,
)
from reconciler.plan import gate_requests
from reconciler.plan.gate_steps import Step, Steps, joined, worst

_TOO_MANY: Final = 2  # actions with a policy that one call may not meet at once


def projects(changes: tuple[Change, ...]) -> Collection[Address]:
    """Project addresses in which a gated kind is created, changed or deleted.

    Nothing gates a delete, but it would make an open change request unappliable.
    """
    return {Address("Project", change.address.parts[:-1]) for change in changes if _gated(change)}


def _gated(change: Change) -> bool:
    return KINDS[change.address.kind].gated and change.action is not Action.NONE


def forecast(
    changes: tuple[Change, ...], live: Live, rejections: Iterable[ChangeRequest] = ()
) -> tuple[Change, ...]:
    """Each change with its gate.

    Args:
        changes: all of the plan: what it does to policies, roles and people counts.
        live: with the policies, roles, people and open requests of the projects concerned.
        rejections: rejected requests that still stand, that is, not older than the document.

    """
    if not any(_gated(change) for change in changes):
        return changes
    forecaster = _Forecaster(changes, live, rejections)
    return tuple(forecaster.judged(c) if _gated(c) else c for c in changes)


class _Forecaster:
    """What a forecast looks at, indexed once a plan."""

    def __init__(
        self, changes: tuple[Change, ...], live: Live, rejections: Iterable[ChangeRequest]
    ) -> None:
        self._live = live
        self._world = Steps(changes, live)
        self._flags = {
            (there.address.parts[:-1], there.id): there
            for items in (live.resources.values(), *live.twins.values())
            for there in items
            if KINDS[there.address.kind].gated
        }
        self._open = gate_requests.Requests(live.change_requests)
        self._rejected = gate_requests.Requests(rejections)
        self._closed = {
            gap.scope: gap.reason for gap in live.unreadable if gap.kind == "ChangeRequest"
        }

    def judged(self, change: Change) -> Change:
        """The change with its gate, and a warning where policies gate nothing."""
        scope = change.address.parts[:-1]
        there = self._flags.get((scope, change.live_id or ""))
        steps = self._world.of(change, there, split=False)
        if off := self._is_off(change.address.organization):
            if any(step.policy is not None for step in steps):
                change = replace(change, warnings=(*change.warnings, _gate_off(change)))
            steps = ()
        gate = gate_requests.held(self._open, change, there, self._world, steps)
        if gate is None:
            gate = self._gate(change, there, steps)
            gate = gate_requests.remembered(self._rejected, change, there, gate)
            if scope in self._closed and not off:
                why = f"open change requests cannot be read: {self._closed[scope]}"
                gate = replace(gate, confidence=Confidence.UNKNOWN, note=joined(gate.note, why))
        return replace(change, gate=gate)

    def _is_off(self, organization: str) -> bool:
        """Without the feature the gate is skipped, silently, whatever the policies say."""
        there = self._live.resources.get(Address("Organization", (organization,)))
        if there is None or "available_product_features" not in there.payload:
            return False
        features = there.payload["available_product_features"] or ()
        return not any(feature.get("key") == "approvals" for feature in features)

    def _gate(self, change: Change, there: LiveResource | None, steps: tuple[Step, ...]) -> Gate:
        """What no open request decides."""
        if sum(step.policy is not None for step in steps) >= _TOO_MANY:
            if change.action is Action.CREATE:
                steps = self._world.of(change, there, split=True)
            return self._split(steps)
        step = _deciding(steps)
        if step is None:
            return Gate()
        waits = step.verdict is Verdict.APPROVAL
        return self._as_met(step, step.confidence if waits else worst(steps))

    def _split(self, steps: tuple[Step, ...]) -> Gate:
        """Two actions in one write: sent as several calls, of which the first gated one counts."""
        gate = self._as_met(_deciding(steps) or steps[0], worst(steps))
        calls = ", then ".join(
            f"{step.meeting.call} ({_policy_name(step)}: {_what_happens(step)})" for step in steps
        )
        note = f"in one call PostHog would refuse it (policy_conflict); sent as {calls}"
        return replace(gate, verdict=Verdict.SPLIT, note=joined(note, gate.note))

    def _as_met(self, step: Step, confidence: Confidence) -> Gate:
        """The gate as one call meets it."""
        policy = step.policy
        if policy is None or step.verdict is Verdict.NONE:
            return Gate(confidence=confidence, note=step.note)
        people, approvers = self._world.people, self._world.people.approvers(policy)
        waits = step.verdict is Verdict.APPROVAL
        obstacles = people.obstacles(policy, policy.quorum, approvers) if waits else ()
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
        )


def _deciding(steps: tuple[Step, ...]) -> Step | None:
    """The first call that waits; else one that bypasses; else the least sure of the others."""
    for verdict in (Verdict.APPROVAL, Verdict.BYPASS):
        for step in steps:
            if step.verdict is verdict:
                return step
    return next((step for step in steps if step.confidence is worst(steps)), None)


def _policy_name(step: Step) -> str:
    return str(step.policy.address) if step.policy is not None else step.meeting.action


def _what_happens(step: Step) -> str:
    match step.verdict:
        case Verdict.APPROVAL:
            return "waits for approval"
        case Verdict.BYPASS:
            return "bypassed"
        case _:
            return "passes"


def _gate_off(change: Change) -> Finding:
    organization = change.address.organization
    return Finding(
        code="gate-off",
        severity=Severity.WARNING,
        message=f"{change.address} is written without approval, although a policy covers it",
        why=f"{organization} lacks the feature `approvals`: PostHog skips its policies silently",
        fix="add the feature to the organization's plan, or remove the policies",
        source=change.source,
        address=change.address,
    )
