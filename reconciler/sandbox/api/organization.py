"""Organizations (contract 6)."""

import re
import unicodedata
from dataclasses import replace
from typing import Any

from reconciler.sandbox.api import project as projects
from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import forbidden, invalid
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import (
    ADMIN,
    OWNER,
    Entry,
    Membership,
    Organization,
    Policy,
    Project,
    Role,
    RoleMember,
    User,
)
from reconciler.sandbox.store.tables import plain
from reconciler.sandbox.store.transaction import Transaction

_LONGEST_NAME = 64
_LONGEST_SLUG = 48
_MANY = "You must upgrade your PostHog plan to be able to create and manage multiple organizations."


def _media(value: Any, name: str) -> str:
    validators.uuid(value, name)
    detail = f'Invalid pk "{value}" - object does not exist.'
    raise invalid(detail, name, code="does_not_exist")


WRITABLE = (
    validators.Field("name", validators.text(longest=_LONGEST_NAME), required=True),
    validators.Field("logo_media_id", _media, nullable=True),
    validators.Field("enforce_2fa", validators.boolean, nullable=True),
    validators.Field("members_can_invite", validators.boolean, nullable=True),
    validators.Field("members_can_use_personal_api_keys", validators.boolean),
    validators.Field("members_can_create_projects", validators.boolean, nullable=True),
    validators.Field("members_can_see_org_members", validators.boolean),
    validators.Field("allow_publicly_shared_resources", validators.boolean),
    validators.Field("is_ai_data_processing_approved", validators.boolean, nullable=True),
    validators.Field("is_ai_training_opted_in", validators.boolean, nullable=True),
    validators.Field(
        "default_experiment_stats_method",
        validators.choice("bayesian", "frequentist"),
        nullable=True,
    ),
    validators.Field("default_anonymize_ips", validators.boolean),
    validators.Field("default_role_id", validators.uuid, nullable=True),
)


def list_mine(call: Call) -> Answer:
    """The caller's organizations, narrowed by what the key is scoped to."""
    mine = {one.organization for one in call.tx.find(Membership, user=call.user.id)}
    allowed = set(call.token.scoped_organizations) or mine
    envelope, found = paged(
        call, Organization, [], keep=lambda one: one.id in mine & allowed, order="seq"
    )
    return page_answer(envelope, [shape(call, one) for one in found])


def create(call: Call) -> Answer:
    """A new organization with a default project; the caller owns it and moves there."""
    tx, user = call.tx, call.user
    current = tx.get(Organization, user.current_organization)
    _need_plan(call, current)
    values = validators.read(call.data, WRITABLE, partial=False)
    _need_sound(call, None, values)
    # self-hosted, the plan is the instance's; on Cloud a new organization starts on the free one
    inherited = current.available_product_features if current and not tx.ground.cloud else []
    organization = tx.insert(
        Organization(
            id=tx.uuid(),
            slug=free_slug(tx, values["name"]),
            created_at=tx.at,
            updated_at=tx.at,
            available_product_features=inherited,
            **values,
        )
    )
    tx.insert(Membership(tx.uuid(), organization.id, user.id, OWNER, tx.at, tx.at))
    project = projects.make(tx, organization.id, {})
    tx.update(replace(user, current_organization=organization.id, current_project=project.id))
    _log(call, organization, "created", None)
    return Answer(201, shape(call, organization))


def _need_plan(call: Call, current: Organization | None) -> None:
    """Several organizations need a plan, unless on Cloud (contract 1.4)."""
    allowed = current is not None and current.has("organizations_projects")
    if call.tx.ground.cloud or allowed:
        return
    if call.tx.find(Membership, user=call.user.id):
        raise forbidden(_MANY)


def retrieve(call: Call) -> Answer:
    """One organization."""
    return Answer(200, shape(call, call.organization))


def update(call: Call) -> Answer:
    """Change an organization's settings; unknown and read-only fields are ignored."""
    before = call.organization
    values = validators.read(call.data, WRITABLE, partial=call.incoming.method == "PATCH")
    _need_sound(call, before, values)
    after = call.tx.update(replace(before, **values, updated_at=call.tx.at))
    _log(call, after, "updated", before)
    return Answer(200, shape(call, after))


def _need_sound(call: Call, before: Organization | None, values: dict[str, Any]) -> None:
    role_id = values.get("default_role_id")
    if role_id is not None:
        role = call.tx.get(Role, role_id)
        if role is None or before is None or role.organization != before.id:
            raise invalid("Role does not exist in this organization.", "default_role_id")
    if "is_ai_training_opted_in" in values and before is not None and before.is_ai_training_locked:
        raise invalid("This setting is locked for your organization.", "is_ai_training_opted_in")


def delete(call: Call) -> Answer:
    """Delete an organization with everything in it (section 13: 204, then 404)."""
    tx, organization = call.tx, call.organization
    _log(call, organization, "deleted", None)
    for project in tx.find(Project, organization=organization.id):
        projects.remove(tx, project)
    for role in tx.find(Role, organization=organization.id):
        for held in tx.find(RoleMember, role=role.id):
            tx.delete(held)
        tx.delete(role)
    for kind in (Policy, Membership, Entry):
        for one in tx.find(kind, organization=organization.id):
            tx.delete(one)
    tx.delete(organization)
    for user in tx.find(User):
        if user.current_organization == organization.id:
            send_home(tx, user)
    return Answer(204)


def send_home(tx: Transaction, user: User) -> None:
    """Move a user to another organization of its own, or to none."""
    member = tx.first(Membership, user=user.id)
    place = member.organization if member else None
    project = tx.first(Project, organization=place) if place else None
    tx.update(
        replace(user, current_organization=place, current_project=project.id if project else None)
    )


def free_slug(tx: Transaction, name: str) -> str:
    """Derive a slug from a name, as Django does, that is not in use yet (contract 6.1)."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^\w\s-]", "", folded.lower())
    stem = re.sub(r"[-\s]+", "-", words).strip("-_")[:_LONGEST_SLUG] or "organization"
    slug, number = stem, 1
    while tx.first(Organization, slug=slug) is not None:
        number += 1
        slug = f"{stem[: _LONGEST_SLUG - len(str(number)) - 1]}-{number}"
    return slug


def _log(call: Call, after: Organization, kind: str, before: Organization | None) -> None:
    names = [one.name for one in WRITABLE]
    changed = (
        activity.changes("Organization", plain(before), plain(after), names) if before else None
    )
    activity.record(
        call.tx,
        call.actor,
        scope="Organization",
        activity=kind,
        organization=after.id,
        project=None,
        item=after.id,
        name=after.name,
        changed=changed,
    )


_HIDDEN = {
    *("available_product_features", "created_at", "updated_at"),
    "evaluation_contexts_enabled",
}


def shape(call: Call, organization: Organization) -> dict[str, Any]:
    """An organization as the API shows it (contract 6.1)."""
    tx = call.tx
    member = people.membership(tx, organization.id, call.user.id)
    visible = [
        one
        for one in tx.find(Project, organization=organization.id)
        if member is not None and people.may_enter(one, member)
    ]
    counted = [tx.get(User, one.user) for one in tx.find(Membership, organization=organization.id)]
    stored = plain(organization)
    return {
        **{name: value for name, value in stored.items() if name not in _HIDDEN},
        "created_at": shown(organization.created_at),
        "updated_at": shown(organization.updated_at),
        "membership_level": member.level if member else None,
        "teams": [projects.team(one) for one in visible],
        "projects": [
            {"id": one.id, "organization_id": organization.id, "name": one.name} for one in visible
        ],
        "available_product_features": organization.available_product_features,
        "member_count": sum(1 for one in counted if one is not None and one.is_active),
    }


_ONE = "/api/organizations/:organization"
ROUTES = (
    Route("GET", "/api/organizations", "organizations.list", list_mine, "organization:read"),
    Route("POST", "/api/organizations", "organizations.create", create, "organization:write"),
    Route("GET", _ONE, "organizations.retrieve", retrieve, "organization:read"),
    Route("PATCH", _ONE, "organizations.update", update, "organization:write", level=ADMIN),
    Route("PUT", _ONE, "organizations.update", update, "organization:write", level=ADMIN),
    Route("DELETE", _ONE, "organizations.delete", delete, "organization:write", level=OWNER),
)
