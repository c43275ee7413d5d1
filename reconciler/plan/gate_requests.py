"""Change requests that are there already: ours, somebody else's, or one that was turned down."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model import (
    Action,
    Address,
    Approvers,
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


class Requests:
    """Change requests by the flag they are about, oldest first: of two equal ones it is waited for.

    A flag is known by its id, and by its key while it has none (contract 5.4).
    """

    def __init__(self, requests: Iterable[ChangeRequest]) -> None:
        self._found: dict[tuple[Scope, str, str], list[ChangeRequest]] = defaultdict(list)
        for request in sorted(requests, key=lambda r: (str(r.payload.get("created_at")), r.id)):
            scope = (request.organization, request.project)
            self._found[scope, "key", request.flag_key].append(request)
            if request.resource_id is not None:
                self._found[scope, "id", request.resource_id].append(request)

    def of(self, change: Change) -> list[ChangeRequest]:
        """Those that are about the flag of this change."""
        scope = change.address.parts[:-1]
        if change.action is Action.CREATE:
            found = self._found.get((scope, "key", change.address.name), [])
        else:
            found = self._found.get((scope, "id", change.live_id or ""), [])
        return [request for request in found if intent.about(request, change)]


def held(
    requests: Requests,
    change: Change,
    there: LiveResource | None,
    world: Steps,
    steps: tuple[Step, ...],
) -> Gate | None:
    """The gate of an open request on this flag: any other write would make it unappliable."""
    found = [request for request in requests.of(change) if intent.holds(request, change)]
    others = [r for r in found if not intent.same_intent(r, change, there)]
    if not found:
        return None
    request = (others or found)[0]
    gate = _gate(request, there, world)
    if others:
        why = "an open request proposes something else, and any write would make it unappliable"
        note = joined(why, gate.note)
        return replace(gate, verdict=Verdict.BLOCKED, note=note)
    if _stale(request, there):
        note = joined(gate.note, "cancel it, and apply again to propose it anew")
        return replace(gate, verdict=Verdict.BLOCKED, note=note)
    step = next((step for step in steps if step.meeting.action == request.action_key), None)
    return replace(gate, condition=step.condition if step is not None else None)


def _stale(request: ChangeRequest, there: LiveResource | None) -> bool:
    """Whether the flag moved since the request was filed: approving it would fail (7.5)."""
    filed = ((request.payload.get("intent") or {}).get("preconditions") or {}).get("version")
    version = there.payload.get("version") if there is not None else None
    return filed is not None and version is not None and filed != version


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
    quorum = snapshot["quorum"] if isinstance(snapshot.get("quorum"), int) else None
    obstacles = (
        world.people.obstacles(frozen, quorum, approvers, request.requester) if snapshot else ()
    )
    version = there.payload.get("version") if there is not None else None
    return Gate(
        verdict=Verdict.PENDING,
        confidence=Confidence.CERTAIN,
        policy=str(address),
        quorum=quorum,
        approvers=approvers,
        expires_after=spec.get("expires_after"),
        change_request=request.id,
        note=joined(gate_words.request(request, version), *obstacles),
        cannot_approve=_cannot(request, frozen, approvers, world),
    )


def _cannot(
    request: ChangeRequest, policy: Policy, approvers: Approvers, world: Steps
) -> Mapping[str, str]:
    """Who has no vote, and who has cast it."""
    cast = {
        vote.person.lower(): "has approved" if vote.approved else "has rejected"
        for vote in request.votes
    }
    return {**world.people.cannot(policy, approvers, request.requester), **cast}


def remembered(
    rejections: Requests, change: Change, there: LiveResource | None, gate: Gate
) -> Gate:
    """The gate, or that this very intent was turned down and is not filed again."""
    if gate.verdict not in {Verdict.APPROVAL, Verdict.SPLIT}:
        return gate
    for request in rejections.of(change):
        if request.state == "rejected" and intent.same_intent(request, change, there):
            said = f"{gate_words.request(request, None)} proposed the same"
            return replace(
                gate,
                verdict=Verdict.REJECTED,
                change_request=request.id,
                note=joined(said, gate.note),
            )
    return gate
