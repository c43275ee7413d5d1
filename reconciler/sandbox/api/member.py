"""Members of an organization (contract 8.3): listed, given a level, removed; never invited here."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.api.organization import send_home
from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import ADMIN, LEVELS, OWNER, Membership, Role, RoleMember, User
from reconciler.sandbox.store.transaction import Clause, Transaction

_SCOPE = "OrganizationMembership"
WRITABLE = (validators.Field("level", validators.choice(*LEVELS)),)
_ORDERS = {"joined_at": "joined_at, seq", "-joined_at": "joined_at DESC, seq DESC"}


def list_members(call: Call) -> Answer:
    """Return active members that the caller may see, latest first unless `order` is given."""
    tx = call.tx
    clauses: list[Clause] = [("organization = ?", (call.organization.id,))]
    clauses.append(("user IN (SELECT id FROM users WHERE json_extract(doc, '$.is_active'))", ()))
    email, search = call.query("email"), (call.query("search") or "").lower()
    since = call.query("updated_after")
    after = _moment(since) if since else ""

    seen = people.visible(tx, call.organization, call.membership)

    def wanted(member: Membership) -> bool:
        user = tx.known(User, member.user)
        words = f"{user.email}\n{user.first_name} {user.last_name}".lower()
        fits = email is None or user.email == email
        shown = seen is None or user.id in seen
        return shown and fits and search in words and member.updated_at > after

    keep = wanted if email or search or after or seen is not None else None
    order = _ORDERS.get(call.query("order") or "", _ORDERS["-joined_at"])
    envelope, found = paged(call, Membership, clauses, keep=keep, order=order)
    return page_answer(envelope, [_listed(call, one) for one in found])


def _moment(text: str) -> str:
    try:
        return clock.stamp(clock.parse(text))
    except ValueError as error:
        raise invalid("Enter a valid date/time.", "updated_after") from error


def update(call: Call) -> Answer:
    """Change a member's level."""
    member, user = _target(call)
    values = validators.read(call.data, WRITABLE, partial=True)
    if "level" not in values:
        return Answer(200, shape(call.tx, member))
    _need_right(call, member, values["level"])
    changed = call.tx.update(replace(member, level=values["level"], updated_at=call.tx.at))
    if changed.level != member.level:
        line = activity.change(_SCOPE, "level", member.level, changed.level)
        _log(call, changed, user, "updated", [line])
    return Answer(200, shape(call.tx, changed))


def _need_right(call: Call, member: Membership, level: int) -> None:
    """Who may give which level, checked in the API's order (contract 8.3)."""
    if member.user == call.user.id:
        raise forbidden("You can't change your own access level.")
    if level == OWNER and call.level < OWNER:
        raise forbidden("You can only pass on organization ownership if you're its owner.")
    if level > call.level:
        raise forbidden(
            "You can only change access level of others to lower or equal to your current one."
        )
    _need_standing(call, member)


def _need_standing(call: Call, member: Membership) -> None:
    if call.level < ADMIN:
        raise forbidden("You can only edit others if you are an admin.")
    if member.level > call.level:
        raise forbidden("You can only edit others with level lower or equal to you.")


def delete(call: Call) -> Answer:
    """Remove a member, and every role that it holds here. Anybody may leave."""
    tx = call.tx
    member, user = _target(call)
    if member.user != call.user.id:
        _need_standing(call, member)
    here = {one.id for one in tx.find(Role, organization=member.organization)}
    for held in tx.find(RoleMember, user=member.user):
        if held.role in here:
            tx.delete(held)
    tx.delete(member)
    _log(call, member, user, "deleted", [])
    if user.current_organization == member.organization:
        send_home(tx, user)
    return Answer(204)


def _target(call: Call) -> tuple[Membership, User]:
    word = call.params["user"]
    identity = call.user.uuid if word == "@me" else validators.as_uuid(word)
    user = call.tx.first(User, uuid=identity) if identity else None
    member = people.membership(call.tx, call.organization.id, user.id) if user else None
    if user is None or member is None or not user.is_active:
        raise not_found()
    return member, user


def _log(
    call: Call, member: Membership, user: User, kind: str, changed: list[dict[str, Any]]
) -> None:
    activity.record(
        call.tx,
        call.actor,
        scope=_SCOPE,
        activity=kind,
        organization=member.organization,
        project=None,
        item=member.id,
        name=user.email,
        changed=changed,
    )


def shape(tx: Transaction, member: Membership) -> dict[str, Any]:
    """A member as the API shows it."""
    user = tx.known(User, member.user)
    return {
        "id": member.id,
        "user": people.basic(tx, user.id),
        "level": member.level,
        "joined_at": shown(member.joined_at),
        "updated_at": shown(member.updated_at),
        "is_2fa_enabled": user.is_2fa_enabled,
        "has_social_auth": user.has_social_auth,
        "last_login": shown(user.last_login),
    }


def _listed(call: Call, member: Membership) -> dict[str, Any]:
    shaped = shape(call.tx, member)
    if call.profile.name == "g1":
        return shaped
    return {**shaped, "search_match_type": "exact" if call.query("search") else None}


_MANY = "/api/organizations/:organization/members"
_ONE = f"{_MANY}/:user"
ROUTES = (
    Route("GET", _MANY, "members.list", list_members, "organization_member:read"),
    Route("PATCH", _ONE, "members.update", update, "organization_member:write"),
    Route("PUT", _ONE, "members.update", update, "organization_member:write"),
    Route("DELETE", _ONE, "members.delete", delete, "organization_member:write"),
)
