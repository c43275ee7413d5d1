"""Members of an organization (contract 8.3): listed, given a level, removed."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.api.organization import move_to_another_organization
from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import Field, make_choice_check, parse_uuid, read_fields
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ADMIN, LEVELS, OWNER, Membership, Role, RoleMember, User
from reconciler.sandbox.store.transaction import Clause, Transaction

_SCOPE = "OrganizationMembership"
WRITABLE = (Field("level", make_choice_check(*LEVELS)),)
_ORDERS = {"joined_at": "joined_at, seq", "-joined_at": "joined_at DESC, seq DESC"}


def list_members(call: Call) -> Response:
    """Return active members that the caller may see, latest first unless `order` is given."""
    tx = call.tx
    clauses: list[Clause] = [("organization = ?", (call.organization.id,))]
    clauses.append(("user IN (SELECT id FROM users WHERE json_extract(doc, '$.is_active'))", ()))
    email, search = call.get_query("email"), (call.get_query("search") or "").lower()
    since = call.get_query("updated_after")
    after = _parse_moment(since) if since else ""

    seen = people.find_visible_users(tx, call.organization, call.membership)

    def wanted(member: Membership) -> bool:
        user = tx.require(User, member.user)
        words = f"{user.email}\n{user.first_name} {user.last_name}".lower()
        fits = email is None or user.email == email
        shown = seen is None or user.id in seen
        return shown and fits and search in words and member.updated_at > after

    keep = wanted if email or search or after or seen is not None else None
    order = _ORDERS.get(call.get_query("order") or "", _ORDERS["-joined_at"])
    envelope, members = read_page(call, Membership, clauses, keep=keep, order=order)
    return make_page(envelope, [_render_listed_member(call, member) for member in members])


def _parse_moment(text: str) -> str:
    try:
        return clock.format_stored(clock.parse_time(text))
    except ValueError as error:
        raise invalid("Enter a valid date/time.", "updated_after") from error


def update_member(call: Call) -> Response:
    """Change a member's level."""
    member, user = _find_target(call)
    values = read_fields(call.data, WRITABLE, partial=True)
    if "level" not in values:
        return Response(200, render_member(call.tx, member))
    _require_right_to_set(call, member, values["level"])
    changed = call.tx.update(replace(member, level=values["level"], updated_at=call.tx.at))
    if changed.level != member.level:
        line = activity.make_change(_SCOPE, "level", member.level, changed.level)
        _log_change(call, changed, user, "updated", [line])
    return Response(200, render_member(call.tx, changed))


def _require_right_to_set(call: Call, member: Membership, level: int) -> None:
    """Check who may give which level, in the API's order (contract 8.3)."""
    if member.user == call.user.id:
        raise forbidden("You can't change your own access level.")
    if level == OWNER and call.level < OWNER:
        raise forbidden("You can only pass on organization ownership if you're its owner.")
    if level > call.level:
        raise forbidden(
            "You can only change access level of others to lower or equal to your current one."
        )
    _require_standing(call, member)


def _require_standing(call: Call, member: Membership) -> None:
    if call.level < ADMIN:
        raise forbidden("You can only edit others if you are an admin.")
    if member.level > call.level:
        raise forbidden("You can only edit others with level lower or equal to you.")


def delete_member(call: Call) -> Response:
    """Remove a member, and its roles in this organization. Everybody may leave."""
    tx = call.tx
    member, user = _find_target(call)
    if member.user != call.user.id:
        _require_standing(call, member)
    here = {role.id for role in tx.find_all(Role, organization=member.organization)}
    for held in tx.find_all(RoleMember, user=member.user):
        if held.role in here:
            tx.delete(held)
    people.drop_access_rules(tx, member.organization, subject="member", identity=user.id)
    tx.delete(member)
    _log_change(call, member, user, "deleted", [])
    if user.current_organization == member.organization:
        move_to_another_organization(tx, user)
    return Response(204)


def _find_target(call: Call) -> tuple[Membership, User]:
    word = call.params["user"]
    identity = call.user.uuid if word == "@me" else parse_uuid(word)
    user = call.tx.find_first(User, uuid=identity) if identity else None
    member = people.find_membership(call.tx, call.organization.id, user.id) if user else None
    if user is None or member is None or not user.is_active:
        raise not_found()
    return member, user


def _log_change(
    call: Call, member: Membership, user: User, kind: str, changes: list[activity.Change]
) -> None:
    activity.record_entry(
        call.tx,
        call.actor,
        kind,
        changes,
        scope=_SCOPE,
        item=(member.id, user.email),
        organization=member.organization,
    )


def render_member(tx: Transaction, member: Membership) -> dict[str, Any]:
    """Return a member as the API shows it."""
    user = tx.require(User, member.user)
    return {
        "id": member.id,
        "user": people.render_user(tx, user.id),
        "level": member.level,
        "joined_at": format_time(member.joined_at),
        "updated_at": format_time(member.updated_at),
        "is_2fa_enabled": user.is_2fa_enabled,
        "has_social_auth": user.has_social_auth,
        "last_login": format_time(user.last_login),
    }


def _render_listed_member(call: Call, member: Membership) -> dict[str, Any]:
    rendered = render_member(call.tx, member)
    if call.profile.name == "g1":
        return rendered
    return {**rendered, "search_match_type": "exact" if call.get_query("search") else None}


_COLLECTION = "/api/organizations/:organization/members"
_ITEM = f"{_COLLECTION}/:user"
ROUTES = (
    Route("GET", _COLLECTION, "members.list", list_members, "organization_member:read"),
    Route("PATCH", _ITEM, "members.update", update_member, "organization_member:write"),
    Route("PUT", _ITEM, "members.update", update_member, "organization_member:write"),
    Route("DELETE", _ITEM, "members.delete", delete_member, "organization_member:write"),
)
