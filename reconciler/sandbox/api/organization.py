"""Organizations (contract 6)."""

import re
import unicodedata
from dataclasses import replace
from typing import Any

from reconciler.sandbox.api import project as projects
from reconciler.sandbox.protocol.errors import forbidden, invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_uuid,
    make_choice_check,
    make_text_check,
    read_fields,
)
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import (
    ADMIN,
    HIDDEN_SETTINGS,
    OWNER,
    LogEntry,
    Membership,
    Organization,
    Policy,
    Project,
    Role,
    RoleMember,
    User,
)
from reconciler.sandbox.store.tables import get_fields
from reconciler.sandbox.store.transaction import Transaction

_LONGEST_NAME = 64
_LONGEST_SLUG = 48
_PLAN_NEEDED = (
    "You must upgrade your PostHog plan to be able to create and manage multiple organizations."
)


def _check_media(value: Any, name: str) -> str:
    check_uuid(value, name)
    detail = f'Invalid pk "{value}" - object does not exist.'
    raise invalid(detail, name, code="does_not_exist")


WRITABLE = (
    Field("name", make_text_check(longest=_LONGEST_NAME), required=True),
    Field("logo_media_id", _check_media, nullable=True),
    Field("enforce_2fa", check_boolean, nullable=True),
    Field("members_can_invite", check_boolean, nullable=True),
    Field("members_can_use_personal_api_keys", check_boolean),
    Field("members_can_create_projects", check_boolean, nullable=True),
    Field("members_can_see_org_members", check_boolean),
    Field("enforce_verified_domains", check_boolean, nullable=True),
    Field("allow_publicly_shared_resources", check_boolean),
    Field("is_ai_data_processing_approved", check_boolean, nullable=True),
    Field("is_ai_training_opted_in", check_boolean, nullable=True),
    Field(
        "default_experiment_stats_method",
        make_choice_check("bayesian", "frequentist"),
        nullable=True,
    ),
    Field("default_anonymize_ips", check_boolean),
    Field("default_role_id", check_uuid, nullable=True),
)


# Fields that came after the first generation (contract 6.1).
_LATER = {
    *("members_can_create_projects", "members_can_see_org_members", "is_hipaa"),
    "enforce_verified_domains",
    *("is_ai_training_opted_in", "is_ai_training_locked", "is_ai_training_cta_shown"),
}


def list_organizations(call: Call) -> Response:
    """List the caller's organizations, limited to those of the key."""
    own_ids = {member.organization for member in call.tx.find_all(Membership, user=call.user.id)}
    allowed = set(call.token.scoped_organizations) or own_ids
    envelope, organizations = read_page(
        call,
        Organization,
        [],
        keep=lambda organization: organization.id in own_ids & allowed,
        order="seq",
    )
    return make_page(
        envelope, [render_organization(call, organization) for organization in organizations]
    )


def create_organization(call: Call) -> Response:
    """Create an organization with a default project; the caller becomes owner and moves there."""
    tx, user = call.tx, call.user
    current = tx.get(Organization, user.current_organization)
    _require_plan(call, current)
    values = read_fields(call.data, _list_writable(call), partial=False)
    _check_settings(call, None, values)
    # self-hosted, the plan belongs to the instance; on Cloud a new organization has the free plan
    inherited = current.available_product_features if current and not tx.settings.cloud else []
    organization = tx.insert(
        Organization(
            id=tx.make_uuid(),
            slug=make_free_slug(tx, values["name"]),
            created_at=tx.at,
            updated_at=tx.at,
            available_product_features=inherited,
            **values,
        )
    )
    tx.insert(Membership(tx.make_uuid(), organization.id, user.id, OWNER, tx.at, tx.at))
    project = projects.insert_project(tx, organization.id, {})
    tx.update(replace(user, current_organization=organization.id, current_project=project.id))
    _log_change(call, organization, "created")
    return Response(201, render_organization(call, organization))


def _require_plan(call: Call, current: Organization | None) -> None:
    """Refuse a second organization without the plan, except on Cloud (contract 1.4)."""
    allowed = current is not None and current.has("organizations_projects")
    if call.tx.settings.cloud or allowed:
        return
    if call.tx.find_all(Membership, user=call.user.id):
        raise forbidden(_PLAN_NEEDED)


def retrieve_organization(call: Call) -> Response:
    """Return one organization."""
    return Response(200, render_organization(call, call.organization))


def update_organization(call: Call) -> Response:
    """Change an organization's settings; unknown and read-only fields are ignored."""
    before = call.organization
    values = read_fields(call.data, _list_writable(call), partial=call.incoming.method == "PATCH")
    _check_settings(call, before, values)
    after = call.tx.update(replace(before, **values, updated_at=call.tx.at))
    _log_change(call, after, "updated", before)
    return Response(200, render_organization(call, after))


def _list_writable(call: Call) -> tuple[Field, ...]:
    if call.profile.has_later_fields:
        return WRITABLE
    return tuple(field for field in WRITABLE if field.name not in _LATER)


def _check_settings(call: Call, before: Organization | None, values: dict[str, Any]) -> None:
    role_id = values.get("default_role_id")
    if role_id is not None:
        role = call.tx.get(Role, role_id)
        if role is None or before is None or role.organization != before.id:
            raise invalid("Role does not exist in this organization.", "default_role_id")
    if "is_ai_training_opted_in" in values and before is not None and before.is_ai_training_locked:
        raise invalid("This setting is locked for your organization.", "is_ai_training_opted_in")


def delete_organization(call: Call) -> Response:
    """Delete an organization with everything in it (contract 13: 204, then 404)."""
    tx, organization = call.tx, call.organization
    _log_change(call, organization, "deleted")
    for project in tx.find_all(Project, organization=organization.id):
        projects.remove_project(tx, project)
    for role in tx.find_all(Role, organization=organization.id):
        for held in tx.find_all(RoleMember, role=role.id):
            tx.delete(held)
        tx.delete(role)
    for kind in (Policy, Membership, LogEntry):
        for item in tx.find_all(kind, organization=organization.id):
            tx.delete(item)
    tx.delete(organization)
    for user in tx.find_all(User):
        if user.current_organization == organization.id:
            move_to_another_organization(tx, user)
    return Response(204)


def move_to_another_organization(tx: Transaction, user: User) -> None:
    """Move a user to another organization of its own, or to none."""
    member = tx.find_first(Membership, user=user.id)
    place = member.organization if member else None
    project = tx.find_first(Project, organization=place) if place else None
    tx.update(
        replace(user, current_organization=place, current_project=project.id if project else None)
    )


def make_free_slug(tx: Transaction, name: str) -> str:
    """Derive a slug from a name, as Django does, that is not in use yet (contract 6.1)."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^\w\s-]", "", folded.lower())
    stem = re.sub(r"[-\s]+", "-", words).strip("-_")[:_LONGEST_SLUG] or "organization"
    slug, number = stem, 1
    while tx.find_first(Organization, slug=slug) is not None:
        number += 1
        slug = f"{stem[: _LONGEST_SLUG - len(str(number)) - 1]}-{number}"
    return slug


def _log_change(
    call: Call, organization: Organization, kind: str, before: Organization | None = None
) -> None:
    names = [field.name for field in WRITABLE]
    activity.record_entry(
        call.tx,
        call.actor,
        kind,
        activity.list_changes("Organization", before, organization, names),
        scope="Organization",
        item=(organization.id, organization.name),
        organization=organization.id,
    )


_RESOLUTION = "uses_most_specific_access_resolution"  # shown since G3, and not writable
_HIDDEN = {"available_product_features", "created_at", "updated_at", *HIDDEN_SETTINGS}


def render_organization(call: Call, organization: Organization) -> dict[str, Any]:
    """Return an organization as the API shows it (contract 6.1)."""
    tx = call.tx
    member = people.find_membership(tx, organization.id, call.user.id)
    visible = [
        project
        for project in tx.find_all(Project, organization=organization.id)
        if member is not None and people.can_enter(project, member)
    ]
    counted = [
        tx.get(User, member.user)
        for member in tx.find_all(Membership, organization=organization.id)
    ]
    stored = get_fields(organization)
    hidden = _HIDDEN if call.profile.has_later_fields else _HIDDEN | _LATER
    return {
        **{name: value for name, value in stored.items() if name not in hidden},
        **(
            {_RESOLUTION: organization.uses_most_specific_access_resolution}
            if call.profile.knows_owners
            else {}
        ),
        "created_at": format_time(organization.created_at),
        "updated_at": format_time(organization.updated_at),
        "membership_level": member.level if member else None,
        "teams": [projects.render_basic_project(project) for project in visible],
        "projects": [
            {"id": project.id, "organization_id": organization.id, "name": project.name}
            for project in visible
        ],
        "available_product_features": organization.available_product_features,
        "member_count": sum(1 for user in counted if user is not None and user.is_active),
    }


_ITEM = "/api/organizations/:organization"
ROUTES = (
    Route(
        "GET", "/api/organizations", "organizations.list", list_organizations, "organization:read"
    ),
    Route(
        "POST",
        "/api/organizations",
        "organizations.create",
        create_organization,
        "organization:write",
    ),
    Route("GET", _ITEM, "organizations.retrieve", retrieve_organization, "organization:read"),
    Route(
        "PATCH",
        _ITEM,
        "organizations.update",
        update_organization,
        "organization:write",
        level=ADMIN,
    ),
    Route(
        "PUT", _ITEM, "organizations.update", update_organization, "organization:write", level=ADMIN
    ),
    Route(
        "DELETE",
        _ITEM,
        "organizations.delete",
        delete_organization,
        "organization:write",
        level=OWNER,
    ),
)
