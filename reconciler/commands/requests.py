"""`reconciler requests`: the change requests of the target."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import click

from reconciler import render
from reconciler.cli import options, terminal
from reconciler.cli.notifications import delivery
from reconciler.cli.notifications import requests as notify_requests
from reconciler.cli.notifications.requests import AskedRequest
from reconciler.cli.session import Session
from reconciler.errors import AmbiguousError, UsageError
from reconciler.operations import change_requests as requests
from reconciler.operations.change_requests import FoundRequest, ProjectScope
from reconciler.posthog import change_requests, voting
from reconciler.posthog.approval_polling import Watch
from reconciler.posthog.change_requests import VoteResponse
from reconciler.posthog.client import Reader, Writer
from reconciler.render.shared import change_requests as shared_change_requests
from reconciler.render.shared.sanitize import escape

STILL_PENDING = 3
STATES = ["pending", "approved", "applied", "rejected", "expired", "failed"]


@click.group("requests", epilog="Example: reconciler requests list --state pending")
def command() -> None:
    """Show and decide change requests: what waits, for whom, and what became of it."""


def _add_scope(function: Callable[..., Any]) -> Callable[..., Any]:
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
@_add_scope
@options.formats("text", "json")
@click.pass_obj
def list_(
    session: Session, state: str, project: str | None, organization: str | None, format_: str
) -> int:
    """List change requests, newest first."""
    wanted = _parse_states(state)
    with session.reader(session.target()) as reader:
        places = requests.find_projects(reader, organization, project)
        found_requests = requests.list_requests(reader, places, wanted)
        rows = [_summarize(request, reader.host) for request in found_requests]
    shown = render.change_requests(
        rows, format=format_, color=session.color, width=session.width, columns=session.columns
    )
    session.say(shown, wraps=format_ == "text")
    return 0


def _parse_states(text: str) -> tuple[str, ...]:
    if text == "all":
        return ()
    states = tuple(part.strip() for part in text.split(",") if part.strip())
    for state in states:
        if state not in STATES:
            known = ", ".join(STATES)
            raise click.BadParameter(f"invalid state: {state!r}; use one of {known}, all")
    return states


@command.command("inbox", epilog="Example: reconciler requests inbox --format json")
@_add_scope
@options.formats("text", "json")
@click.pass_obj
def inbox(session: Session, project: str | None, organization: str | None, format_: str) -> int:
    """List the change requests that wait for your vote, those that expire first at the top.

    You are the user of the key. Each is shown with what it proposes, the command that approves
    it, and its page in PostHog. Reads only.
    """
    target = session.target()
    with session.reader(target) as reader:
        places = requests.find_projects(reader, organization or target.organization, project)
        rows = [
            _describe_waiting(session, request, reader.host)
            for request in requests.list_by_expiry(reader, places)
        ]
    yours = [row for row in rows if row["waits_for_you"]]
    style = {"color": session.color, "width": session.width}
    session.say(render.inbox(yours, format=format_, **style), wraps=format_ == "text")
    return 0


def _describe_waiting(session: Session, request: FoundRequest, host: str) -> dict[str, Any]:
    row = _summarize(request, host)
    verb = "approve" if row["unappliable"] is None else "reject"
    reason = "" if verb == "approve" else " --reason '…'"
    return {
        **row,
        "address": request.address,
        "proposal": shared_change_requests.describe_proposal(request.payload),
        "command": f"reconciler requests {verb} {row['id']}{reason}{session.target_words}",
    }


@command.command("remind", epilog="Example: reconciler requests remind --before 24h --notify URL")
@click.option(
    "--before",
    "before_s",
    type=options.DURATION,
    default="24h",
    show_default=True,
    metavar="DURATION",
    help="How long before it expires.",
)
@delivery.add_options("Send the reminders to this webhook.")
@_add_scope
@options.formats("text", "json")
@click.pass_obj
def remind(
    session: Session,
    before_s: float,
    project: str | None,
    organization: str | None,
    format_: str,
) -> int:
    """Remind approvers of change requests that expire soon, once for each request.

    Made for a job that runs every hour. If a webhook fails, that is a warning (exit code 0), and
    the next run tries again.
    """
    target = session.target()
    if not delivery.is_requested() and not target.notify:
        raise UsageError(
            "nobody to remind",
            why=f"there is no --notify, and target {target.name} has no `notify`",
            fix="add --notify URL, or `notify: [env:RECONCILER_NOTIFY_URL]` to the target",
        )
    with session.reader(target) as reader:
        places = requests.find_projects(reader, organization or target.organization, project)
        now = session.now() + timedelta(seconds=reader.clock_skew_s or 0.0)
        until = now + timedelta(seconds=before_s)
        listed = requests.list_expiring(reader, places, now, until)
        rows = [_describe_waiting(session, each.request, reader.host) for each in listed]
    expiring = {}
    for row, each in zip(rows, listed, strict=True):
        payload, names = each.request.payload, each.names
        able = shared_change_requests.list_possible_approvers(
            payload, people=names.people, roles=names.roles
        )
        expiring[row["id"]] = AskedRequest(row["address"], payload, able, row["url"])
    results = notify_requests.remind(session, target, expiring, now)
    rows = [{**row, "reminder": results[row["id"]]} for row in rows]
    session.say(render.reminders(rows, format=format_, color=session.color))
    return 0


def _summarize(request: FoundRequest, host: str) -> dict[str, Any]:
    return shared_change_requests.summarize_request(
        request.payload, **_name_place(request.place, host)
    )


def _name_place(place: ProjectScope, host: str) -> dict[str, str]:
    return {
        "organization": place.organization,
        "project": place.project,
        "base_url": f"{host}/project/{place.id}/approvals",
    }


@command.command("show", epilog="Example: reconciler requests show ID --format json")
@options.request_id
@_add_scope
@options.formats("text", "json")
@click.pass_obj
def show_request(
    session: Session, id_: str, project: str | None, organization: str | None, format_: str
) -> int:
    """Show one change request: its intent as a diff, votes, who can still approve, expiry."""
    with session.reader(session.target()) as reader:
        request = requests.find_request(reader, id_, organization, project)
        _print_request(session, reader, request, format_)
    return 0


def _print_request(session: Session, reader: Reader, request: FoundRequest, format_: str) -> None:
    names = requests.read_names(reader, request.place)
    shown = render.change_request(
        requests.reveal_payloads(reader, request),
        **_name_place(request.place, reader.host),
        people=names.people,
        roles=names.roles,
        format=format_,
        color=session.color,
        width=session.width,
    )
    session.say(shown, wraps=format_ == "text")


@command.command("wait", epilog="Example: reconciler requests wait ID --timeout 30m")
@options.request_ids
@click.option(
    "--timeout",
    "timeout_s",
    type=options.DURATION,
    default="30m",
    show_default=True,
    metavar="DURATION",
)
@_add_scope
@options.formats("text", "json")
@click.pass_obj
def wait(
    session: Session,
    ids: tuple[str, ...],
    timeout_s: float,
    project: str | None,
    organization: str | None,
    format_: str,
) -> int:
    """Wait until every request is decided. Exits 3 if some are still pending at the end."""
    with session.reader(session.target()) as reader:
        listed = [requests.find_request(reader, id_, organization, project) for id_ in ids]
        latest = {(each.place.id, str(each.payload["id"])): each for each in listed}
        waiting, watch = set(latest), Watch(reader, timeout_s=timeout_s)
        session.end_progress()
        while True:
            for key, payload in watch.poll(waiting).items():
                waiting.discard(key)
                latest[key] = FoundRequest(latest[key].place, payload)
                if format_ == "text":
                    click.echo(escape(_describe_state(payload, str(payload["state"]))))
            if not waiting or not watch.sleep(waiting):
                break
        latest |= {
            key: FoundRequest(latest[key].place, payload)
            for key, payload in watch.still_open.items()
            if key in waiting
        }
        rows = [_summarize(each, reader.host) for each in latest.values()]
    if format_ == "json":
        click.echo(render.change_requests(rows, format="json"))
    else:
        for key in sorted(waiting):
            click.echo(escape(_describe_state(latest[key].payload, "pending")))
    if waiting:
        return STILL_PENDING
    return int(any(row["state"] == "failed" for row in rows))


def _describe_state(payload: Mapping[str, Any], state: str) -> str:
    """Return the id and the state, and where it cannot be applied: why, and who has to do what."""
    trouble = shared_change_requests.find_trouble(payload)
    text = f"{payload['id']}  {state}"
    return text if trouble is None else f"{text}  {trouble.why}: {trouble.fix}"


@command.command("approve", epilog="Example: reconciler requests approve ID --reason 'looks right'")
@options.request_id
@click.option("--reason", default="", help="Kept with the vote.")
@options.yes
@_add_scope
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
@options.request_id
@click.option("--reason", required=True, help="Why it is rejected; PostHog requires a reason.")
@options.yes
@_add_scope
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
@options.request_id
@click.option("--reason", default="", help="Kept with the request.")
@options.yes
@_add_scope
@options.formats("text", "json")
@click.pass_obj
def cancel(
    session: Session,
    id_: str,
    reason: str,
    yes: bool,
    project: str | None,
    organization: str | None,
    format_: str,
) -> int:
    """Cancel your own change request, if nobody has approved it yet."""
    scope = (organization, project)
    asks = not yes and terminal.can_ask()  # a request of the key's own user needs no --yes in CI
    return _vote(session, "cancel", id_, reason, yes=not asks, scope=scope, format_=format_)


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
        request = requests.find_request(writer, id_, *scope)
        if not yes:
            _print_request(session, writer, request, "text")
            terminal.confirm(f"{verb.capitalize()} this change request?")
        place, id_ = request.place.id, str(request.payload["id"])
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
            vote = _look_up_vote(writer, place, id_, verb, error)
        session.note(escape(vote.message or vote.status))
        _print_request(session, writer, FoundRequest(request.place, vote.change_request), format_)
    return 1 if vote.change_request.get("state") == "failed" else 0


def _look_up_vote(
    writer: Writer, place: str, id_: str, verb: str, error: AmbiguousError
) -> VoteResponse:
    """Return a vote that the request itself shows where the answer does not; else the error."""
    request = change_requests.get(writer, place, id_)
    cast = "approved" if verb == "approve" else "rejected"  # taking back is a vote against (7.3)
    if request.get("user_decision") != cast:
        raise error
    return change_requests.VoteResponse(str(request["state"]), "", request)
