"""Loading a project of a seed: policies, cohorts, flags and change requests."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from reconciler.sandbox.protocol import durations
from reconciler.sandbox.protocol.errors import ApiError
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.seed import access_rules, products
from reconciler.sandbox.seed.names import parse_level
from reconciler.sandbox.seed.values import SeedItem
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.model import ChangeRequest, Cohort, Flag, Policy, Project, Vote

_DEFAULT_LIFETIME = timedelta(days=14)
_PROJECT_FIELDS = (
    "timezone",
    "is_demo",
    "ingested_event",
    "completed_snippet_onboarding",
    "has_completed_onboarding_for",
    "access_control",
    "settings",
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


def load_project(item: SeedItem, organization: str) -> None:
    """Load a project and everything in it."""
    tx = item.tx
    number = item.read_id(Project)
    created = item.read_time("created_at")
    project = tx.insert(
        Project(
            id=number,
            uuid=item.get("uuid") or tx.make_uuid(),
            organization=organization,
            api_token=item.get("api_token") or tx.make_public_token(),
            name=item["name"],
            created_at=created,
            updated_at=item.read_time("updated_at", created),
            members=[
                member.names.require_person(member["email"], member.path)
                for member in item.list_items("members")
            ],
            access_controls=access_rules.load_rules(item, organization),
            **item.pick(_PROJECT_FIELDS),
        )
    )
    for policy in item.list_items("approval_policies"):
        load_policy(policy, organization=organization, project=number)
    for cohort in item.list_items("cohorts"):
        _load_cohort(cohort, project)
    flags: dict[str, Flag] = {}
    for flag in item.list_items("feature_flags"):
        _load_flag(flag, project, flags)
    replay = products.find_flag(item, "session_replay_flag", project, flags)
    if replay is not None:
        project = tx.update(replace(project, session_replay_flag=replay))
    products.load_products(item, project, flags)
    for request in item.list_items("change_requests"):
        _load_request(request, project, flags)
    products.load_scheduled_changes(item, project, flags)


def load_policy(item: SeedItem, *, organization: str, project: int | None) -> None:
    """Load a policy of a project, or of the whole organization."""
    key = item["action_key"]
    taken = item.tx.find_first(Policy, project=project, action_key=key)
    if project is not None and taken is not None:
        raise item.make_error("action_key", f"a policy for {key!r} already exists")
    identity = item.read_uuid(Policy)
    created = item.read_time("created_at")
    config_path = f"{item.path}.approver_config"
    item.tx.insert(
        Policy(
            id=identity,
            organization=organization,
            project=project,
            action_key=key,
            approver_config=item.names.find_approvers(item["approver_config"], config_path),
            created_at=created,
            updated_at=item.read_time("updated_at", created),
            conditions=item.get("conditions", {}),
            allow_self_approve=item.get("allow_self_approve", False),
            bypass_org_membership_levels=[
                parse_level(level) for level in item.get("bypass_org_membership_levels") or ()
            ],
            bypass_roles=[
                item.names.find_role(name, f"{item.path}.bypass_roles[{number}]")
                for number, name in enumerate(item.get("bypass_roles") or ())
            ],
            expires_after=_read_lifetime(item),
            enabled=item.get("enabled", True),
            created_by=item.find_person("created_by"),
        )
    )


def _read_lifetime(item: SeedItem) -> str:
    given = item.get("expires_after", "14 00:00:00")
    lifetime = durations.parse_duration(given)
    if lifetime is None:
        problem = f'{given!r} is not a duration: write "14 00:00:00"'
        raise item.make_error("expires_after", problem)
    return durations.format_duration(lifetime)


_COHORT_FIELDS = ("description", "is_static", "deleted", "filters", "count")


def _load_cohort(item: SeedItem, project: Project) -> None:
    item.tx.insert(
        Cohort(
            id=item.read_id(Cohort),
            project=project.id,
            name=item["name"],
            created_at=item.read_time("created_at"),
            created_by=item.find_person("created_by"),
            **item.pick(_COHORT_FIELDS),
        )
    )


def _load_flag(item: SeedItem, project: Project, flags: dict[str, Flag]) -> None:
    number = item.read_id(Flag)
    deleted = item.get("deleted", False)
    if not deleted and item["key"] in flags:
        raise item.make_error("key", f"a live flag {item['key']!r} already exists")
    try:
        flag_filters.check_stored_filters(item["filters"])
    except ApiError as error:
        raise item.make_error("filters", error.detail) from error
    created = item.read_time("created_at")
    author = item.find_person("created_by")
    editor = item.find_person("last_modified_by") if "last_modified_by" in item.values else author
    flag = item.tx.insert(
        Flag(
            id=number,
            project=project.id,
            key=item["key"],
            filters=item["filters"],
            created_at=created,
            updated_at=item.read_time("updated_at", created),
            created_by=author,
            last_modified_by=editor,
            last_called_at=item.read_optional_time("last_called_at"),
            **item.pick(_FLAG_FIELDS),
        )
    )
    if not deleted:
        flags[flag.key] = flag


def _load_request(item: SeedItem, project: Project, flags: dict[str, Flag]) -> None:
    identity = item.read_uuid(ChangeRequest)
    about_flag = item.get("resource_type", "feature_flag") == "feature_flag"
    intent = _complete_intent(item["intent"], flags) if about_flag else item["intent"]
    created = item.read_time("created_at")
    end = clock.format_stored(clock.parse_stored(created) + _DEFAULT_LIFETIME)
    resource = item.get("resource_id", intent.get("flag_id", intent.get("holdout_id")))
    item.tx.insert(
        ChangeRequest(
            id=identity,
            project=project.id,
            action_key=item["action_key"],
            resource_id=str(resource) if resource is not None else None,
            intent=intent,
            policy_snapshot=_complete_snapshot(item),
            created_at=created,
            updated_at=item.read_time("updated_at", created),
            expires_at=item.read_time("expires_at", end),
            created_by=item.find_person("created_by"),
            applied_by=item.find_person("applied_by"),
            validated_at=item.read_optional_time("validated_at"),
            applied_at=item.read_optional_time("applied_at"),
            **item.pick(_REQUEST_FIELDS),
        )
    )
    for vote in item.list_items("approvals"):
        _load_vote(vote, identity)


_REQUEST_FIELDS = (
    "action_version",
    "resource_type",
    "intent_display",
    "validation_status",
    "validation_errors",
    "state",
    "apply_error",
    "result_data",
    "owner_kind",
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


def _complete_snapshot(item: SeedItem) -> dict[str, Any]:
    """Return a policy snapshot with defaults for what was left out."""
    defaults = {
        "quorum": 1,
        "users": [],
        "roles": [],
        "allow_self_approve": False,
        "conditions": {},
        "bypass_org_membership_levels": [],
        "bypass_roles": [],
    }
    snapshot = defaults | (item.get("policy_snapshot") or {})
    converted: dict[str, Any]
    converted = item.names.find_approvers(snapshot, f"{item.path}.policy_snapshot")
    return converted


def _load_vote(item: SeedItem, request: str) -> None:
    user = item.require_person("created_by")
    if item.tx.find_first(Vote, change_request=request, user=user) is not None:
        raise item.make_error("created_by", "voted twice")
    identity = item.read_uuid(Vote)
    cast = item.read_time("created_at")
    item.tx.insert(Vote(identity, request, user, item["decision"], cast, item.get("reason", "")))
