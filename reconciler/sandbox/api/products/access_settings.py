"""The newer calls for access rules: one per kind of subject, each for every scope (contract 20.1).

They also say which level is in force, and which rule decides.
"""

from typing import Any

from reconciler.sandbox.protocol.errors import invalid, not_found, required
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import check_uuid, parse_uuid
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route, View, make_newest_route
from reconciler.sandbox.rules.products import access_rules
from reconciler.sandbox.rules.products.access_rules import (
    LEVELS,
    OBJECTS,
    PROJECT_LEVELS,
    RESOURCES,
    Rule,
    Subject,
)
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import Membership, Organization, Role, User

_IDS = {"role_id": "role", "member_id": "organization_member"}  # and their names in one version


def show_defaults(call: Call) -> Response:
    """Return the level of everybody, for the project and for each resource type."""
    project = call.project
    own = access_rules.find_stored_level(project, {"resource": "project"})
    return Response(
        200,
        {
            **_describe_levels(call),
            "project_access_level": own or "admin",
            "resource_access_levels": {
                resource: {
                    "access_level": access_rules.find_stored_level(project, {"resource": resource}),
                    **_describe_bounds(resource),
                }
                for resource in sorted(RESOURCES)
            },
            "object_rule_resources": [
                {
                    "resource": resource,
                    "available_access_levels": list(LEVELS),
                    "minimum_access_level": access_rules.find_bounds(resource)[0],
                }
                for resource in sorted(OBJECTS)
            ],
        },
    )


def list_roles(call: Call) -> Response:
    """Return the rules of each role, what is in force, and which rule decides."""
    wanted = call.get_query("role_id")
    roles = [_find_role(call, wanted)] if wanted else _list_roles(call)
    results = [
        {
            "role_id": role.id,
            "role_name": role.name,
            **_describe_access(call, [{"role": role.id}], None),
        }
        for role in roles
    ]
    return Response(200, {**_describe_levels(call), "results": results})


def list_members(call: Call) -> Response:
    """Return the rules of each member, what is in force, and which rule decides."""
    wanted = call.get_query("member_id")
    members = [_find_member(call, wanted)] if wanted else _list_members(call)
    results = [_describe_member(call, member) for member in members]
    return Response(200, {**_describe_levels(call), "results": results})


def _list_roles(call: Call) -> list[Role]:
    return call.tx.find_all(Role, organization=call.project.organization)


def _list_members(call: Call) -> list[Membership]:
    organization = call.tx.require(Organization, call.project.organization)
    visible = people.find_visible_users(call.tx, organization, call.membership)
    members = call.tx.find_all(Membership, organization=organization.id)
    return [member for member in members if visible is None or member.user in visible]


def _find_role(call: Call, value: Any) -> Role:
    role = call.tx.get(Role, parse_uuid(value) or "")
    if role is None or role.organization != call.project.organization:
        raise not_found()
    return role


def _find_member(call: Call, value: Any) -> Membership:
    """Return a membership; where the list of members is hidden, only to who may edit rules."""
    member = call.tx.get(Membership, parse_uuid(value) or "")
    organization = call.tx.require(Organization, call.project.organization)
    hidden = not organization.members_can_see_org_members and not access_rules.may_edit_rules(call)
    if member is None or member.organization != organization.id or hidden:
        raise not_found()
    return member


def _describe_levels(call: Call) -> dict[str, Any]:
    return {
        "available_project_levels": list(PROJECT_LEVELS),
        "available_resource_levels": list(LEVELS),
        "can_edit": access_rules.may_edit_rules(call),
    }


def _describe_bounds(resource: str) -> dict[str, str]:
    lowest, highest = access_rules.find_bounds(resource)
    return {"minimum": lowest, "maximum": highest}


def _describe_member(call: Call, member: Membership) -> dict[str, Any]:
    user = call.tx.require(User, member.user)
    role_ids = sorted(people.find_role_ids(call.tx, user.id, member.organization))
    subjects: list[Subject] = [{"member": user.id}, *({"role": role} for role in role_ids)]
    return {
        "organization_membership_id": member.id,
        "user": {
            "uuid": user.uuid,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "email": user.email,
        },
        "organization_level": member.level,
        "role_ids": role_ids,
        **_describe_access(call, subjects, member),
    }


def _describe_access(
    call: Call, subjects: list[Subject], member: Membership | None
) -> dict[str, Any]:
    entries = {
        resource: _describe_entry(call, resource, subjects, member)
        for resource in ("project", *sorted(RESOURCES))
    }
    return {"project": entries.pop("project"), "resources": entries}


def _describe_entry(
    call: Call, resource: str, subjects: list[Subject], member: Membership | None
) -> dict[str, Any]:
    """Return the subject's own rule, the level in force, and what it has without its own rule."""
    organization = call.tx.require(Organization, call.project.organization)
    stored = access_rules.find_stored_level(call.project, {"resource": resource, **subjects[0]})
    if member is not None and not access_rules.is_bound(member):
        highest = access_rules.find_bounds(resource)[1]
        effective = highest
        inherited = {"access_level": highest, "source": "organization_admin", "role_id": None}
    else:
        effective, _, _ = access_rules.find_deciding_rule(
            organization, call.project, resource, subjects
        )
        level, source, role = access_rules.find_deciding_rule(
            organization, call.project, resource, subjects[1:]
        )
        inherited = {"access_level": level, "source": source, "role_id": role}
    return {
        "access_level": stored,
        "effective_access_level": effective,
        "inherited_access": inherited,
        **_describe_bounds(resource),
    }


def set_default_rule(call: Call) -> Response:
    """Set or remove the rule for everybody."""
    return _set_rule(call, {})


def set_role_rule(call: Call) -> Response:
    """Set or remove the rule of a role."""
    role = _find_role(call, _read_id(call, "role_id"))
    access_rules.require_role_feature(call.tx.require(Organization, role.organization))
    return _set_rule(call, {"role": role.id})


def set_member_rule(call: Call) -> Response:
    """Set or remove the rule of a member."""
    return _set_rule(call, {"member": _find_member(call, _read_id(call, "member_id")).user})


def _read_id(call: Call, name: str) -> str:
    data = call.data if isinstance(call.data, dict) else {}
    value = data.get(name, data.get(_IDS[name]))
    if value is None:
        raise required(name)
    return check_uuid(value, name)


def _set_rule(call: Call, subject: Subject) -> Response:
    data = call.data if isinstance(call.data, dict) else {}
    resource = data.get("resource")
    if not isinstance(resource, str):
        raise required("resource")
    number = str(data["resource_id"]) if data.get("resource_id") is not None else None
    level = access_rules.read_level(data, resource)
    place, target = _find_place(call, resource, number, level)
    rule, is_new = access_rules.write_rule(call, {**place, **subject}, level, target)
    if rule is None:
        return Response(204)
    return Response(201 if is_new else 200, _render_rule(call, rule))


def _find_place(
    call: Call, resource: str, number: str | None, level: str | None
) -> tuple[Rule, Any]:
    """Return what a rule is for: the project, a resource type or one object, and the object."""
    if resource == "project":
        if number != str(call.project.id):
            raise invalid("A project rule takes the project's own id as resource_id.")
        return {"resource": resource}, None
    if number:
        target = access_rules.find_object(call, resource, number, level)
        return {"resource": resource, "resource_id": str(target.id)}, target
    if resource not in RESOURCES:
        raise invalid(
            f"{resource} has no resource-level rules. Pass a resource_id for a rule on one object."
        )
    return {"resource": resource}, None


def _render_rule(call: Call, rule: Rule) -> dict[str, Any]:
    organization = call.project.organization
    member = (
        people.find_membership(call.tx, organization, rule["member"]) if "member" in rule else None
    )
    is_own = rule["resource"] == "project"
    return {
        "resource": rule["resource"],
        "resource_id": str(call.project.id) if is_own else rule.get("resource_id"),
        "access_level": rule["access_level"],
        "member_id": member.id if member is not None else None,
        "role_id": rule.get("role"),
    }


def _make_routes() -> tuple[Route, ...]:
    views: tuple[tuple[str, str, View], ...] = (
        ("GET", "access_control_defaults", show_defaults),
        ("GET", "access_control_roles", list_roles),
        ("GET", "access_control_members", list_members),
        ("PUT", "access_control_default_rules", set_default_rule),
        ("PUT", "access_control_role_rules", set_role_rule),
        ("PUT", "access_control_member_rules", set_member_rule),
    )
    places = ("/api/projects/:project", "/api/organizations/:organization/projects/:project")
    return tuple(
        make_newest_route(
            method,
            f"{place}/{path}",
            path.removeprefix("access_control_"),
            view,
            resource="access_settings",
            scope="access_control",
        )
        for place in places
        for method, path, view in views
    )


ROUTES = _make_routes()
