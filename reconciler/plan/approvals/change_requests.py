"""Decide what existing change requests mean for a change: wait, replace, block, or file again.

The server is the only record of requests. The same change is never requested twice at a time, a
request of another user is never touched, and a request with votes is never cancelled.
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
    Awaited,
    Change,
    ChangeRequest,
    Confidence,
    Gate,
    Live,
    LiveResource,
    RequestPlan,
    Verdict,
    join_sentences,
)
from reconciler.plan.approvals import messages, request_matching, staleness
from reconciler.plan.approvals.evaluation import CallEvaluation, GateEvaluator
from reconciler.plan.approvals.policies import Policy, Scope

SPENT: Final = frozenset({"expired", "failed"})  # ended without a rejection: filed once more
_MAX_TRIES: Final = 2


class OpenRequestAction(Enum):
    """What to do about an open request on an object that is to be written."""

    WAIT = "wait for it: it proposes what the files want"
    REPLACE = "cancel it and file another: this key's user filed it, without votes or a schedule"
    BLOCK = "write nothing: people have to decide or cancel it"


class RefilePolicy(Enum):
    """What past requests of the same intent mean for filing it again."""

    NONE = "file it"
    ONCE_MORE = "file it once more, and report that"
    NEVER = "do not file it until the document changes"


def decide_open_request(
    request: ChangeRequest, *, has_same_intent: bool, stale: bool, me: int | None
) -> OpenRequestAction:
    """Return what to do about an open request before a write to its object.

    Args:
        request: open, on this object; an unknown state counts as open.
        has_same_intent: whether it proposes what the files want, and nothing else.
        stale: whether the object has changed since, so that it can never be applied.
        me: the user ID of this key, if it is known.

    """
    if has_same_intent and not stale:
        return OpenRequestAction.WAIT
    is_own = me is not None and request.requester_id == me
    is_kept = bool(request.votes) or (bool(request.scheduled_at) and not stale)
    return OpenRequestAction.REPLACE if is_own and not is_kept else OpenRequestAction.BLOCK


def decide_refiling(requests: Iterable[ChangeRequest]) -> RefilePolicy:
    """Return whether to file a request again, after the past ones of the same intent."""
    spent = 0
    for request in requests:
        if request.state == "rejected":
            return RefilePolicy.NEVER
        spent += request.state in SPENT
    if spent >= _MAX_TRIES:
        return RefilePolicy.NEVER
    return RefilePolicy.ONCE_MORE if spent else RefilePolicy.NONE


class RequestIndex:
    """Change requests by their object, oldest first: of two equal ones apply waits for the first.

    A flag is found by its id, or by its key as long as it does not exist (contract 5.4).
    """

    def __init__(self, requests: Iterable[ChangeRequest], live: Live) -> None:
        self.live = live
        self._requests: dict[tuple[str, Scope, str, str], list[ChangeRequest]] = defaultdict(list)
        for request in sorted(requests, key=lambda r: (str(r.payload.get("created_at")), r.id)):
            kind, scope = request.kind, (request.organization, request.project)
            self._requests[kind, scope, "key", request.name].append(request)
            if request.resource_id is not None:
                self._requests[kind, scope, "id", request.resource_id].append(request)

    def find_for(self, change: Change) -> list[ChangeRequest]:
        """Return the requests that are about the object of this change."""
        place = (change.address.kind, change.address.parts[:-1])
        if change.action is Action.CREATE:
            candidates = self._requests.get((*place, "key", change.address.name), [])
        else:
            candidates = self._requests.get((*place, "id", change.live_id or ""), [])
        return [request for request in candidates if request_matching.is_about(request, change)]


def find_open_gate(
    requests: RequestIndex,
    change: Change,
    live_resource: LiveResource | None,
    evaluator: GateEvaluator,
    evaluations: tuple[CallEvaluation, ...],
) -> Gate | None:
    """Return the gate of an open request on this object: another write would make it stale."""
    classified = _classify_requests(requests, change, live_resource, evaluator.me)
    if not classified:
        return None
    waits = [request for request, action in classified if action is OpenRequestAction.WAIT]
    blocking = [request for request, action in classified if action is not OpenRequestAction.WAIT]
    request = (blocking or waits)[0]
    if blocking:
        return _build_conflicting_gate(requests, request, change, live_resource, evaluator)
    gate = build_request_gate(request, evaluator, stale=_is_stale(requests, request, live_resource))
    duplicates = [
        duplicate.id for duplicate in waits[1:] if duplicate.action_key == request.action_key
    ]
    if duplicates:
        note = f"two concurrent runs filed the same request; also {', '.join(duplicates)}"
        gate = replace(gate, note=join_sentences(gate.note, note))
    evaluation = next(
        (
            evaluation
            for evaluation in evaluations
            if evaluation.action_match.action == request.action_key
        ),
        None,
    )
    return replace(gate, condition=evaluation.condition if evaluation is not None else None)


def _build_conflicting_gate(
    requests: RequestIndex,
    request: ChangeRequest,
    change: Change,
    live_resource: LiveResource | None,
    evaluator: GateEvaluator,
) -> Gate:
    """Return the gate of a request for something else: apply replaces it, or it blocks."""
    stale = _is_stale(requests, request, live_resource)
    if list_superseded(requests, change, live_resource, evaluator.me):
        gate = build_request_gate(request, evaluator, stale=stale, replaced=True)
        return replace(
            gate,
            verdict=Verdict.BLOCKED,
            request_plan=RequestPlan.REPLACE,
            note=join_sentences(_REPLACED_NOTE, gate.note),
        )
    reason = _BLOCKED_NOTE
    voted_by = ", ".join(dict.fromkeys(vote.person for vote in request.votes))
    if voted_by and evaluator.me is not None and request.requester_id == evaluator.me:
        reason += f"; this key's user filed it, but it is kept because of the vote of {voted_by}"
    if request.scheduled_at:
        reason += "; to write before that time, delete the scheduled change in PostHog"
    gate = build_request_gate(request, evaluator, stale=stale)
    return replace(gate, verdict=Verdict.BLOCKED, note=join_sentences(reason, gate.note))


_REPLACED_NOTE: Final = (
    "an open request of this key's own user proposes something else, or can no longer be applied, "
    "and has no votes: apply cancels it"
)
_BLOCKED_NOTE: Final = (
    "an open request proposes something else, or can no longer be applied; any write would make it "
    "stale"
)


def _classify_requests(
    requests: RequestIndex, change: Change, live_resource: LiveResource | None, me: int | None
) -> list[tuple[ChangeRequest, OpenRequestAction]]:
    """Return every open request on the object, oldest first, and what to do about it."""
    open_requests = [
        request
        for request in requests.find_for(change)
        if request_matching.is_open_on_object(request, change)
    ]
    return [
        (
            request,
            decide_open_request(
                request,
                has_same_intent=request_matching.has_same_intent(request, change, live_resource),
                stale=_is_stale(requests, request, live_resource),
                me=me,
            ),
        )
        for request in open_requests
    ]


def list_superseded(
    requests: RequestIndex, change: Change, live_resource: LiveResource | None, me: int | None
) -> tuple[str, ...]:
    """Return the open requests to cancel before a change; none unless all can be cancelled."""
    classified = _classify_requests(requests, change, live_resource, me)
    if any(action is not OpenRequestAction.REPLACE for _, action in classified):
        return ()
    return tuple(request.id for request, _ in classified)


def _is_stale(
    requests: RequestIndex, request: ChangeRequest, live_resource: LiveResource | None
) -> bool:
    return staleness.is_stale(request, live_resource, requests.live)


def build_request_gate(
    request: ChangeRequest, evaluator: GateEvaluator, *, stale: bool, replaced: bool = False
) -> Gate:
    """Return the gate of a request, from its snapshot of the policy (contract 7.5).

    `stale`: whether it can no longer be applied. `replaced`: whether apply will cancel it, so that
    no person has to.
    """
    scope = (request.organization, request.project)
    address = Address("ApprovalPolicy", (*scope, request.action_key))
    snapshot = request.payload.get("policy_snapshot") or {}
    policy = evaluator.policies.get(scope, {}).get(request.action_key)
    spec = policy.spec if policy is not None else {}
    frozen_policy = Policy(
        address, {**spec, "allow_self_approve": snapshot.get("allow_self_approve")}
    )
    approvers = evaluator.people.list_snapshot_approvers(
        frozen_policy, snapshot.get("users") or (), snapshot.get("roles") or ()
    )
    quorum = snapshot["quorum"] if isinstance(snapshot.get("quorum"), int) else None
    obstacles = (
        evaluator.people.find_obstacles(frozen_policy, quorum, approvers, request.requester).notes
        if snapshot
        else ()
    )
    is_own = evaluator.me is not None and request.requester_id == evaluator.me
    return Gate(
        verdict=Verdict.PENDING,
        confidence=Confidence.CERTAIN,
        policy=str(address),
        quorum=quorum,
        approvers=approvers,
        expires_after=spec.get("expires_after"),
        change_request=request.id,
        note=join_sentences(
            messages.describe_request(request, stale=stale, replaced=replaced, is_own=is_own),
            *obstacles,
        ),
        cannot_approve=_list_excluded(request, frozen_policy, approvers, evaluator),
    )


def describe_awaited(
    request: ChangeRequest,
    live_resource: LiveResource | None,
    evaluator: GateEvaluator,
    live: Live,
) -> Awaited:
    """Return who can still approve a request, who has, and why it cannot be applied."""
    stale = staleness.is_stale(request, live_resource, live)
    gate = build_request_gate(request, evaluator, stale=stale)
    cannot = {email.lower() for email in gate.cannot_approve}
    able = Approvers(
        users=tuple(email for email in gate.approvers.users if email.lower() not in cannot),
        roles={
            role: tuple(email for email in held if email.lower() not in cannot)
            for role, held in gate.approvers.roles.items()
        },
    )
    voted = tuple(vote.person for vote in request.votes if vote.approved)
    is_own = evaluator.me is not None and request.requester_id == evaluator.me
    trouble = messages.find_trouble(request, stale=stale, is_own=is_own)
    return Awaited(gate.quorum, able, voted, request.expires_at, trouble)


def _list_excluded(
    request: ChangeRequest, policy: Policy, approvers: Approvers, evaluator: GateEvaluator
) -> Mapping[str, str]:
    """Return who cannot vote and why: they are excluded, or have voted already."""
    votes = {
        vote.person.lower(): "has approved" if vote.approved else "has rejected"
        for vote in request.votes
    }
    return {**evaluator.people.list_excluded(policy, approvers, request.requester), **votes}


def apply_past_requests(
    past: RequestIndex, change: Change, live_resource: LiveResource | None, gate: Gate
) -> Gate:
    """Return the gate after the past requests of the same intent: rejected, or filed once more."""
    if gate.verdict not in {Verdict.APPROVAL, Verdict.SPLIT}:
        return gate
    same_requests = [
        request
        for request in past.find_for(change)
        if request_matching.has_same_intent(request, change, live_resource)
    ]
    match decide_refiling(same_requests):
        case RefilePolicy.NONE:
            return gate
        case RefilePolicy.ONCE_MORE:
            note = join_sentences(f"filed once more: {_describe_end(same_requests[-1])}", gate.note)
            return replace(gate, request_plan=RequestPlan.FILE_AGAIN, note=note)
        case RefilePolicy.NEVER:
            rejected = next(
                (request for request in reversed(same_requests) if request.state == "rejected"),
                None,
            )
            decisive = rejected or same_requests[-1]
            return replace(
                gate,
                verdict=Verdict.REJECTED,
                change_request=decisive.id,
                request_plan=RequestPlan.EXHAUSTED if rejected is None else None,
                bypassed_policies=(),
                note=join_sentences(
                    "" if rejected is not None else _EXHAUSTED_NOTE,
                    _describe_end(decisive),
                    gate.note,
                ),
            )


_EXHAUSTED_NOTE: Final = "it was requested twice, and expired or could not be applied both times"


def _describe_end(request: ChangeRequest) -> str:
    """Return how a request of the same intent ended, with the reasons of people or PostHog."""
    ended = messages.describe_request(request, stale=staleness.is_stale(request, None))
    text = f"{ended} proposed the same"
    rejections = [vote for vote in request.votes if not vote.approved]
    if rejections:
        rejection = rejections[-1]
        text += f"; {rejection.person} rejected it" + (
            f": {rejection.reason}" if rejection.reason else ""
        )
    if error := request.payload.get("apply_error"):
        text += f"; PostHog could not apply it: {error}"
    return text
