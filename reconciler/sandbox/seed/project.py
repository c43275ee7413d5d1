"""The part of a seed below a project: policies, cohorts, flags and change requests."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from reconciler.sandbox.protocol import durations
from reconciler.sandbox.protocol.errors import ApiError, SeedError
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.seed.names import Names, level
from reconciler.sandbox.seed.values import identity, moment, need_new
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.model import ChangeRequest, Cohort, Flag, Policy, Project, Vote
from reconciler.sandbox.store.transaction import Transaction

_LASTS = timedelta(days=14)
_PROJECT = (
    "timezone",
    "is_demo",
    "ingested_event",
    "completed_snippet_onboarding",
    "has_completed_onboarding_for",
    "access_control",
)
_FLAG = tuple(
    one.name
    for one in fields(Flag)
    if one.name
    not in {
        "id",
        "project",
        "key",
        "filters",
        "created_at",
        "updated_at",
        "created_by",
        "last_modified_by",
        "last_called_at",
    }
)


def load_project(
    tx: Transaction, names: Names, one: dict[str, Any], path: str, *, organization: str
) -> None:
    """A project with everything in it."""
    number = one.get("id") or tx.next_id(Project)
    need_new(tx, Project, number, path)
    created = moment(one.get("created_at", tx.at), f"{path}.created_at")
    project = tx.insert(
        Project(
            id=number,
            uuid=one.get("uuid") or tx.uuid(),
            organization=organization,
            api_token=one.get("api_token") or tx.public_token(),
            name=one["name"],
            created_at=created,
            updated_at=moment(one.get("updated_at", created), f"{path}.updated_at"),
            members=[
                names.known_person(email, f"{path}.members[{place}]")
                for place, email in enumerate(one.get("members") or ())
            ],
            **{name: one[name] for name in _PROJECT if name in one},
        )
    )
    for place, given in enumerate(one.get("approval_policies") or ()):
        where = f"{path}.approval_policies[{place}]"
        load_policy(tx, names, given, where, organization=organization, project=number)
    for place, given in enumerate(one.get("cohorts") or ()):
        _cohort(tx, names, project, given, f"{path}.cohorts[{place}]")
    flags: dict[str, Flag] = {}
    for place, given in enumerate(one.get("feature_flags") or ()):
        _flag(tx, names, project, given, flags=flags, path=f"{path}.feature_flags[{place}]")
    for place, given in enumerate(one.get("change_requests") or ()):
        _request(tx, names, project, given, flags=flags, path=f"{path}.change_requests[{place}]")


def load_policy(
    tx: Transaction,
    names: Names,
    one: dict[str, Any],
    path: str,
    *,
    organization: str,
    project: int | None,
) -> None:
    """A policy of a project, or of the whole organization."""
    key = one["action_key"]
    if project is not None and tx.first(Policy, project=project, action_key=key) is not None:
        raise SeedError(f"{path}.action_key: a policy for {key!r} is there already")
    number = identity(one, tx, path)
    need_new(tx, Policy, number, path)
    created = moment(one.get("created_at", tx.at), f"{path}.created_at")
    tx.insert(
        Policy(
            id=number,
            organization=organization,
            project=project,
            action_key=key,
            approver_config=names.approvers(one["approver_config"], f"{path}.approver_config"),
            created_at=created,
            updated_at=moment(one.get("updated_at", created), f"{path}.updated_at"),
            conditions=one.get("conditions", {}),
            allow_self_approve=one.get("allow_self_approve", False),
            bypass_org_membership_levels=[
                level(word) for word in one.get("bypass_org_membership_levels") or ()
            ],
            bypass_roles=_roles(names, one, path),
            expires_after=_lasts(one, path),
            enabled=one.get("enabled", True),
            created_by=names.person(one.get("created_by"), f"{path}.created_by"),
        )
    )


def _roles(names: Names, one: Mapping[str, Any], path: str) -> list[str]:
    return [
        names.role(name, f"{path}.bypass_roles[{place}]")
        for place, name in enumerate(one.get("bypass_roles") or ())
    ]


def _lasts(one: Mapping[str, Any], path: str) -> str:
    given = one.get("expires_after", "14 00:00:00")
    found = durations.parse(given)
    if found is None:
        raise SeedError(f'{path}.expires_after: {given!r} is no duration: write "14 00:00:00"')
    return durations.text(found)


_COHORT = ("description", "is_static", "deleted", "filters", "count")


def _cohort(
    tx: Transaction, names: Names, project: Project, one: dict[str, Any], path: str
) -> None:
    number = one.get("id") or tx.next_id(Cohort)
    need_new(tx, Cohort, number, path)
    tx.insert(
        Cohort(
            id=number,
            project=project.id,
            name=one["name"],
            created_at=moment(one.get("created_at", tx.at), f"{path}.created_at"),
            created_by=names.person(one.get("created_by"), f"{path}.created_by"),
            **{name: one[name] for name in _COHORT if name in one},
        )
    )


def _flag(
    tx: Transaction,
    names: Names,
    project: Project,
    one: dict[str, Any],
    *,
    flags: dict[str, Flag],
    path: str,
) -> None:
    number = one.get("id") or tx.next_id(Flag)
    need_new(tx, Flag, number, path)
    dead = one.get("deleted", False)
    if not dead and one["key"] in flags:
        raise SeedError(f"{path}.key: a live flag {one['key']!r} is there already")
    try:
        flag_filters.check(one["filters"], creating=False)
    except ApiError as error:
        raise SeedError(f"{path}.filters: {error.detail}") from error
    created = moment(one.get("created_at", tx.at), f"{path}.created_at")
    author = names.person(one.get("created_by"), f"{path}.created_by")
    editor = author
    if "last_modified_by" in one:
        editor = names.person(one["last_modified_by"], f"{path}.last_modified_by")
    called = one.get("last_called_at")
    flag = tx.insert(
        Flag(
            id=number,
            project=project.id,
            key=one["key"],
            filters=one["filters"],
            created_at=created,
            updated_at=moment(one.get("updated_at", created), f"{path}.updated_at"),
            created_by=author,
            last_modified_by=editor,
            last_called_at=moment(called, f"{path}.last_called_at") if called else None,
            **{name: one[name] for name in _FLAG if name in one},
        )
    )
    if not dead:
        flags[flag.key] = flag


def _request(
    tx: Transaction,
    names: Names,
    project: Project,
    one: dict[str, Any],
    *,
    flags: dict[str, Flag],
    path: str,
) -> None:
    number = identity(one, tx, path)
    need_new(tx, ChangeRequest, number, path)
    intent = _intent(one["intent"], flags)
    created = moment(one.get("created_at", tx.at), f"{path}.created_at")
    end = clock.stamp(clock.instant(created) + _LASTS)
    given = one.get("resource_id")
    resource = str(given) if given is not None else None
    if "resource_id" not in one and intent["flag_id"] is not None:
        resource = str(intent["flag_id"])
    checked, applied = one.get("validated_at"), one.get("applied_at")
    tx.insert(
        ChangeRequest(
            id=number,
            project=project.id,
            action_key=one["action_key"],
            resource_id=resource,
            intent=intent,
            policy_snapshot=_snapshot(names, one.get("policy_snapshot"), path),
            created_at=created,
            updated_at=moment(one.get("updated_at", created), f"{path}.updated_at"),
            expires_at=moment(one.get("expires_at", end), f"{path}.expires_at"),
            created_by=names.person(one.get("created_by"), f"{path}.created_by"),
            applied_by=names.person(one.get("applied_by"), f"{path}.applied_by"),
            validated_at=moment(checked, f"{path}.validated_at") if checked else None,
            applied_at=moment(applied, f"{path}.applied_at") if applied else None,
            **{name: one[name] for name in _REQUEST if name in one},
        )
    )
    for place, vote in enumerate(one.get("approvals") or ()):
        _vote(tx, names, number, vote, f"{path}.approvals[{place}]")


_REQUEST = (
    "action_version",
    "resource_type",
    "intent_display",
    "validation_status",
    "validation_errors",
    "state",
    "apply_error",
    "result_data",
)


def _intent(given: dict[str, Any], flags: Mapping[str, Flag]) -> dict[str, Any]:
    """An intent with what follows from the flag that it names, where it was left out."""
    flag = flags.get(str(given.get("flag_key")))
    preconditions = {
        "version": flag.version if flag else None,
        "updated_at": clock.offset_form(flag.updated_at) if flag else None,
    }
    defaults = {
        "flag_id": flag.id if flag else None,
        "flag_key": None,
        "http_method": "PATCH" if flag else "POST",
        "current_state": {},
        "gated_changes": {},
        "full_request_data": given.get("gated_changes", {}),
        "preconditions": preconditions,
    }
    return {**defaults, **given}


def _snapshot(names: Names, given: dict[str, Any] | None, path: str) -> dict[str, Any]:
    whole = {
        "quorum": 1,
        "users": [],
        "roles": [],
        "allow_self_approve": False,
        "conditions": {},
        "bypass_org_membership_levels": [],
        "bypass_roles": [],
        **(given or {}),
    }
    found: dict[str, Any] = names.approvers(whole, f"{path}.policy_snapshot")
    return found


def _vote(tx: Transaction, names: Names, request: str, one: dict[str, Any], path: str) -> None:
    user = names.known_person(one.get("created_by"), f"{path}.created_by")
    if tx.first(Vote, change_request=request, user=user) is not None:
        raise SeedError(f"{path}.created_by: voted twice")
    number = identity(one, tx, path)
    need_new(tx, Vote, number, path)
    cast = moment(one.get("created_at", tx.at), f"{path}.created_at")
    tx.insert(Vote(number, request, user, one["decision"], cast, one.get("reason", "")))
