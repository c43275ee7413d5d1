"""`reconciler status`: what was applied last, what is newer, and who has to approve what."""

from typing import Any

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.operations import status
from reconciler.operations.change_requests import OpenRequest
from reconciler.render.shared import change_requests


@click.command("status", epilog="Example: reconciler status --target production")
@options.formats("text", "json")
@options.report
@click.pass_obj
def command(session: Session, format_: str) -> int:
    """Show the base, the commits since then, and the open change requests of the target.

    Each request is shown with the people who can still approve it, and until when. Reads only.
    """
    target = session.target()
    git = status.read_git(session.settings(), target, session.facts(), session.surroundings.parsed)
    with session.reader(target) as reader:
        requests = status.list_open_requests(reader, target, git.organizations)
        host = reader.host
    base = git.base
    document = {
        "target": target.name,
        "host": host,
        "base": {"ref": base.ref, "commit": base.commit, "at": git.applied_at} if base else None,
        "commits_since": git.commits_since,
        "dirty": git.dirty,
        "requests": [_as_row(request) for request in requests],
    }
    session.report.status(document, render.status(document, format="json"))
    shown = render.status(document, format=format_, color=session.color, width=session.width)
    session.say(shown, wraps=format_ == "text")
    return 0


def _as_row(open_request: OpenRequest) -> dict[str, Any]:
    request, names = open_request.request, open_request.names
    able = change_requests.list_possible_approvers(
        request.payload, people=names.people, roles=names.roles
    )
    return {
        "id": str(request.payload["id"]),
        "address": request.address,
        "action_key": str(request.payload.get("action_key")),
        "waiting_for": sorted(able.list_emails()),
        "expires_at": request.payload.get("expires_at"),
        "requester": change_requests.name_person(request.payload.get("created_by")),
        "unappliable": change_requests.find_trouble(request.payload),
        "is_approved": request.payload.get("state") == "approved",
    }
