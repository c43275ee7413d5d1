"""`reconciler apply`: carries the plan out. Has no code path that approves anything."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, color_for
from reconciler.errors import GuardrailError, UsageError
from reconciler.model import Action, Outcome, Plan, Result

if TYPE_CHECKING:
    from reconciler.posthog.client import Writer
    from reconciler.walk import World

FAILED, WAITING, REFUSED = 1, 3, 4
_STOPPING = b"\nstopping: what is in flight is finished; again to leave at once\n"


@click.command("apply", epilog="Example: reconciler apply --yes --select 'FeatureFlag/acme/Web/*'")
@options.paths
@options.selection
@options.yes
@click.option(
    "--allow-destroy", multiple=True, metavar="ADDRESS", help="May be deleted; repeatable."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 32), default=8, show_default=True, metavar="N"
)
@options.formats("text", "json")
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    yes: bool,
    allow_destroy: tuple[str, ...],
    concurrency: int,
    format_: str,
) -> int:
    """Carry the plan out. What an approval policy holds back is filed, reported, and waits (3)."""
    from reconciler import planfile, render, walk
    from reconciler.plan.build import Options
    from reconciler.render import text

    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "apply asks before it writes, and there is no terminal to ask on",
            fix="add --yes, or run it on a terminal",
        )
    target, loaded = session.load(paths)
    chosen = Options(select, exclude, target.ignore, allow_destroy)
    with session.writer(target) as writer:
        world = walk.observe(writer, loaded, chosen)
        made = walk.plan(
            world, chosen, target=target.name, host=writer.host, created_at=session.stamp()
        )
        if format_ == "text":
            shown = render.plan(
                made,
                format="text",
                color=session.color,
                width=session.width,
                verbose=session.verbose,
            )
            click.echo(shown, color=session.color)
        _guard(made)
        if made.writes and not yes:
            click.confirm("Apply these changes?", abort=True, err=True)
        outcomes, interrupted = _carry_out(
            session, writer, made, world, session.folder(), concurrency
        )
    if format_ == "json":
        click.echo(planfile.dump_outcomes(outcomes, made))
    else:
        click.echo(text.summary(outcomes, made, color=session.color), color=session.color)
    return _exit_code(outcomes, made, interrupted=interrupted)


def _guard(made: Plan) -> None:
    """Refuse the whole run if a guardrail says no (interface section 2, exit code 4)."""
    from reconciler.plan import guardrails

    refused = [finding for finding in made.findings if finding.code in guardrails.CODES]
    if refused:
        raise GuardrailError(
            "; ".join(finding.message for finding in refused),
            why=refused[0].why,
            fix="; ".join(finding.fix for finding in refused),
        )


def _carry_out(
    session: Session, writer: "Writer", made: Plan, world: "World", folder: Path, workers: int
) -> tuple[tuple[Outcome, ...], int | None]:
    """Every outcome, each shown on stderr as it comes; journalled if anything is to be sent."""
    from reconciler import walk
    from reconciler.apply import executor
    from reconciler.apply.journal import Journal
    from reconciler.render import text

    if not made.writes:
        return tuple(executor.unchanged(change) for change in made.changes), None
    stamp = session.now().strftime("%Y%m%dT%H%M%S.%fZ")
    outcomes: list[Outcome] = []
    color = color_for(session.color_choice, sys.stderr)
    with (
        Journal(walk.journal_path(folder, stamp), now=session.stamp) as journal,
        _interrupts(writer) as interrupt,
        Progress(len(made.writes), quiet=session.quiet) as progress,
    ):
        journal.record("begin", target=made.target, host=made.host, digest=made.desired_digest)
        run = walk.apply(made, world, writer, journal, workers=workers, stop=interrupt.stop)
        for outcome in run:
            outcomes.append(outcome)
            if outcome.action is Action.NONE:
                continue
            progress.ended(text.outcome_line(outcome, color=color))
            journal.record(
                "outcome",
                address=str(outcome.address),
                action=outcome.action,
                outcome=outcome.result,
                change_request=outcome.change_request,
            )
        journal.record("end", outcomes=len(outcomes))
    return tuple(outcomes), interrupt.code


@dataclass
class _Interrupt:
    """Whether somebody asked to stop, and the exit code that tells so."""

    stop: Event = field(default_factory=Event)
    code: int | None = None


@contextmanager
def _interrupts(writer: "Writer") -> Iterator[_Interrupt]:
    """First SIGINT or SIGTERM: start nothing more. Second: leave at once."""
    interrupt = _Interrupt()

    def handle(number: int, _frame: object) -> None:
        if interrupt.code is not None:
            os._exit(128 + number)
        interrupt.code = 128 + number
        interrupt.stop.set()
        writer.stop()  # who waits for the rate limit waits no more
        os.write(2, _STOPPING)  # buffered stderr may be in the middle of a line

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(outcomes: tuple[Outcome, ...], made: Plan, *, interrupted: int | None) -> int:
    """A function of the report, worst first (interface section 2)."""
    results = {outcome.result for outcome in outcomes}
    if interrupted is not None:
        return interrupted
    if Result.FAILED in results or made.errors:
        return FAILED
    if Result.REFUSED in results:
        return REFUSED
    if Result.WAITING in results:
        return WAITING
    return FAILED if Result.SKIPPED in results else 0
