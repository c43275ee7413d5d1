"""Carry a plan out at a terminal: confirmation, progress, journal, account, interrupts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler import render
from reconciler.apply import executor
from reconciler.apply.journal import Journal
from reconciler.apply.status import RunStatus
from reconciler.cli import event_log, guardrails, terminal
from reconciler.cli.progress import Lines, LiveArea
from reconciler.cli.session import Session
from reconciler.cli.signals import Interrupt, catch_interrupts
from reconciler.files import journal_files
from reconciler.files.working_tree import check_output, format_path
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Detail, Outcome, Plan
from reconciler.operations import apply
from reconciler.operations.plan import World
from reconciler.plan.guardrails import checks
from reconciler.planfile import results
from reconciler.posthog.client import Writer
from reconciler.render import text
from reconciler.render.shared import summary
from reconciler.render.shared.sanitize import escape
from reconciler.render.text import progress_board
from reconciler.render.text.progress_board import BoardState


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """What the command line says about carrying a plan out.

    Attributes:
        folder: the folder below which the run is journalled.
        workers: writes at once.
        wait_s: how long to wait for approvals.
        format: text, or json for programs.
        asks: whether to ask on the terminal before anything is written.
        asks_name: whether the answer has to be the name of the target.
        command: what the heading of the plan calls it.
        commit: the commit that is applied; None for files of no commit.
        on_outcome: takes every outcome as it comes; must not take long.

    """

    folder: Path
    workers: int = 8
    wait_s: float = 0.0
    format: str = "text"
    asks: bool = False
    asks_name: bool = False
    command: str = "plan"
    commit: str | None = None
    on_outcome: Callable[[Outcome], None] | None = None


def run(
    session: Session,
    writer: Writer,
    planned: Plan,
    world: World,
    options: ExecutionOptions,
    *,
    verb: str = "Apply",
) -> int:
    """Show a plan, ask, carry it out and give an account; return the exit code.

    `verb` is what the question calls it.
    """
    session.end_progress()
    session.report.plan(planned)
    if options.format == "text":
        shown = guardrails.drop_refusals(planned)
        session.show_plan(render.plan, shown, command=options.command)
    guardrails.refuse_run(session, planned, form=options.format)
    if planned.writes and options.asks:
        question = escape(summary.describe_question(verb, planned))
        terminal.confirm(question, name=planned.target if options.asks_name else None)
    ended = _carry_out(session, writer, planned, world, options)
    return _account(session, ended, planned, options.format)


@dataclass(frozen=True, slots=True)
class _Ended:
    """What became of a run: its outcomes, the code of a signal, the name of its journal."""

    outcomes: tuple[Outcome, ...]
    interrupted: int | None = None
    journal: str = ""


def _carry_out(
    session: Session, writer: Writer, planned: Plan, world: World, options: ExecutionOptions
) -> _Ended:
    """Return every outcome, each shown on stderr as it comes; journalled if anything is sent."""
    if not planned.writes:
        return _Ended(tuple(map(executor.report_unchanged, planned.changes)))
    stamp = session.now().strftime("%Y%m%dT%H%M%S.%fZ")
    outcomes: dict[Address, Outcome] = {}
    path = journal_files.name_journal(options.folder, stamp, planned.target)
    check_output(path)
    color = session.has_color(session.err)
    status = RunStatus(len(planned.writes))
    with (
        Journal(path, now=session.stamp) as journal,
        session.report.journal(journal.path),
        catch_interrupts(writer.stop, session.surroundings.control) as interrupt,
        _open_board(session, writer, status, interrupt, color=color) as board,
    ):
        journal.intend("begin", **_describe_run(planned, options))
        running = executor.ExecutorOptions(
            options.workers, interrupt.stop, checks.CODES, options.wait_s, status
        )
        for outcome in apply.apply(planned, world, writer, journal, options=running):
            earlier = outcomes.get(outcome.address)  # it waits as before; only votes differ
            again = earlier is not None and replace(earlier, awaits=outcome.awaits) == outcome
            outcomes[outcome.address] = outcome
            if options.on_outcome is not None:
                options.on_outcome(outcome)
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
            is_logged = event_log.emit_event("change.ended", attempts=outcome.attempts, **facts)
            if not is_logged and outcome.detail is not Detail.NOT_STARTED:
                # Nobody reads the account before the end of a run that waits.
                names_request = options.wait_s > 0
                line = text.format_outcome_line(outcome, color=color, names_request=names_request)
                board.ended(line)
            journal.record("outcome", **facts)
        journal.record("end", outcomes=len(outcomes))
    name = format_path(session.cwd, journal.path)
    return _Ended(tuple(outcomes.values()), interrupt.code, name)


def _describe_run(planned: Plan, options: ExecutionOptions) -> dict[str, Any]:
    """Return what the first line of a journal says; `undo` reads the commits of it."""
    commits = {"commit": options.commit, "base": planned.base_commit}
    return {
        "target": planned.target,
        "host": planned.host,
        "digest": planned.desired_digest,
        **(commits if options.commit is not None else {}),
    }


def _account(session: Session, ended: _Ended, planned: Plan, form: str) -> int:
    """Print what became of the plan; return the exit code, which depends on the same rows."""
    session.report.outcomes(ended.outcomes, planned)
    if form == "json":
        session.say(results.dump_outcomes(ended.outcomes, planned))
    elif session.quiet:
        line, problems = text.format_brief(
            ended.outcomes, planned, color=session.color, journal=ended.journal
        )
        session.say(line)
        if problems:
            session.complain(problems)
    else:
        if planned.writes and session.out.isatty() and session.err.isatty():
            session.note("")  # between what was shown as it happened and the account
        shown = render.outcomes(
            ended.outcomes,
            planned,
            format="text",
            stopped=ended.interrupted is not None,
            color=session.color,
            width=session.width,
            verbose=session.verbose,
            whole=ended.journal,
            identities=session.identities,
        )
        session.say(shown, wraps=True)
    session.fail(summary.describe_errors(planned, "applied", past=True), form)
    rows = results.complete_outcomes(ended.outcomes, planned)
    return ended.interrupted or results.choose_exit_code(rows, planned, guarded=checks.CODES)


def _open_board(
    session: Session,
    writer: Writer,
    status: RunStatus,
    interrupt: Interrupt,
    *,
    color: bool,
) -> Lines:
    """Return a board on a terminal, plain lines elsewhere."""
    if not session.draws_progress:
        return Lines(session.err, quiet=session.quiet or session.log_format == "json")
    started = writer.clock()
    interrupt.is_shown = True

    def read_board() -> BoardState:
        now, moment = writer.clock(), status.take_snapshot()
        return BoardState(
            planned=moment.planned,
            ended=moment.ended,
            in_flight={address: now - since for address, since in moment.in_flight.items()},
            parked=tuple(moment.parked.values()),
            queued=moment.queued,
            elapsed_s=now - started,
            wait_left_s=None if moment.wait_until is None else moment.wait_until - now,
            budget=writer.budget,
            pause_s=writer.pause_s,
            stopping=interrupt.stop.is_set(),
        )

    def draw(width: int, height: int) -> list[str]:
        return progress_board.draw_board(read_board(), color=color, width=width, height=height)

    return LiveArea(session.err, draw, session.log)
