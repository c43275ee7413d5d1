"""What the gate answers: approval required, already pending, policies in conflict (contract 5)."""

from typing import Any

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules.change_requests import is_approver, render_request
from reconciler.sandbox.store.model import ChangeRequest, Policy

_FILED = "A change request has been created and is pending approval"
_PENDING = "A pending approval request already exists for this action"
_SPLIT = "Split your changes into separate API calls to address each policy independently"


def answer_filed(
    call: Call, request: ChangeRequest, policy: Policy, *, of_view: bool = False
) -> Response:
    """Return 409 `approval_required`; the form of a view has no `detail` (contract 5.3)."""
    others = not policy.allow_self_approve and is_approver(call.tx, call.user.id, request)
    message = f"{_FILED} from others." if others else f"{_FILED}."
    body = _make_body(call, "approval_required", message, request)
    if of_view:
        del body["detail"]
    return Response(409, {**body, "required_approvers": policy.approver_config})


def answer_pending(call: Call, request: ChangeRequest, *, of_view: bool = False) -> Response:
    """Return 409 `change_request_pending`, in the form of a serializer or of a view."""
    body = _make_body(call, "change_request_pending", _PENDING, request)
    if not of_view:
        return Response(409, {**body, "required_approvers": {}})
    rendered = body.pop("change_request")
    kept = ("code", "resource_type", "resource_id", "change_request_id")
    shown = {name: body[name] for name in kept}
    return Response(409, {**shown, "error": _PENDING, "existing_change_request": rendered})


def _make_body(call: Call, code: str, message: str, request: ChangeRequest) -> dict[str, Any]:
    """Return the serializer form (contract 5.3): `status` is approval_required in both cases."""
    rendered = render_request(call, request, anonymous=True)
    return {
        "code": code,
        "status": "approval_required",
        "detail": message,
        "message": message,
        "resource_type": rendered["resource_type"],
        "resource_id": rendered["resource_id"],
        "change_request_id": rendered["id"],
        "change_request": rendered,
    }


def refuse_several_actions(call: Call, policies: list[Policy]) -> Response:
    """Refuse several actions at once (contract 5.1, step 6), before bypass and conditions."""
    listed = [
        {**_name_policy(call, policy), "action_key": policy.action_key} for policy in policies
    ]
    return _refuse_conflict(call, "This change requires approval under multiple policies", listed)


def refuse_several_policies(call: Call, policies: tuple[Policy, ...]) -> Response:
    """Refuse a write that a project's and an organization's policy match (contract 5.1)."""
    listed = [_name_policy(call, policy) for policy in policies]
    return _refuse_conflict(call, "This change matches multiple approval policies", listed)


def _name_policy(call: Call, policy: Policy) -> dict[str, Any]:
    scope = f"Team {policy.project}" if policy.project else f"Org {call.organization.id}"
    return {"id": policy.id, "name": f"ApprovalPolicy({policy.action_key}, {scope})"}


def _refuse_conflict(call: Call, error: str, listed: list[dict[str, Any]]) -> Response:
    if not call.profile.bare_conflict:
        raise invalid("policy_conflict", "code")
    body = {"code": "policy_conflict", "error": error, "conflicting_policies": listed}
    return Response(400, {**body, "guidance": _SPLIT})
