"""Members of a role (contract 8.2): added and removed, never changed."""

from typing import Any

from reconciler.sandbox.api import member as members
from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import Field, check_uuid, parse_uuid, read_fields
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ADMIN, Role, RoleMember, User
from reconciler.sandbox.store.transaction import Transaction

WRITABLE = (Field("user_uuid", check_uuid, required=True),)
_ORDER = "joined_at, id"


def list_memberships(call: Call) -> Response:
    """List the members of the role that the caller may see, oldest first."""
    role = _find_role(call)
    if role is None:
        raise not_found()
    seen = people.find_visible_users(call.tx, call.organization, call.membership)
    keep = None if seen is None else lambda held: held.user in seen
    envelope, memberships = read_page(
        call, RoleMember, [("role = ?", (role.id,))], keep=keep, order=_ORDER
    )
    return make_page(envelope, [render_membership(call, membership) for membership in memberships])


def create_membership(call: Call) -> Response:
    """Add an active member of the organization to the role."""
    values = read_fields(call.data, WRITABLE, partial=False)
    role = _find_role(call)
    if role is None:
        raise invalid("Role does not exist.")
    user = call.tx.find_first(User, uuid=values["user_uuid"])
    member = people.find_membership(call.tx, call.organization.id, user.id) if user else None
    if user is None or member is None or not user.is_active:
        raise invalid("User does not exist.")
    if call.tx.find_first(RoleMember, role=role.id, user=user.id) is not None:
        raise invalid("User is already part of the role.")
    held = call.tx.insert(RoleMember(call.tx.make_uuid(), role.id, user.id, call.tx.at, call.tx.at))
    return Response(201, render_membership(call, held))


def retrieve_membership(call: Call) -> Response:
    """Return one member of the role."""
    return Response(200, render_membership(call, _find_membership(call)))


def delete_membership(call: Call) -> Response:
    """Remove a member from the role."""
    call.tx.delete(_find_membership(call))
    return Response(204)


def _find_role(call: Call) -> Role | None:
    identity = parse_uuid(call.params["role"])
    role = call.tx.get(Role, identity) if identity else None
    return role if role is not None and role.organization == call.organization.id else None


def _find_membership(call: Call) -> RoleMember:
    role, identity = _find_role(call), parse_uuid(call.params["id"])
    held = call.tx.get(RoleMember, identity) if identity else None
    if role is None or held is None or held.role != role.id:
        raise not_found()
    seen = people.find_visible_users(call.tx, call.organization, call.membership)
    if seen is not None and held.user not in seen:
        raise not_found()
    return held


def list_role_members(tx: Transaction, role: str) -> list[RoleMember]:
    """Return all members of a role, in the API's order."""
    return sorted(
        tx.find_all(RoleMember, role=role),
        key=lambda membership: (membership.joined_at, membership.id),
    )


def render_membership(call: Call, held: RoleMember) -> dict[str, Any]:
    """Return a role membership as the API shows it."""
    member = people.find_membership(call.tx, call.organization.id, held.user)
    return {
        "id": held.id,
        "role_id": held.role,
        "organization_member": members.render_member(call.tx, member) if member else None,
        "user": people.render_user(call.tx, held.user),
        "joined_at": format_time(held.joined_at),
        "updated_at": format_time(held.updated_at),
    }


_COLLECTION = "/api/organizations/:organization/roles/:role/role_memberships"
_ITEM = f"{_COLLECTION}/:id"
ROUTES = (
    Route("GET", _COLLECTION, "role_memberships.list", list_memberships, "organization:read"),
    Route(
        "POST",
        _COLLECTION,
        "role_memberships.create",
        create_membership,
        "organization:write",
        level=ADMIN,
    ),
    Route("GET", _ITEM, "role_memberships.retrieve", retrieve_membership, "organization:read"),
    Route(
        "DELETE",
        _ITEM,
        "role_memberships.delete",
        delete_membership,
        "organization:write",
        level=ADMIN,
    ),
)
