"""Access rules of a project and of its resource types (contract 20)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol.errors import forbidden, invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import check_uuid
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route, View, make_newest_route
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ADMIN, Membership, Organization, Project, Role
from reconciler.sandbox.store.transaction import Transaction

_PROJECT_LEVELS = ("none", "member", "admin")
_LEVELS = ("none", "viewer", "editor", "manager")
_LOWEST = {"action": "viewer"}
_HIGHEST = {"activity_log": "viewer", "toolbar": "viewer"}
_RESOURCES = frozenset(
    [
        "action",
        "activity_log",
        "ai_observability_clusters",
        "customer_analytics",
        "dashboard",
        "early_access_feature",
        "endpoint",
        "error_tracking",
        "evaluation",
        "experiment",
        "export",
        "external_data_source",
        "feature_flag",
        "heatmap",
        "hog_flow",
        "insight",
        "llm_analytics",
        "llm_playground",
        "llm_skill",
        "logs",
        "mcp_analytics",
        "metrics",
        "notebook",
        "replay_scanner",
        "revenue_analytics",
        "session_recording",
        "sharing_configuration",
        "survey",
        "tagger",
        "ticket",
        "toolbar",
        "tracing",
        "warehouse_objects",
        "web_analytics",
    ]
)
Rule = dict[str, Any]


def list_project_rules(call: Call) -> Response:
    """Return the rules of the project itself."""
    rules = [rule for rule in call.project.access_controls if rule["resource"] == "project"]
    return _answer(call, rules, _PROJECT_LEVELS, default="admin")


def list_resource_rules(call: Call) -> Response:
    """Return the rules of all resource types of the project, without those of single objects."""
    rules = [
        rule
        for rule in call.project.access_controls
        if rule["resource"] != "project" and rule.get("resource_id") is None
    ]
    return _answer(call, rules, _LEVELS, default="editor")


def _answer(call: Call, rules: list[Rule], levels: tuple[str, ...], *, default: str) -> Response:
    may_edit = call.membership is not None and people.is_project_admin(
        call.tx, call.project, call.membership
    )
    return Response(
        200,
        {
            "access_controls": [_render_rule(call.tx, call.project, rule) for rule in rules],
            "available_access_levels": list(levels),
            "default_access_level": default,
            "minimum_access_level": levels[0],
            "maximum_access_level": levels[-1],
            "user_access_level": "admin" if may_edit else "member",
            "user_can_edit_access_levels": may_edit,
        },
    )


def set_project_rule(call: Call) -> Response:
    """Set or remove the rule of one subject for the project itself."""
    return _set_rule(call, "project")


def set_resource_rule(call: Call) -> Response:
    """Set or remove the rule of one subject for a resource type."""
    if _read(call, "resource_id"):
        raise forbidden(
            "Cannot modify access controls for a resource different from the URL target."
        )
    resource = _read(call, "resource")
    if resource not in _RESOURCES:
        detail = f"Invalid resource. Must be one of: {tuple(sorted(_RESOURCES))}"
        raise invalid(detail, "resource")
    return _set_rule(call, resource)


def _set_rule(call: Call, resource: str) -> Response:
    level = _read_level(call, resource)
    rule: Rule = {"resource": resource, **_read_subject(call)}
    if call.membership is None or not people.is_project_admin(
        call.tx, call.project, call.membership
    ):
        raise forbidden("Must be an Organization admin to modify project-wide permissions.")
    before = [each for each in call.project.access_controls if _is_same(each, rule)]
    kept = [each for each in call.project.access_controls if not _is_same(each, rule)]
    if level is None:
        if before:
            call.tx.update(replace(call.project, access_controls=kept))
        return Response(204)
    created = before[0] if before else {"created_at": call.tx.at, "created_by": call.user.id}
    stamps = {name: created[name] for name in ("created_at", "created_by") if name in created}
    rule |= {"access_level": level, **stamps, "updated_at": call.tx.at}
    project = call.tx.update(replace(call.project, access_controls=[*kept, rule]))
    return Response(200, _render_rule(call.tx, project, rule))


def _read(call: Call, name: str) -> Any:
    return call.data.get(name) if isinstance(call.data, dict) else None


def _read_level(call: Call, resource: str) -> str | None:
    if not isinstance(call.data, dict) or "access_level" not in call.data:
        raise invalid("This field is required.", "access_level", code="required")
    level = call.data["access_level"]
    levels = _PROJECT_LEVELS if resource == "project" else _LEVELS
    if level is None:
        return None
    if level not in levels:
        raise invalid(f"Invalid access level. Must be one of: {', '.join(levels)}", "access_level")
    lowest, highest = _LOWEST.get(resource, levels[0]), _HIGHEST.get(resource, levels[-1])
    if levels.index(level) < levels.index(lowest):
        detail = f"Access level cannot be set below the minimum '{lowest}' for {resource}."
        raise invalid(detail, "access_level")
    if levels.index(level) > levels.index(highest):
        detail = f"Access level cannot be set above the maximum '{highest}' for {resource}."
        raise invalid(detail, "access_level")
    return str(level)


def _read_subject(call: Call) -> Rule:
    """Return whom a rule is for: a role, a member, or everybody."""
    role_id, member_id = _read(call, "role"), _read(call, "organization_member")
    if role_id is not None and member_id is not None:
        raise invalid("You can not scope an access control to both a member and a role.")
    organization = call.tx.require(Organization, call.project.organization)
    if role_id is not None:
        role = call.tx.get(Role, check_uuid(role_id, "role"))
        if not organization.has("role_based_access"):
            raise forbidden("Role-based access controls require the Role-based access feature.")
        if role is None:
            raise _unknown(role_id, "role")
        if role.organization != organization.id:
            raise invalid("The role must belong to the same organization as this project.")
        return {"role": role.id}
    if member_id is None:
        return {}
    member = call.tx.get(Membership, check_uuid(member_id, "organization_member"))
    if member is None:
        raise _unknown(member_id, "organization_member")
    if member.organization != organization.id:
        raise invalid("The member must belong to the same organization as this project.")
    return {"member": member.user}


def _unknown(value: Any, name: str) -> Exception:
    detail = f'Invalid pk "{value}" - object does not exist.'
    return invalid(detail, name, code="does_not_exist")


def _is_same(first: Rule, second: Rule) -> bool:
    """Return whether two rules are for the same resource and subject: that is their identity."""
    return all(
        first.get(name) == second.get(name)
        for name in ("resource", "resource_id", "role", "member")
    )


def _render_rule(tx: Transaction, project: Project, rule: Rule) -> dict[str, Any]:
    member = (
        people.find_membership(tx, project.organization, rule["member"])
        if "member" in rule
        else None
    )
    return {
        "access_level": rule["access_level"],
        "resource": rule["resource"],
        "resource_id": str(project.id) if rule["resource"] == "project" else None,
        "organization_member": member.id if member is not None else None,
        "role": rule.get("role"),
        "created_by": rule.get("created_by"),
        "created_at": format_time(rule.get("created_at", project.created_at)),
        "updated_at": format_time(rule.get("updated_at", project.created_at)),
    }


def accept_resolution(call: Call) -> Response:
    """Let the most specific rule win in the whole organization, from now on."""
    if call.level < ADMIN:
        raise forbidden("Only organization admins can accept the new resolution.")
    if call.token.scoped_teams:
        raise forbidden(
            "A credential scoped to specific projects cannot accept the new resolution."
        )
    organization = call.tx.require(Organization, call.project.organization)
    call.tx.update(
        replace(organization, uses_most_specific_access_resolution=True, updated_at=call.tx.at)
    )
    return Response(200, {"uses_most_specific_access_resolution": True})


def _make_routes() -> tuple[Route, ...]:
    project = "/api/projects/:project"
    views: tuple[tuple[str, str, View, str], ...] = (
        ("GET", "access_controls", list_project_rules, "project"),
        ("PUT", "access_controls", set_project_rule, "set_project"),
        ("GET", "resource_access_controls", list_resource_rules, "resources"),
        ("PUT", "resource_access_controls", set_resource_rule, "set_resource"),
        ("GET", "global_access_controls", list_resource_rules, "resources"),
        ("PUT", "global_access_controls", set_resource_rule, "set_resource"),
        ("POST", "access_control_resolution_accept", accept_resolution, "accept"),
    )
    return tuple(
        make_newest_route(
            method,
            f"{project}/{path}",
            name,
            view,
            resource="access_controls",
            scope="access_control",
        )
        for method, path, view, name in views
    )


ROUTES = _make_routes()
