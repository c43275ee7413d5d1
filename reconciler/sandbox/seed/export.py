"""From a world to a seed document that makes the same world again (docs/sandbox.md)."""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.rules.change_requests import votes
from reconciler.sandbox.seed.names import Titles, level_word
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import (
    ChangeRequest,
    Cohort,
    Entry,
    Flag,
    Membership,
    Organization,
    Policy,
    Project,
    Role,
    RoleMember,
    Token,
    User,
)
from reconciler.sandbox.store.tables import plain
from reconciler.sandbox.store.transaction import Transaction

Document = dict[str, Any]
_TIMES = (
    "created_at",
    "updated_at",
    "joined_at",
    "expires_at",
    "applied_at",
    "validated_at",
    "last_called_at",
    "last_login",
)


def dump(tx: Transaction) -> Document:
    """The whole world as a seed document."""
    ground = tx.ground
    people = {user.id: user.email for user in tx.find(User)}
    limits = {"per_minute": ground.per_minute, "per_hour": ground.per_hour}
    limits_given = {name: number for name, number in limits.items() if number is not None}
    document: Document = {
        "cloud": ground.cloud,
        "counters": {"serial": ground.serial, "last_ids": ground.last_ids},
    }
    if ground.frozen_at is not None:
        document["now"] = shown(ground.frozen_at)
    elif ground.offset_us:
        document["clock_offset"] = ground.offset_us / 1_000_000
    if limits_given:
        document["rate_limit"] = limits_given
    document["users"] = [_user(tx, one) for one in tx.find(User)]
    document["organizations"] = [_organization(tx, one, people) for one in tx.find(Organization)]
    return document


def _plain(value: Any, *leave: str) -> Document:
    """An object's fields with its times as the API prints them."""
    found = {name: one for name, one in plain(value).items() if name not in leave}
    return {
        name: shown(one) if name in _TIMES and isinstance(one, str) else one
        for name, one in found.items()
    }


def _user(tx: Transaction, user: User) -> Document:
    tokens = [
        {"token": one.id, **_plain(one, "id", "user")} for one in tx.find(Token, user=user.id)
    ]
    return {**_plain(user), "tokens": tokens}


def _organization(
    tx: Transaction, organization: Organization, people: Mapping[int, str]
) -> Document:
    roles = tx.find(Role, organization=organization.id)
    titles = Titles(people, {one.id: one.name for one in roles})
    told = (
        *("id", "name", "slug", "created_at", "updated_at", "available_product_features"),
        "evaluation_contexts_enabled",
    )
    return {
        **{name: getattr(organization, name) for name in told[:3]},
        "created_at": shown(organization.created_at),
        "updated_at": shown(organization.updated_at),
        "features": organization.available_product_features,
        "settings": _plain(organization, *told),
        "evaluation_contexts_enabled": organization.evaluation_contexts_enabled,
        "members": [
            {
                "email": titles.person(one.user),
                **_plain(one, "organization", "user"),
                "level": level_word(one.level),
            }
            for one in tx.find(Membership, organization=organization.id)
        ],
        "roles": [_role(tx, one, titles) for one in roles],
        "approval_policies": [
            _policy(one, titles)
            for one in tx.find(Policy, organization=organization.id, project=None)
        ],
        "projects": [
            _project(tx, one, titles) for one in tx.find(Project, organization=organization.id)
        ],
        "activity": [
            {
                **_plain(one, "organization", "project", "user"),
                "team_id": one.project,
                "user": titles.person(one.user),
            }
            for one in tx.find(Entry, organization=organization.id)
        ],
    }


def _role(tx: Transaction, role: Role, titles: Titles) -> Document:
    return {
        **_plain(role, "organization"),
        "created_by": titles.person(role.created_by),
        "members": [
            {"email": titles.person(one.user), **_plain(one, "role", "user")}
            for one in tx.find(RoleMember, role=role.id)
        ],
    }


def _policy(policy: Policy, titles: Titles) -> Document:
    return {
        **_plain(policy, "organization", "project"),
        "approver_config": titles.approvers(policy.approver_config),
        "bypass_roles": [titles.role(one) for one in policy.bypass_roles],
        "created_by": titles.person(policy.created_by),
    }


def _project(tx: Transaction, project: Project, titles: Titles) -> Document:
    return {
        **_plain(project, "organization"),
        "members": [titles.person(one) for one in project.members],
        "approval_policies": [_policy(one, titles) for one in tx.find(Policy, project=project.id)],
        "cohorts": [
            {**_plain(one, "project"), "created_by": titles.person(one.created_by)}
            for one in tx.find(Cohort, project=project.id)
        ],
        "feature_flags": [
            {
                **_plain(one, "project"),
                "created_by": titles.person(one.created_by),
                "last_modified_by": titles.person(one.last_modified_by),
            }
            for one in tx.find(Flag, project=project.id)
        ],
        "change_requests": [
            _request(tx, one, titles) for one in tx.find(ChangeRequest, project=project.id)
        ],
    }


def _request(tx: Transaction, request: ChangeRequest, titles: Titles) -> Document:
    return {
        **_plain(request, "project"),
        "policy_snapshot": titles.approvers(request.policy_snapshot),
        "created_by": titles.person(request.created_by),
        "applied_by": titles.person(request.applied_by),
        "approvals": [
            {**_plain(one, "change_request", "user"), "created_by": titles.person(one.user)}
            for one in votes(tx, request.id)
        ],
    }
