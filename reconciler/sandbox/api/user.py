"""The user of the call: `GET /api/users/@me/` (contract 1.7)."""

from typing import Any

from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import Membership, Organization, Project


def retrieve_me(call: Call) -> Response:
    """Return the user that the key acts as."""
    tx, user = call.tx, call.user
    current = tx.get(Organization, user.current_organization)
    project = tx.get(Project, user.current_project)
    organizations = [
        _render_organization(call, tx.require(Organization, member.organization))
        for member in tx.find_all(Membership, user=user.id)
    ]
    basic = people.render_user(tx, user.id) or {}
    return Response(
        200,
        {
            **basic,
            "date_joined": format_time(user.created_at),
            "pending_email": None,
            "is_staff": False,
            "is_impersonated": False,
            "is_2fa_enabled": user.is_2fa_enabled,
            "has_social_auth": user.has_social_auth,
            "organization": _render_organization(call, current) if current else None,
            "team": _render_project(project) if project else None,
            "organizations": organizations,
        },
    )


def _render_organization(call: Call, organization: Organization) -> dict[str, Any]:
    member = people.find_membership(call.tx, organization.id, call.user.id)
    return {
        "id": organization.id,
        "name": organization.name,
        "slug": organization.slug,
        "logo_media_id": organization.logo_media_id,
        "membership_level": member.level if member else None,
        "members_can_use_personal_api_keys": organization.members_can_use_personal_api_keys,
    }


def _render_project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "uuid": project.uuid,
        "organization": project.organization,
        "project_id": project.id,
        "api_token": project.api_token,
        "name": project.name,
        "timezone": project.timezone,
    }


ROUTES = (Route("GET", "/api/users/@me", "users.retrieve", retrieve_me, "user:read"),)
