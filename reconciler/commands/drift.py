"""`reconciler drift`: compare the files at a commit with the live side, and say who changed it."""

from dataclasses import replace

import click
from click.core import ParameterSource

from reconciler import render
from reconciler.cli import adopt, execution, guardrails, options, terminal
from reconciler.cli.execution import ExecutionOptions
from reconciler.cli.notifications import delivery
from reconciler.cli.notifications import drift as notify_drift
from reconciler.cli.notifications import requests as notify_requests
from reconciler.cli.parsing import guardrail_options
from reconciler.cli.parsing.guardrail_options import GuardrailOptions
from reconciler.cli.session import Session
from reconciler.config.targets import Target
from reconciler.errors import UsageError
from reconciler.model import IDENTITIES, Plan
from reconciler.operations import drift, record_base
from reconciler.operations.drift import DriftInputs, DriftQuery
from reconciler.operations.inputs import list_declared
from reconciler.operations.plan import estimate_requests
from reconciler.operations.rules import judge as rule_judge
from reconciler.plan import drift_report
from reconciler.plan.guardrails import apply_refusals
from reconciler.plan.selection import PlanOptions, resolve_names
from reconciler.render.shared import summary

DRIFTED = 2
CLASSES = ("approved", "unapproved", "bypass", "unknown")
WRITING = guardrail_options.NAMES | {"yes", "concurrency"}


@click.command("drift", epilog="Example: reconciler drift --since 7d --select 'ApprovalPolicy/*'")
@options.paths
@options.selection
@click.option("--base", default="HEAD", show_default=True, metavar="REF", help="A git ref.")
@options.since("Only what happened within 36h, 7d, 2w …")
@click.option("--only", multiple=True, type=click.Choice(CLASSES), help="Only this; repeatable.")
@click.option(
    "--identities",
    type=click.Choice(IDENTITIES),
    help="How people are named. In full, but by initials in a build of a public repository.",
)
@click.option(
    "--adopt",
    "actions",
    flag_value="adopt",
    multiple=True,
    help="Write live values into the files.",
)
@click.option(
    "--patch", "actions", flag_value="patch", multiple=True, help="Print that as a diff instead."
)
@click.option(
    "--revert", "actions", flag_value="revert", multiple=True, help="Write the files' values back."
)
@options.formats("text", "json", "markdown", "html", "sarif")
@options.zoom
@options.yes
@guardrail_options.lifts
@options.concurrency
@delivery.add_options("Notify a webhook when the state has changed.")
@options.report
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str,
    since_s: float | None,
    only: tuple[str, ...],
    identities: str | None,
    actions: tuple[str, ...],
    format_: str,
    yes: bool,
    lifted: GuardrailOptions,
    concurrency: int,
) -> int:
    """Compare what the files declare at a commit with what is live. Exits 2 on drift."""
    action = check_options(actions)
    _check_format(action, format_)
    target, facts = session.target(paths), session.facts()
    given = drift.read(session.settings(paths), target, base, facts, session.surroundings.parsed)
    query = drift.DriftQuery(since_s, identities or session.identities, only)
    limits = guardrails.read_limits(target, lifted)
    declared = list_declared(given.loaded)
    planning = PlanOptions(
        resolve_names(select, declared), resolve_names(exclude, declared), target.ignore, limits
    )
    if action == "revert":
        if not lifted.allow_rollback:
            record_base.refuse_rollback(target, given.base.commit, given.repository, session.build)
        running = execution.ExecutionOptions(
            session.folder(),
            workers=concurrency,
            format=format_,
            asks=not yes,
            asks_name=target.confirms_by_name,
            command="drift --revert",
        )
        return _revert(session, given, planning, query, running, go_on=lifted.go_on)
    is_kept = bool(action) or format_ != "text" or session.report.folder is not None
    has_digest = is_kept or bool(session.verbose)
    with session.reader(target) as reader:
        result = drift.run(reader, given, planning, query, facts.now, has_digest=has_digest)
    if action == "patch":
        return adopt.print_patch(session, result, given)
    if action == "adopt":
        return adopt.adopt(session, result, given, format_)
    return _print_report(session, target, result.report, format_)


def _print_report(session: Session, target: Target, report: Plan, format_: str) -> int:
    """Print the report, notify of it, and return its exit code."""
    session.report.plan(report, drift=True)
    session.show_plan(render.drift, report, format_)
    if report.errors:
        session.fail(summary.describe_errors(report, "compared"), format_)
        return 1
    notify_drift.notify(session, target, report)
    return DRIFTED if any(change.hold is None for change in report.writes) else 0


def check_options(actions: tuple[str, ...], names: frozenset[str] = WRITING) -> str | None:
    """Return the only action, if one is given; raise UsageError for options of another one.

    A slip must not look like success. `names` are the options that only --revert takes.
    """
    named = tuple(dict.fromkeys(actions))
    if len(named) > 1:
        raise UsageError(
            f"drift takes one of --{', --'.join(named)}", fix="run drift once for each"
        )
    action = named[0] if named else None
    context = click.get_current_context()
    given = [
        parameter
        for parameter in context.command.params
        if parameter.name in names
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]
    if given and action != "revert":
        raise UsageError(
            f"{given[0].opts[0]} is for drift --revert",
            why="without it nothing is written",
            fix="add --revert, or leave the option out",
        )
    if action is not None and delivery.is_requested():
        raise UsageError(
            f"--notify reports drift, and drift --{action} ends it",
            why="there would be nothing to report",
            fix="leave it out; the next run of drift reports the result",
        )
    return action


def _check_format(action: str | None, format_: str) -> None:
    """Raise UsageError for a format that an action does not have."""
    formats = {"patch": {"text"}}.get(action or "", {"text", "json"})
    if action is not None and format_ not in formats:
        raise UsageError(
            f"drift --{action} has no format {format_}", fix=" or ".join(sorted(formats))
        )


def _revert(
    session: Session,
    given: DriftInputs,
    planning: PlanOptions,
    query: DriftQuery,
    running: ExecutionOptions,
    *,
    go_on: bool,
) -> int:
    """Write the files' values back over what has drifted; what is held stays as it is."""
    terminal.require_answer("drift --revert", yes=not running.asks)
    with (
        session.writer(given.target) as writer,
        notify_requests.open_filed(session, given.target) as notify_filed,
    ):
        running = replace(running, on_outcome=notify_filed)
        result = drift.run(writer, given, planning, query, session.now())
        if waiting := result.report.not_applied:
            session.note(
                f"{len(waiting)} not applied yet: only git has changed them; `apply` does it"
            )
        planned = drift_report.build_revert(
            result.plan, result.report, result.world.live, planning.limits
        )
        requests = estimate_requests(result.world, planned.requests.expected_writes)
        planned = replace(planned, requests=replace(requests, reads=writer.reads))
        planned, judge = rule_judge.judge_reverting_plan(
            planned,
            session.settings(),
            given.target,
            session.facts(),
            given.repository,
            commit=given.base.commit,
        )
        planned = apply_refusals.add_refusal(planned, go_on=go_on)
        for change in result.report.writes:
            if change.hold is not None:
                session.note(f"held until {change.hold.written}, not changed: {change.address}")
        world = replace(result.world, judge=judge)
        return execution.run(session, writer, planned, world, running, verb="Revert")
