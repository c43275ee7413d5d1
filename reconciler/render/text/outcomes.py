"""What became of a plan, on the terminal: a line while it happens, the account at the end."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from reconciler.errors import APPLY_AGAIN
from reconciler.model import Address, Change, Detail, Outcome, Plan, Problem, Result
from reconciler.planfile import results as planfile_results
from reconciler.render.shared import phrases
from reconciler.render.shared.findings import format_sentences
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.sanitize import escape
from reconciler.render.shared.summary import describe_errors, format_outcome_totals
from reconciler.render.text.terminal import paint, wrap

_STYLES: Final = {
    Result.DONE: "green",
    Result.UNCHANGED: "dim",
    Result.WAITING: "cyan",
    Result.FAILED: "alarm",
    Result.SKIPPED: "yellow",
    Result.REFUSED: "alarm",
}
_AGAIN: Final = f"{APPLY_AGAIN}."
_SHOWN: Final = Problem("", "", "", "")  # stands for one that the plan has shown
_STOPPED: Final = frozenset({Result.SKIPPED, Result.WAITING, Result.REFUSED, Result.FAILED})


def format_outcome_line(outcome: Outcome, *, color: bool) -> str:
    """Return one line, as it happens."""
    mark, word = phrases.describe_outcome(outcome)
    missed = outcome.detail is Detail.GATE_MISSED
    style = "alarm" if missed else _STYLES[outcome.result]
    reason = ""
    if outcome.problem is not None and outcome.result is not Result.REFUSED:  # known before
        reason = f": {escape(outcome.problem.what)}"
    elif outcome.url or outcome.change_request:
        reason = f": {escape(outcome.url or outcome.change_request or '')}"
    head = paint(f"  {'‼' if missed else mark} ", style, on=color)
    return f"{head}{escape(str(outcome.address))}  {paint(word, style, on=color)}{reason}"


def outcomes(
    ended: Iterable[Outcome], plan: Plan, options: RenderOptions, *, stopped: bool = False
) -> str:
    """Return what waits and for whom, what went wrong, totals that add up, and what to do next.

    `stopped`: somebody interrupted the run.
    """
    color, width = options.color, options.width
    rows = planfile_results.complete_outcomes(ended, plan)
    changes = {change.address: change for change in plan.changes}
    parts = [
        *_format_incidents(rows, color=color),
        *_format_waiting(rows, changes, color=color, width=width),
        *_format_problems(rows, plan, color=color),
        *_format_notes(rows, color=color, width=width),
        paint(format_outcome_totals(rows, plan), "bold", on=color),
    ]
    next_ = _list_next_steps(rows, plan, stopped=stopped)
    return "\n\n".join(parts) + ("\n" + "\n".join(next_) if next_ else "")


def format_brief(ended: Iterable[Outcome], plan: Plan, *, color: bool) -> tuple[str, str]:
    """Return the totals on one line, and what went wrong, which is never left out."""
    rows = planfile_results.complete_outcomes(ended, plan)
    wrong = (*_format_incidents(rows, color=color), *_format_problems(rows, plan, color=color))
    line = paint(format_outcome_totals(rows, plan), "bold", on=color)
    return line, "\n\n".join(wrong)


def _format_incidents(rows: tuple[Outcome, ...], *, color: bool) -> Iterator[str]:
    """Yield, first of all, what is live without the approval that it needed."""
    incidents = planfile_results.find_incidents(rows)
    if not incidents:
        return
    title = "‼ INCIDENT: the gate did not hold"
    lines = [paint(title, "alarm", on=color)]
    for row in incidents:
        lines.append(_format_address(row, color=color))
        if row.problem is not None:
            lines.extend(_format_problem(row.problem, Result.FAILED, color=color))
    yield "\n".join(lines)


def _format_waiting(
    rows: Iterable[Outcome], changes: Mapping[Address, Change], *, color: bool, width: int
) -> Iterator[str]:
    waiting = [row for row in rows if row.result is Result.WAITING]
    if not waiting:
        return
    lines = [paint("Waiting for approval:", "cyan", on=color)]
    for row in waiting:
        lines.append(_format_address(row, color=color))
        change = changes.get(row.address)
        if row.problem is not None:
            lines.extend(_format_problem(row.problem, row.result, color=color))
        if who := phrases.describe_approval(row, change):
            lines.extend(wrap(escape(who), indent="    ", width=width))
        if row.url or (row.change_request and row.problem is None):
            lines.append(f"    {escape(row.url or row.change_request or '')}")
    yield "\n".join(lines)


def _format_notes(rows: tuple[Outcome, ...], *, color: bool, width: int) -> Iterator[str]:
    """Yield what is worth knowing and changes nothing; equal notes stand together."""
    by_note: dict[str, list[Outcome]] = {}
    for row in rows:
        if row.note:
            by_note.setdefault(row.note, []).append(row)
    if not by_note:
        return
    lines = [paint("Notes:", "loud", on=color)]
    for note, group in by_note.items():
        lines.extend(_format_address(row, color=color) for row in group)
        lines.extend(wrap(escape(note), indent="    ", width=width, hang=""))
    yield "\n".join(lines)


def _format_problems(rows: tuple[Outcome, ...], plan: Plan, *, color: bool) -> Iterator[str]:
    """Yield what did not go as planned, in the four sentences; equal ones stand together.

    An error of the plan was shown with the plan, and is not repeated.
    """
    shown = {finding.address for finding in plan.errors}
    for result in (Result.SKIPPED, Result.REFUSED, Result.FAILED):
        alike: dict[Problem | None, list[Outcome]] = {}
        for row in rows:
            if row.result is result and row.detail is not Detail.GATE_MISSED:
                is_new = row.address not in shown or row.detail is not None
                alike.setdefault(row.problem if is_new else _SHOWN, []).append(row)
        if not alike:
            continue
        lines = [paint(f"{result.capitalize()}:", _STYLES[result], on=color)]
        for problem, group in alike.items():
            lines.extend(_format_address(row, color=color) for row in group)
            if problem is _SHOWN:
                lines.append("    the plan above shows the error")
            elif problem is not None:
                lines.extend(_format_problem(problem, result, color=color))
        yield "\n".join(lines)


def _format_address(row: Outcome, *, color: bool) -> str:
    live = f"  {escape(phrases.describe_outcome(row)[1])}" if row.written else ""
    return f"  {paint(escape(str(row.address)), 'bold', on=color)}{live}"


def _format_problem(problem: Problem, result: Result, *, color: bool) -> Iterator[str]:
    label = "error:" if result in {Result.FAILED, Result.REFUSED} else "what: "
    yield f"    {paint(label, 'dim', on=color)} {escape(problem.what)}"
    for line in format_sentences(
        problem.why, problem.state, problem.fix, paint=partial(paint, on=color)
    ):
        yield f"  {line}"


def _is_held_up(row: Outcome) -> bool:
    """Return whether an approval is not enough for what waits."""
    unappliable = row.awaits is not None and row.awaits.unappliable is not None
    return row.problem is not None or unappliable


def _list_next_steps(rows: Iterable[Outcome], plan: Plan, *, stopped: bool) -> list[str]:
    """Return what the person can do now."""
    rows = tuple(rows)
    results = {row.result for row in rows if row.detail is not Detail.NOT_STARTED}
    early = any(row.detail is Detail.NOT_STARTED for row in rows)
    lines = []
    if planfile_results.find_incidents(rows):
        lines.append("Next: find out why the gate did not hold, before anything else is applied.")
    waiting = {_is_held_up(row) for row in rows if row.result is Result.WAITING}
    if True in waiting:
        lines.append("Next: have what is in the way decided or cancelled, then apply again.")
    if False in waiting:
        lines.append("Next: have what waits approved (reconciler requests list), then apply again.")
    if Result.REFUSED in results:
        lines.append("Next: look at what was refused with reconciler plan, then apply again.")
    broken = {row.result for row in rows if row.detail is not Detail.UNKNOWN or not stopped}
    halted = results & _STOPPED == {Result.SKIPPED} and not stopped
    if Result.FAILED in broken or halted:
        lines.append(f"Next: fix what failed, then {_AGAIN}")
    if stopped or (early and Result.FAILED not in results):
        lines.append(f"Next: {_AGAIN}")
    lines += (
        f"The plan had {sentence}" for sentence in describe_errors(plan, "applied", past=True)
    )
    return lines
