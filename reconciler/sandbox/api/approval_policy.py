"""Approval policies (contract 3)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ADMIN, Policy, Role
from reconciler.sandbox.store.transaction import Clause, Transaction

_LONGEST_KEY = 128
_RESERVED = ("experiment.launch", "experiment.pause", "experiment.update")
_TAKEN = "A policy for this action already exists. You can edit the existing policy instead."


def _plain_list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        kind = type(value).__name__
        detail = f'Expected a list of items but got type "{kind}".'
        raise invalid(detail, name, code="not_a_list")
    return value


WRITABLE = (
    validators.Field("action_key", validators.text(longest=_LONGEST_KEY), required=True),
    validators.Field("conditions", validators.anything),
    validators.Field("approver_config", validators.anything, required=True),
    validators.Field("allow_self_approve", validators.boolean),
    validators.Field("bypass_org_membership_levels", _plain_list),
    validators.Field("bypass_roles", validators.listing(validators.uuid)),
    validators.Field("expires_after", validators.duration),
    validators.Field("enabled", validators.boolean),
)


def list_policies(call: Call) -> Answer:
    """A project's policies, newest first; organization-wide ones are never shown."""
    clauses: list[Clause] = [("project = ?", (call.project.id,))]
    if (key := call.query("action_key")) is not None:
        clauses.append(("action_key = ?", (key,)))
    if (enabled := call.query("enabled")) is not None:
        clauses.append(("enabled = ?", (enabled.lower() == "true",)))
    envelope, found = paged(call, Policy, clauses)
    return page_answer(envelope, [shape(call.tx, one) for one in found])


def create(call: Call) -> Answer:
    """A new policy."""
    tx = call.tx
    if isinstance(call.data, dict) and isinstance(key := call.data.get("action_key"), str):
        _need_free(call, key, None)  # before anything else is looked at, as in PostHog
    values = _checked(call, partial=False)
    _need_free(call, values["action_key"], None)
    policy = tx.insert(
        Policy(
            id=tx.uuid(),
            organization=call.organization.id,
            project=call.project.id,
            created_at=tx.at,
            updated_at=tx.at,
            created_by=call.user.id,
            **values,
        )
    )
    return Answer(201, shape(tx, policy))


def retrieve(call: Call) -> Answer:
    """One policy."""
    return Answer(200, shape(call.tx, _of_path(call)))


def update(call: Call) -> Answer:
    """Change a policy. Open change requests keep their snapshot (contract 3.7)."""
    policy = _of_path(call)
    put = call.incoming.method == "PUT"
    values = _checked(call, partial=not put)
    if put:
        values.setdefault("bypass_roles", [])  # its default applies, a trap of PUT (3.1)
    if "action_key" in values:
        _need_free(call, values["action_key"], policy.id)
    changed = call.tx.update(replace(policy, **values, updated_at=call.tx.at))
    return Answer(200, shape(call.tx, changed))


def delete(call: Call) -> Answer:
    """Delete a policy. Open change requests stay as they are."""
    call.tx.delete(_of_path(call))
    return Answer(204)


def _checked(call: Call, *, partial: bool) -> dict[str, Any]:
    values = validators.read(call.data, WRITABLE, partial=partial)
    return checked(values, call.profile, roles=lambda ids: _bypass(call, ids))


def checked(values: dict[str, Any], profile: Profile, *, roles: Any = None) -> dict[str, Any]:
    """The rules beyond a field's type, and the normalizations of contract 3.1."""
    if profile.reserves_action_keys and values.get("action_key") in _RESERVED:
        raise invalid("This approval action isn't available yet.", "action_key")
    if "approver_config" in values:
        _need_quorum(values["approver_config"], profile)
    if "bypass_org_membership_levels" in values and profile.converts_levels:
        values["bypass_org_membership_levels"] = _levels(values["bypass_org_membership_levels"])
    if "bypass_roles" in values and roles is not None:
        values["bypass_roles"] = roles(values["bypass_roles"])
    return values


def _need_quorum(config: Any, profile: Profile) -> None:
    """PostHog fails with 500 on what is no object or no number; here it is a 400 (3.1)."""
    if not isinstance(config, dict):
        raise invalid("Approver config must be an object.", "approver_config")
    if not profile.checks_quorum:
        return
    quorum = config.get("quorum")
    if isinstance(quorum, bool) or not isinstance(quorum, int | float | None):
        raise invalid("Quorum must be a number.", "approver_config")
    if quorum is None or quorum < 1:
        raise invalid("Quorum must be at least 1", "approver_config")


def _levels(values: list[Any]) -> list[int]:
    try:
        return [int(one) for one in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid(
            "All membership levels must be integers", "bypass_org_membership_levels"
        ) from error


def _bypass(call: Call, ids: list[str]) -> list[str]:
    wanted = list(dict.fromkeys(ids))
    found = {one: call.tx.get(Role, one) for one in wanted}
    missing = [one for one, role in found.items() if role is None]
    if missing:
        raise invalid(f"Roles do not exist: {', '.join(missing)}", "bypass_roles")
    strange = [
        role.name for role in found.values() if role and role.organization != call.organization.id
    ]
    if strange:
        detail = f"Roles must belong to the same organization: {', '.join(strange)}"
        raise invalid(detail, "bypass_roles")
    return wanted


def _need_free(call: Call, action_key: str, own: str | None) -> None:
    """At most one policy per action key and project (contract 3.3)."""
    taken = call.tx.first(Policy, project=call.project.id, action_key=action_key)
    if taken is not None and taken.id != own:
        raise invalid(_TAKEN)


def _of_path(call: Call) -> Policy:
    identity = validators.as_uuid(call.params["id"])
    policy = call.tx.get(Policy, identity) if identity else None
    if policy is None or policy.project != call.project.id:
        raise not_found()
    return policy


def shape(tx: Transaction, policy: Policy) -> dict[str, Any]:
    """A policy as the API shows it."""
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
        "created_by": people.basic(tx, policy.created_by),
        "created_at": shown(policy.created_at),
        "updated_at": shown(policy.updated_at),
    }


def _route(method: str, path: str, name: str, view: View) -> Route:
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


_MANY = "/api/projects/:project/approval_policies"
_ONE = f"{_MANY}/:id"
ROUTES = (
    _route("GET", _MANY, "list", list_policies),
    _route("POST", _MANY, "create", create),
    _route("GET", _ONE, "retrieve", retrieve),
    _route("PATCH", _ONE, "update", update),
    _route("PUT", _ONE, "update", update),
    _route("DELETE", _ONE, "delete", delete),
)
