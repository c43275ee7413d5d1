"""Who holds a role (contract 8.2): added and removed, never changed."""

from typing import Any

from reconciler.sandbox.api import member as members
from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import ADMIN, Role, RoleMember, User
from reconciler.sandbox.store.transaction import Transaction

WRITABLE = (validators.Field("user_uuid", validators.uuid, required=True),)
_ORDER = "joined_at, id"


def list_memberships(call: Call) -> Answer:
    """Return who holds the role, as far as the caller may see, first come first."""
    role = _role(call)
    if role is None:
        raise not_found()
    seen = people.visible(call.tx, call.organization, call.membership)
    keep = None if seen is None else lambda held: held.user in seen
    envelope, found = paged(call, RoleMember, [("role = ?", (role.id,))], keep=keep, order=_ORDER)
    return page_answer(envelope, [shape(call, one) for one in found])


def create(call: Call) -> Answer:
    """Give the role to an active member of the organization."""
    values = validators.read(call.data, WRITABLE, partial=False)
    role = _role(call)
    if role is None:
        raise invalid("Role does not exist.")
    user = call.tx.first(User, uuid=values["user_uuid"])
    member = people.membership(call.tx, call.organization.id, user.id) if user else None
    if user is None or member is None or not user.is_active:
        raise invalid("User does not exist.")
    if call.tx.first(RoleMember, role=role.id, user=user.id) is not None:
        raise invalid("User is already part of the role.")
    held = call.tx.insert(RoleMember(call.tx.uuid(), role.id, user.id, call.tx.at, call.tx.at))
    return Answer(201, shape(call, held))


def retrieve(call: Call) -> Answer:
    """One person's place in the role."""
    return Answer(200, shape(call, _of_path(call)))


def delete(call: Call) -> Answer:
    """Take the role from a person."""
    call.tx.delete(_of_path(call))
    return Answer(204)


def _role(call: Call) -> Role | None:
    identity = validators.as_uuid(call.params["role"])
    role = call.tx.get(Role, identity) if identity else None
    return role if role is not None and role.organization == call.organization.id else None


def _of_path(call: Call) -> RoleMember:
    role, identity = _role(call), validators.as_uuid(call.params["id"])
    held = call.tx.get(RoleMember, identity) if identity else None
    if role is None or held is None or held.role != role.id:
        raise not_found()
    seen = people.visible(call.tx, call.organization, call.membership)
    if seen is not None and held.user not in seen:
        raise not_found()
    return held


def of_role(tx: Transaction, role: str) -> list[RoleMember]:
    """Everybody who holds a role, in the API's order."""
    return sorted(tx.find(RoleMember, role=role), key=lambda one: (one.joined_at, one.id))


def shape(call: Call, held: RoleMember) -> dict[str, Any]:
    """A role membership as the API shows it."""
    member = people.membership(call.tx, call.organization.id, held.user)
    return {
        "id": held.id,
        "role_id": held.role,
        "organization_member": members.shape(call.tx, member) if member else None,
        "user": people.basic(call.tx, held.user),
        "joined_at": shown(held.joined_at),
        "updated_at": shown(held.updated_at),
    }


_MANY = "/api/organizations/:organization/roles/:role/role_memberships"
_ONE = f"{_MANY}/:id"
ROUTES = (
    Route("GET", _MANY, "role_memberships.list", list_memberships, "organization:read"),
    Route("POST", _MANY, "role_memberships.create", create, "organization:write", level=ADMIN),
    Route("GET", _ONE, "role_memberships.retrieve", retrieve, "organization:read"),
    Route("DELETE", _ONE, "role_memberships.delete", delete, "organization:write", level=ADMIN),
)
