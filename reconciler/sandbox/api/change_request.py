"""Change requests (contract 7): read, approved, rejected, canceled; never created here."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol.errors import forbidden, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import check_query_integer, parse_uuid
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.rules import apply_request
from reconciler.sandbox.rules.change_requests import (
    can_cancel,
    is_approver,
    list_votes,
    read_quorum,
    render_request,
)
from reconciler.sandbox.rules.products.scheduled_changes import is_scheduled
from reconciler.sandbox.store.model import ChangeRequest, Vote
from reconciler.sandbox.store.tables import dump_json
from reconciler.sandbox.store.transaction import Clause

_EXACT = ("action_key", "resource_type", "resource_id")


def list_requests(call: Call) -> Response:
    """List a project's change requests, newest first (contract 7.6)."""
    clauses: list[Clause] = [("project = ?", (call.project.id,))]
    if state := call.get_query("state"):
        states = [word.strip() for word in state.split(",")]
        clauses.append((f"state IN ({', '.join('?' * len(states))})", states))
    clauses += [(f"{name} = ?", (value,)) for name in _EXACT if (value := call.get_query(name))]
    if call.profile.name == "g1" and (kind := call.get_query("action_type")):
        clauses.append(("action_key = ?", (kind,)))
    if requester := call.get_query("requester"):
        clauses.append(("created_by = ?", (check_query_integer(requester, "requester"),)))
    envelope, requests = read_page(call, ChangeRequest, clauses)
    return make_page(envelope, [render_request(call, request) for request in requests])


def retrieve_request(call: Call) -> Response:
    """Return one change request."""
    return Response(200, render_request(call, _find_request(call)))


def approve_request(call: Call) -> Response:
    """Vote for a change request; the vote that completes the quorum applies it (contract 7.4)."""
    request = _find_request(call)
    _require_approver(call, request)
    if (refusal := _refuse_second_vote(call, request)) is not None:
        return refusal
    _record_vote(call, request, "approved", _read_reason(call))
    approvals = sum(1 for vote in list_votes(call.tx, request.id) if vote.decision == "approved")
    needed = read_quorum(request)
    if approvals < needed:
        touched = call.tx.update(replace(request, updated_at=call.tx.at))
        message = f"Approval recorded. {approvals}/{needed} approvals received."
        return _answer_decision(call, "approved", message, touched)
    if is_scheduled(call.tx, request):
        waiting = call.tx.update(replace(request, state="approved", updated_at=call.tx.at))
        message = "Quorum reached. Change approved and will be applied at its scheduled time."
        return _answer_decision(call, "approved", message, waiting)
    outcome = apply_request.apply_request(call, replace(request, state="approved"))
    done = outcome.request
    if outcome.failure is not None:
        message = f"Quorum reached but application failed: {outcome.failure}"
        return _answer_decision(call, "failed", message, done)
    message = "Quorum reached. Change applied successfully."
    return _answer_decision(call, "applied", message, done, result=done.result_data)


def reject_request(call: Call) -> Response:
    """Vote against a change request, with a reason; one such vote ends it."""
    request = _find_request(call)
    _require_approver(call, request)
    reason = _read_reason(call)
    if not reason:
        return _make_bare_error(400, "A reason is required for rejection.")
    if (refusal := _refuse_second_vote(call, request)) is not None:
        return refusal
    _record_vote(call, request, "rejected", reason)
    done = call.tx.update(replace(request, state="rejected", updated_at=call.tx.at))
    return _answer_decision(call, "rejected", "Change request rejected.", done)


def cancel_request(call: Call) -> Response:
    """Cancel one's own change request; its state becomes `rejected` (contract 7.3)."""
    request = _find_request(call)
    cast = list_votes(call.tx, request.id)
    if not can_cancel(call.profile, request, cast, call.user.id):
        raise forbidden(_explain_cancel_refusal(call, request))
    if any(vote.user == call.user.id for vote in cast):
        # the vote is unique per user, and PostHog does not check for an earlier one
        return _make_bare_error(500, "An error occurred while canceling the request.")
    _record_vote(call, request, "rejected", _read_reason(call, default="Canceled by requester"))
    done = call.tx.update(replace(request, state="rejected", updated_at=call.tx.at))
    return _answer_decision(call, "canceled", "Change request canceled.", done)


def _explain_cancel_refusal(call: Call, request: ChangeRequest) -> str:
    if call.profile.blocks_cancel_after_approval:
        return "You cannot cancel this change request"
    if request.created_by != call.user.id:
        return "You can only cancel your own change requests"
    return "Only pending change requests can be canceled"


def _require_approver(call: Call, request: ChangeRequest) -> None:
    """Check the three rules of contract 7.4, in their order; reject has the messages of approve."""
    if request.state != "pending":
        raise forbidden("Only pending change requests can be approved")
    own = request.created_by == call.user.id
    if own and not request.policy_snapshot.get("allow_self_approve"):
        raise forbidden("You cannot approve your own change request")
    if not is_approver(call.tx, call.user.id, request):
        raise forbidden("You are not in the approver set for this change request")


def _read_reason(call: Call, *, default: str = "") -> str:
    """Return the reason as sent, blank or not, or the default if there is none."""
    reason = call.data.get("reason") if isinstance(call.data, dict) else None
    if reason is None:
        return default
    return reason if isinstance(reason, str) else dump_json(reason) if reason else ""


def _refuse_second_vote(call: Call, request: ChangeRequest) -> Response | None:
    if any(vote.user == call.user.id for vote in list_votes(call.tx, request.id)):
        return _make_bare_error(400, "You have already voted on this change request.")
    return None


def _record_vote(call: Call, request: ChangeRequest, decision: str, reason: str) -> None:
    tx = call.tx
    tx.insert(Vote(tx.make_uuid(), request.id, call.user.id, decision, tx.at, reason))


def _make_bare_error(status: int, error: str) -> Response:
    return Response(status, {"error": error})


def _answer_decision(
    call: Call, status: str, message: str, request: ChangeRequest, *, result: Any = None
) -> Response:
    """Answer a decision; its `status` is not the request's state (contract 0, fact 7)."""
    rendered = render_request(call, request)
    if call.profile.bare_decisions:
        return Response(200, rendered)
    body = {"status": status, "message": message, "change_request": rendered}
    return Response(200, {**body, "result": result} if result is not None else body)


def _find_request(call: Call) -> ChangeRequest:
    identity = parse_uuid(call.params["id"])
    request = call.tx.get(ChangeRequest, identity) if identity else None
    if request is None or request.project != call.project.id:
        raise not_found()
    return request


def _make_route(method: str, path: str, name: str, view: View) -> Route:
    scope = "approvals:read" if method == "GET" else "approvals:write"
    return Route(method, path, f"change_requests.{name}", view, scope, feature="approvals")


_COLLECTION = "/api/projects/:project/change_requests"
_ITEM = f"{_COLLECTION}/:id"
ROUTES = (
    _make_route("GET", _COLLECTION, "list", list_requests),
    _make_route("GET", _ITEM, "retrieve", retrieve_request),
    _make_route("POST", f"{_ITEM}/approve", "approve", approve_request),
    _make_route("POST", f"{_ITEM}/reject", "reject", reject_request),
    _make_route("POST", f"{_ITEM}/cancel", "cancel", cancel_request),
)
