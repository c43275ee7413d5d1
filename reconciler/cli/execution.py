"""Carrying a plan out at a terminal: progress, journal, and what an interrupt means."""

import sys
from dataclasses import dataclass, replace

import click

from reconciler import render
from reconciler.apply import executor
from reconciler.apply.journal import Journal
from reconciler.apply.status import RunStatus
from reconciler.cli import event_log
from reconciler.cli.progress import Lines, LiveBoard
from reconciler.cli.session import Session
from reconciler.cli.signals import Interrupt, catch_interrupts
from reconciler.files.working_tree import check_output
from reconciler.model import Action, Address, Outcome, Plan
from reconciler.operations import apply
from reconciler.operations.plan import World
from reconciler.plan.guardrails import checks
from reconciler.planfile import results
from reconciler.posthog.client import Writer
from reconciler.render import text
from reconciler.render.shared import summary
from reconciler.render.text.progress_board import BoardState


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """What the command line says of carrying out."""

    workers: int = 8
    wait_s: float = 0.0
    guarded: frozenset[str] = frozenset()


def carry_out(
    session: Session, writer: Writer, made: Plan, world: World, how: ExecutionOptions
) -> tuple[tuple[Outcome, ...], int | None]:
    """Every outcome, each shown on stderr as it comes; journalled if anything is to be sent."""
    if not made.writes:
        return tuple(executor.report_unchanged(change) for change in made.changes), None
    stamp = session.now().strftime("%Y%m%dT%H%M%S.%fZ")
    ended: dict[Address, Outcome] = {}
    kept = apply.journal_path(session.folder(), stamp)
    check_output(kept)
    color = session.has_color(sys.stderr)
    standing = RunStatus(len(made.writes))
    with (
        Journal(kept, now=session.stamp) as journal,
        session.report.journal(journal.path),
        catch_interrupts(writer.stop) as interrupt,
        _board(session, writer, standing, interrupt, color=color) as shown,
    ):
        journal.intend("begin", target=made.target, host=made.host, digest=made.desired_digest)
        options = executor.ExecutorOptions(
            how.workers, interrupt.stop, how.guarded, how.wait_s, standing
        )
        for outcome in apply.apply(made, world, writer, journal, options=options):
            before = ended.get(outcome.address)  # it waited, and still does, whoever has voted
            again = before is not None and replace(before, awaits=outcome.awaits) == outcome
            ended[outcome.address] = outcome
            if outcome.action is Action.NONE or again:
                continue
            facts = {
                "address": str(outcome.address),
                "action": outcome.action,
                "outcome": outcome.result,
                "detail": outcome.detail,
                "change_request": outcome.change_request,
                **({"written": outcome.written} if outcome.written else {}),
            }
            if not event_log.emit_event("change.ended", attempts=outcome.attempts, **facts):
                shown.ended(text.format_outcome_line(outcome, color=color))
            journal.record("outcome", **facts)
        journal.record("end", outcomes=len(ended))
    return tuple(ended.values()), interrupt.code


def account(
    session: Session,
    ended: tuple[Outcome, ...],
    made: Plan,
    *,
    interrupted: int | None,
    form: str,
) -> int:
    """Say what became of the plan; the exit code, which is a function of what is said."""
    session.report.outcomes(ended, made)
    if form == "json":
        session.say(results.dumps(ended, made))
    elif session.quiet:
        line, wrong = text.format_brief(ended, made, color=session.color)
        session.say(line)
        if wrong:
            click.echo(wrong, err=True, color=session.color)
    else:
        stopped = interrupted is not None
        look = {"color": session.color, "width": session.width}
        session.say(render.outcomes(ended, made, format="text", stopped=stopped, **look))
    session.fail(summary.describe_errors(made, "was not applied"))
    rows = results.settled(ended, made)
    return interrupted or results.exit_code(rows, made, guarded=checks.CODES)


def _board(
    session: Session,
    writer: Writer,
    standing: RunStatus,
    interrupt: Interrupt,
    *,
    color: bool,
) -> Lines:
    """A board on a terminal, plain lines elsewhere."""
    quiet = session.quiet or session.log_format == "json"
    if quiet or not sys.stderr.isatty() or session.environ.get("TERM") == "dumb":
        return Lines(sys.stderr, quiet=quiet)
    started = writer.clock()
    interrupt.is_shown = True

    def look() -> BoardState:
        now, moment = writer.clock(), standing.take_snapshot()
        return BoardState(
            planned=moment.planned,
            ended=moment.ended,
            in_flight={address: now - since for address, since in moment.in_flight.items()},
            parked=tuple(moment.parked.values()),
            queued=moment.queued,
            elapsed_s=now - started,
            wait_left_s=None if moment.wait_until is None else moment.wait_until - now,
            budget=writer.budget,
            stopping=interrupt.stop.is_set(),
        )

    return LiveBoard(sys.stderr, look, color=color)
