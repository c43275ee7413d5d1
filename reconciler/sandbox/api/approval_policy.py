"""Approval policies (contract 3)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_any,
    check_boolean,
    check_duration,
    check_uuid,
    make_list_check,
    make_text_check,
    parse_uuid,
    read_fields,
)
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.rules.experiment_policies import EXPERIMENT_KEYS, are_hidden
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ADMIN, Policy, Role
from reconciler.sandbox.store.transaction import Clause, Transaction

_LONGEST_KEY = 128
_TAKEN = "A policy for this action already exists. You can edit the existing policy instead."


def _check_list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        kind = type(value).__name__
        detail = f'Expected a list of items but got type "{kind}".'
        raise invalid(detail, name, code="not_a_list")
    return value


WRITABLE = (
    Field("action_key", make_text_check(longest=_LONGEST_KEY), required=True),
    Field("conditions", check_any),
    Field("approver_config", check_any, required=True),
    Field("allow_self_approve", check_boolean),
    Field("bypass_org_membership_levels", _check_list),
    Field("bypass_roles", make_list_check(check_uuid)),
    Field("expires_after", check_duration),
    Field("enabled", check_boolean),
)


def list_policies(call: Call) -> Response:
    """List a project's policies, newest first, without those of the organization."""
    clauses: list[Clause] = [("project = ?", (call.project.id,))]
    if are_hidden(call.profile, call.organization):
        marks = ", ".join("?" * len(EXPERIMENT_KEYS))
        clauses.append((f"action_key NOT IN ({marks})", tuple(EXPERIMENT_KEYS)))
    if (key := call.get_query("action_key")) is not None:
        clauses.append(("action_key = ?", (key,)))
    if (enabled := call.get_query("enabled")) is not None:
        clauses.append(("enabled = ?", (enabled.lower() == "true",)))
    envelope, policies = read_page(call, Policy, clauses)
    return make_page(envelope, [render_policy(call.tx, policy) for policy in policies])


def create_policy(call: Call) -> Response:
    """Create a policy."""
    tx = call.tx
    if isinstance(call.data, dict) and isinstance(key := call.data.get("action_key"), str):
        _require_free_action(call, key, None)  # before any other check, as in PostHog
    values = _validate_body(call, partial=False)
    _require_free_action(call, values["action_key"], None)
    policy = tx.insert(
        Policy(
            id=tx.make_uuid(),
            organization=call.organization.id,
            project=call.project.id,
            created_at=tx.at,
            updated_at=tx.at,
            created_by=call.user.id,
            **values,
        )
    )
    return Response(201, render_policy(tx, policy))


def retrieve_policy(call: Call) -> Response:
    """Return one policy."""
    return Response(200, render_policy(call.tx, _find_policy(call)))


def update_policy(call: Call) -> Response:
    """Change a policy. Open change requests keep their snapshot (contract 3.7)."""
    policy = _find_policy(call)
    put = call.incoming.method == "PUT"
    values = _validate_body(call, partial=not put)
    if put:
        values.setdefault("bypass_roles", [])  # a PUT without it sets the default (contract 3.1)
    if "action_key" in values:
        _require_free_action(call, values["action_key"], policy.id)
    changed = call.tx.update(replace(policy, **values, updated_at=call.tx.at))
    return Response(200, render_policy(call.tx, changed))


def delete_policy(call: Call) -> Response:
    """Delete a policy. Open change requests stay as they are."""
    call.tx.delete(_find_policy(call))
    return Response(204)


def _validate_body(call: Call, *, partial: bool) -> dict[str, Any]:
    values = read_fields(call.data, WRITABLE, partial=partial)
    if call.profile.reserves_action_keys and not call.organization.owner_scoping:
        _refuse_reserved(values.get("action_key"))
    return _check_policy(values, call.profile, roles=lambda ids: _check_bypass_roles(call, ids))


def _refuse_reserved(action_key: Any) -> None:
    """Refuse an action of experiments, whose policies are internal copies (contract 3.8)."""
    if isinstance(action_key, str) and action_key in EXPERIMENT_KEYS:
        raise invalid("This approval action isn't available yet.", "action_key")


def _check_policy(values: dict[str, Any], profile: Profile, *, roles: Any = None) -> dict[str, Any]:
    """Apply the rules beyond a field's type, and the conversions of contract 3.1."""
    if "approver_config" in values:
        _require_quorum(values["approver_config"], profile)
    if "bypass_org_membership_levels" in values and profile.converts_levels:
        values["bypass_org_membership_levels"] = _convert_levels(
            values["bypass_org_membership_levels"]
        )
    if "bypass_roles" in values and roles is not None:
        values["bypass_roles"] = roles(values["bypass_roles"])
    return values


def _require_quorum(config: Any, profile: Profile) -> None:
    """Refuse a config or quorum of the wrong type, with 400 instead of 500 (contract 3.1)."""
    if not isinstance(config, dict):
        raise invalid("Approver config must be an object.", "approver_config")
    if not profile.checks_quorum:
        return
    quorum = config.get("quorum")
    if isinstance(quorum, bool) or not isinstance(quorum, int | float | None):
        raise invalid("Quorum must be a number.", "approver_config")
    if quorum is None or quorum < 1:
        raise invalid("Quorum must be at least 1", "approver_config")


def _convert_levels(values: list[Any]) -> list[int]:
    try:
        return [int(level) for level in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid(
            "All membership levels must be integers", "bypass_org_membership_levels"
        ) from error


def _check_bypass_roles(call: Call, ids: list[str]) -> list[str]:
    wanted = list(dict.fromkeys(ids))
    roles = {role_id: call.tx.get(Role, role_id) for role_id in wanted}
    missing = [role_id for role_id, role in roles.items() if role is None]
    if missing:
        raise invalid(f"Roles do not exist: {', '.join(missing)}", "bypass_roles")
    foreign = [
        role.name for role in roles.values() if role and role.organization != call.organization.id
    ]
    if foreign:
        detail = f"Roles must belong to the same organization: {', '.join(foreign)}"
        raise invalid(detail, "bypass_roles")
    return wanted


def _require_free_action(call: Call, action_key: str, own: str | None) -> None:
    """Refuse a second policy for an action of a project (contract 3.3)."""
    if action_key in EXPERIMENT_KEYS and are_hidden(call.profile, call.organization):
        return
    taken = call.tx.find_first(Policy, project=call.project.id, action_key=action_key)
    if taken is not None and taken.id != own:
        raise invalid(_TAKEN)


def _find_policy(call: Call) -> Policy:
    identity = parse_uuid(call.params["id"])
    policy = call.tx.get(Policy, identity) if identity else None
    if policy is None or policy.project != call.project.id:
        raise not_found()
    if policy.action_key in EXPERIMENT_KEYS and are_hidden(call.profile, call.organization):
        raise not_found()
    return policy


def render_policy(tx: Transaction, policy: Policy) -> dict[str, Any]:
    """Return a policy as the API shows it."""
    return {
        "id": policy.id,
        "action_key": policy.action_key,
        "conditions": policy.conditions,
        "approver_config": policy.approver_config,
        "allow_self_approve": policy.allow_self_approve,
        "bypass_org_membership_levels": policy.bypass_org_membership_levels,
        "bypass_roles": policy.bypass_roles,
        "expires_after": policy.expires_after,
        "enabled": policy.enabled,
        "created_by": people.render_user(tx, policy.created_by),
        "created_at": format_time(policy.created_at),
        "updated_at": format_time(policy.updated_at),
    }


def _make_route(method: str, path: str, name: str, view: View) -> Route:
    read = method == "GET"
    return Route(
        method,
        path,
        f"approval_policies.{name}",
        view,
        "approvals:read" if read else "approvals:write",
        level=0 if read else ADMIN,
        feature="approvals",
    )


_COLLECTION = "/api/projects/:project/approval_policies"
_ITEM = f"{_COLLECTION}/:id"
ROUTES = (
    _make_route("GET", _COLLECTION, "list", list_policies),
    _make_route("POST", _COLLECTION, "create", create_policy),
    _make_route("GET", _ITEM, "retrieve", retrieve_policy),
    _make_route("PATCH", _ITEM, "update", update_policy),
    _make_route("PUT", _ITEM, "update", update_policy),
    _make_route("DELETE", _ITEM, "delete", delete_policy),
)
