"""Change requests: filing, who may approve or cancel, rendering (contract 7.1, 7.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol import durations
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.rules.release_conditions import describe_paths
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest, Flag, Policy, Project, Vote
from reconciler.sandbox.store.tables import get_fields
from reconciler.sandbox.store.transaction import Transaction

_VERBS = {
    "feature_flag.enable": "Enable feature flag",
    "feature_flag.disable": "Disable feature flag",
    "feature_flag.update": "Update rollout of feature flag",
    "experiment.launch": "Launch experiment of feature flag",
    "experiment.pause": "Pause experiment of feature flag",
    "experiment.update": "Change the variant split of an experiment",
}


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What a request is about."""

    action_key: str
    resource_type: str
    resource_id: str | None
    intent: dict[str, Any]
    display: dict[str, Any] | None = None  # None: that of a flag
    owner_kind: str | None = None


def file_request(call: Call, new: NewRequest, policy: Policy) -> ChangeRequest:
    """File a request, with a copy of the policy as it is now.

    Raises:
        OverflowError: it would expire after the last possible date.
    """
    tx = call.tx
    lasts = durations.parse_duration(policy.expires_after)
    if lasts is None:
        raise OverflowError(policy.expires_after)
    return tx.insert(
        ChangeRequest(
            id=tx.make_uuid(),
            project=call.project.id,
            action_key=new.action_key,
            resource_type=new.resource_type,
            resource_id=new.resource_id,
            intent=new.intent,
            intent_display=new.display
            or _describe_intent(call.profile, new.intent, new.action_key),
            policy_snapshot=make_snapshot(policy),
            created_at=tx.at,
            updated_at=tx.at,
            expires_at=clock.format_stored(tx.now + lasts),
            validated_at=tx.at,
            created_by=call.user.id,
            owner_kind=new.owner_kind,
        )
    )


def make_snapshot(policy: Policy) -> dict[str, Any]:
    """Return what a request copies from its policy (contract 7.1)."""
    config = policy.approver_config
    return {
        "quorum": config.get("quorum", 1),
        "users": config.get("users", []),
        "roles": config.get("roles", []),
        "allow_self_approve": policy.allow_self_approve,
        "conditions": policy.conditions or {},
        "bypass_org_membership_levels": policy.bypass_org_membership_levels,
        "bypass_roles": policy.bypass_roles,
    }


def _describe_intent(profile: Profile, intent: dict[str, Any], action_key: str) -> dict[str, Any]:
    verb = _VERBS.get(action_key, action_key)
    update = "triggered_paths" in intent
    whole = profile.replays_normalized and not update
    description = f"{verb} {intent['flag_key']}"
    if update and profile.gates_targeting:
        described = describe_paths(intent["triggered_paths"], intent)
        description = described if action_key == "feature_flag.update" else f"{verb}: {described}"
    display = {
        "description": description,
        "before": intent["current_state"],
        "after": intent["full_request_data"] if whole else intent["gated_changes"],
    }
    return {**display, "triggered_paths": intent["triggered_paths"]} if update else display


def is_approver(tx: Transaction, user: int, request: ChangeRequest) -> bool:
    """Return whether a user may approve: the snapshot's lists, with today's role members."""
    users, roles = request.policy_snapshot.get("users"), request.policy_snapshot.get("roles")
    if isinstance(users, list) and any(
        approver == user and approver is not True for approver in users
    ):
        return True
    if not isinstance(roles, list):
        return False
    project = tx.require(Project, request.project)
    held = people.find_role_ids(tx, user, project.organization)
    return bool(held & {role for role in roles if isinstance(role, str)})


def read_quorum(request: ChangeRequest) -> int | float:
    """Return how many approvals are needed."""
    wanted = request.policy_snapshot.get("quorum")
    return wanted if isinstance(wanted, int | float) else 1


def list_votes(tx: Transaction, request: str) -> list[Vote]:
    """Return the votes on a request, oldest first."""
    return tx.find_all(Vote, change_request=request)


def can_cancel(profile: Profile, request: ChangeRequest, cast: list[Vote], user: int) -> bool:
    """Return whether a user may cancel: own, pending, in G2 without approvals (contract 7.4)."""
    if request.created_by != user or request.state != "pending":
        return False
    if not profile.blocks_cancel_after_approval or request.validation_status == "stale":
        return True
    return all(vote.decision != "approved" for vote in cast)


def render_request(
    call: Call, request: ChangeRequest, *, anonymous: bool = False
) -> dict[str, Any]:
    """Return a request as the API shows it; inside a 409 without a viewer (contract 0.8)."""
    tx = call.tx
    cast = list_votes(tx, request.id)
    rendered = get_fields(request)
    del rendered["project"], rendered["owner_kind"]
    for name in ("created_by", "applied_by"):
        rendered[name] = people.render_user(tx, rendered[name])
    for name in ("created_at", "updated_at", "expires_at", "applied_at", "validated_at"):
        rendered[name] = format_time(rendered[name])
    rendered["approvals"] = [_render_vote(tx, vote) for vote in cast]
    _redact_secrets(call, request, rendered)
    return {
        **rendered,
        **(_ANONYMOUS_VIEWER if anonymous else _render_viewer_fields(call, request, cast)),
    }


def _redact_secrets(call: Call, request: ChangeRequest, rendered: dict[str, Any]) -> None:
    """Redact an encrypted flag's payloads, which are applied but not shown (contract 7.2)."""
    intent = rendered["intent"]
    rendered["intent"] = {
        name: value for name, value in intent.items() if name != "encrypted_payloads"
    }
    full = request.intent.get("full_request_data")
    if not isinstance(full, dict) or not isinstance(full.get("filters"), dict):
        return
    if not call.profile.shows_payloads:
        flag = call.tx.get(Flag, request.intent.get("flag_id"))
        secret = full.get("has_encrypted_payloads") or (
            flag is not None and flag.has_encrypted_payloads
        )
        if secret:
            rendered["intent"]["full_request_data"] = _redact_change(full)
    elif call.tx.settings.withhold_payloads and _holds_secrets(call.tx, request.intent):
        rendered["intent"]["full_request_data"] = _redact_change(full)
        display = rendered["intent_display"]
        rendered["intent_display"] = {**display, "after": _redact_change(display.get("after"))}


def _redact_change(change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(change.get("filters"), dict):
        return change
    return {**change, "filters": flag_filters.redact_payloads(change["filters"])}


def _holds_secrets(tx: Transaction, intent: Mapping[str, Any]) -> bool:
    """Return whether the payloads of a request are secret: it says so itself, or the flag does."""
    marker = intent["full_request_data"].get("has_encrypted_payloads")
    if marker is not None or intent.get("flag_id") is None:
        return bool(marker)
    flag = tx.get(Flag, intent["flag_id"])
    return flag is None or bool(flag.has_encrypted_payloads)


def withhold_payloads(call: Call, intent: dict[str, Any]) -> dict[str, Any]:
    """Return an intent as it is stored: secret payloads encrypted, if they are withheld."""
    full = intent["full_request_data"]
    if not (call.profile.shows_payloads and call.tx.settings.withhold_payloads):
        return intent
    if not isinstance(full.get("filters"), dict) or not _holds_secrets(call.tx, intent):
        return intent
    encrypted = flag_filters.encrypt_payloads(full["filters"])
    if not encrypted:
        return intent
    return {**intent, "full_request_data": _redact_change(full), "encrypted_payloads": encrypted}


_ANONYMOUS_VIEWER = {
    "can_approve": False,
    "can_cancel": False,
    "is_requester": False,
    "user_decision": None,
}


def _render_viewer_fields(call: Call, request: ChangeRequest, cast: list[Vote]) -> dict[str, Any]:
    user = call.user.id
    own_decisions = [vote.decision for vote in cast if vote.user == user]
    requester = request.created_by == user
    allowed = not requester or bool(request.policy_snapshot.get("allow_self_approve"))
    return {
        "can_approve": allowed and is_approver(call.tx, user, request),
        "can_cancel": can_cancel(call.profile, request, cast, user),
        "is_requester": requester,
        "user_decision": own_decisions[0] if own_decisions else None,
    }


def _render_vote(tx: Transaction, vote: Vote) -> dict[str, Any]:
    return {
        "id": vote.id,
        "created_by": people.render_user(tx, vote.user),
        "decision": vote.decision,
        "reason": vote.reason,
        "created_at": format_time(vote.created_at),
    }
