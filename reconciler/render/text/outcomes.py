"""What became of a plan, on the terminal: a line while it happens, the account at the end."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.errors import APPLY_AGAIN
from reconciler.lazy_dataclass import dataclass
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
_ELSEWHERE: Final = frozenset({Detail.GATE_MISSED, Detail.NOT_STARTED})  # under their own titles
_SHOWN: Final = Problem("", "", "", "")  # stands for one that the plan has shown
_ALIKE: Final = 10  # resources with the same problem that are named, and
_WAITING: Final = 20  # those that wait; unless --verbose
_AFTER_STOP: Final = 5  # of each, where a run was interrupted: all of it fits on a screen
_TOGETHER: Final = 2  # requests whose approvers are named even then
_STOPPED: Final = frozenset({Result.SKIPPED, Result.WAITING, Result.REFUSED, Result.FAILED})


@dataclass(frozen=True, slots=True)
class _Look:
    """How the account is shown. `most` are named of a long list, or all if it is None."""

    color: bool
    width: int = 100
    most: int | None = None
    journal: str = ""  # where all of it is
    stopped: bool = False  # whether the run was interrupted

    def paint(self, text: str, style: str) -> str:
        """Return escaped text in colour."""
        return paint(text, style, on=self.color)

    def choose_shown(self, rows: Sequence[Outcome], most: int) -> tuple[Sequence[Outcome], int]:
        """Return the rows to show, and how many more there are."""
        limit = len(rows) if self.most is None else min(most, self.most)
        if len(rows) <= limit + 1:  # a line that says "and 1 more" saves nothing
            return rows, 0
        return rows[:limit], len(rows) - limit


def format_outcome_line(outcome: Outcome, *, color: bool, names_request: bool = True) -> str:
    """Return one line, as it happens. The account names the requests, too, at the end."""
    mark, word = phrases.describe_outcome(outcome)
    missed = outcome.detail is Detail.GATE_MISSED
    style = "alarm" if missed else _STYLES[outcome.result]
    reason = ""
    if outcome.problem is not None and outcome.result is not Result.REFUSED:  # known before
        reason = f": {escape(outcome.problem.what)}"
    elif names_request and (outcome.url or outcome.change_request):
        reason = f": {escape(outcome.url or outcome.change_request or '')}"
    head = paint(f"  {'‼' if missed else mark} ", style, on=color)
    return f"{head}{escape(str(outcome.address))}  {paint(word, style, on=color)}{reason}"


def outcomes(
    ended: Iterable[Outcome], plan: Plan, options: RenderOptions, *, stopped: bool = False
) -> str:
    """Return what waits and for whom, what went wrong, totals that add up, and what to do next.

    `stopped`: somebody interrupted the run. `options.whole` is the journal.
    """
    most = None if options.verbose else _AFTER_STOP if stopped else _WAITING
    look = _Look(options.color, options.width, most, options.whole, stopped)
    rows = planfile_results.complete_outcomes(ended, plan)
    changes = {change.address: change for change in plan.changes}
    parts = [
        *_format_incidents(rows, look),
        *_format_waiting(rows, changes, look),
        *_format_unstarted(rows, look),
        *_format_problems(rows, plan, look),
        *_format_notes(rows, look),
        look.paint(format_outcome_totals(rows, plan), "bold"),
    ]
    next_ = _list_next_steps(rows, plan, stopped=stopped)
    return "\n\n".join(parts) + ("\n" + "\n".join(next_) if next_ else "")


def format_brief(
    ended: Iterable[Outcome], plan: Plan, *, color: bool, journal: str = ""
) -> tuple[str, str]:
    """Return the totals on one line, and what went wrong, which is never left out."""
    look = _Look(color, most=_ALIKE, journal=journal)
    rows = planfile_results.complete_outcomes(ended, plan)
    wrong = (
        *_format_incidents(rows, look),
        *_format_unstarted(rows, look),
        *_format_problems(rows, plan, look),
    )
    line = look.paint(format_outcome_totals(rows, plan), "bold")
    return line, "\n\n".join(wrong)


def _format_incidents(rows: tuple[Outcome, ...], look: _Look) -> Iterator[str]:
    """Yield, first of all, what is live without the approval that it needed."""
    incidents = planfile_results.find_incidents(rows)
    if not incidents:
        return
    title = "‼ INCIDENT: the gate did not hold"
    lines = [look.paint(title, "alarm")]
    for row in incidents:
        lines.append(_format_address(row, look))
        if row.problem is not None:
            lines.extend(_format_problem(row.problem, Result.FAILED, look))
    yield "\n".join(lines)


def _format_waiting(
    rows: Iterable[Outcome], changes: Mapping[Address, Change], look: _Look
) -> Iterator[str]:
    waiting = [row for row in rows if row.result is Result.WAITING]
    if not waiting:
        return
    lines = [look.paint("Waiting for approval:", "cyan")]
    shown, rest = look.choose_shown(waiting, _WAITING)
    is_brief = look.stopped and look.most is not None and len(waiting) > _TOGETHER
    for row in shown:
        lines.append(_format_address(row, look))
        change = changes.get(row.address)
        if row.problem is not None:
            lines.extend(_format_problem(row.problem, row.result, look))
        if is_brief:
            continue
        if who := phrases.describe_approval(row, change):
            lines.extend(wrap(escape(who), indent="    ", width=look.width))
        if row.url or (row.change_request and row.problem is None):
            lines.append(f"    {escape(row.url or row.change_request or '')}")
    if rest:
        lines.append(f"  … and {rest:,} more: reconciler requests list")
    elif is_brief:
        lines.append("  Who can approve them: reconciler status")
    yield "\n".join(lines)


def _format_notes(rows: tuple[Outcome, ...], look: _Look) -> Iterator[str]:
    """Yield what is worth knowing and changes nothing; equal notes stand together."""
    by_note: dict[str, list[Outcome]] = {}
    for row in rows:
        if row.note:
            by_note.setdefault(row.note, []).append(row)
    if not by_note:
        return
    lines = [look.paint("Notes:", "loud")]
    for note, group in by_note.items():
        lines.extend(_format_addresses(group, look))
        lines.extend(wrap(escape(note), indent="    ", width=look.width, hang=""))
    yield "\n".join(lines)


def _format_unstarted(rows: tuple[Outcome, ...], look: _Look) -> Iterator[str]:
    """Yield what the run did not reach, and why unless somebody interrupted it.

    What to do about it is the next step, at the end.
    """
    alike: dict[Problem | None, list[Outcome]] = {}
    for row in rows:
        if row.detail is Detail.NOT_STARTED:
            alike.setdefault(None if look.stopped else row.problem, []).append(row)
    if not alike:
        return
    lines = [look.paint("Not started:", _STYLES[Result.SKIPPED])]
    for problem, group in alike.items():
        lines.extend(_format_addresses(group, look))
        if problem is not None and not look.stopped:
            why = format_sentences(problem.why, "", "", paint=look.paint)
            lines.extend(f"  {line}" for line in why)
    yield "\n".join(lines)


def _format_problems(rows: tuple[Outcome, ...], plan: Plan, look: _Look) -> Iterator[str]:
    """Yield what did not go as planned, in the four sentences; equal ones stand together.

    An error of the plan was shown with the plan, and is not repeated.
    """
    shown = {finding.address for finding in plan.errors}
    for result in (Result.SKIPPED, Result.REFUSED, Result.FAILED):
        alike: dict[Problem | None, list[Outcome]] = {}
        for row in rows:
            if row.result is result and row.detail not in _ELSEWHERE:
                is_new = row.address not in shown or row.detail is not None
                alike.setdefault(row.problem if is_new else _SHOWN, []).append(row)
        if not alike:
            continue
        lines = [look.paint(f"{result.capitalize()}:", _STYLES[result])]
        for problem, group in alike.items():
            lines.extend(_format_addresses(group, look))
            if problem is _SHOWN:
                lines.append("    the plan above shows the error")
            elif problem is not None:
                lines.extend(_format_problem(problem, result, look))
        yield "\n".join(lines)


def _format_addresses(group: Sequence[Outcome], look: _Look) -> Iterator[str]:
    """Yield a line for each resource; of a long list the first, and where the others are."""
    shown, rest = look.choose_shown(group, _ALIKE)
    yield from (_format_address(row, look) for row in shown)
    if rest:
        where = f": {escape(look.journal)}" if look.journal else ""
        yield f"  … and {rest:,} more{where}"


def _format_address(row: Outcome, look: _Look) -> str:
    live = f"  ({escape(phrases.list_written_fields(row))})" if row.written else ""
    return f"  {look.paint(escape(str(row.address)), 'bold')}{live}"


def _format_problem(problem: Problem, result: Result, look: _Look) -> Iterator[str]:
    label = "error:" if result in {Result.FAILED, Result.REFUSED} else "what: "
    yield f"    {look.paint(label, 'dim')} {escape(problem.what)}"
    for line in format_sentences(problem.why, problem.state, problem.fix, paint=look.paint):
        yield f"  {line}"


def _is_held_up(row: Outcome) -> bool:
    """Return whether an approval is not enough for what waits."""
    unappliable = row.awaits is not None and row.awaits.unappliable is not None
    return row.problem is not None or unappliable


def _list_next_steps(rows: Iterable[Outcome], plan: Plan, *, stopped: bool) -> list[str]:
    """Return what the person can do now."""
    rows = tuple(rows)
    results = {row.result for row in rows if row.detail is not Detail.NOT_STARTED}
    unstarted = [row.problem for row in rows if row.detail is Detail.NOT_STARTED]
    failed = any(
        row.result is Result.FAILED and not (stopped and row.detail is Detail.UNKNOWN)
        for row in rows
    )
    fix = f"Next: {'fix what failed, then ' if failed else ''}{_AGAIN}"
    if unstarted and unstarted[0] is not None and not failed and not stopped:
        fix = f"Next: {escape(unstarted[0].fix)}."
    lines = []
    if planfile_results.find_incidents(rows):
        lines.append("Next: find out why the gate did not hold, before anything else is applied.")
    if stopped:
        return [*(lines or [fix]), *_describe_plan_errors(plan)]
    waiting = {_is_held_up(row) for row in rows if row.result is Result.WAITING}
    if True in waiting:
        lines.append("Next: ask for a decision on the open requests, then run apply again.")
    if False in waiting:
        lines.append(
            "Next: ask the approvers (reconciler status lists them), then run apply again."
        )
    if Result.REFUSED in results:
        lines.append("Next: check the refused changes with reconciler plan, then run apply again.")
    if failed or unstarted:
        lines.append(fix)
    elif results & _STOPPED == {Result.SKIPPED}:
        lines.append(f"Next: fix what failed, then {_AGAIN}")
    return [*lines, *_describe_plan_errors(plan)]


def _describe_plan_errors(plan: Plan) -> Iterator[str]:
    for sentence in describe_errors(plan, "applied", past=True):
        yield f"The plan had {sentence}"
