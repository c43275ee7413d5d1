"""Projects (contract 10): listed per caller or per organization, written by administrators."""

import re
from dataclasses import replace
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.rules import activity
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import (
    ADMIN,
    ChangeRequest,
    Flag,
    Membership,
    Policy,
    Project,
    User,
    Vote,
)
from reconciler.sandbox.store.tables import plain
from reconciler.sandbox.store.transaction import Transaction

_ORDER = "seq"
_LONGEST_NAME = 200
_ZONE = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*", re.ASCII)
_LOGGED = ("name", "timezone")
_TOO_LOW_HERE = "Your organization access level is insufficient."
_TOO_LOW = "You don't have sufficient permissions in the project."


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "posixrules"})


def _timezone(value: Any, name: str) -> str:
    known = _zones()
    if isinstance(value, str) and (value in known or (not known and _ZONE.fullmatch(value))):
        return value
    raise invalid(f'"{value}" is not a valid choice.', name, code="invalid_choice")


WRITABLE = (
    validators.Field("name", validators.text(longest=_LONGEST_NAME)),
    validators.Field("timezone", _timezone),
)


def list_all(call: Call) -> Answer:
    """The projects that the caller may enter, of all organizations."""
    levels = {one.organization: one for one in call.tx.find(Membership, user=call.user.id)}
    allowed = call.token.scoped_organizations

    def visible(project: Project) -> bool:
        member = levels.get(project.organization)
        if member is None or (allowed and project.organization not in allowed):
            return False
        return people.may_enter(project, member)

    envelope, found = paged(call, Project, [], keep=visible, order=_ORDER)
    return page_answer(envelope, [team(one) for one in found])


def list_in_organization(call: Call) -> Answer:
    """The projects of one organization that the caller may enter."""
    member = call.membership
    clauses = [("organization = ?", (call.organization.id,))]
    keep = (lambda one: people.may_enter(one, member)) if member else None
    envelope, found = paged(call, Project, list(clauses), keep=keep, order=_ORDER)
    return page_answer(envelope, [team(one) for one in found])


def create(call: Call) -> Answer:
    """A new project; it becomes the caller's current one."""
    if call.level < ADMIN and not call.organization.members_can_create_projects:
        raise forbidden(_TOO_LOW_HERE)
    values = validators.read(call.data, WRITABLE, partial=False)
    project = make(call.tx, call.organization.id, values)
    call.tx.update(
        replace(call.user, current_organization=call.organization.id, current_project=project.id)
    )
    _log(call, project, "created", before={})
    return Answer(201, full(call, project))


def make(tx: Transaction, organization: str, values: dict[str, Any]) -> Project:
    """Add a project to an organization."""
    return tx.insert(
        Project(
            id=tx.next_id(Project),
            uuid=tx.uuid(),
            organization=organization,
            api_token=tx.public_token(),
            created_at=tx.at,
            updated_at=tx.at,
            **{"name": "Default project", **values},
        )
    )


def retrieve(call: Call) -> Answer:
    """One project."""
    return Answer(200, full(call, _of_path(call)))


def update(call: Call) -> Answer:
    """Change a project's name or time zone."""
    project = _of_path(call)
    values = validators.read(call.data, WRITABLE, partial=call.incoming.method == "PATCH")
    changed = call.tx.update(replace(project, **values, updated_at=call.tx.at))
    _log(call, changed, "updated", before=plain(project))
    return Answer(200, full(call, changed))


def delete(call: Call) -> Answer:
    """Delete a project with everything in it."""
    project = _of_path(call)
    _log(call, project, "deleted", before={})
    remove(call.tx, project)
    return Answer(204)


def remove(tx: Transaction, project: Project) -> None:
    """Take a project out of the world."""
    for request in tx.find(ChangeRequest, project=project.id):
        for vote in tx.find(Vote, change_request=request.id):
            tx.delete(vote)
        tx.delete(request)
    for kind in (Policy, Flag):
        for one in tx.find(kind, project=project.id):
            tx.delete(one)
    tx.delete(project)
    for user in tx.find(User):
        if user.current_project == project.id:
            other = tx.first(Project, organization=project.organization)
            tx.update(replace(user, current_project=other.id if other else None))


def dead_environments(call: Call) -> Answer:
    """The old management surface of environments: dead (contract 1.1)."""
    raise forbidden(f"Environments of project {call.project.id} cannot be managed.")


def _of_path(call: Call) -> Project:
    """The project of the path, also when it is named below its organization."""
    if call.in_project is not None:
        return call.in_project
    number = validators.as_id(call.params["id"])
    if call.params["id"] == "@current":
        number = call.user.current_project
    project = call.tx.get(Project, number) if number is not None else None
    if project is None or project.organization != call.organization.id:
        raise not_found()
    if call.membership is None or not people.may_enter(project, call.membership):
        raise forbidden("You don't have access to the project.")
    return project


def _log(call: Call, project: Project, kind: str, *, before: dict[str, Any]) -> None:
    changed = activity.changes("Project", before, plain(project), _LOGGED) if before else None
    activity.record(
        call.tx,
        call.actor,
        scope="Project",
        activity=kind,
        organization=project.organization,
        project=project,
        item=str(project.id),
        name=project.name,
        changed=changed,
    )


def team(project: Project) -> dict[str, Any]:
    """A project as lists show it."""
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


def full(call: Call, project: Project) -> dict[str, Any]:
    """A project as its own page shows it."""
    member = people.membership(call.tx, project.organization, call.user.id)
    return {
        **team(project),
        "created_at": shown(project.created_at),
        "updated_at": shown(project.updated_at),
        "effective_membership_level": member.level if member else None,
    }


def _route(method: str, path: str, name: str, view: View) -> Route:
    read = method == "GET"
    return Route(
        method,
        path,
        f"projects.{name}",
        view,
        "project:read" if read else "project:write",
        level=0 if read or name == "create" else ADMIN,  # who may create is a setting
        refusal=_TOO_LOW,
    )


def _routes() -> tuple[Route, ...]:
    one, many = "/api/projects/:project", "/api/organizations/:organization/projects"
    routes = [
        _route("GET", "/api/projects", "list", list_all),
        _route("GET", many, "list", list_in_organization),
        _route("POST", many, "create", create),
        *(
            _route(method, f"{one}/environments{rest}", "environments", dead_environments)
            for rest, methods in (
                ("", ("GET", "POST")),
                ("/:id", ("GET", "PATCH", "PUT", "DELETE")),
            )
            for method in methods
        ),
    ]
    for path in (one, f"{many}/:id"):
        routes += [
            _route("GET", path, "retrieve", retrieve),
            _route("PATCH", path, "update", update),
            _route("PUT", path, "update", update),
            _route("DELETE", path, "delete", delete),
        ]
    return tuple(routes)


ROUTES = _routes()
