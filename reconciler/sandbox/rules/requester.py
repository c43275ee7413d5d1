"""Whether the person who filed a request may still make the change (contract 7.5)."""

from collections.abc import Iterable
from typing import Any

from reconciler.sandbox.rules.products import holdouts
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import (
    ADMIN,
    ChangeRequest,
    Flag,
    Membership,
    Organization,
    Project,
    User,
)
from reconciler.sandbox.store.transaction import Transaction

_LEVELS = ("none", "viewer", "member", "editor", "manager", "admin")  # rising
_LOST = "The person who requested this change no longer has access to what it changes."


def explain_lost_access(tx: Transaction, request: ChangeRequest) -> str | None:
    """Return why the requester may no longer make the change; None if they may."""
    user = tx.get(User, request.created_by) if request.created_by is not None else None
    if user is None or not user.is_active:
        return "The person who requested this change no longer has an account."
    project = tx.require(Project, request.project)
    member = people.find_membership(tx, project.organization, user.id)
    if member is None or not people.can_enter(project, member):
        return _LOST
    return None if _may_edit(tx, project, member, request) else _LOST


def _may_edit(
    tx: Transaction, project: Project, member: Membership, request: ChangeRequest
) -> bool:
    """Return whether the access rules let a member edit the kind of resource, and the flag."""
    if member.level >= ADMIN or not project.access_controls:
        return True
    organization = tx.require(Organization, project.organization)
    held = people.find_role_ids(tx, member.user, organization.id)
    narrow = organization.uses_most_specific_access_resolution

    def find_level(resource: str, number: str | None = None) -> str | None:
        rules = [
            rule
            for rule in project.access_controls
            if rule["resource"] == resource
            and (resource == "project" or rule.get("resource_id") == number)
        ]
        return _combine_rules(rules, member.user, held, narrow=narrow)

    kind = "experiment" if request.action_key in holdouts.ACTIONS else "feature_flag"
    if find_level("project") == "none" or not _is_editor(find_level(kind)):
        return False
    flag = tx.get(Flag, request.intent.get("flag_id"))
    if flag is None or flag.created_by == member.user:
        return True
    return _is_editor(find_level(kind, str(flag.id)))


def _is_editor(level: str | None) -> bool:
    """Return whether a level lets its holder edit; without a rule, everybody may."""
    return level is None or _LEVELS.index(level) >= _LEVELS.index("editor")


def _combine_rules(
    rules: Iterable[dict[str, Any]], user: int, held: frozenset[str], *, narrow: bool
) -> str | None:
    """Return the level that applies: the highest, or that of the most specific subject."""
    own, by_role, general = list[str](), list[str](), list[str]()
    for rule in rules:
        if "member" in rule:
            own += [rule["access_level"]] if rule["member"] == user else []
        elif "role" in rule:
            by_role += [rule["access_level"]] if rule["role"] in held else []
        else:
            general.append(rule["access_level"])
    levels = (own or by_role or general) if narrow else [*own, *by_role, *general]
    return max(levels, key=_LEVELS.index) if levels else None
