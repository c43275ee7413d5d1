"""Access rules as they are stored: bounds, who may write them, and which one decides (contract 20).

A rule is a row of a resource, an object or none, and a subject: a role, a member or everybody.
This tuple is its identity.
"""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import ADMIN, Flag, Membership, Organization, Project
from reconciler.sandbox.store.products import Experiment

Rule = dict[str, Any]
Subject = dict[str, Any]  # {"role": id}, {"member": user} or {}
PROJECT_LEVELS = ("none", "member", "admin")
LEVELS = ("none", "viewer", "editor", "manager")
_LOWEST = {"action": "viewer"}
_HIGHEST = {"activity_log": "viewer", "toolbar": "viewer"}
_BUILT_IN = {"project": "admin", "activity_log": "viewer", "toolbar": "viewer"}  # without a rule
OBJECTS: dict[str, type[Flag | Experiment]] = {"feature_flag": Flag, "experiment": Experiment}
_MOST_OBJECTS = 1000  # of one resource in one project
RESOURCES = frozenset(
    (
        *("action", "activity_log", "ai_observability_clusters", "customer_analytics"),
        *("dashboard", "early_access_feature", "endpoint", "error_tracking", "evaluation"),
        *("experiment", "export", "external_data_source", "feature_flag", "heatmap", "hog_flow"),
        *("insight", "llm_analytics", "llm_playground", "llm_skill", "logs", "mcp_analytics"),
        *("metrics", "notebook", "replay_scanner", "revenue_analytics", "session_recording"),
        *("sharing_configuration", "survey", "tagger", "ticket", "toolbar", "tracing"),
        *("warehouse_objects", "web_analytics"),
    )
)


def list_levels(resource: str) -> tuple[str, ...]:
    """Return the levels of a resource, rising."""
    return PROJECT_LEVELS if resource == "project" else LEVELS


def find_bounds(resource: str) -> tuple[str, str]:
    """Return the lowest and the highest level that a rule may have."""
    levels = list_levels(resource)
    return _LOWEST.get(resource, levels[0]), _HIGHEST.get(resource, levels[-1])


def read_level(data: Any, resource: str) -> str | None:
    """Return the level of a body; None removes the rule."""
    if not isinstance(data, dict) or "access_level" not in data:
        raise invalid("This field is required.", "access_level", code="required")
    level = data["access_level"]
    levels = list_levels(resource)
    if level is None:
        return None
    if level not in levels:
        raise invalid(f"Invalid access level. Must be one of: {', '.join(levels)}", "access_level")
    lowest, highest = find_bounds(resource)
    if levels.index(level) < levels.index(lowest):
        detail = f"Access level cannot be set below the minimum '{lowest}' for {resource}."
        raise invalid(detail, "access_level")
    if levels.index(level) > levels.index(highest):
        detail = f"Access level cannot be set above the maximum '{highest}' for {resource}."
        raise invalid(detail, "access_level")
    return str(level)


def require_role_feature(organization: Organization) -> None:
    """Refuse a rule for a role where the subscription does not include them."""
    if not organization.has("role_based_access"):
        raise forbidden("Role-based access controls require the Role-based access feature.")


def find_object(call: Call, resource: str, number: str, level: str | None) -> Flag | Experiment:
    """Return the object of a rule; of a deleted one, rules can only be removed."""
    kind = OBJECTS.get(resource)
    if kind is None:
        raise invalid("resource does not support object access rules")
    target = call.tx.get(kind, int(number)) if number.isdecimal() else None
    if target is None or target.project != call.project.id:
        raise not_found()
    if level is not None and target.deleted:
        raise invalid("cannot set an access rule on a deleted object")
    return target


def may_edit_rules(call: Call, target: Flag | Experiment | None = None) -> bool:
    """Return whether the caller may write rules of the project, or of one of its objects.

    For an object, its creator and people with the highest level on it may, too.
    """
    member = call.membership
    if member is None:
        return False
    if people.is_project_admin(call.tx, call.project, member):
        return True
    if target is None:
        return False
    resource = next(name for name, kind in OBJECTS.items() if isinstance(target, kind))
    level = people.find_access_level(call.tx, call.project, member, resource, str(target.id))
    return target.created_by == call.user.id or level == LEVELS[-1]


def require_editor(call: Call, target: Flag | Experiment | None = None) -> None:
    """Refuse a write to flags, or to an object, that the rules keep from the caller."""
    resource = "experiment" if isinstance(target, Experiment) else "feature_flag"
    member = call.membership
    if member is None or not people.may_edit_object(
        call.tx, call.project, member, resource, target
    ):
        raise forbidden("You do not have editor access to this resource.")


def write_rule(
    call: Call, key: Rule, level: str | None, target: Flag | Experiment | None = None
) -> tuple[Rule | None, bool]:
    """Set or remove a rule; return it as it is stored, and whether it is new."""
    if not may_edit_rules(call, target):
        whose = "this object" if target is not None else "project-wide permissions"
        raise forbidden(f"Must be an Organization admin to modify {whose}.")
    rules = call.project.access_controls
    before = [each for each in rules if _is_same(each, key)]
    kept = [each for each in rules if not _is_same(each, key)]
    if level is None:
        if before:
            call.tx.update(replace(call.project, access_controls=kept))
        return None, False
    if target is not None and not before:
        _require_room(rules, key)
    created = before[0] if before else {"created_at": call.tx.at, "created_by": call.user.id}
    stamps = {name: created[name] for name in ("created_at", "created_by") if name in created}
    rule = {**key, "access_level": level, **stamps, "updated_at": call.tx.at}
    call.tx.update(replace(call.project, access_controls=[*kept, rule]))
    return rule, not before


def _require_room(rules: list[Rule], key: Rule) -> None:
    ids = {
        each["resource_id"]
        for each in rules
        if each["resource"] == key["resource"] and each.get("resource_id") is not None
    }
    if len(ids | {key["resource_id"]}) > _MOST_OBJECTS:
        detail = f"At most {_MOST_OBJECTS} objects of a resource can have access rules."
        raise invalid(detail, "resource_id")


def _is_same(first: Rule, second: Rule) -> bool:
    """Return whether two rules are for the same resource and subject."""
    return all(
        first.get(name) == second.get(name)
        for name in ("resource", "resource_id", "role", "member")
    )


def find_stored_level(project: Project, key: Rule) -> str | None:
    """Return the level of exactly this rule; None without one."""
    levels = (each["access_level"] for each in project.access_controls if _is_same(each, key))
    return next(levels, None)


def find_deciding_rule(
    organization: Organization, project: Project, resource: str, subjects: list[Subject]
) -> tuple[str, str, str | None]:
    """Return the level in force, where it comes from, and the role whose rule decides.

    `subjects` are those of one member, or of one role, without everybody.
    """
    own = [
        (level, subject)
        for subject in subjects
        if (level := find_stored_level(project, {"resource": resource, **subject})) is not None
    ]
    general = find_stored_level(project, {"resource": resource})
    if organization.uses_most_specific_access_resolution:
        members = [pair for pair in own if "member" in pair[1]]
        candidates = members or own or ([(general, Subject())] if general is not None else [])
    else:
        candidates = [*own, *([(general, Subject())] if general is not None else [])]
    if not candidates:
        return _BUILT_IN.get(resource, "editor"), "default", None
    levels = list_levels(resource)
    level, subject = max(candidates, key=lambda pair: levels.index(str(pair[0])))
    source = "member" if "member" in subject else "role" if "role" in subject else "default"
    return str(level), source, subject.get("role")


def is_bound(member: Membership) -> bool:
    """Return whether rules bind a member: not admins and owners of the organization."""
    return member.level < ADMIN
