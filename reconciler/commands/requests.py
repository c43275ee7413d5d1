"""`reconciler requests`: the change requests of the target."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from reconciler import render, worker_pool
from reconciler.cli import options, terminal
from reconciler.cli.session import Session
from reconciler.errors import (
    AmbiguousError,
    NotFoundError,
    PermissionDeniedError,
    ReconcilerError,
)
from reconciler.live import key_access
from reconciler.live.key_access import Directory
from reconciler.posthog import change_requests, response_shapes, voting
from reconciler.posthog.approval_polling import Watch
from reconciler.posthog.change_requests import VoteResponse
from reconciler.posthog.client import Reader, Writer
from reconciler.render.shared import change_requests as shared_change_requests
from reconciler.render.shared.sanitize import escape

STILL_PENDING, WORKERS = 3, 8
STATES = ["pending", "approved", "applied", "rejected", "expired", "failed"]


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """One project: where change requests live."""

    organization: str
    organization_id: str
    project: str
    id: str


@dataclass(frozen=True, slots=True)
class FoundRequest:
    """A change request and where it is."""

    place: ProjectScope
    payload: Mapping[str, Any]


@click.group("requests", epilog="Example: reconciler requests list --state pending")
def command() -> None:
    """Show and decide change requests: what waits, for whom, and what became of it."""


def _scope(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--organization", metavar="SLUG", help="Only this organization.")(
        function
    )
    return click.option("--project", metavar="NAME", help="Only this project.")(function)


@command.command("list", epilog="Example: reconciler requests list --state all --project Web")
@click.option(
    "--state",
    default="pending,approved",
    show_default=True,
    metavar="STATE[,STATE]",
    help="One or more states, or `all`.",
)
@_scope
@options.formats("text", "json")
@click.pass_obj
def list_(
    session: Session, state: str, project: str | None, organization: str | None, format_: str
) -> int:
    """List change requests, newest first."""
    wanted = _states(state)
    with session.reader(session.target()) as reader:
        places = _find_projects(reader, organization, project)

        def list_requests(place: ProjectScope) -> list[FoundRequest]:
            listed = change_requests.list_all(reader, place.id, state=wanted)
            return [FoundRequest(place, payload) for payload in listed]

        with worker_pool.start_pool(min(WORKERS, len(places)), "requests") as pool:
            requests = [request for group in pool.map(list_requests, places) for request in group]
        host = reader.host
    requests.sort(key=lambda request: str(request.payload.get("created_at")), reverse=True)
    rows = [
        shared_change_requests.summarize_request(request.payload, **_names(request.place, host))
        for request in requests
    ]
    shown = render.change_requests(rows, format=format_, color=session.color)
    click.echo(shown, color=session.color)
    return 0


def _states(text: str) -> tuple[str, ...]:
    if text == "all":
        return ()
    states = tuple(part.strip() for part in text.split(",") if part.strip())
    for state in states:
        if state not in STATES:
            known = ", ".join(STATES)
            raise click.BadParameter(f"invalid state: {state!r}; use one of {known}, all")
    return states


def _names(place: ProjectScope, host: str) -> dict[str, str]:
    return {
        "organization": place.organization,
        "project": place.project,
        "base_url": f"{host}/project/{place.id}/approvals",
    }


@command.command("show", epilog="Example: reconciler requests show ID --format json")
@click.argument("id_", metavar="ID", callback=options.an_id)
@_scope
@options.formats("text", "json")
@click.pass_obj
def show_request(
    session: Session, id_: str, project: str | None, organization: str | None, format_: str
) -> int:
    """Show one change request: its intent as a diff, votes, who can still approve, expiry."""
    with session.reader(session.target()) as reader:
        request = _find_request(reader, id_, organization, project)
        _print_request(session, reader, request, format_)
    return 0


def _print_request(session: Session, reader: Reader, request: FoundRequest, format_: str) -> None:
    people, roles = _read_names(reader, request.place)
    shown = render.change_request(
        request.payload,
        **_names(request.place, reader.host),
        people=people,
        roles=roles,
        format=format_,
        color=session.color,
    )
    click.echo(shown, color=session.color)


@command.command("wait", epilog="Example: reconciler requests wait ID --timeout 30m")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, callback=options.an_id)
@click.option(
    "--timeout",
    "timeout_s",
    type=options.DURATION,
    default="30m",
    show_default=True,
    metavar="DURATION",
)
@_scope
@click.pass_obj
def wait(
    session: Session,
    ids: tuple[str, ...],
    timeout_s: float,
    project: str | None,
    organization: str | None,
) -> int:
    """Wait until every one is decided. Exits 3 if some are still pending at the end."""
    wanted = tuple(dict.fromkeys(ids))
    with session.reader(session.target()) as reader:
        where = [_find_request(reader, id_, organization, project).place for id_ in wanted]
        waiting = {(place.id, id_) for place, id_ in zip(where, wanted, strict=True)}
        failed, watch = False, Watch(reader, timeout_s=timeout_s)
        while True:
            for key, payload in watch.poll(waiting).items():
                waiting.discard(key)
                failed = failed or payload["state"] == "failed"
                click.echo(escape(f"{payload['id']}  {payload['state']}"))
            if not waiting or not watch.sleep(waiting):
                break
    for _, id_ in sorted(waiting):
        click.echo(escape(f"{id_}  pending"))
    return STILL_PENDING if waiting else int(failed)


@command.command("approve", epilog="Example: reconciler requests approve ID --reason 'looks right'")
@click.argument("id_", metavar="ID", callback=options.an_id)
@click.option("--reason", default="", help="Kept with the vote.")
@options.yes
@_scope
@options.formats("text", "json")
@click.pass_obj
def approve(
    session: Session,
    id_: str,
    reason: str,
    yes: bool,
    project: str | None,
    organization: str | None,
    format_: str,
) -> int:
    """Approve a change request as the person whose key this is."""
    scope = (organization, project)
    return _vote(session, "approve", id_, reason, yes=yes, scope=scope, format_=format_)


@command.command("reject", epilog="Example: reconciler requests reject ID --reason 'too wide'")
@click.argument("id_", metavar="ID", callback=options.an_id)
@click.option("--reason", required=True, help="Why it is rejected; PostHog requires a reason.")
@options.yes
@_scope
@options.formats("text", "json")
@click.pass_obj
def reject(
    session: Session,
    id_: str,
    reason: str,
    yes: bool,
    project: str | None,
    organization: str | None,
    format_: str,
) -> int:
    """Reject a change request; one rejection is final."""
    if not reason.strip():
        raise click.BadParameter("a reason is required to reject", param_hint="--reason")
    scope = (organization, project)
    return _vote(session, "reject", id_, reason, yes=yes, scope=scope, format_=format_)


@command.command("cancel", epilog="Example: reconciler requests cancel ID")
@click.argument("id_", metavar="ID", callback=options.an_id)
@click.option("--reason", default="", help="Kept with the request.")
@_scope
@options.formats("text", "json")
@click.pass_obj
def cancel(
    session: Session,
    id_: str,
    reason: str,
    project: str | None,
    organization: str | None,
    format_: str,
) -> int:
    """Cancel a change request of one's own that nobody has approved yet."""
    scope = (organization, project)
    return _vote(session, "cancel", id_, reason, yes=True, scope=scope, format_=format_)


def _vote(
    session: Session,
    verb: str,
    id_: str,
    reason: str,
    *,
    yes: bool,
    scope: tuple[str | None, str | None],
    format_: str,
) -> int:
    terminal.require_answer(f"requests {verb}", yes=yes)
    with session.writer(session.target()) as writer:
        request = _find_request(writer, id_, *scope)
        if not yes:
            _print_request(session, writer, request, "text")
            terminal.confirm(f"{verb.capitalize()} this change request?", "no vote was given")
        place = request.place.id
        try:
            match verb:
                case "approve":
                    vote = voting.approve(writer, place, id_, reason=reason)
                case "reject":
                    vote = voting.reject(writer, place, id_, reason=reason)
                case _:
                    vote = change_requests.cancel(writer, place, id_, reason=reason)
        except AmbiguousError as error:
            error.fix = f"look at it: reconciler requests show {id_}"
            vote = _looked_up(writer, place, id_, verb, error)
        session.note(escape(vote.message or vote.status))
        _print_request(session, writer, FoundRequest(request.place, vote.change_request), format_)
    return 1 if vote.change_request.get("state") == "failed" else 0


def _looked_up(
    writer: Writer, place: str, id_: str, verb: str, error: AmbiguousError
) -> VoteResponse:
    """Return a vote that the request itself shows where the answer does not; else the error."""
    request = change_requests.get(writer, place, id_)
    cast = "approved" if verb == "approve" else "rejected"  # taking back is a vote against (7.3)
    if request.get("user_decision") != cast:
        raise error
    return change_requests.VoteResponse(str(request["state"]), "", request)


def _find_projects(
    reader: Reader, organization: str | None, project: str | None
) -> list[ProjectScope]:
    """Return the projects this key can see, narrowed by the options; raise for unknown names."""
    directory = key_access.read_directory(reader)
    places = [
        place
        for place in _all_places(directory)
        if organization in (None, place.organization) and project in (None, place.project, place.id)
    ]
    if not places:
        known = ", ".join(sorted({place.project for place in _all_places(directory)})[:5])
        what = f"no project {project!r}" if project else "no project"
        raise ReconcilerError(
            f"{what} that this key can see" + (f" in {organization}" if organization else ""),
            why="the name is not among those PostHog lists",
            fix=f"known: {known}" if known else "give the key access to a project",
        )
    return places


def _all_places(directory: Directory) -> Iterator[ProjectScope]:
    for slug, projects in directory.projects.items():
        id_ = str(directory.organizations[slug][0]["id"])
        for name, ids in projects.items():
            for project_id in ids:
                yield ProjectScope(slug, id_, name, project_id)


def _find_request(
    reader: Reader, id_: str, organization: str | None, project: str | None
) -> FoundRequest:
    """Return a change request and the project that holds it, asked one after the other."""
    denied: PermissionDeniedError | None = None
    for place in _find_projects(reader, organization, project):
        try:
            return FoundRequest(place, change_requests.get(reader, place.id, id_))
        except NotFoundError:
            continue
        except PermissionDeniedError as error:
            denied = error
    if denied is not None:
        raise denied
    raise ReconcilerError(
        f"no change request {id_}",
        why="none of the projects this key can see has one of this id",
        fix="reconciler requests list --state all",
    )


def _read_names(
    reader: Reader, place: ProjectScope
) -> tuple[dict[int, str], dict[str, dict[str, Any]]]:
    """Return names for the ids in a request: people by user id, roles by uuid, if readable."""
    people: dict[int, str] = {}
    roles: dict[str, dict[str, Any]] = {}
    base = f"/api/organizations/{place.organization_id}"
    try:
        for role in reader.list(f"{base}/roles/").items:
            response_shapes.require_shape(f"{base}/roles/", role, response_shapes.ROLE)
            users = [held["user"] for held in role.get("members") or ()]
            people |= {user["id"]: user["email"] for user in users}
            members = [user["email"] for user in users]
            roles[str(role["id"])] = {"name": role["name"], "members": members}
        for member in reader.list(f"{base}/members/").items:
            user = response_shapes.require_shape(
                f"{base}/members/", member, response_shapes.MEMBER
            )["user"]
            people[user["id"]] = user["email"]
    except PermissionDeniedError:
        pass  # ids are shown where names cannot be read
    return people, roles
