"""Access rules of a project, of its resource types and of single objects (contract 20)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.protocol.errors import forbidden, invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import check_uuid
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route, View, make_newest_route
from reconciler.sandbox.rules.products import access_rules
from reconciler.sandbox.rules.products.access_rules import RESOURCES, Rule
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ADMIN, Flag, Membership, Organization, Project, Role
from reconciler.sandbox.store.products import Experiment
from reconciler.sandbox.store.transaction import Transaction


def list_project_rules(call: Call) -> Response:
    """Return the rules of the project itself."""
    rules = [rule for rule in call.project.access_controls if rule["resource"] == "project"]
    return _answer(call, rules, "project", default="admin")


def list_resource_rules(call: Call) -> Response:
    """Return the rules of all resource types of the project, without those of single objects."""
    rules = [
        rule
        for rule in call.project.access_controls
        if rule["resource"] != "project" and rule.get("resource_id") is None
    ]
    return _answer(call, rules, "", default="editor")


def _list_object_rules(call: Call, resource: str) -> Response:
    target = access_rules.find_object(call, resource, call.params["id"], None)
    rules = [
        rule
        for rule in call.project.access_controls
        if (rule["resource"], rule.get("resource_id")) == (resource, str(target.id))
    ]
    return _answer(call, rules, resource, default="editor", target=target)


def list_flag_rules(call: Call) -> Response:
    """Return the rules of one feature flag."""
    return _list_object_rules(call, "feature_flag")


def list_experiment_rules(call: Call) -> Response:
    """Return the rules of one experiment."""
    return _list_object_rules(call, "experiment")


def _answer(
    call: Call,
    rules: list[Rule],
    resource: str,
    *,
    default: str,
    target: Flag | Experiment | None = None,
) -> Response:
    may_edit = access_rules.may_edit_rules(call, target)
    lowest, highest = access_rules.find_bounds(resource)
    return Response(
        200,
        {
            "access_controls": [_render_rule(call.tx, call.project, rule) for rule in rules],
            "available_access_levels": list(access_rules.list_levels(resource)),
            "default_access_level": default,
            "minimum_access_level": lowest,
            "maximum_access_level": highest,
            "user_access_level": ("manager" if target is not None else "admin")
            if may_edit
            else "member",
            "user_can_edit_access_levels": may_edit,
        },
    )


def set_project_rule(call: Call) -> Response:
    """Set or remove the rule of one subject for the project itself."""
    return _set_rule(call, {"resource": "project"})


def set_resource_rule(call: Call) -> Response:
    """Set or remove the rule of one subject for a resource type."""
    if _read(call, "resource_id"):
        raise forbidden(
            "Cannot modify access controls for a resource different from the URL target."
        )
    resource = _read(call, "resource")
    if resource not in RESOURCES:
        detail = f"Invalid resource. Must be one of: {tuple(sorted(RESOURCES))}"
        raise invalid(detail, "resource")
    return _set_rule(call, {"resource": resource})


def set_flag_rule(call: Call) -> Response:
    """Set or remove the rule of one subject for one feature flag."""
    return _set_object_rule(call, "feature_flag")


def set_experiment_rule(call: Call) -> Response:
    """Set or remove the rule of one subject for one experiment."""
    return _set_object_rule(call, "experiment")


def _set_object_rule(call: Call, resource: str) -> Response:
    level = access_rules.read_level(call.data, resource)
    target = access_rules.find_object(call, resource, call.params["id"], level)
    return _set_rule(call, {"resource": resource, "resource_id": str(target.id)}, target)


def _set_rule(call: Call, place: Rule, target: Flag | Experiment | None = None) -> Response:
    level = access_rules.read_level(call.data, place["resource"])
    key = {**place, **_read_subject(call)}
    rule, _ = access_rules.write_rule(call, key, level, target)
    if rule is None:
        return Response(204)
    return Response(200, _render_rule(call.tx, call.project, rule))


def _read(call: Call, name: str) -> Any:
    return call.data.get(name) if isinstance(call.data, dict) else None


def _read_subject(call: Call) -> Rule:
    """Return whom a rule is for: a role, a member, or everybody."""
    role_id, member_id = _read(call, "role"), _read(call, "organization_member")
    if role_id is not None and member_id is not None:
        raise invalid("You can not scope an access control to both a member and a role.")
    organization = call.tx.require(Organization, call.project.organization)
    if role_id is not None:
        role = call.tx.get(Role, check_uuid(role_id, "role"))
        access_rules.require_role_feature(organization)
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


def _render_rule(tx: Transaction, project: Project, rule: Rule) -> dict[str, Any]:
    member = (
        people.find_membership(tx, project.organization, rule["member"])
        if "member" in rule
        else None
    )
    is_own = rule["resource"] == "project"
    return {
        "access_level": rule["access_level"],
        "resource": rule["resource"],
        "resource_id": str(project.id) if is_own else rule.get("resource_id"),
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
        ("GET", "feature_flags/:id/access_controls", list_flag_rules, "object"),
        ("PUT", "feature_flags/:id/access_controls", set_flag_rule, "set_object"),
        ("GET", "experiments/:id/access_controls", list_experiment_rules, "object"),
        ("PUT", "experiments/:id/access_controls", set_experiment_rule, "set_object"),
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
