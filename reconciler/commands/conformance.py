"""`reconciler conformance`: whether a server does what the contract says (a scratch project)."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event

import click

from reconciler.cli import options, signals, terminal
from reconciler.cli.session import Session
from reconciler.conformance import report as conformance_report
from reconciler.conformance import run as conformance_run
from reconciler.conformance import scratch
from reconciler.conformance.exchange import Recorder
from reconciler.conformance.judgement import CheckResult, Judged, count_results
from reconciler.conformance.run import ConformanceReport
from reconciler.conformance.scratch import ScratchProject
from reconciler.errors import TargetError
from reconciler.live import key_access
from reconciler.model import Payload
from reconciler.planfile.reader import format_json
from reconciler.posthog import client
from reconciler.posthog import credentials as posthog_credentials
from reconciler.posthog.client import Reader, Writer
from reconciler.posthog.credentials import Credentials
from reconciler.render.shared.sanitize import escape

DIFFERS = 2
ADMIN = 8  # the least level that may write policies (contract 2)


@click.command(
    "conformance", epilog="Example: reconciler conformance --project Scratch --format json"
)
@click.option("--project", required=True, metavar="NAME", help="The scratch project: empty.")
@click.option("--organization", metavar="SLUG", help="The organization of the project.")
@click.option(
    "--second-key-env",
    metavar="VAR",
    help="The variable with the key of a second person, who approves.",
)
@click.option(
    "--allow-nonempty", is_flag=True, help="The project may hold flags and policies of others."
)
@options.formats("text", "json")
@options.yes
@click.pass_obj
def command(
    session: Session,
    project: str,
    organization: str | None,
    second_key_env: str | None,
    allow_nonempty: bool,
    format_: str,
    yes: bool,
) -> int:
    """Check the contract (docs/posthog-api.md) against a server, in a scratch project.

    Creates flags, policies and a holdout whose names begin with reconciler-probe-, attempts gated
    writes, decides their change requests, and deletes everything again. Ends with 2 if something
    differs.
    """
    terminal.require_answer("conformance", yes=yes)
    target = session.target()
    with ExitStack() as stack:
        writer = stack.enter_context(session.writer(target))
        second = _open_second(session, session.credentials(target), second_key_env, stack)
        place = _find_place(writer, second, organization, project)
        recorder = Recorder(writer, second, Event())
        contents = scratch.read_contents(recorder, place, with_archived=True)
        if not allow_nonempty:
            scratch.refuse_others(contents, project)
        session.end_progress()
        if not yes:
            terminal.confirm(_describe_question(writer.host, project))
        # After a signal everything is still removed, so the connections go on sending.
        interrupt = stack.enter_context(signals.catch_interrupts(lambda _grace_s: None))
        recorder.stop = interrupt.stop
        report = conformance_run.run(recorder, place, contents.foreign_policies)
    if format_ == "json":
        session.say(format_json(conformance_report.make_document(report)))
    else:
        session.say("\n".join(_text(report)), wraps=True)
    return _find_exit_code(report) if interrupt.code is None else interrupt.code


def _open_second(
    session: Session, first: Credentials, variable: str | None, stack: ExitStack
) -> Writer | None:
    """Open a connection with the key of a second person; None if none is named."""
    if variable is None:
        return None
    key = posthog_credentials.find_key(session.environ, variable, "--second-key-env")
    return stack.enter_context(
        client.open_writer(Credentials(first.host, key), **session.client_runtime)
    )


def _find_place(
    writer: Writer, second: Reader | None, organization: str | None, project: str
) -> ScratchProject:
    """Find the project by its name, and say who acts in it."""
    payload = _find_organization(key_access.list_organizations(writer), organization, project)
    ids = _list_ids(payload, project)
    if len(ids) != 1:
        raise TargetError(
            f"{'no' if not ids else 'more than one'} project is named {project!r}",
            why=f"in the organization {payload.get('slug')}, as far as this key sees",
            fix="create an empty project with a unique name for this",
        )
    me = key_access.read_key_user(writer)
    level = payload.get("membership_level")
    if not isinstance(level, int) or level < ADMIN:
        raise TargetError(
            "the key cannot write approval policies",
            why="its user is not an admin of the organization",
            fix="use the key of an admin or owner",
        )
    other = None if second is None else int(key_access.read_key_user(second)["id"])
    if other == int(me["id"]):
        raise TargetError(
            "the second key is of the same person",
            why="nobody can be the second of two people who approve",
            fix="name the variable with the key of somebody else, or leave --second-key-env out",
        )
    features = {row.get("key") for row in payload.get("available_product_features") or ()}
    return ScratchProject(
        str(payload["id"]), ids[0], int(me["id"]), level, "approvals" in features, other
    )


def _find_organization(payloads: tuple[Payload, ...], slug: str | None, project: str) -> Payload:
    """Return the organization with this slug, else the one that has the project."""
    matching = [
        payload
        for payload in payloads
        if (payload.get("slug") == slug if slug is not None else _list_ids(payload, project))
    ]
    if len(matching) == 1:
        return matching[0]
    wanted = f"organization {slug!r}" if slug is not None else f"organization with {project!r}"
    raise TargetError(
        f"this key sees {'no' if not matching else 'more than one'} {wanted}",
        why=f"it sees the organizations {', '.join(str(row.get('slug')) for row in payloads)}",
        fix="name the organization with --organization SLUG, and check --project",
    )


def _list_ids(organization: Payload, project: str) -> list[str]:
    rows = organization.get("teams") or organization.get("projects") or ()
    return [str(row["id"]) for row in rows if row.get("name") == project]


def _describe_question(host: str, project: str) -> str:
    return (
        f"Create flags, policies and change requests in the project {project!r} of {host}, "
        "and delete them again?"
    )


def _text(report: ConformanceReport) -> Iterator[str]:
    """Yield the report as lines: what differs, why something was not tried, the summary."""
    for judged in conformance_report.list_differences(report):
        yield from _describe_difference(judged)
    reasons: dict[str, int] = {}
    for judged in report.judged:
        if judged.result is CheckResult.NOT_TRIED:
            reason = conformance_report.mask_text(judged.reason)
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, number in reasons.items():
        yield escape(f"not tried ({number}): {reason}")
    for left in report.left_behind:
        yield escape(f"left behind: {left.kind} {left.name} ({left.id})")
    if report.problem:
        yield escape(f"problem: {conformance_report.mask_text(report.problem)}")
    counts = count_results(report.judged)
    if reasons or report.left_behind or counts[CheckResult.DIFFERS]:
        yield ""
    yield escape(
        f"{report.host} is of generation {report.generation}: "
        f"{counts[CheckResult.HOLDS]} hold, {counts[CheckResult.DIFFERS]} differ, "
        f"{counts[CheckResult.NOT_TRIED]} not tried ({report.requests} requests)"
    )


def _describe_difference(judged: Judged) -> Iterator[str]:
    row = conformance_report.describe_seen(judged)
    statement = judged.statement
    yield escape(f"differs: contract {statement.section}: {statement.text} [{statement.id}]")
    request, answer = row["request"], row["answer"]
    yield escape(f"  request:  {request['method']} {request['path']} {_compact(request['body'])}")
    yield escape(f"  expected: {row['path']} is {row['expected']}")
    yield escape(f"  seen:     {_compact(row['value'])}")
    yield escape(f"  answer:   HTTP {answer['status']} {_compact(answer['body'])}")


def _compact(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _find_exit_code(report: ConformanceReport) -> int:
    """Return 1 if something was left behind, or may have been; 2 if something differs."""
    if report.left_behind or report.problem:
        return 1
    return DIFFERS if any(conformance_report.list_differences(report)) else 0
