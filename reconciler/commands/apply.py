"""`reconciler apply`: carry the plan out. Has no code path that approves anything."""

import click

from reconciler.cli import execution, guardrails, options, plan_source, terminal
from reconciler.cli.notifications import delivery
from reconciler.cli.notifications import requests as notify_requests
from reconciler.cli.parsing import guardrail_options
from reconciler.cli.parsing.guardrail_options import GuardrailOptions
from reconciler.cli.session import Session
from reconciler.model import ExitCode
from reconciler.operations import plan as operations_plan
from reconciler.operations import record_base as operations_record
from reconciler.plan.guardrails import apply_refusals


@click.command("apply", epilog="Example: reconciler apply --yes --select 'FeatureFlag/acme/Web/*'")
@click.argument(
    "paths",
    nargs=-1,
    metavar="[PATH...|PLANFILE]",
    callback=options.named,
    shell_complete=options.complete("files"),
)
@options.selection
@options.base
@options.yes
@options.prune
@guardrail_options.guardrails
@click.option(
    "--wait",
    "wait_s",
    type=options.DURATION,
    default="0s",
    metavar="DURATION",
    help="Wait this long for approvals, and continue with the approved changes: 30m, 1h.",
)
@click.option(
    "--record-base",
    type=click.Choice(["local", "push", "no"]),
    default="local",
    show_default=True,
    help="Whether a clean apply of everything moves the ref of the base; push: on the remote, too.",
)
@options.concurrency
@options.formats("text", "json")
@options.zoom
@delivery.add_options(
    "Ask for approval through a webhook when a request is filed.", has_marker=False
)
@options.report
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str | None,
    yes: bool,
    prune: bool,
    lifted: GuardrailOptions,
    prefer: str | None,
    wait_s: float,
    record_base: str,
    concurrency: int,
    format_: str,
) -> int:
    """Apply the plan. File change requests where needed, and report who must approve."""
    terminal.require_answer("apply", yes=yes)
    source = plan_source.read_source(session, paths, select, exclude, base, prune=prune)
    given = source.read_inputs(session)
    if not lifted.allow_rollback:
        operations_record.refuse_rollback(
            given.target, given.head, given.repository, given.facts.build
        )
    limits = guardrails.read_limits(given.target, lifted)
    part = guardrails.resolve_part(given, source.part(prune=prune))
    prefer = source.prefer(prefer)
    planning = guardrails.read_options(given, limits, part, prefer=prefer)
    with (
        session.writer(given.target) as writer,
        notify_requests.open_filed(session, given.target) as notify_filed,
    ):
        planned, world = source.make_plan(session, writer, given, planning)
        planned = operations_plan.add_past_approvals(writer, planned, world)
        planned = apply_refusals.add_refusal(planned, go_on=lifted.go_on)
        running = execution.ExecutionOptions(
            given.folder,
            workers=concurrency,
            wait_s=wait_s,
            format=format_,
            asks=not yes,
            asks_name=given.target.confirms_by_name,
            commit=given.head if given.is_clean and not source.is_undo else None,
            on_outcome=notify_filed,
        )
        code = execution.run(session, writer, planned, world, running)
    if source.is_undo and code in {ExitCode.DONE, ExitCode.WAITING}:
        session.note(
            "the files still declare what was reverted, and the next apply of them writes it "
            "again: merge what `reconciler undo … --patch` prints"
        )
    if code == 0 and record_base != "no" and not source.is_undo:
        for finding in operations_record.record(
            given, planning, pushes=record_base == "push", allows_rollback=lifted.allow_rollback
        ):
            session.warn(f"{finding.message}: {finding.why}; to fix it: {finding.fix}")
    return code
