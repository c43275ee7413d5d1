"""Carrying a plan out at a terminal: progress, journal, and what an interrupt means."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, color_for
from reconciler.model import Action, Outcome, Plan, Result

if TYPE_CHECKING:
    from reconciler.posthog.client import Writer
    from reconciler.walk import World

FAILED, WAITING, REFUSED = 1, 3, 4
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STOPPING = b"\nstopping: what is in flight is finished; again to leave at once\n"


def carry_out(
    session: Session,
    writer: "Writer",
    made: Plan,
    world: "World",
    *,
    workers: int,
    guarded: frozenset[str],
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
    kept = walk.journal_path(session.folder(), stamp)
    color = color_for(session.color_choice, sys.stderr)
    with (
        session.report.journal(kept),
        Journal(kept, now=session.stamp) as journal,
        _interrupts(writer) as interrupt,
        Progress(len(made.writes), quiet=session.quiet) as progress,
    ):
        journal.record("begin", target=made.target, host=made.host, digest=made.desired_digest)
        how = executor.Options(workers, interrupt.stop, guarded)
        for outcome in walk.apply(made, world, writer, journal, options=how):
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


def exit_code(outcomes: tuple[Outcome, ...], made: Plan, *, interrupted: int | None) -> int:
    """A function of the report, worst first (interface section 2)."""
    from reconciler.plan import guardrails

    results = {outcome.result for outcome in outcomes}
    code = 0
    if interrupted is not None:
        code = interrupted
    elif Result.FAILED in results or any(e.code not in guardrails.CODES for e in made.errors):
        code = FAILED
    elif Result.REFUSED in results:
        code = REFUSED
    elif Result.WAITING in results:
        code = WAITING
    elif Result.SKIPPED in results:
        code = FAILED
    return code


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

    before = {number: signal.signal(number, handle) for number in _STOPS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
