"""Exporting a world as a seed document that makes the same world again (docs/sandbox.md)."""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.rules.change_requests import list_votes
from reconciler.sandbox.seed import access_rules
from reconciler.sandbox.seed.export_products import export_products, name_flags
from reconciler.sandbox.seed.names import ExportNames, format_level
from reconciler.sandbox.store import generation, products
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import (
    HIDDEN_SETTINGS,
    ChangeRequest,
    Cohort,
    Flag,
    LogEntry,
    Membership,
    Organization,
    Policy,
    Project,
    Role,
    RoleMember,
    Token,
    User,
)
from reconciler.sandbox.store.tables import get_fields
from reconciler.sandbox.store.transaction import Transaction

Document = dict[str, Any]
_TIME_FIELDS = (
    "created_at",
    "updated_at",
    "joined_at",
    "expires_at",
    "applied_at",
    "validated_at",
    "last_called_at",
    "last_login",
    *products.TIME_FIELDS,
)


def export_world(tx: Transaction) -> Document:
    """Return the whole world as a seed document."""
    settings = tx.settings
    people = {user.id: user.email for user in tx.find_all(User)}
    limits = {"per_minute": settings.per_minute, "per_hour": settings.per_hour}
    limits_given = {name: number for name, number in limits.items() if number is not None}
    document: Document = {
        "profile": settings.profile or generation.DEFAULT.name,
        "withhold_payloads": settings.withhold_payloads,
        "cloud": settings.cloud,
        "counters": {"serial": settings.serial, "last_ids": settings.last_ids},
    }
    if settings.frozen_at is not None:
        document["now"] = format_time(settings.frozen_at)
    elif settings.offset_us:
        document["clock_offset"] = settings.offset_us / 1_000_000
    if limits_given:
        document["rate_limit"] = limits_given
    document["users"] = [_export_user(tx, user) for user in tx.find_all(User)]
    document["organizations"] = [
        _export_organization(tx, organization, people) for organization in tx.find_all(Organization)
    ]
    return document


def _render_fields(value: Any, *leave: str) -> Document:
    """Return an object's fields with its times as the API prints them."""
    kept = {name: item for name, item in get_fields(value).items() if name not in leave}
    return {
        name: format_time(item) if name in _TIME_FIELDS and isinstance(item, str) else item
        for name, item in kept.items()
    }


def _export_user(tx: Transaction, user: User) -> Document:
    tokens = [
        {"token": token.id, **_render_fields(token, "id", "user")}
        for token in tx.find_all(Token, user=user.id)
    ]
    return {**_render_fields(user), "tokens": tokens}


def _export_organization(
    tx: Transaction, organization: Organization, people: Mapping[int, str]
) -> Document:
    roles = tx.find_all(Role, organization=organization.id)
    titles = ExportNames(people, {role.id: role.name for role in roles})
    exported_apart = (
        *("id", "name", "slug", "created_at", "updated_at", "available_product_features"),
        *HIDDEN_SETTINGS,
    )
    return {
        **{name: getattr(organization, name) for name in exported_apart[:3]},
        "created_at": format_time(organization.created_at),
        "updated_at": format_time(organization.updated_at),
        "features": organization.available_product_features,
        "settings": _render_fields(organization, *exported_apart),
        **{name: getattr(organization, name) for name in HIDDEN_SETTINGS},
        "members": [
            {
                "email": titles.name_person(member.user),
                **_render_fields(member, "organization", "user"),
                "level": format_level(member.level),
            }
            for member in tx.find_all(Membership, organization=organization.id)
        ],
        "roles": [_export_role(tx, role, titles) for role in roles],
        "approval_policies": [
            _export_policy(policy, titles)
            for policy in tx.find_all(Policy, organization=organization.id, project=None)
        ],
        "projects": [
            _export_project(tx, project, titles)
            for project in tx.find_all(Project, organization=organization.id)
        ],
        "activity": [
            {
                **_render_fields(entry, "organization", "project", "user"),
                "team_id": entry.project,
                "user": titles.name_person(entry.user),
            }
            for entry in tx.find_all(LogEntry, organization=organization.id)
        ],
    }


def _export_role(tx: Transaction, role: Role, titles: ExportNames) -> Document:
    return {
        **_render_fields(role, "organization"),
        "created_by": titles.name_person(role.created_by),
        "members": [
            {"email": titles.name_person(held.user), **_render_fields(held, "role", "user")}
            for held in tx.find_all(RoleMember, role=role.id)
        ],
    }


def _export_policy(policy: Policy, titles: ExportNames) -> Document:
    return {
        **_render_fields(policy, "organization", "project"),
        "approver_config": titles.name_approvers(policy.approver_config),
        "bypass_roles": [titles.name_role(role_id) for role_id in policy.bypass_roles],
        "created_by": titles.name_person(policy.created_by),
    }


def _export_project(tx: Transaction, project: Project, titles: ExportNames) -> Document:
    replay = project.session_replay_flag
    return {
        **_render_fields(project, "organization"),
        "session_replay_flag": name_flags(tx, project).get(replay) if replay else None,
        "members": [titles.name_person(user) for user in project.members],
        "access_controls": [
            access_rules.name_rule(rule, titles) for rule in project.access_controls
        ],
        "approval_policies": [
            _export_policy(policy, titles) for policy in tx.find_all(Policy, project=project.id)
        ],
        "cohorts": [
            {
                **_render_fields(cohort, "project"),
                "created_by": titles.name_person(cohort.created_by),
            }
            for cohort in tx.find_all(Cohort, project=project.id)
        ],
        "feature_flags": [
            {
                **_render_fields(flag, "project"),
                "created_by": titles.name_person(flag.created_by),
                "last_modified_by": titles.name_person(flag.last_modified_by),
            }
            for flag in tx.find_all(Flag, project=project.id)
        ],
        "change_requests": [
            _export_request(tx, request, titles)
            for request in tx.find_all(ChangeRequest, project=project.id)
        ],
        **export_products(tx, project, titles, _render_fields),
    }


def _export_request(tx: Transaction, request: ChangeRequest, titles: ExportNames) -> Document:
    return {
        **_render_fields(request, "project"),
        "policy_snapshot": titles.name_approvers(request.policy_snapshot),
        "created_by": titles.name_person(request.created_by),
        "applied_by": titles.name_person(request.applied_by),
        "approvals": [
            {
                **_render_fields(vote, "change_request", "user"),
                "created_by": titles.name_person(vote.user),
            }
            for vote in list_votes(tx, request.id)
        ],
    }
