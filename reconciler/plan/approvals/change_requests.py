"""What becomes of a change that was asked before: one row for each fate of a change request.

The server is the ledger; there is no other. Nobody is asked twice for the same, a request of
somebody else is never touched, and one that a person has voted on is never taken back.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from reconciler.model import (
    Action,
    Address,
    Approvers,
    Change,
    ChangeRequest,
    Confidence,
    Gate,
    LiveResource,
    RequestPlan,
    Verdict,
    joined,
)
from reconciler.plan.approvals import messages, request_matching
from reconciler.plan.approvals.evaluation import CallEvaluation, GateEvaluator
from reconciler.plan.approvals.policies import Policy, Scope

SPENT: Final = frozenset({"expired", "failed"})  # ended without a no: tried once more, once
_TRIES: Final = 2


class OpenRequestAction(Enum):
    """What to do about a request on the flag that is about to be written."""

    WAIT = "wait for it: it proposes what the files want"
    MAKE_WAY = "take it back and file anew: it is our own, and nobody has voted"
    HOLD = "write nothing: people have to decide or cancel it"


class RefilePolicy(Enum):
    """What former requests of the same intent mean for filing it."""

    NONE = "file it"
    ONCE_MORE = "file it once more, and say so"
    NEVER = "do not file it until the document moves"


def to_open(
    request: ChangeRequest, *, same: bool, stale: bool, me: int | None
) -> OpenRequestAction:
    """What an open request means for a write to its flag.

    Args:
        request: open, on this very flag; a state that is not known counts as open.
        same: whether it proposes what the files want, and nothing else.
        stale: whether the flag has moved since, so that it can never be applied.
        me: user id of this key, where it is known.

    """
    if same and not stale:
        return OpenRequestAction.WAIT
    ours = me is not None and request.requester_id == me
    return OpenRequestAction.MAKE_WAY if ours and not request.votes else OpenRequestAction.HOLD


def to_past(requests: Iterable[ChangeRequest]) -> RefilePolicy:
    """What requests of the same intent that have ended mean, since the document was written."""
    spent = 0
    for request in requests:
        if request.state == "rejected":
            return RefilePolicy.NEVER
        spent += request.state in SPENT
    if spent >= _TRIES:
        return RefilePolicy.NEVER
    return RefilePolicy.ONCE_MORE if spent else RefilePolicy.NONE


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
        return [request for request in found if request_matching.about(request, change)]


def held(
    requests: Requests,
    change: Change,
    there: LiveResource | None,
    world: GateEvaluator,
    steps: tuple[CallEvaluation, ...],
) -> Gate | None:
    """The gate of an open request on this flag: any other write would make it unappliable."""
    judged = _judged(requests, change, there, world.me)
    if not judged:
        return None
    waits = [request for request, reaction in judged if reaction is OpenRequestAction.WAIT]
    others = [request for request, reaction in judged if reaction is not OpenRequestAction.WAIT]
    request = (others or waits)[0]
    if others:
        return _in_the_way(requests, request, change, there, world)
    gate = asked(request, there, world)
    twins = [one.id for one in waits[1:] if one.action_key == request.action_key]
    if twins:
        note = f"the same was filed twice, by two runs at a time: also {', '.join(twins)}"
        gate = replace(gate, note=joined(gate.note, note))
    step = next((step for step in steps if step.meeting.action == request.action_key), None)
    return replace(gate, condition=step.condition if step is not None else None)


def _in_the_way(
    requests: Requests,
    request: ChangeRequest,
    change: Change,
    there: LiveResource | None,
    world: GateEvaluator,
) -> Gate:
    """Return the gate of a request for something else: canceled if it may be, else it blocks."""
    if superseded(requests, change, there, world.me):
        gate = asked(request, there, world, replaced=True)
        return replace(
            gate,
            verdict=Verdict.BLOCKED,
            request_plan=RequestPlan.REPLACE,
            note=joined(_REPLACED, gate.note),
        )
    why = _IN_THE_WAY
    cast = ", ".join(dict.fromkeys(vote.person for vote in request.votes))
    if cast and world.me is not None and request.requester_id == world.me:
        why += f"; it is this key's own, and stays because of the vote of {cast}"
    gate = asked(request, there, world)
    return replace(gate, verdict=Verdict.BLOCKED, note=joined(why, gate.note))


_REPLACED: Final = (
    "an open request of this key's own user proposes something else, or cannot be applied any "
    "more, and nobody has voted: apply takes it back"
)
_IN_THE_WAY: Final = (
    "an open request proposes something else, or cannot be applied any more, and any write would "
    "make it unappliable"
)


def _judged(
    requests: Requests, change: Change, there: LiveResource | None, me: int | None
) -> list[tuple[ChangeRequest, OpenRequestAction]]:
    """Every open request on the flag, oldest first, and what it means for a write."""
    found = [request for request in requests.of(change) if request_matching.holds(request, change)]
    return [
        (
            request,
            to_open(
                request,
                same=request_matching.same_intent(request, change, there),
                stale=_stale(request, there),
                me=me,
            ),
        )
        for request in found
    ]


def superseded(
    requests: Requests, change: Change, there: LiveResource | None, me: int | None
) -> tuple[str, ...]:
    """The open requests that have to make way for a change; none unless all of them may."""
    judged = _judged(requests, change, there, me)
    if any(reaction is not OpenRequestAction.MAKE_WAY for _, reaction in judged):
        return ()
    return tuple(request.id for request, _ in judged)


def _stale(request: ChangeRequest, there: LiveResource | None) -> bool:
    """Whether the flag moved since the request was filed: approving it would fail (7.5)."""
    if request.payload.get("validation_status") == "stale":
        return True
    filed = ((request.payload.get("intent") or {}).get("preconditions") or {}).get("version")
    version = there.payload.get("version") if there is not None else None
    return filed is not None and version is not None and filed != version


def asked(
    request: ChangeRequest,
    there: LiveResource | None,
    world: GateEvaluator,
    *,
    replaced: bool = False,
) -> Gate:
    """Return who decides on a request: its snapshot of the policy (contract 7.5).

    `replaced`: whether it will be canceled, so that nobody has to be told to do so.
    """
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
        world.people.obstacles(frozen, quorum, approvers, request.requester).notes
        if snapshot
        else ()
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
        note=joined(messages.request(request, version, replaced=replaced), *obstacles),
        cannot_approve=_cannot(request, frozen, approvers, world),
    )


def _cannot(
    request: ChangeRequest, policy: Policy, approvers: Approvers, world: GateEvaluator
) -> Mapping[str, str]:
    """Who has no vote, and who has cast it."""
    cast = {
        vote.person.lower(): "has approved" if vote.approved else "has rejected"
        for vote in request.votes
    }
    return {**world.people.cannot(policy, approvers, request.requester), **cast}


def remembered(past: Requests, change: Change, there: LiveResource | None, gate: Gate) -> Gate:
    """The gate, and what former requests of this very intent say: not again, or once more."""
    if gate.verdict not in {Verdict.APPROVAL, Verdict.SPLIT}:
        return gate
    same = [one for one in past.of(change) if request_matching.same_intent(one, change, there)]
    match to_past(same):
        case RefilePolicy.NONE:
            return gate
        case RefilePolicy.ONCE_MORE:
            note = joined(f"filed once more: {_ended(same[-1])}", gate.note)
            return replace(gate, request_plan=RequestPlan.FILE_AGAIN, note=note)
        case RefilePolicy.NEVER:
            rejected = next((one for one in reversed(same) if one.state == "rejected"), None)
            last = rejected or same[-1]
            return replace(
                gate,
                verdict=Verdict.REJECTED,
                change_request=last.id,
                request_plan=RequestPlan.EXHAUSTED if rejected is None else None,
                bypassed_policies=(),
                note=joined("" if rejected is not None else _EXHAUSTED, _ended(last), gate.note),
            )


_EXHAUSTED: Final = "it was asked twice, and ran out or could not be applied both times"


def _ended(request: ChangeRequest) -> str:
    """How a request of the same intent ended, with what people or PostHog said to it."""
    said = f"{messages.request(request, None)} proposed the same"
    against = [vote for vote in request.votes if not vote.approved]
    if against:
        last = against[-1]
        said += f"; {last.person} rejected it" + (f": {last.reason}" if last.reason else "")
    if error := request.payload.get("apply_error"):
        said += f"; PostHog could not apply it: {error}"
    return said
