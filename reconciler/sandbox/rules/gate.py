"""The approval gate on flag writes (contract 5): which policy requires approval, and the response.

Deliberately written from the contract, independently of the client's forecast of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol.errors import invalid, server_error
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import conditions, flag_filters
from reconciler.sandbox.rules.change_requests import file_request, is_approver, render_request
from reconciler.sandbox.rules.flag_filters import Position
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_with_offset
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest, Flag, Policy

ENABLE, DISABLE, UPDATE = "feature_flag.enable", "feature_flag.disable", "feature_flag.update"
_FULL = [{"path": "groups[0].rollout_percentage", "value": 100}]
_FILED = "A change request has been created and is pending approval"
_PENDING = "A pending approval request already exists for this action"


@dataclass(frozen=True, slots=True)
class FlagWrite:
    """A flag write that passed validation and has not happened yet."""

    flag: Flag | None
    key: str
    values: Mapping[str, Any]  # validated and normalized
    data: Mapping[str, Any]  # as sent
    method: str = "PATCH"
    tidies: bool = True  # whether the save drops what older versions kept in filters (contract 9.2)

    @property
    def resource(self) -> str | None:
        """Return the flag's id as text, or None for a create."""
        return str(self.flag.id) if self.flag is not None else None


@dataclass(frozen=True, slots=True)
class DetectedChange:
    """The part of a write that one action is about: its fields before and after."""

    action_key: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def positions(self) -> tuple[Mapping[str, list[Position]], Mapping[str, list[Position]]]:
        """Return what conditions evaluate; enable and disable supply nothing (contract 4)."""
        if self.action_key == UPDATE:
            return self.before, self.after
        return {}, {}


@dataclass(frozen=True, slots=True)
class GatedAction:
    """An action that the write performs, with its policies: those of the project first."""

    detected: DetectedChange
    policies: tuple[Policy, ...]

    @property
    def policy(self) -> Policy:
        """Return the policy that decides."""
        return self.policies[0]


def check_write(call: Call, attempt: FlagWrite) -> Response | None:
    """Return None when the write may be applied, otherwise its 409 or 400 (contract 5.1)."""
    if not call.organization.has("approvals"):
        return None
    held = _find_gated_actions(call, attempt)
    if not held:
        return None
    if len(held) > 1 and call.profile.refuses_several_actions:
        return _refuse_several_actions(call, held)
    return _decide(call, attempt, held[0])


def _decide(call: Call, attempt: FlagWrite, first: GatedAction) -> Response | None:
    """Decide about the only gated action (contract 5.1, steps 7 to 11)."""
    if _count_matching(first) > 1:
        return _refuse_several_policies(call, first)
    if _bypasses(call, first.policy) or not _conditions_hold(first.policy, first.detected):
        return None
    open_request = _find_open_request(call, attempt, first.detected.action_key)
    if open_request is not None:
        return _answer_pending(call, open_request)
    return _file_request(call, attempt, first)


# -- which actions and policies


def _find_gated_actions(call: Call, attempt: FlagWrite) -> list[GatedAction]:
    kept = []
    for action_key in (ENABLE, DISABLE, UPDATE):
        policies = _find_policies(call, action_key)
        if policies:
            detected = _detect(call.profile, attempt, action_key, policies)
            if detected is not None:
                kept.append(GatedAction(detected, policies))
    return kept


def _find_policies(call: Call, action_key: str) -> tuple[Policy, ...]:
    wanted = {"action_key": action_key, "enabled": True}
    own = call.tx.find_all(Policy, project=call.project.id, **wanted)
    wide = call.tx.find_all(Policy, organization=call.organization.id, project=None, **wanted)
    return (*own, *wide)


def _detect(
    profile: Profile, attempt: FlagWrite, action_key: str, policies: tuple[Policy, ...]
) -> DetectedChange | None:
    """Return the change that an action is about, if the write makes it (contract 5.2)."""
    if attempt.flag is None and not profile.gates_creates:
        return None
    if action_key == UPDATE:
        return _detect_update(profile, attempt, policies)
    active = attempt.values.get("active", True if attempt.flag is None else None)
    before = attempt.flag.active if attempt.flag is not None else False
    target = action_key == ENABLE
    if active is not target or before is target:
        return None
    if attempt.flag is None and not target:
        return None
    return DetectedChange(action_key, {"active": before}, {"active": target})


def _detect_update(
    profile: Profile, attempt: FlagWrite, policies: tuple[Policy, ...]
) -> DetectedChange | None:
    flag, sent = attempt.flag, attempt.data.get("filters")
    if not sent:
        if flag is not None or not attempt.values.get("is_remote_configuration"):
            return None
        return DetectedChange(UPDATE, {"rollout_percentage": []}, {"rollout_percentage": _FULL})
    filters = attempt.values.get("filters")
    old = flag_filters.find_rollouts(flag.filters, profile) if flag is not None else []
    new = flag_filters.find_rollouts(filters, profile)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if _differ(old, new):
        before["rollout_percentage"], after["rollout_percentage"] = old, new
    if profile.knows_release_conditions and any(_selects_release(policy) for policy in policies):
        was = flag_filters.find_release_conditions(flag.filters) if flag is not None else []
        becomes = flag_filters.find_release_conditions(filters)
        if _differ(was, becomes):
            before["release_conditions"], after["release_conditions"] = was, becomes
    return DetectedChange(UPDATE, before, after) if after else None


def _selects_release(policy: Policy) -> bool:
    chosen = policy.conditions
    return isinstance(chosen, dict) and chosen.get("field") == "release_conditions"


def _differ(old: list[Position], new: list[Position]) -> bool:
    return {position["path"]: position["value"] for position in old} != {
        position["path"]: position["value"] for position in new
    }


def _count_matching(held: GatedAction) -> int:
    """Count the policies whose conditions hold; several are a conflict (contract 5.1, step 7)."""
    scopes = {policy.project for policy in held.policies}
    if len(scopes) == 1:
        return 1
    return sum(1 for policy in held.policies if _conditions_hold(policy, held.detected))


def _conditions_hold(policy: Policy, detected: DetectedChange) -> bool:
    before, after = detected.positions
    crash = "active" if detected.action_key in (ENABLE, DISABLE) else ""
    return conditions.are_met(policy.conditions, before=before, after=after, crash=crash)


def _bypasses(call: Call, policy: Policy) -> bool:
    """Return whether the caller has exactly a bypass level, or any bypass role (contract 5.1)."""
    levels = {str(level) for level in policy.bypass_org_membership_levels}  # G1 may keep text
    if str(call.level) in levels:
        return True
    held = people.find_role_ids(call.tx, call.user.id, call.organization.id)
    return bool(held & set(policy.bypass_roles))


# -- the responses


def _find_open_request(call: Call, attempt: FlagWrite, action_key: str) -> ChangeRequest | None:
    """Return the open request for the resource; for a create, for its key (contract 5.4)."""
    if call.fault_effect.race:
        return None
    requests = call.tx.find_all(
        ChangeRequest,
        project=call.project.id,
        action_key=action_key,
        resource_type="feature_flag",
        resource_id=attempt.resource,
    )
    for request in requests:
        if request.state in ("pending", "approved") and (
            attempt.flag is not None or request.flag_key == attempt.key
        ):
            return request
    return None


def _make_body(code: str, message: str, request: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the serializer form (contract 5.3): `status` is approval_required in both cases."""
    return {
        "code": code,
        "status": "approval_required",
        "detail": message,
        "message": message,
        "resource_type": request["resource_type"],
        "resource_id": request["resource_id"],
        "change_request_id": request["id"],
        "change_request": request,
        **more,
    }


def _answer_pending(call: Call, request: ChangeRequest) -> Response:
    rendered = render_request(call, request, anonymous=True)
    body = _make_body("change_request_pending", _PENDING, rendered, required_approvers={})
    return Response(409, body)


def _file_request(call: Call, attempt: FlagWrite, held: GatedAction) -> Response:
    policy = held.policy
    try:
        request = file_request(
            call, _make_intent(call, attempt, held.detected), held.detected.action_key, policy
        )
    except OverflowError as error:
        raise server_error("Failed to create approval request") from error
    others = not policy.allow_self_approve and is_approver(call.tx, call.user.id, request)
    message = f"{_FILED} from others." if others else f"{_FILED}."
    body = _make_body(
        "approval_required",
        message,
        render_request(call, request, anonymous=True),
        required_approvers=policy.approver_config,
    )
    return Response(409, body)


def _make_intent(call: Call, attempt: FlagWrite, detected: DetectedChange) -> dict[str, Any]:
    """Return what the request stores of the write (contract 7.2)."""
    flag = attempt.flag
    normalized = call.profile.replays_normalized
    full = attempt.values if normalized else attempt.data
    intent: dict[str, Any] = {
        "flag_id": flag.id if flag else None,
        "flag_key": attempt.key,
        "http_method": attempt.method,
        "current_state": dict(detected.before),
        "gated_changes": dict(detected.after),
    }
    if detected.action_key == UPDATE:
        intent["triggered_paths"] = _list_triggered_paths(detected)
    intent["full_request_data"] = dict(full)
    intent["preconditions"] = {
        "version": flag.version if flag else None,
        "updated_at": format_with_offset(flag.updated_at) if flag else None,
    }
    if normalized:
        intent["skip_opportunistic_filter_cleanup"] = not attempt.tidies
    return intent


def _list_triggered_paths(detected: DetectedChange) -> list[str]:
    paths: list[str] = []
    for name, new in detected.after.items():
        old = {position["path"]: position["value"] for position in detected.before[name]}
        now = {position["path"]: position["value"] for position in new}
        paths += [path for path in now if path not in old or old[path] != now[path]]
        paths += [path for path in old if path not in now]
    return paths


def _refuse_several_actions(call: Call, held: list[GatedAction]) -> Response:
    """Refuse several actions at once (contract 5.1, step 6), before bypass and conditions."""
    listed = [
        {**_name_policy(call, action.policy), "action_key": action.policy.action_key}
        for action in held
    ]
    return _refuse_conflict(call, "This change requires approval under multiple policies", listed)


def _refuse_several_policies(call: Call, held: GatedAction) -> Response:
    """Refuse a write that a project's and an organization's policy match (contract 5.1)."""
    listed = [_name_policy(call, policy) for policy in held.policies]
    return _refuse_conflict(call, "This change matches multiple approval policies", listed)


def _name_policy(call: Call, policy: Policy) -> dict[str, Any]:
    scope = f"Team {policy.project}" if policy.project else f"Org {call.organization.id}"
    return {"id": policy.id, "name": f"ApprovalPolicy({policy.action_key}, {scope})"}


def _refuse_conflict(call: Call, error: str, listed: list[dict[str, Any]]) -> Response:
    if not call.profile.bare_conflict:
        raise invalid("policy_conflict", "code")
    return Response(
        400,
        {
            "code": "policy_conflict",
            "error": error,
            "conflicting_policies": listed,
            "guidance": "Split your changes into separate API calls to address each policy"
            " independently",
        },
    )
