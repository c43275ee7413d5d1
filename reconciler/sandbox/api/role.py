"""Roles (contract 8.1)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.api import role_membership
from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import Field, make_text_check, parse_uuid, read_fields
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ADMIN, Policy, Role, RoleMember

_LONGEST_NAME = 200
WRITABLE = (Field("name", make_text_check(longest=_LONGEST_NAME), required=True),)


def list_roles(call: Call) -> Response:
    """List the roles of an organization, oldest first."""
    clauses = [("organization = ?", (call.organization.id,))]
    envelope, roles = read_page(call, Role, list(clauses), order="seq")
    return make_page(envelope, [render_role(call, role) for role in roles])


def create_role(call: Call) -> Response:
    """Create a role without members."""
    values = read_fields(call.data, WRITABLE, partial=False)
    _require_free_name(call, values["name"], None)
    role = call.tx.insert(
        Role(
            id=call.tx.make_uuid(),
            organization=call.organization.id,
            created_at=call.tx.at,
            **values,
        )
    )
    _log_change(call, role, "created")
    return Response(201, render_role(call, role))


def _require_free_name(call: Call, name: str, own: str | None) -> None:
    """Refuse a name that the organization has, in any case."""
    for other in call.tx.find_all(Role, organization=call.organization.id):
        if other.id != own and other.name.lower() == name.lower():
            raise invalid("There is already a role with this name.", "name", code="unique")


def retrieve_role(call: Call) -> Response:
    """Return one role."""
    return Response(200, render_role(call, find_role(call)))


def update_role(call: Call) -> Response:
    """Rename a role."""
    role = find_role(call)
    values = read_fields(call.data, WRITABLE, partial=call.incoming.method == "PATCH")
    if "name" in values:
        _require_free_name(call, values["name"], role.id)
    changed = call.tx.update(replace(role, **values))
    _log_change(call, changed, "updated", role)
    return Response(200, render_role(call, changed))


def delete_role(call: Call) -> Response:
    """Delete a role. Its id stays behind in approver lists and snapshots, as in PostHog."""
    tx, role = call.tx, find_role(call)
    for held in tx.find_all(RoleMember, role=role.id):
        tx.delete(held)
    for policy in tx.find_all(Policy, organization=role.organization):
        if role.id in policy.bypass_roles:
            kept = [role_id for role_id in policy.bypass_roles if role_id != role.id]
            tx.update(replace(policy, bypass_roles=kept))
    if call.organization.default_role_id == role.id:
        tx.update(replace(call.organization, default_role_id=None))
    people.drop_access_rules(tx, role.organization, subject="role", identity=role.id)
    tx.delete(role)
    _log_change(call, role, "deleted")
    return Response(204)


def find_role(call: Call) -> Role:
    """Return the role that the path names."""
    identity = parse_uuid(call.params["role"])
    role = call.tx.get(Role, identity) if identity else None
    if role is None or role.organization != call.organization.id:
        raise not_found()
    return role


def _log_change(call: Call, role: Role, kind: str, before: Role | None = None) -> None:
    activity.record_entry(
        call.tx,
        call.actor,
        kind,
        activity.list_changes("Role", before, role, ("name",)),
        scope="Role",
        item=(role.id, role.name),
        organization=role.organization,
    )


def render_role(call: Call, role: Role) -> dict[str, Any]:
    """Return a role as the API shows it, with the members the caller may see (contract 8.4)."""
    seen = people.find_visible_users(call.tx, call.organization, call.membership)
    held = role_membership.list_role_members(call.tx, role.id)
    author = role.created_by if seen is None or role.created_by in seen else None
    return {
        "id": role.id,
        "name": role.name,
        "created_at": format_time(role.created_at),
        "created_by": people.render_user(call.tx, author),
        "members": [
            role_membership.render_membership(call, held)
            for held in held
            if seen is None or held.user in seen
        ],
        "is_default": call.organization.default_role_id == role.id,
    }


_COLLECTION = "/api/organizations/:organization/roles"
_ITEM = f"{_COLLECTION}/:role"
ROUTES = (
    Route("GET", _COLLECTION, "roles.list", list_roles, "organization:read"),
    Route("POST", _COLLECTION, "roles.create", create_role, "organization:write", level=ADMIN),
    Route("GET", _ITEM, "roles.retrieve", retrieve_role, "organization:read"),
    Route("PATCH", _ITEM, "roles.update", update_role, "organization:write", level=ADMIN),
    Route("PUT", _ITEM, "roles.update", update_role, "organization:write", level=ADMIN),
    Route("DELETE", _ITEM, "roles.delete", delete_role, "organization:write", level=ADMIN),
)
