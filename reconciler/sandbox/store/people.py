"""People as the API shows them, and the roles and levels that they hold now."""

from typing import Any

from reconciler.sandbox.store.model import (
    ADMIN,
    Membership,
    Organization,
    Project,
    Role,
    RoleMember,
    User,
)
from reconciler.sandbox.store.transaction import Transaction


def basic(tx: Transaction, user: int | None) -> dict[str, Any] | None:
    """`UserBasic` of a user id (contract 1.7), or null when the user is gone."""
    if user is None:
        return None
    shape: dict[str, Any] | None = tx.memo(("basic", user), lambda: _basic(tx.get(User, user)))
    return shape


def _basic(user: User | None) -> dict[str, Any] | None:
    if user is None:
        return None
    return {
        "id": user.id,
        "uuid": user.uuid,
        "distinct_id": user.distinct_id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_email_verified": user.is_email_verified,
        "hedgehog_config": user.hedgehog_config,
        "role_at_organization": user.role_at_organization,
    }


def membership(tx: Transaction, organization: str, user: int) -> Membership | None:
    """A user's membership of an organization, if any."""
    return tx.first(Membership, organization=organization, user=user)


def roles(tx: Transaction, user: int, organization: str) -> frozenset[str]:
    """The ids of the roles that a user holds now in an organization."""
    held: frozenset[str] = tx.memo(
        ("roles", user, organization), lambda: _roles(tx, user, organization)
    )
    return held


def _roles(tx: Transaction, user: int, organization: str) -> frozenset[str]:
    found = [tx.get(Role, one.role) for one in tx.find(RoleMember, user=user)]
    return frozenset(one.id for one in found if one and one.organization == organization)


def may_enter(project: Project, member: Membership) -> bool:
    """Whether a member of the organization may see a project."""
    return not project.access_control or member.level >= ADMIN or member.user in project.members


def visible(
    tx: Transaction, organization: Organization, member: Membership | None
) -> frozenset[int] | None:
    """Return the users of an organization that a caller may see; None: all (contract 8.4)."""
    if organization.members_can_see_org_members or member is None or member.level >= ADMIN:
        return None
    seen: frozenset[int] = tx.memo(
        ("visible", member.id), lambda: _visible(tx, organization.id, member.user)
    )
    return seen


def _visible(tx: Transaction, organization: str, user: int) -> frozenset[int]:
    shared = (
        project.members
        for project in tx.find(Project, organization=organization)
        if project.access_control and user in project.members
    )
    return frozenset({user}.union(*shared))
