"""The approval gate on flag writes (contract 5): which policy holds a write back, and the answer.

Written from the contract, apart from the client's forecast of the same thing, on purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol.errors import invalid, server_error
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import conditions, flag_filters
from reconciler.sandbox.rules.change_requests import approves, file, shape
from reconciler.sandbox.rules.flag_filters import Position
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import offset_form
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest, Flag, Policy

ENABLE, DISABLE, UPDATE = "feature_flag.enable", "feature_flag.disable", "feature_flag.update"
_FULL = [{"path": "groups[0].rollout_percentage", "value": 100}]
_FILED = "A change request has been created and is pending approval"
_PENDING = "A pending approval request already exists for this action"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A flag write that passed validation and has not happened yet."""

    flag: Flag | None
    key: str
    values: Mapping[str, Any]  # validated and normalized
    data: Mapping[str, Any]  # as sent
    method: str = "PATCH"
    tidies: bool = True  # whether the save drops what older versions kept in filters (9.2)

    @property
    def resource(self) -> str | None:
        """The flag's id as text, or None for a create."""
        return str(self.flag.id) if self.flag is not None else None


@dataclass(frozen=True, slots=True)
class Detected:
    """What one action sees in an attempt: the state before and after, in its own terms."""

    action_key: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def positions(self) -> tuple[Mapping[str, list[Position]], Mapping[str, list[Position]]]:
        """What conditions are evaluated over; enable and disable supply nothing (section 4)."""
        if self.action_key == UPDATE:
            return self.before, self.after
        return {}, {}


@dataclass(frozen=True, slots=True)
class Held:
    """An action that matches, with the policies that are about it: the project's own first."""

    detected: Detected
    policies: tuple[Policy, ...]

    @property
    def policy(self) -> Policy:
        """The policy that decides."""
        return self.policies[0]


def check(call: Call, attempt: Attempt) -> Answer | None:
    """None when the write may go through; else the 409 or 400 that it gets (contract 5.1)."""
    if not call.organization.has("approvals"):
        return None
    held = _held(call, attempt)
    if not held:
        return None
    if len(held) > 1 and call.profile.refuses_several_actions:
        return _several_actions(call, held)
    return _decide(call, attempt, held[0])


def _decide(call: Call, attempt: Attempt, first: Held) -> Answer | None:
    """What follows when one action is left (steps 7 to 11)."""
    if _matching(first) > 1:
        return _several_policies(call, first)
    if _bypasses(call, first.policy) or not _met(first.policy, first.detected):
        return None
    open_request = _open_request(call, attempt, first.detected.action_key)
    if open_request is not None:
        return _pending(call, open_request)
    return _filed(call, attempt, first)


# -- which actions and policies


def _held(call: Call, attempt: Attempt) -> list[Held]:
    kept = []
    for action_key in (ENABLE, DISABLE, UPDATE):
        policies = _policies(call, action_key)
        if policies:
            detected = _detect(call.profile, attempt, action_key, policies)
            if detected is not None:
                kept.append(Held(detected, policies))
    return kept


def _policies(call: Call, action_key: str) -> tuple[Policy, ...]:
    wanted = {"action_key": action_key, "enabled": True}
    own = call.tx.find(Policy, project=call.project.id, **wanted)
    wide = call.tx.find(Policy, organization=call.organization.id, project=None, **wanted)
    return (*own, *wide)


def _detect(
    profile: Profile, attempt: Attempt, action_key: str, policies: tuple[Policy, ...]
) -> Detected | None:
    """What an action sees (contract 5.2)."""
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
    return Detected(action_key, {"active": before}, {"active": target})


def _detect_update(
    profile: Profile, attempt: Attempt, policies: tuple[Policy, ...]
) -> Detected | None:
    flag, sent = attempt.flag, attempt.data.get("filters")
    if not sent:
        if flag is not None or not attempt.values.get("is_remote_configuration"):
            return None
        return Detected(UPDATE, {"rollout_percentage": []}, {"rollout_percentage": _FULL})
    filters = attempt.values.get("filters")
    old = flag_filters.rollouts(flag.filters, profile) if flag is not None else []
    new = flag_filters.rollouts(filters, profile)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if _differ(old, new):
        before["rollout_percentage"], after["rollout_percentage"] = old, new
    if profile.knows_release_conditions and any(_selects_release(one) for one in policies):
        was = flag_filters.release_conditions(flag.filters) if flag is not None else []
        becomes = flag_filters.release_conditions(filters)
        if _differ(was, becomes):
            before["release_conditions"], after["release_conditions"] = was, becomes
    return Detected(UPDATE, before, after) if after else None


def _selects_release(policy: Policy) -> bool:
    chosen = policy.conditions
    return isinstance(chosen, dict) and chosen.get("field") == "release_conditions"


def _differ(old: list[Position], new: list[Position]) -> bool:
    return {one["path"]: one["value"] for one in old} != {one["path"]: one["value"] for one in new}


def _matching(held: Held) -> int:
    """How many policies match under their conditions; more than one is a conflict (step 7)."""
    scopes = {one.project for one in held.policies}
    if len(scopes) == 1:
        return 1
    return sum(1 for one in held.policies if _met(one, held.detected))


def _met(policy: Policy, detected: Detected) -> bool:
    before, after = detected.positions
    crash = "active" if detected.action_key in (ENABLE, DISABLE) else ""
    return conditions.met(policy.conditions, before=before, after=after, crash=crash)


def _bypasses(call: Call, policy: Policy) -> bool:
    """Exactly one of the levels, or any of the roles (step 8)."""
    levels = {str(one) for one in policy.bypass_org_membership_levels}  # G1 may keep text
    if str(call.level) in levels:
        return True
    held = people.roles(call.tx, call.user.id, call.organization.id)
    return bool(held & set(policy.bypass_roles))


# -- the answers


def _open_request(call: Call, attempt: Attempt, action_key: str) -> ChangeRequest | None:
    """The request that holds the resource; a create is known by its key (contract 5.4)."""
    if call.bend.race:
        return None
    found = call.tx.find(
        ChangeRequest,
        project=call.project.id,
        action_key=action_key,
        resource_type="feature_flag",
        resource_id=attempt.resource,
    )
    for one in found:
        if one.state in ("pending", "approved") and (
            attempt.flag is not None or one.flag_key == attempt.key
        ):
            return one
    return None


def _body(code: str, message: str, request: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The serializer form (contract 5.3): `status` says approval_required in both cases."""
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


def _pending(call: Call, request: ChangeRequest) -> Answer:
    shaped = shape(call, request, anonymous=True)
    body = _body("change_request_pending", _PENDING, shaped, required_approvers={})
    return Answer(409, body)


def _filed(call: Call, attempt: Attempt, held: Held) -> Answer:
    policy = held.policy
    try:
        request = file(
            call, _intent(call, attempt, held.detected), held.detected.action_key, policy
        )
    except OverflowError as error:
        raise server_error("Failed to create approval request") from error
    others = not policy.allow_self_approve and approves(call.tx, call.user.id, request)
    message = f"{_FILED} from others." if others else f"{_FILED}."
    body = _body(
        "approval_required",
        message,
        shape(call, request, anonymous=True),
        required_approvers=policy.approver_config,
    )
    return Answer(409, body)


def _intent(call: Call, attempt: Attempt, detected: Detected) -> dict[str, Any]:
    """What is frozen in the request (contract 7.2)."""
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
        intent["triggered_paths"] = _triggered(detected)
    intent["full_request_data"] = dict(full)
    intent["preconditions"] = {
        "version": flag.version if flag else None,
        "updated_at": offset_form(flag.updated_at) if flag else None,
    }
    if normalized:
        intent["skip_opportunistic_filter_cleanup"] = not attempt.tidies
    return intent


def _triggered(detected: Detected) -> list[str]:
    paths: list[str] = []
    for name, new in detected.after.items():
        old = {one["path"]: one["value"] for one in detected.before[name]}
        now = {one["path"]: one["value"] for one in new}
        paths += [path for path in now if path not in old or old[path] != now[path]]
        paths += [path for path in old if path not in now]
    return paths


def _several_actions(call: Call, held: list[Held]) -> Answer:
    """400: several actions at once (step 6). It comes before bypass and conditions."""
    listed = [{**_named(call, one.policy), "action_key": one.policy.action_key} for one in held]
    return _conflict(call, "This change requires approval under multiple policies", listed)


def _several_policies(call: Call, held: Held) -> Answer:
    """400: the project's and the organization's policy both match (step 7)."""
    listed = [_named(call, one) for one in held.policies]
    return _conflict(call, "This change matches multiple approval policies", listed)


def _named(call: Call, policy: Policy) -> dict[str, Any]:
    scope = f"Team {policy.project}" if policy.project else f"Org {call.organization.id}"
    return {"id": policy.id, "name": f"ApprovalPolicy({policy.action_key}, {scope})"}


def _conflict(call: Call, error: str, listed: list[dict[str, Any]]) -> Answer:
    if not call.profile.bare_conflict:
        raise invalid("policy_conflict", "code")
    return Answer(
        400,
        {
            "code": "policy_conflict",
            "error": error,
            "conflicting_policies": listed,
            "guidance": "Split your changes into separate API calls to address each policy"
            " independently",
        },
    )
