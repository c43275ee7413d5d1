"""`reconciler apply`: carries the plan out. Has no code path that approves anything."""

import click

from reconciler import render
from reconciler.cli import execution, guardrails, options, terminal
from reconciler.cli.plan_source import asked
from reconciler.cli.session import Session
from reconciler.errors import UsageError
from reconciler.operations import plan
from reconciler.plan.guardrails import apply_refusals, checks


@click.command("apply", epilog="Example: reconciler apply --yes --select 'FeatureFlag/acme/Web/*'")
@click.argument("paths", nargs=-1, metavar="[PATH...|PLANFILE]", callback=options.named)
@options.selection
@options.base
@options.yes
@options.prune
@options.guardrails
@click.option(
    "--wait",
    "wait_s",
    type=options.DURATION,
    default="0s",
    metavar="DURATION",
    help="Wait so long for approvals, and go on with what they let through: 30m, 1h.",
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
    allow_destroy: tuple[str, ...],
    confirm_deletes: int | None,
    allow_weakening: bool,
    allow_rollback: bool,
    prefer: str | None,
    go_on: bool,
    wait_s: float,
    record_base: str,
    concurrency: int,
    format_: str,
) -> int:
    """Carry the plan out. What an approval policy holds back is filed, reported, and waits (3)."""
    if not yes and not terminal.can_ask():
        raise UsageError(
            "apply asks before it writes, and there is no terminal to ask on",
            fix="add --yes, or run it on a terminal",
        )
    about = asked(session, paths, select, exclude, base, prune=prune)
    target, loaded = about.load(session)
    before = about.before(session, target, loaded)
    guardrails.forward(session, target, before.head, allowed=allow_rollback)
    limits = guardrails.limits(target, confirm_deletes, allow_destroy, weakening=allow_weakening)
    part, prefer = about.part(prune=prune), about.prefer(prefer)
    chosen = guardrails.chosen(session, target, loaded, before, limits, part, prefer=prefer)
    with session.writer(target) as writer:
        made, world = about.made(session, target, writer, loaded, before, chosen)
        made = apply_refusals.judged(plan.looked_back(writer, made, world), go_on=go_on)
        session.report.plan(made)
        if format_ == "text":
            session.show(render.plan, made)
        guardrails.guard(session, made, form=format_)
        if made.writes and not yes:
            terminal.confirm("Apply these changes?", "not applied")
        how = execution.ExecutionOptions(workers=concurrency, wait_s=wait_s, guarded=checks.CODES)
        ended, interrupted = execution.carry_out(session, writer, made, world, how)
    code = execution.account(session, ended, made, interrupted=interrupted, form=format_)
    if (
        code == 0
        and record_base != "no"
        and not guardrails.is_partial(session, target, about.paths)
    ):
        guardrails.record(session, target, chosen, before, how=record_base, back=allow_rollback)
    return code
