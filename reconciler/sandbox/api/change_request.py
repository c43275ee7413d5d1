"""Change requests (contract 7): read, approved, rejected, canceled; never created here."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import forbidden, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.rules import apply_request
from reconciler.sandbox.rules.change_requests import approves, may_cancel, quorum, shape, votes
from reconciler.sandbox.store.model import ChangeRequest, Vote
from reconciler.sandbox.store.tables import dump
from reconciler.sandbox.store.transaction import Clause

_EXACT = ("action_key", "resource_type", "resource_id")


def list_requests(call: Call) -> Answer:
    """A project's change requests, newest first (contract 7.6)."""
    clauses: list[Clause] = [("project = ?", (call.project.id,))]
    if state := call.query("state"):
        states = [word.strip() for word in state.split(",")]
        clauses.append((f"state IN ({', '.join('?' * len(states))})", states))
    clauses += [(f"{name} = ?", (value,)) for name in _EXACT if (value := call.query(name))]
    if call.profile.name == "g1" and (kind := call.query("action_type")):
        clauses.append(("action_key = ?", (kind,)))
    if requester := call.query("requester"):
        clauses.append(("created_by = ?", (validators.query_integer(requester, "requester"),)))
    envelope, found = paged(call, ChangeRequest, clauses)
    return page_answer(envelope, [shape(call, one) for one in found])


def retrieve(call: Call) -> Answer:
    """One change request."""
    return Answer(200, shape(call, _of_path(call)))


def approve(call: Call) -> Answer:
    """Vote for a change request; the vote that completes the quorum applies it (contract 7.4)."""
    request = _of_path(call)
    _need_approver(call, request)
    if (refusal := _voted(call, request)) is not None:
        return refusal
    _vote(call, request, "approved", _reason(call))
    approvals = sum(1 for one in votes(call.tx, request.id) if one.decision == "approved")
    needed = quorum(request)
    if approvals < needed:
        touched = call.tx.update(replace(request, updated_at=call.tx.at))
        message = f"Approval recorded. {approvals}/{needed} approvals received."
        return _decided(call, "approved", message, touched)
    done = apply_request.apply(call, replace(request, state="approved"))
    if done.state == "failed":
        message = f"Quorum reached but application failed: {done.apply_error}"
        return _decided(call, "failed", message, done)
    message = "Quorum reached. Change applied successfully."
    return _decided(call, "applied", message, done, result=done.result_data)


def reject(call: Call) -> Answer:
    """Vote against a change request, with a reason; one such vote ends it."""
    request = _of_path(call)
    _need_approver(call, request)
    reason = _reason(call)
    if not reason:
        return _bare(400, "A reason is required for rejection.")
    if (refusal := _voted(call, request)) is not None:
        return refusal
    _vote(call, request, "rejected", reason)
    done = call.tx.update(replace(request, state="rejected", updated_at=call.tx.at))
    return _decided(call, "rejected", "Change request rejected.", done)


def cancel(call: Call) -> Answer:
    """Take back one's own change request; it becomes `rejected` (contract 7.3)."""
    request = _of_path(call)
    cast = votes(call.tx, request.id)
    if not may_cancel(call.profile, request, cast, call.user.id):
        raise forbidden(_cancel_refusal(call, request))
    if any(one.user == call.user.id for one in cast):
        # the vote is unique per user, and PostHog does not look before it leaps
        return _bare(500, "An error occurred while canceling the request.")
    _vote(call, request, "rejected", _reason(call, default="Canceled by requester"))
    done = call.tx.update(replace(request, state="rejected", updated_at=call.tx.at))
    return _decided(call, "canceled", "Change request canceled.", done)


def _cancel_refusal(call: Call, request: ChangeRequest) -> str:
    if call.profile.blocks_cancel_after_approval:
        return "You cannot cancel this change request"
    if request.created_by != call.user.id:
        return "You can only cancel your own change requests"
    return "Only pending change requests can be canceled"


def _need_approver(call: Call, request: ChangeRequest) -> None:
    """The three checks of contract 7.4, in their order; reject has the words of approve."""
    if request.state != "pending":
        raise forbidden("Only pending change requests can be approved")
    own = request.created_by == call.user.id
    if own and not request.policy_snapshot.get("allow_self_approve"):
        raise forbidden("You cannot approve your own change request")
    if not approves(call.tx, call.user.id, request):
        raise forbidden("You are not in the approver set for this change request")


def _reason(call: Call, *, default: str = "") -> str:
    """The reason as it was given, blank or not; the default stands for none at all."""
    reason = call.data.get("reason") if isinstance(call.data, dict) else None
    if reason is None:
        return default
    return reason if isinstance(reason, str) else dump(reason) if reason else ""


def _voted(call: Call, request: ChangeRequest) -> Answer | None:
    if any(one.user == call.user.id for one in votes(call.tx, request.id)):
        return _bare(400, "You have already voted on this change request.")
    return None


def _vote(call: Call, request: ChangeRequest, decision: str, reason: str) -> None:
    tx = call.tx
    tx.insert(Vote(tx.uuid(), request.id, call.user.id, decision, tx.at, reason))


def _bare(status: int, error: str) -> Answer:
    return Answer(status, {"error": error})


def _decided(
    call: Call, status: str, message: str, request: ChangeRequest, *, result: Any = None
) -> Answer:
    """The answer to a decision; its `status` is not the request's state (section 0, fact 7)."""
    shaped = shape(call, request)
    if call.profile.bare_decisions:
        return Answer(200, shaped)
    body = {"status": status, "message": message, "change_request": shaped}
    return Answer(200, {**body, "result": result} if result is not None else body)


def _of_path(call: Call) -> ChangeRequest:
    identity = validators.as_uuid(call.params["id"])
    request = call.tx.get(ChangeRequest, identity) if identity else None
    if request is None or request.project != call.project.id:
        raise not_found()
    return request


def _route(method: str, path: str, name: str, view: View) -> Route:
    scope = "approvals:read" if method == "GET" else "approvals:write"
    return Route(method, path, f"change_requests.{name}", view, scope, feature="approvals")


_MANY = "/api/projects/:project/change_requests"
_ONE = f"{_MANY}/:id"
ROUTES = (
    _route("GET", _MANY, "list", list_requests),
    _route("GET", _ONE, "retrieve", retrieve),
    _route("POST", f"{_ONE}/approve", "approve", approve),
    _route("POST", f"{_ONE}/reject", "reject", reject),
    _route("POST", f"{_ONE}/cancel", "cancel", cancel),
)
