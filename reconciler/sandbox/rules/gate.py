"""The approval gate on flag writes (contract 5): which policy requires approval, and the response.

Deliberately written from the contract, independently of the client's forecast of it.
"""

from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol.errors import server_error
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import conditions, flags, gate_answers
from reconciler.sandbox.rules.change_requests import (
    NewRequest,
    file_request,
    withhold_payloads,
)
from reconciler.sandbox.rules.gated_changes import (
    DISABLE,
    ENABLE,
    RELEASE,
    UPDATE,
    DetectedChange,
    FlagWrite,
    detect_change,
    find_family,
)
from reconciler.sandbox.rules.products import flag_owners
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_with_offset
from reconciler.sandbox.store.model import ChangeRequest, Policy


@dataclass(frozen=True, slots=True)
class GatedAction:
    """An action that the write performs, with its policies: those of the project first."""

    detected: DetectedChange
    policies: tuple[Policy, ...]

    @property
    def policy(self) -> Policy:
        """Return the policy that decides."""
        return self.policies[0]


def check_write(call: Call, attempt: FlagWrite, *, first_only: bool = False) -> Response | None:
    """Return None when the write may be applied, otherwise its 409 or 400 (contract 5.1).

    `first_only`: of several actions only the first counts, as for scheduled changes (contract 18).
    """
    if not call.organization.has("approvals"):
        return None
    held = _find_gated_actions(call, attempt)
    if not held:
        return None
    if len(held) > 1 and call.profile.refuses_several_actions and not first_only:
        return gate_answers.refuse_several_actions(call, [action.policy for action in held])
    return _decide(call, attempt, held[0])


def _decide(call: Call, attempt: FlagWrite, first: GatedAction) -> Response | None:
    """Decide about the only gated action (contract 5.1, steps 7 to 11)."""
    if _count_matching(first) > 1:
        return gate_answers.refuse_several_policies(call, first.policies)
    if bypasses(call, first.policy) or not _conditions_hold(first.policy, first.detected):
        return None
    _refuse_stale_editor(call, attempt, first.detected)
    open_request = _find_open_request(call, attempt, first.detected.action_key)
    if open_request is not None:
        return gate_answers.answer_pending(call, open_request)
    return _file_request(call, attempt, first)


# -- which actions and policies


def _find_gated_actions(call: Call, attempt: FlagWrite) -> list[GatedAction]:
    kept = []
    for kind, action_key in find_family(call, attempt.flag).items():
        policies = find_policies(call, action_key)
        if policies:
            detected = detect_change(call, attempt, kind, policies)
            if detected is not None:
                kept.append(GatedAction(detected, policies))
    return kept


def find_policies(call: Call, action_key: str) -> tuple[Policy, ...]:
    """Return the enabled policies of an action: those of the project, then of the organization."""
    wanted = {"action_key": action_key, "enabled": True}
    own = call.tx.find_all(Policy, project=call.project.id, **wanted)
    wide = call.tx.find_all(Policy, organization=call.organization.id, project=None, **wanted)
    return (*own, *wide)


def _count_matching(held: GatedAction) -> int:
    """Count the policies whose conditions hold; several are a conflict (contract 5.1, step 7)."""
    scopes = {policy.project for policy in held.policies}
    if len(scopes) == 1:
        return 1
    return sum(1 for policy in held.policies if _conditions_hold(policy, held.detected))


def _conditions_hold(policy: Policy, detected: DetectedChange) -> bool:
    before, after = detected.positions
    crash = "active" if detected.kind in (ENABLE, DISABLE) else ""
    exact = RELEASE if detected.exact else ""
    return conditions.are_met(
        policy.conditions, before=before, after=after, crash=crash, exact=exact
    )


def bypasses(call: Call, policy: Policy) -> bool:
    """Return whether the caller has exactly a bypass level, or any bypass role (contract 5.1)."""
    levels = {str(level) for level in policy.bypass_org_membership_levels}  # G1 may keep text
    if str(call.level) in levels:
        return True
    held = people.find_role_ids(call.tx, call.user.id, call.organization.id)
    return bool(held & set(policy.bypass_roles))


def _refuse_stale_editor(call: Call, attempt: FlagWrite, detected: DetectedChange) -> None:
    """Refuse to file what an editor resends of an older version (contract 5.9).

    Raises:
        ApiError: 409 `conflict`; nothing is filed.
    """
    flag, version = attempt.flag, attempt.data.get("version")
    if not call.profile.gates_targeting or flag is None or RELEASE not in detected.after:
        return
    original = attempt.data.get("original_flag")
    if type(version) is int and version < flag.version and isinstance(original, dict) and original:
        raise flags.make_version_conflict(call.tx, flag)


# -- the responses


def _find_open_request(call: Call, attempt: FlagWrite, action_key: str) -> ChangeRequest | None:
    """Return the open request for the resource; without its id, for the flag or key (5.4)."""
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
        is_open = request.state in ("pending", "approved") and request.id != attempt.replaces
        if is_open and _is_about(request, attempt):
            return request
    return None


def _is_about(request: ChangeRequest, attempt: FlagWrite) -> bool:
    if attempt.resource is not None:
        return True
    if attempt.flag is not None:
        return bool(request.intent.get("flag_id") == attempt.flag.id)
    return request.intent.get("flag_id") is None and request.flag_key == attempt.key


def _file_request(call: Call, attempt: FlagWrite, held: GatedAction) -> Response:
    owner = None
    if call.profile.knows_owners and attempt.flag is not None:
        owner = flag_owners.find_owner(call.tx, attempt.flag) or flag_owners.UNOWNED
    new = NewRequest(
        action_key=held.detected.action_key,
        resource_type="feature_flag",
        resource_id=attempt.resource,
        intent=withhold_payloads(call, _make_intent(call, attempt, held.detected)),
        owner_kind=owner,
    )
    try:
        request = file_request(call, new, held.policy)
    except OverflowError as error:
        raise server_error("Failed to create approval request") from error
    return gate_answers.answer_filed(call, request, held.policy)


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
    if detected.kind == UPDATE:
        intent["triggered_paths"] = detected.list_triggered_paths()
    intent["full_request_data"] = dict(full)
    intent["preconditions"] = {
        "version": flag.version if flag else None,
        "updated_at": format_with_offset(flag.updated_at) if flag else None,
    }
    if normalized:
        intent["skip_opportunistic_filter_cleanup"] = not attempt.tidies
    return intent
