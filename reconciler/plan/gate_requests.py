"""Change requests that are there already: ours, somebody else's, or one that was turned down."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model import (
    Address,
    Change,
    ChangeRequest,
    Confidence,
    Gate,
    LiveResource,
    Verdict,
)
from reconciler.plan import gate_words, intent
from reconciler.plan.gate_policies import Policy, Scope
from reconciler.plan.gate_steps import Step, Steps, joined

Requests = Mapping[Scope, list[ChangeRequest]]


def by_scope(requests: Iterable[ChangeRequest]) -> Requests:
    """Requests by project, oldest first: of two equal ones the older is waited for."""
    found: dict[Scope, list[ChangeRequest]] = defaultdict(list)
    for request in sorted(requests, key=lambda r: (str(r.payload.get("created_at") or ""), r.id)):
        found[request.organization, request.project].append(request)
    return found


def held(
    requests: Requests,
    change: Change,
    there: LiveResource | None,
    world: Steps,
    steps: tuple[Step, ...],
) -> Gate | None:
    """The gate of an open request on this flag: any other write would make it unappliable."""
    found = [r for r in requests.get(change.address.parts[:-1], ()) if intent.holds(r, change)]
    others = [r for r in found if not intent.same_intent(r, change, there)]
    if not found:
        return None
    request = (others or found)[0]
    gate = _gate(request, there, world)
    if others:
        note = f"{gate.note}; it proposes something else, and any write would make it unappliable"
        return replace(gate, verdict=Verdict.BLOCKED, note=note)
    step = next((step for step in steps if step.meeting.action == request.action_key), None)
    return replace(gate, condition=step.condition if step is not None else None)


def _gate(request: ChangeRequest, there: LiveResource | None, world: Steps) -> Gate:
    """Who decides on a request: its snapshot of the policy, whatever became of that (7.5)."""
    scope = (request.organization, request.project)
    address = Address("ApprovalPolicy", (*scope, request.action_key))
    snapshot = request.payload.get("policy_snapshot") or {}
    policy = world.policies.get(scope, {}).get(request.action_key)
    spec = policy.spec if policy is not None else {}
    frozen = Policy(address, {**spec, "allow_self_approve": snapshot.get("allow_self_approve")})
    approvers = world.people.snapshot(
        frozen, snapshot.get("users") or (), snapshot.get("roles") or ()
    )
    quorum = snapshot.get("quorum")
    version = there.payload.get("version") if there is not None else None
    return Gate(
        verdict=Verdict.PENDING,
        confidence=Confidence.CERTAIN,
        policy=str(address),
        quorum=quorum if isinstance(quorum, int) else None,
        approvers=approvers,
        expires_after=spec.get("expires_after"),
        change_request=request.id,
        note=gate_words.request(request, version),
    )


def remembered(
    rejections: Requests, change: Change, there: LiveResource | None, gate: Gate
) -> Gate:
    """The gate, or that this very intent was turned down and is not filed again."""
    if gate.verdict not in {Verdict.APPROVAL, Verdict.SPLIT}:
        return gate
    for request in rejections.get(change.address.parts[:-1], ()):
        if request.state == "rejected" and intent.same_intent(request, change, there):
            said = f"{gate_words.request(request, None)} proposed the same"
            return replace(
                gate,
                verdict=Verdict.REJECTED,
                change_request=request.id,
                note=joined(said, gate.note),
            )
    return gate
