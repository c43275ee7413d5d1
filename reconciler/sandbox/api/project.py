"""Projects (contract 10): listed per caller or per organization, written by administrators."""

import re
from dataclasses import replace
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import Field, make_text_check, parse_id, read_fields
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.rules import activity, project_settings
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import (
    ADMIN,
    ChangeRequest,
    Flag,
    Membership,
    Organization,
    Policy,
    Project,
    User,
    Vote,
)
from reconciler.sandbox.store.products import FLAG_FIELDS, Holdout
from reconciler.sandbox.store.transaction import Transaction

_ORDER = "seq"
_LONGEST_NAME = 200
_ZONE = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*", re.ASCII)
_LOGGED = ("name", "timezone")
_LEVEL_TOO_LOW_IN_ORGANIZATION = "Your organization access level is insufficient."
_LEVEL_TOO_LOW = "You don't have sufficient permissions in the project."


@cache
def _list_time_zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "posixrules"})


def _check_timezone(value: Any, name: str) -> str:
    known = _list_time_zones()
    if isinstance(value, str) and (value in known or (not known and _ZONE.fullmatch(value))):
        return value
    raise invalid(f'"{value}" is not a valid choice.', name, code="invalid_choice")


WRITABLE = (
    Field("name", make_text_check(longest=_LONGEST_NAME)),
    Field("timezone", _check_timezone),
)


def list_projects(call: Call) -> Response:
    """List the projects that the caller may access, of all organizations."""
    levels = {
        member.organization: member for member in call.tx.find_all(Membership, user=call.user.id)
    }
    allowed = call.token.scoped_organizations

    def visible(project: Project) -> bool:
        member = levels.get(project.organization)
        if member is None or (allowed and project.organization not in allowed):
            return False
        return people.can_enter(project, member)

    envelope, projects = read_page(call, Project, [], keep=visible, order=_ORDER)
    return make_page(envelope, [render_basic_project(project) for project in projects])


def list_in_organization(call: Call) -> Response:
    """List the projects of one organization that the caller may access."""
    member = call.membership
    clauses = [("organization = ?", (call.organization.id,))]
    keep = (lambda project: people.can_enter(project, member)) if member else None
    envelope, projects = read_page(call, Project, list(clauses), keep=keep, order=_ORDER)
    return make_page(envelope, [render_basic_project(project) for project in projects])


def create_project(call: Call) -> Response:
    """Create a project; it becomes the caller's current one."""
    if call.level < ADMIN and not call.organization.members_can_create_projects:
        raise forbidden(_LEVEL_TOO_LOW_IN_ORGANIZATION)
    values = read_fields(call.data, WRITABLE, partial=False)
    project = insert_project(call.tx, call.organization.id, values)
    call.tx.update(
        replace(call.user, current_organization=call.organization.id, current_project=project.id)
    )
    _log_change(call, project, "created")
    return Response(201, render_project(call, project))


def insert_project(tx: Transaction, organization: str, values: dict[str, Any]) -> Project:
    """Add a project to an organization."""
    return tx.insert(
        Project(
            id=tx.make_id(Project),
            uuid=tx.make_uuid(),
            organization=organization,
            api_token=tx.make_public_token(),
            created_at=tx.at,
            updated_at=tx.at,
            **{"name": "Default project", **values},
        )
    )


def retrieve_project(call: Call) -> Response:
    """Return one project."""
    return Response(200, render_project(call, _find_project(call)))


def update_project(call: Call) -> Response:
    """Change a project's name, time zone or settings."""
    project = _find_project(call)
    values = read_fields(call.data, WRITABLE, partial=call.incoming.method == "PATCH")
    sent = read_fields(call.data, project_settings.WRITABLE, partial=True)
    organization = call.tx.require(Organization, project.organization)
    settings = project_settings.merge_settings(project, organization, sent)
    changed = call.tx.update(replace(project, **values, settings=settings, updated_at=call.tx.at))
    _log_change(call, changed, "updated", project)
    _log_settings(call, project, changed)
    return Response(200, render_project(call, changed))


def delete_project(call: Call) -> Response:
    """Delete a project with everything in it."""
    project = _find_project(call)
    _log_change(call, project, "deleted")
    remove_project(call.tx, project)
    return Response(204)


def remove_project(tx: Transaction, project: Project) -> None:
    """Delete a project and everything in it from the database."""
    for request in tx.find_all(ChangeRequest, project=project.id):
        for vote in tx.find_all(Vote, change_request=request.id):
            tx.delete(vote)
        tx.delete(request)
    kinds: tuple[type[Any], ...] = (Policy, *FLAG_FIELDS, Holdout, Flag)
    for kind in kinds:
        for item in tx.find_all(kind, project=project.id):
            tx.delete(item)
    tx.delete(project)
    for user in tx.find_all(User):
        if user.current_project == project.id:
            other = tx.find_first(Project, organization=project.organization)
            tx.update(replace(user, current_project=other.id if other else None))


def refuse_environments(call: Call) -> Response:
    """Refuse every call to the retired endpoints of environments (contract 1.1)."""
    raise forbidden(f"Environments of project {call.project.id} cannot be managed.")


def _find_project(call: Call) -> Project:
    """Return the project of the path, also when it is named below its organization."""
    if call.in_project is not None:
        return call.in_project
    number = parse_id(call.params["id"])
    if call.params["id"] == "@current":
        number = call.user.current_project
    project = call.tx.get(Project, number) if number is not None else None
    if project is None or project.organization != call.organization.id:
        raise not_found()
    if call.membership is None or not people.can_enter(project, call.membership):
        raise forbidden("You don't have access to the project.")
    return project


def _log_change(call: Call, project: Project, kind: str, before: Project | None = None) -> None:
    activity.record_entry(
        call.tx,
        call.actor,
        kind,
        activity.list_changes("Project", before, project, _LOGGED),
        scope="Project",
        item=(project.id, project.name),
        organization=project.organization,
        project=project,
    )


def _log_settings(call: Call, before: Project, after: Project) -> None:
    """Log changed settings: PostHog calls the project a team there."""
    old, new = ({**project_settings.DEFAULTS, **each.settings} for each in (before, after))
    activity.record_entry(
        call.tx,
        call.actor,
        "updated",
        [
            activity.make_change("Team", name, old[name], new[name])
            for name in new
            if old[name] != new[name]
        ],
        scope="Team",
        item=(after.id, after.name),
        organization=after.organization,
        project=after,
    )


def render_basic_project(project: Project) -> dict[str, Any]:
    """Return a project as lists show it."""
    return {
        "id": project.id,
        "uuid": project.uuid,
        "organization": project.organization,
        "project_id": project.id,
        "api_token": project.api_token,
        "name": project.name,
        "completed_snippet_onboarding": project.completed_snippet_onboarding,
        "has_completed_onboarding_for": project.has_completed_onboarding_for,
        "ingested_event": project.ingested_event,
        "is_demo": project.is_demo,
        "timezone": project.timezone,
        "access_control": project.access_control,
    }


def render_project(call: Call, project: Project) -> dict[str, Any]:
    """Return a project as its own endpoint shows it."""
    member = people.find_membership(call.tx, project.organization, call.user.id)
    return {
        **render_basic_project(project),
        **project_settings.DEFAULTS,
        **project.settings,
        "secret_api_token": f"phs_{project.uuid.replace('-', '')}",
        "secret_api_token_backup": None,
        "created_at": format_time(project.created_at),
        "updated_at": format_time(project.updated_at),
        "effective_membership_level": member.level if member else None,
    }


def _make_route(method: str, path: str, name: str, view: View) -> Route:
    read = method == "GET"
    return Route(
        method,
        path,
        f"projects.{name}",
        view,
        "project:read" if read else "project:write",
        level=0 if read or name == "create" else ADMIN,  # a setting decides who may create
        refusal=_LEVEL_TOO_LOW,
    )


def _make_routes() -> tuple[Route, ...]:
    item, many = "/api/projects/:project", "/api/organizations/:organization/projects"
    routes = [
        _make_route("GET", "/api/projects", "list", list_projects),
        _make_route("GET", many, "list", list_in_organization),
        _make_route("POST", many, "create", create_project),
        *(
            _make_route(method, f"{item}/environments{rest}", "environments", refuse_environments)
            for rest, methods in (
                ("", ("GET", "POST")),
                ("/:id", ("GET", "PATCH", "PUT", "DELETE")),
            )
            for method in methods
        ),
    ]
    for path in (item, f"{many}/:id"):
        routes += [
            _make_route("GET", path, "retrieve", retrieve_project),
            _make_route("PATCH", path, "update", update_project),
            _make_route("PUT", path, "update", update_project),
            _make_route("DELETE", path, "delete", delete_project),
        ]
    return tuple(routes)


ROUTES = _make_routes()
