"""Authentication, scopes and access to organizations and projects (contract 1.2)."""

import re
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol.errors import ApiError, forbidden, not_found
from reconciler.sandbox.protocol.messages import IncomingRequest
from reconciler.sandbox.protocol.validators import parse_id, parse_uuid
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import ADMIN, Membership, Organization, Project, Token, User
from reconciler.sandbox.store.transaction import Transaction

_BEARER = re.compile(r"Bearer\s+(\S.*)", re.IGNORECASE)
_KEYS_NOT_SUPPORTED = "This action does not support personal API key access"


@dataclass(frozen=True, slots=True)
class Location:
    """The organization and the project that a path names, and the caller's membership there."""

    organization: Organization | None = None
    project: Project | None = None
    membership: Membership | None = None


def authenticate(
    tx: Transaction, incoming: IncomingRequest, data: Any, *, challenge: str
) -> tuple[User, Token]:
    """Return the user and the key of a request.

    Raises:
        ApiError: 401, with the challenge as its `WWW-Authenticate` header.
    """
    headers = {"WWW-Authenticate": challenge}
    key, place = _find_key(incoming, data)
    if key is None:
        raise ApiError(
            401,
            type="authentication_error",
            code="not_authenticated",
            detail="Authentication credentials were not provided.",
            headers=headers,
        )
    token = tx.get(Token, key)
    user = tx.get(User, token.user) if token else None
    if token is None or user is None or not user.is_active:
        raise ApiError(
            401,
            type="authentication_error",
            code="authentication_failed",
            detail=f"Personal API key found in request {place} is invalid.",
            headers=headers,
        )
    return user, token


def _find_key(incoming: IncomingRequest, data: Any) -> tuple[str | None, str]:
    if match := _BEARER.fullmatch(incoming.get_header("authorization") or ""):
        return match[1].strip(), "Authorization header"
    if isinstance(data, dict) and isinstance(data.get("personal_api_key"), str):
        return data["personal_api_key"], "body"
    keys = incoming.query.get("personal_api_key")
    return (keys[-1], "query string") if keys else (None, "")


def require_scope(token: Token, scope: str) -> None:
    """Refuse a key without the scope. Write implies read; `*` is every scope, "" needs none."""
    held = set(token.scopes)
    if not scope or "*" in held or scope in held:
        return
    if scope.endswith(":read") and scope.replace(":read", ":write") in held:
        return
    raise forbidden(f"API key missing required scope '{scope}'")


def keys_not_supported() -> ApiError:
    """Return the refusal of a method that personal API keys may not use."""
    return forbidden(_KEYS_NOT_SUPPORTED)


def find_location(tx: Transaction, *, user: User, token: Token, params: dict[str, str]) -> Location:
    """Return the place that a path names, if the caller and the key may access it."""
    if "project" in params:
        return _locate_project(tx, user=user, token=token, ref=params["project"])
    if token.scoped_teams and params.keys() != {"me"}:
        raise forbidden(
            "API keys with scoped projects are only supported on project-based endpoints."
        )
    if "organization" in params:
        return _locate_organization(tx, user=user, token=token, ref=params["organization"])
    return Location()


def _locate_project(tx: Transaction, *, user: User, token: Token, ref: str) -> Location:
    number = user.current_project if ref == "@current" else parse_id(ref)
    project = tx.get(Project, number) if number is not None else None
    if project is None:
        raise not_found("Project not found.")
    if token.scoped_teams and project.id not in token.scoped_teams:
        raise forbidden(f"API key does not have access to the requested project: ID {project.id}.")
    organization = tx.require(Organization, project.organization)
    _require_organization_scope(token, organization)
    member = people.find_membership(tx, organization.id, user.id)
    if member is None:
        raise forbidden()
    if not people.can_enter(project, member) or people.is_kept_out(tx, project, member):
        raise forbidden("You don't have access to the project.")
    _require_key_permission(organization, member)
    _require_verified_domain(organization, user)
    return Location(organization, project, member)


def _locate_organization(tx: Transaction, *, user: User, token: Token, ref: str) -> Location:
    identity = user.current_organization if ref == "@current" else parse_uuid(ref)
    organization = tx.get(Organization, identity) if identity is not None else None
    if organization is None:
        raise not_found("Organization not found.")
    _require_organization_scope(token, organization)
    member = people.find_membership(tx, organization.id, user.id)
    if member is not None:
        _require_key_permission(organization, member)
        _require_verified_domain(organization, user)
    return Location(organization, None, member)


def _require_verified_domain(organization: Organization, user: User) -> None:
    """Refuse people whose address is on no verified domain, where these are enforced."""
    if organization.enforce_verified_domains and not organization.lists_domain(user.email):
        raise ApiError(
            403,
            type="authentication_error",
            code="verified_domain_required",
            detail="Your email address is not on a verified domain of this organization.",
        )


def _require_organization_scope(token: Token, organization: Organization) -> None:
    if token.scoped_organizations and organization.id not in token.scoped_organizations:
        raise forbidden(
            f"API key does not have access to the requested organization: ID {organization.id}."
        )


def _require_key_permission(organization: Organization, member: Membership) -> None:
    if not organization.members_can_use_personal_api_keys and member.level < ADMIN:
        raise forbidden("Your organization does not allow members to use personal API keys.")
