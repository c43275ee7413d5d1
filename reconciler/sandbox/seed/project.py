"""Loading a project of a seed: policies, cohorts, flags and change requests."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from reconciler.sandbox.protocol import durations
from reconciler.sandbox.protocol.errors import ApiError, SeedError
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.seed.names import SeedNames, parse_level
from reconciler.sandbox.seed.values import read_time, read_uuid, require_new_id
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.model import ChangeRequest, Cohort, Flag, Policy, Project, Vote
from reconciler.sandbox.store.transaction import Transaction

_DEFAULT_LIFETIME = timedelta(days=14)
_PROJECT_FIELDS = (
    "timezone",
    "is_demo",
    "ingested_event",
    "completed_snippet_onboarding",
    "has_completed_onboarding_for",
    "access_control",
)
_FLAG_FIELDS = tuple(
    field.name
    for field in fields(Flag)
    if field.name
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
    tx: Transaction, names: SeedNames, values: dict[str, Any], path: str, *, organization: str
) -> None:
    """Load a project and everything in it."""
    number = values.get("id") or tx.make_id(Project)
    require_new_id(tx, Project, number, path)
    created = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    project = tx.insert(
        Project(
            id=number,
            uuid=values.get("uuid") or tx.make_uuid(),
            organization=organization,
            api_token=values.get("api_token") or tx.make_public_token(),
            name=values["name"],
            created_at=created,
            updated_at=read_time(values.get("updated_at", created), f"{path}.updated_at"),
            members=[
                names.require_person(email, f"{path}.members[{place}]")
                for place, email in enumerate(values.get("members") or ())
            ],
            **{name: values[name] for name in _PROJECT_FIELDS if name in values},
        )
    )
    for place, given in enumerate(values.get("approval_policies") or ()):
        where = f"{path}.approval_policies[{place}]"
        load_policy(tx, names, given, where, organization=organization, project=number)
    for place, given in enumerate(values.get("cohorts") or ()):
        _load_cohort(tx, names, project, given, f"{path}.cohorts[{place}]")
    flags: dict[str, Flag] = {}
    for place, given in enumerate(values.get("feature_flags") or ()):
        _load_flag(tx, names, project, given, flags=flags, path=f"{path}.feature_flags[{place}]")
    for place, given in enumerate(values.get("change_requests") or ()):
        _load_request(
            tx, names, project, given, flags=flags, path=f"{path}.change_requests[{place}]"
        )


def load_policy(
    tx: Transaction,
    names: SeedNames,
    values: dict[str, Any],
    path: str,
    *,
    organization: str,
    project: int | None,
) -> None:
    """Load a policy of a project, or of the whole organization."""
    key = values["action_key"]
    if project is not None and tx.find_first(Policy, project=project, action_key=key) is not None:
        raise SeedError(f"{path}.action_key: a policy for {key!r} already exists")
    number = read_uuid(values, tx, path)
    require_new_id(tx, Policy, number, path)
    created = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    tx.insert(
        Policy(
            id=number,
            organization=organization,
            project=project,
            action_key=key,
            approver_config=names.find_approvers(
                values["approver_config"], f"{path}.approver_config"
            ),
            created_at=created,
            updated_at=read_time(values.get("updated_at", created), f"{path}.updated_at"),
            conditions=values.get("conditions", {}),
            allow_self_approve=values.get("allow_self_approve", False),
            bypass_org_membership_levels=[
                parse_level(word) for word in values.get("bypass_org_membership_levels") or ()
            ],
            bypass_roles=_read_bypass_roles(names, values, path),
            expires_after=_read_lifetime(values, path),
            enabled=values.get("enabled", True),
            created_by=names.find_person(values.get("created_by"), f"{path}.created_by"),
        )
    )


def _read_bypass_roles(names: SeedNames, values: Mapping[str, Any], path: str) -> list[str]:
    return [
        names.find_role(name, f"{path}.bypass_roles[{place}]")
        for place, name in enumerate(values.get("bypass_roles") or ())
    ]


def _read_lifetime(values: Mapping[str, Any], path: str) -> str:
    given = values.get("expires_after", "14 00:00:00")
    lifetime = durations.parse_duration(given)
    if lifetime is None:
        raise SeedError(f'{path}.expires_after: {given!r} is not a duration: write "14 00:00:00"')
    return durations.format_duration(lifetime)


_COHORT_FIELDS = ("description", "is_static", "deleted", "filters", "count")


def _load_cohort(
    tx: Transaction, names: SeedNames, project: Project, values: dict[str, Any], path: str
) -> None:
    number = values.get("id") or tx.make_id(Cohort)
    require_new_id(tx, Cohort, number, path)
    tx.insert(
        Cohort(
            id=number,
            project=project.id,
            name=values["name"],
            created_at=read_time(values.get("created_at", tx.at), f"{path}.created_at"),
            created_by=names.find_person(values.get("created_by"), f"{path}.created_by"),
            **{name: values[name] for name in _COHORT_FIELDS if name in values},
        )
    )


def _load_flag(
    tx: Transaction,
    names: SeedNames,
    project: Project,
    values: dict[str, Any],
    *,
    flags: dict[str, Flag],
    path: str,
) -> None:
    number = values.get("id") or tx.make_id(Flag)
    require_new_id(tx, Flag, number, path)
    dead = values.get("deleted", False)
    if not dead and values["key"] in flags:
        raise SeedError(f"{path}.key: a live flag {values['key']!r} already exists")
    try:
        flag_filters.check_filters(values["filters"], creating=False)
    except ApiError as error:
        raise SeedError(f"{path}.filters: {error.detail}") from error
    created = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    author = names.find_person(values.get("created_by"), f"{path}.created_by")
    editor = author
    if "last_modified_by" in values:
        editor = names.find_person(values["last_modified_by"], f"{path}.last_modified_by")
    called = values.get("last_called_at")
    flag = tx.insert(
        Flag(
            id=number,
            project=project.id,
            key=values["key"],
            filters=values["filters"],
            created_at=created,
            updated_at=read_time(values.get("updated_at", created), f"{path}.updated_at"),
            created_by=author,
            last_modified_by=editor,
            last_called_at=read_time(called, f"{path}.last_called_at") if called else None,
            **{name: values[name] for name in _FLAG_FIELDS if name in values},
        )
    )
    if not dead:
        flags[flag.key] = flag


def _load_request(
    tx: Transaction,
    names: SeedNames,
    project: Project,
    values: dict[str, Any],
    *,
    flags: dict[str, Flag],
    path: str,
) -> None:
    number = read_uuid(values, tx, path)
    require_new_id(tx, ChangeRequest, number, path)
    intent = _complete_intent(values["intent"], flags)
    created = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    end = clock.format_stored(clock.parse_stored(created) + _DEFAULT_LIFETIME)
    given = values.get("resource_id")
    resource = str(given) if given is not None else None
    if "resource_id" not in values and intent["flag_id"] is not None:
        resource = str(intent["flag_id"])
    checked, applied = values.get("validated_at"), values.get("applied_at")
    tx.insert(
        ChangeRequest(
            id=number,
            project=project.id,
            action_key=values["action_key"],
            resource_id=resource,
            intent=intent,
            policy_snapshot=_complete_snapshot(names, values.get("policy_snapshot"), path),
            created_at=created,
            updated_at=read_time(values.get("updated_at", created), f"{path}.updated_at"),
            expires_at=read_time(values.get("expires_at", end), f"{path}.expires_at"),
            created_by=names.find_person(values.get("created_by"), f"{path}.created_by"),
            applied_by=names.find_person(values.get("applied_by"), f"{path}.applied_by"),
            validated_at=read_time(checked, f"{path}.validated_at") if checked else None,
            applied_at=read_time(applied, f"{path}.applied_at") if applied else None,
            **{name: values[name] for name in _REQUEST_FIELDS if name in values},
        )
    )
    for place, vote in enumerate(values.get("approvals") or ()):
        _load_vote(tx, names, number, vote, f"{path}.approvals[{place}]")


_REQUEST_FIELDS = (
    "action_version",
    "resource_type",
    "intent_display",
    "validation_status",
    "validation_errors",
    "state",
    "apply_error",
    "result_data",
)


def _complete_intent(given: dict[str, Any], flags: Mapping[str, Flag]) -> dict[str, Any]:
    """Return an intent with defaults that follow from the flag that it names."""
    flag = flags.get(str(given.get("flag_key")))
    preconditions = {
        "version": flag.version if flag else None,
        "updated_at": clock.format_with_offset(flag.updated_at) if flag else None,
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


def _complete_snapshot(names: SeedNames, given: dict[str, Any] | None, path: str) -> dict[str, Any]:
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
    snapshot: dict[str, Any] = names.find_approvers(whole, f"{path}.policy_snapshot")
    return snapshot


def _load_vote(
    tx: Transaction, names: SeedNames, request: str, values: dict[str, Any], path: str
) -> None:
    user = names.require_person(values.get("created_by"), f"{path}.created_by")
    if tx.find_first(Vote, change_request=request, user=user) is not None:
        raise SeedError(f"{path}.created_by: voted twice")
    number = read_uuid(values, tx, path)
    require_new_id(tx, Vote, number, path)
    cast = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    tx.insert(Vote(number, request, user, values["decision"], cast, values.get("reason", "")))
