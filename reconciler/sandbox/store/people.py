"""People as the API shows them, and the roles and levels that they hold now."""

from dataclasses import replace
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


def render_user(tx: Transaction, user: int | None) -> dict[str, Any] | None:
    """Return `UserBasic` of a user id (contract 1.7), or null for a deleted user."""
    if user is None:
        return None
    shape: dict[str, Any] | None = tx.memoize(
        ("basic", user), lambda: _render_user(tx.get(User, user))
    )
    return shape


def _render_user(user: User | None) -> dict[str, Any] | None:
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


def find_membership(tx: Transaction, organization: str, user: int) -> Membership | None:
    """Return a user's membership of an organization, if any."""
    return tx.find_first(Membership, organization=organization, user=user)


def find_role_ids(tx: Transaction, user: int, organization: str) -> frozenset[str]:
    """Return the ids of the roles that a user has now in an organization."""
    held: frozenset[str] = tx.memoize(
        ("roles", user, organization), lambda: _find_role_ids(tx, user, organization)
    )
    return held


def _find_role_ids(tx: Transaction, user: int, organization: str) -> frozenset[str]:
    roles = [tx.get(Role, held.role) for held in tx.find_all(RoleMember, user=user)]
    return frozenset(role.id for role in roles if role and role.organization == organization)


def can_enter(project: Project, member: Membership) -> bool:
    """Return whether a member of the organization may access a project."""
    return not project.access_control or member.level >= ADMIN or member.user in project.members


_LEVELS = ("none", "viewer", "member", "editor", "manager", "admin")  # rising


def find_access_level(
    tx: Transaction, project: Project, member: Membership, resource: str, number: str | None = None
) -> str | None:
    """Return the level that the rules of a project give a member; None without a rule.

    It is the highest of those that apply, or that of the most specific subject.
    """
    rules = [
        rule
        for rule in project.access_controls
        if rule["resource"] == resource
        and (resource == "project" or rule.get("resource_id") == number)
    ]
    if not rules:
        return None
    organization = tx.require(Organization, project.organization)
    held = find_role_ids(tx, member.user, organization.id)
    own, by_role, general = list[str](), list[str](), list[str]()
    for rule in rules:
        if "member" in rule:
            own += [rule["access_level"]] if rule["member"] == member.user else []
        elif "role" in rule:
            by_role += [rule["access_level"]] if rule["role"] in held else []
        else:
            general.append(rule["access_level"])
    narrow = organization.uses_most_specific_access_resolution
    levels = (own or by_role or general) if narrow else [*own, *by_role, *general]
    return max(levels, key=_LEVELS.index) if levels else None


def is_editor(level: str | None) -> bool:
    """Return whether a level lets its holder edit; without a rule, everybody may."""
    return level is None or _LEVELS.index(level) >= _LEVELS.index("editor")


def may_edit_object(
    tx: Transaction, project: Project, member: Membership, resource: str, target: Any = None
) -> bool:
    """Return whether rules let a member create such objects, or edit this one.

    Rules do not bind admins, owners or the creator of an object.
    """
    if member.level >= ADMIN or not project.access_controls:
        return True
    if target is not None and target.created_by == member.user:
        return True
    numbers = (None, str(target.id)) if target is not None else (None,)
    return all(
        is_editor(find_access_level(tx, project, member, resource, number)) for number in numbers
    )


def is_kept_out(tx: Transaction, project: Project, member: Membership) -> bool:
    """Return whether rules keep a member out of a project; never an admin or owner."""
    if member.level >= ADMIN or not project.access_controls:
        return False
    return find_access_level(tx, project, member, "project") == "none"


def is_project_admin(tx: Transaction, project: Project, member: Membership) -> bool:
    """Return whether rules make a member a project admin, which everybody is without a rule."""
    level = find_access_level(tx, project, member, "project")
    return member.level >= ADMIN or level in {None, "admin"}


def find_visible_users(
    tx: Transaction, organization: Organization, member: Membership | None
) -> frozenset[int] | None:
    """Return the users of an organization that a caller may see; None: all (contract 8.4)."""
    if organization.members_can_see_org_members or member is None or member.level >= ADMIN:
        return None
    seen: frozenset[int] = tx.memoize(
        ("visible", member.id), lambda: _find_visible_users(tx, organization.id, member.user)
    )
    return seen


def _find_visible_users(tx: Transaction, organization: str, user: int) -> frozenset[int]:
    shared = (
        project.members
        for project in tx.find_all(Project, organization=organization)
        if project.access_control and user in project.members
    )
    return frozenset({user}.union(*shared))


def drop_access_rules(tx: Transaction, organization: str, *, subject: str, identity: Any) -> None:
    """Remove the access rules of a role that is deleted, or of a person who leaves."""
    for project in tx.find_all(Project, organization=organization):
        kept = [rule for rule in project.access_controls if rule.get(subject) != identity]
        if len(kept) < len(project.access_controls):
            tx.update(replace(project, access_controls=kept))
