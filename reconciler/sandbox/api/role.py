"""Roles (contract 8.1)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.api import role_membership
from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import ADMIN, Policy, Role, RoleMember
from reconciler.sandbox.store.tables import plain

_LONGEST_NAME = 200
WRITABLE = (validators.Field("name", validators.text(longest=_LONGEST_NAME), required=True),)


def list_roles(call: Call) -> Answer:
    """The roles of an organization, oldest first."""
    clauses = [("organization = ?", (call.organization.id,))]
    envelope, found = paged(call, Role, list(clauses), order="seq")
    return page_answer(envelope, [shape(call, one) for one in found])


def create(call: Call) -> Answer:
    """A new role without members."""
    values = validators.read(call.data, WRITABLE, partial=False)
    _need_free(call, values["name"], None)
    role = call.tx.insert(
        Role(
            id=call.tx.uuid(),
            organization=call.organization.id,
            created_at=call.tx.at,
            **values,
        )
    )
    _log(call, role, "created", None)
    return Answer(201, shape(call, role))


def _need_free(call: Call, name: str, own: str | None) -> None:
    """Names are unique per organization, whatever their case."""
    for one in call.tx.find(Role, organization=call.organization.id):
        if one.id != own and one.name.lower() == name.lower():
            raise invalid("There is already a role with this name.", "name", code="unique")


def retrieve(call: Call) -> Answer:
    """One role."""
    return Answer(200, shape(call, of_path(call)))


def update(call: Call) -> Answer:
    """Rename a role."""
    role = of_path(call)
    values = validators.read(call.data, WRITABLE, partial=call.incoming.method == "PATCH")
    if "name" in values:
        _need_free(call, values["name"], role.id)
    changed = call.tx.update(replace(role, **values))
    _log(call, changed, "updated", role)
    return Answer(200, shape(call, changed))


def delete(call: Call) -> Answer:
    """Delete a role. Its id stays behind in approver lists and snapshots, as in PostHog."""
    tx, role = call.tx, of_path(call)
    for held in tx.find(RoleMember, role=role.id):
        tx.delete(held)
    for policy in tx.find(Policy, organization=role.organization):
        if role.id in policy.bypass_roles:
            kept = [one for one in policy.bypass_roles if one != role.id]
            tx.update(replace(policy, bypass_roles=kept))
    if call.organization.default_role_id == role.id:
        tx.update(replace(call.organization, default_role_id=None))
    tx.delete(role)
    _log(call, role, "deleted", None)
    return Answer(204)


def of_path(call: Call) -> Role:
    """The role that the path names."""
    identity = validators.as_uuid(call.params["role"])
    role = call.tx.get(Role, identity) if identity else None
    if role is None or role.organization != call.organization.id:
        raise not_found()
    return role


def _log(call: Call, role: Role, kind: str, before: Role | None) -> None:
    changed = activity.changes("Role", plain(before), plain(role), ("name",)) if before else None
    activity.record(
        call.tx,
        call.actor,
        scope="Role",
        activity=kind,
        organization=role.organization,
        project=None,
        item=role.id,
        name=role.name,
        changed=changed,
    )


def shape(call: Call, role: Role) -> dict[str, Any]:
    """Return a role as the API shows it, with the members the caller may see (contract 8.4)."""
    seen = people.visible(call.tx, call.organization, call.membership)
    held = role_membership.of_role(call.tx, role.id)
    author = role.created_by if seen is None or role.created_by in seen else None
    return {
        "id": role.id,
        "name": role.name,
        "created_at": shown(role.created_at),
        "created_by": people.basic(call.tx, author),
        "members": [
            role_membership.shape(call, one) for one in held if seen is None or one.user in seen
        ],
        "is_default": call.organization.default_role_id == role.id,
    }


_MANY = "/api/organizations/:organization/roles"
_ONE = f"{_MANY}/:role"
ROUTES = (
    Route("GET", _MANY, "roles.list", list_roles, "organization:read"),
    Route("POST", _MANY, "roles.create", create, "organization:write", level=ADMIN),
    Route("GET", _ONE, "roles.retrieve", retrieve, "organization:read"),
    Route("PATCH", _ONE, "roles.update", update, "organization:write", level=ADMIN),
    Route("PUT", _ONE, "roles.update", update, "organization:write", level=ADMIN),
    Route("DELETE", _ONE, "roles.delete", delete, "organization:write", level=ADMIN),
)
