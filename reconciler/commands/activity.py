"""`reconciler activity`: the organization's activity log, filtered, listed and exported."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.errors import (
    InvalidRequestError,
    PaymentRequiredError,
    PermissionDeniedError,
    ReconcilerError,
    UsageError,
)
from reconciler.files import result_files
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.planfile.reader import format_json
from reconciler.posthog import activity_log, response_shapes
from reconciler.posthog.activity_log import Query
from reconciler.posthog.client import Reader
from reconciler.render.shared import activity

LARGEST_PAGE = 1000
_SIGNS = {"=": "exact", "~": "contains"}


@dataclass(frozen=True, slots=True)
class LogScope:
    """Whose log is read, and the names of the projects in it."""

    organization: str
    organization_id: str
    projects: Mapping[str, str]  # id -> name
    project_id: str | None = None  # the project's own log instead

    def summarize(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry in names."""
        return activity.summarize_entry(
            entry, organization=self.organization, projects=self.projects
        )


@click.group("activity", epilog="Example: reconciler activity list --since 7d --user a@acme.test")
def command() -> None:
    """Read the activity log: who changed what, when, and through which client. Reads only."""


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add every query parameter of the API; different ones narrow, repeated ones widen."""
    options_ = (
        options.since("Of the last 7d, 36h, 30m."),
        click.option("--start-date", metavar="TIME", help="From this moment on (ISO 8601)."),
        click.option("--end-date", metavar="TIME", help="Up to this moment (ISO 8601)."),
        click.option("--user", "users", multiple=True, metavar="EMAIL", help="Or a user's uuid."),
        click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="FeatureFlag, …"),
        click.option("--activity", "activities", multiple=True, metavar="WORD", help="updated, …"),
        click.option("--client", "clients", multiple=True, metavar="NAME", help="web, …"),
        click.option("--item-id", "item_ids", multiple=True, metavar="ID", help="As in the API."),
        click.option("--ip-address", "ip_addresses", multiple=True, metavar="IP", help="Or 10.*"),
        click.option("--search", "search_text", metavar="TEXT", help="Part of the detail."),
        click.option(
            "--detail",
            "details",
            multiple=True,
            metavar="PATH=VALUE",
            help="A field of the detail is this; PATH~VALUE: contains it.",
        ),
        click.option("--detail-filters", metavar="JSON", help="The API's own form of --detail."),
        click.option("--hogql-filter", metavar="TEXT", help="Sent along; PostHog ignores it."),
        click.option("--impersonated/--not-impersonated", "was_impersonated", default=None),
        click.option("--system/--not-system", "is_system", default=None),
        click.option("--oldest-first", is_flag=True, help="Newest first otherwise."),
        click.option("--page", type=click.IntRange(1), metavar="N", help="By number, not cursor."),
        click.option(
            "--page-size", type=click.IntRange(1, LARGEST_PAGE), default=100, show_default=True
        ),
        click.option("--organization", metavar="SLUG", envvar="POSTHOG_ORGANIZATION_ID"),
        click.option("--project", metavar="NAME", help="Only what happened in this project."),
        click.option(
            "--project-log",
            is_flag=True,
            help="Read the project's own log, which is open to members.",
        ),
    )
    for add in reversed(options_):  # so that --help shows them in this order
        function = add(function)
    return function


@command.command("list", epilog="Example: reconciler activity list --scope FeatureFlag --since 2d")
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@options.formats("text", "json")
@click.pass_obj
def list_(session: Session, /, limit: int, format_: str, **filters: Any) -> int:
    """List entries, newest first."""
    with session.reader(session.target()) as reader, _explain_refusals():
        log, query = _read_query(session, reader, filters)
        query = replace(query, page_size=min(query.page_size, limit))
        entries = activity_log.iterate_entries(
            reader, log.organization_id, query, project_id=log.project_id
        )
        many = query.page_size if query.page is not None else limit
        rows = [log.summarize(entry) for entry in islice(entries, many)]
    shown = render.activity(rows, format=format_, color=session.color)
    session.say(shown, wraps=format_ == "text")
    return 0


@command.command("filters", epilog="Example: reconciler activity filters --format json")
@click.option("--organization", metavar="SLUG", envvar="POSTHOG_ORGANIZATION_ID")
@click.option("--project", metavar="NAME")
@click.option("--project-log", is_flag=True, help="Of the project's own log.")
@options.formats("text", "json")
@click.pass_obj
def list_filters(
    session: Session,
    organization: str | None,
    project: str | None,
    project_log: bool,
    format_: str,
) -> int:
    """Show what there is to filter by: people, scopes, activities, clients, detail fields."""
    with session.reader(session.target()) as reader, _explain_refusals():
        log, _ = _find_log(reader, organization, project, own=project_log)
        available = activity_log.get_available_filters(
            reader, log.organization_id, project_id=log.project_id
        )
    shown = render.activity_filters(available, format=format_, color=session.color)
    session.say(shown, wraps=format_ == "text")
    return 0


@command.command(
    "export", epilog="Example: reconciler activity export --format csv --since 30d --out log.csv"
)
@_filters
@click.option(
    "--out",
    metavar="FILE",
    callback=options.named,
    help="Write to this file (mode 0600) instead of stdout.",
)
@click.option("--server-side", is_flag=True, help="Ask PostHog's own export endpoint instead.")
@options.formats("csv", "jsonl")
@click.pass_obj
def export(
    session: Session, /, out: str | None, server_side: bool, format_: str, **filters: Any
) -> int:
    """Write every entry that fits, page after page: CSV for people, JSON lines for programs."""
    if server_side:
        return _export_on_server(session, filters)
    with session.reader(session.target()) as reader, _explain_refusals():
        log, query = _read_query(session, reader, filters)
        entries = activity_log.iterate_entries(
            reader, log.organization_id, query, project_id=log.project_id
        )
        as_csv = format_ == "csv"
        lines = (
            activity.format_csv(map(log.summarize, entries))
            if as_csv
            else activity.format_jsonl(entries)
        )
        if out is not None:
            count = result_files.write_lines(out, lines) - as_csv  # without the header
            session.note(f"{out}: {count} {'entry' if count == 1 else 'entries'}")
            return 0
        session.end_progress()
        for line in lines:
            click.echo(line, nl=False)
    return 0


def _export_on_server(session: Session, filters: Mapping[str, Any]) -> int:
    """Call the documented endpoint once, and explain its answer."""
    with session.writer(session.target()) as writer:
        log, _ = _find_log(writer, filters["organization"], filters["project"], own=False)
        try:
            answer = activity_log.export_server_side(writer, log.organization_id)
        except (PermissionDeniedError, InvalidRequestError) as error:
            raise ReconcilerError(
                f"PostHog did not export the log ({error.status})",
                why=error.detail or error.why,
                state="nothing was exported",
                fix="leave --server-side out: the log is then read page by page, to the same end; "
                "PostHog's documentation shows this endpoint, but it is closed to API keys (403) "
                "and not built for sessions (400)",
            ) from error
    click.echo(format_json(answer, indent=None, sort_keys=True))
    session.note("PostHog answered with one entry; its documentation promises no more")
    return 0


@contextmanager
def _explain_refusals() -> Iterator[None]:
    """Explain what a refusal means here, where PostHog's own words do not."""
    try:
        yield
    except PaymentRequiredError as error:
        error.fix = "upgrade the plan to one that has the audit log"
        raise
    except PermissionDeniedError as error:
        if "owners can view" in error.detail:  # contract 11.1: no code distinguishes it
            error.fix = (
                "use the key of an admin or owner, or --project NAME --project-log: "
                "a project's own log is open to its members"
            )
        raise


def _read_query(
    session: Session, reader: Reader, filters: Mapping[str, Any]
) -> tuple[LogScope, Query]:
    """Return the log and the query that the options mean; raise for what makes no sense."""
    begin = _read_start(filters)
    end = _parse_time(filters["end_date"], "--end-date")
    details = _read_details(filters["details"], filters["detail_filters"])
    log, teams = _find_log(
        reader, filters["organization"], filters["project"], own=filters["project_log"]
    )
    if isinstance(begin, timedelta):  # by the server's clock, which the log is written by
        begin = session.now() + timedelta(seconds=reader.clock_skew_s or 0.0) - begin
    start = begin.isoformat() if begin is not None else None
    if begin and end and begin > datetime.fromisoformat(end):
        raise click.BadParameter("it lies before the start", param_hint="--end-date")
    return log, Query(
        start_date=start,
        end_date=end,
        users=tuple(_find_user(reader, log, user) for user in filters["users"]),
        scopes=filters["scopes"],
        activities=filters["activities"],
        clients=filters["clients"],
        item_ids=filters["item_ids"],
        team_ids=teams,
        ip_addresses=filters["ip_addresses"],
        search_text=filters["search_text"],
        detail_filters=details,
        hogql_filter=filters["hogql_filter"],
        was_impersonated=filters["was_impersonated"],
        is_system=filters["is_system"],
        ordering="created_at" if filters["oldest_first"] else None,
        page=filters["page"],
        page_size=filters["page_size"],
    )


def _read_start(filters: Mapping[str, Any]) -> datetime | timedelta | None:
    """Return the time that is meant, or how long ago it was."""
    since_s, start = filters["since_s"], filters["start_date"]
    if since_s is None:
        moment = _parse_time(start, "--start-date")
        return datetime.fromisoformat(moment) if moment is not None else None
    if start is not None:
        raise UsageError("--since and --start-date exclude each other", fix="use one of them")
    return timedelta(seconds=since_s)


def _parse_time(text: str | None, option: str) -> str | None:
    """Return a date or time as ISO 8601 with its zone; UTC where none is written."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"invalid time: {text!r}; write 2026-01-31 or 2026-01-31T12:00:00Z"
        raise click.BadParameter(message, param_hint=option) from error
    return moment.isoformat() if moment.tzinfo else f"{moment.isoformat()}+00:00"


def _read_details(pairs: tuple[str, ...], text: str | None) -> dict[str, dict[str, Any]]:
    """Return `changes[].field=active` and the API's own JSON as one mapping."""
    details: dict[str, dict[str, Any]] = {}
    if text is not None:
        try:
            details = json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f"not JSON: {error}", param_hint="--detail-filters") from error
        if not isinstance(details, dict):
            raise click.BadParameter("an object is needed", param_hint="--detail-filters")
    for pair in pairs:
        places = [(pair.index(sign), sign) for sign in _SIGNS if sign in pair]
        if not places or not min(places)[0]:
            raise click.BadParameter(f"{pair!r}: write PATH=VALUE or PATH~VALUE")
        place, sign = min(places)
        details[pair[:place]] = {"operation": _SIGNS[sign], "value": pair[place + 1 :]}
    return details


def _find_log(
    reader: Reader, organization: str | None, project: str | None, *, own: bool
) -> tuple[LogScope, tuple[int, ...]]:
    """Return the log that is meant, and the projects it is narrowed to."""
    if own and project is None:
        raise UsageError("--project-log needs --project", fix="add --project NAME")
    directory = key_access.read_directory(reader)
    slug = _find_organization(directory, organization)
    named = {id_: name for name, ids in directory.projects[slug].items() for id_ in ids}
    log = LogScope(slug, str(directory.organizations[slug][0]["id"]), named)
    if project is None:
        return log, ()
    ids = [id_ for id_, name in named.items() if project in {name, id_}]
    if len(ids) != 1:
        raise ReconcilerError(
            f"{'several projects are' if ids else 'no project is'} called {project!r} in {slug}",
            why=f"their ids: {', '.join(ids)}" if ids else "the key sees none of this name",
            fix="name it by its id" if ids else f"known: {', '.join(sorted(set(named.values())))}",
        )
    return (replace(log, project_id=ids[0]), ()) if own else (log, (int(ids[0]),))


def _find_organization(directory: Any, organization: str | None) -> str:
    """Return the organization that is meant, by slug or id; the only one if none is named."""
    slugs = list(directory.organizations)
    if organization is None:
        if len(slugs) == 1:
            return str(slugs[0])
        raise UsageError(
            f"the key sees {len(slugs)} organizations",
            fix=f"add --organization: {', '.join(sorted(slugs)[:10])}",
        )
    for slug, payloads in directory.organizations.items():
        if organization in {slug, *(str(payload["id"]) for payload in payloads)}:
            return str(slug)
    raise ReconcilerError(
        f"no organization {organization!r} that this key can see",
        why="it is neither a slug nor an id of one",
        fix=f"known: {', '.join(sorted(slugs)[:10])}",
    )


def _find_user(reader: Reader, log: LogScope, user: str) -> str:
    """Return a person's uuid, looked up by email where it is not one already."""
    try:
        return str(UUID(user))
    except ValueError:
        pass
    path = f"/api/organizations/{log.organization_id}/members/"
    for member in reader.list(path, {"email": user}).items:
        person = response_shapes.require_shape(path, member, response_shapes.MEMBER)["user"]
        if person["email"].casefold() == user.casefold():
            return str(person["uuid"])
    raise ReconcilerError(
        f"nobody in {log.organization} has the address {user}",
        why="who has left is in the log, but not among the members any more",
        fix="name them by uuid: `reconciler activity filters` lists everybody in the log",
    )
