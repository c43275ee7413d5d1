"""Change requests as values: filing one, who may decide it, how it is shown (contract 7.1, 7.4)."""

from typing import Any

from reconciler.sandbox.protocol import durations
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest, Flag, Policy, Project, Vote
from reconciler.sandbox.store.tables import plain
from reconciler.sandbox.store.transaction import Transaction

_VERBS = {
    "feature_flag.enable": "Enable feature flag",
    "feature_flag.disable": "Disable feature flag",
    "feature_flag.update": "Update rollout of feature flag",
}


def file(call: Call, intent: dict[str, Any], action_key: str, policy: Policy) -> ChangeRequest:
    """Put a request on file, with the policy as it is now frozen into it.

    Raises:
        OverflowError: it would expire after the end of time.
    """
    tx = call.tx
    lasts = durations.parse(policy.expires_after)
    if lasts is None:
        raise OverflowError(policy.expires_after)
    return tx.insert(
        ChangeRequest(
            id=tx.uuid(),
            project=call.project.id,
            action_key=action_key,
            resource_id=str(intent["flag_id"]) if intent["flag_id"] is not None else None,
            intent=intent,
            intent_display=_display(call.profile, intent, action_key),
            policy_snapshot=snapshot(policy),
            created_at=tx.at,
            updated_at=tx.at,
            expires_at=clock.stamp(tx.now + lasts),
            validated_at=tx.at,
            created_by=call.user.id,
        )
    )


def snapshot(policy: Policy) -> dict[str, Any]:
    """What of a policy a request carries for its life (contract 7.1)."""
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


def _display(profile: Profile, intent: dict[str, Any], action_key: str) -> dict[str, Any]:
    verb = _VERBS.get(action_key, action_key)
    update = "triggered_paths" in intent
    whole = profile.replays_normalized and not update
    display = {
        "description": f"{verb} {intent['flag_key']}",
        "before": intent["current_state"],
        "after": intent["full_request_data"] if whole else intent["gated_changes"],
    }
    return {**display, "triggered_paths": intent["triggered_paths"]} if update else display


def approves(tx: Transaction, user: int, request: ChangeRequest) -> bool:
    """Whether a user is in the approver set: the snapshot's lists, role membership of now."""
    users, roles = request.policy_snapshot.get("users"), request.policy_snapshot.get("roles")
    if isinstance(users, list) and any(one == user and one is not True for one in users):
        return True
    if not isinstance(roles, list):
        return False
    project = tx.known(Project, request.project)
    held = people.roles(tx, user, project.organization)
    return bool(held & {one for one in roles if isinstance(one, str)})


def quorum(request: ChangeRequest) -> int | float:
    """How many approvals are needed."""
    wanted = request.policy_snapshot.get("quorum")
    return wanted if isinstance(wanted, int | float) else 1


def votes(tx: Transaction, request: str) -> list[Vote]:
    """The votes on a request, oldest first."""
    return tx.find(Vote, change_request=request)


def may_cancel(profile: Profile, request: ChangeRequest, cast: list[Vote], user: int) -> bool:
    """Only the requester, only while pending, and in G2 not over an approval (contract 7.4)."""
    if request.created_by != user or request.state != "pending":
        return False
    if not profile.blocks_cancel_after_approval or request.validation_status == "stale":
        return True
    return all(one.decision != "approved" for one in cast)


def shape(call: Call, request: ChangeRequest, *, anonymous: bool = False) -> dict[str, Any]:
    """A request as the API shows it; inside a 409 as if to nobody (section 0, fact 8)."""
    tx = call.tx
    cast = votes(tx, request.id)
    shaped = plain(request)
    del shaped["project"]
    for name in ("created_by", "applied_by"):
        shaped[name] = people.basic(tx, shaped[name])
    for name in ("created_at", "updated_at", "expires_at", "applied_at", "validated_at"):
        shaped[name] = shown(shaped[name])
    shaped["approvals"] = [_vote(tx, one) for one in cast]
    _cover_secrets(tx, request, shaped)
    return {**shaped, **(_NOBODY if anonymous else _viewer(call, request, cast))}


def _cover_secrets(tx: Transaction, request: ChangeRequest, shaped: dict[str, Any]) -> None:
    """An encrypted flag's payloads are replayed, but not shown (contract 7.2)."""
    full = request.intent.get("full_request_data")
    if not isinstance(full, dict) or not isinstance(full.get("filters"), dict):
        return
    flag = tx.get(Flag, request.intent.get("flag_id"))
    if full.get("has_encrypted_payloads") or (flag is not None and flag.has_encrypted_payloads):
        covered = {**full, "filters": flag_filters.redacted(full["filters"])}
        shaped["intent"] = {**shaped["intent"], "full_request_data": covered}


_NOBODY = {"can_approve": False, "can_cancel": False, "is_requester": False, "user_decision": None}


def _viewer(call: Call, request: ChangeRequest, cast: list[Vote]) -> dict[str, Any]:
    user = call.user.id
    mine = [one.decision for one in cast if one.user == user]
    requester = request.created_by == user
    allowed = not requester or bool(request.policy_snapshot.get("allow_self_approve"))
    return {
        "can_approve": allowed and approves(call.tx, user, request),
        "can_cancel": may_cancel(call.profile, request, cast, user),
        "is_requester": requester,
        "user_decision": mine[0] if mine else None,
    }


def _vote(tx: Transaction, vote: Vote) -> dict[str, Any]:
    return {
        "id": vote.id,
        "created_by": people.basic(tx, vote.user),
        "decision": vote.decision,
        "reason": vote.reason,
        "created_at": shown(vote.created_at),
    }
