"""What became of a plan, as a comment: what waits and where, what failed and why, totals."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model import Change, Outcome, Plan, Result
from reconciler.planfile import results
from reconciler.render.markdown.escape import escape_prose, format_code
from reconciler.render.markdown.size_limit import measure, take_fitting
from reconciler.render.shared import phrases
from reconciler.render.shared.sanitize import is_page_of
from reconciler.render.shared.summary import format_outcome_totals

CAP: Final = 30_000  # it stands beside the plan
_TITLES: Final = {
    Result.FAILED: "Failed",
    Result.REFUSED: "Refused",
    Result.WAITING: "Waiting for approval",
    Result.SKIPPED: "Skipped",
    Result.DONE: "Done",
}


def format_outcomes(ended: Iterable[Outcome], plan: Plan) -> str:
    """Return totals first, then what a person has to look at, then what is done."""
    rows = results.complete_outcomes(ended, plan)
    changes = {change.address: change for change in plan.changes}
    sections = [("‼ INCIDENT: the gate did not hold", results.find_incidents(rows))]
    for result, title in _TITLES.items():
        sections.append((title, tuple(row for row in rows if row.result is result)))
    parts = ["### reconciler apply", f"**{format_outcome_totals(rows, plan)}**"]
    room = CAP - 1_000
    for title, section in sections:
        if section:
            blocks = (_format_row(row, changes.get(row.address), plan.host) for row in section)
            shown = take_fitting(blocks, room // 2)
            room -= sum(map(measure, shown))
            more = len(section) - len(shown)
            rest = [f"- … and {more:,} more"] if more else []
            parts.append("\n".join((f"#### {title}", "", *shown, *rest)))
    return "\n\n".join(parts) + "\n"


def _format_row(row: Outcome, change: Change | None, host: str) -> str:
    mark, word = phrases.describe_outcome(row)
    title = f"- {mark} {format_code(str(row.address))} {word}"
    return "\n".join((title, *_format_details(row, change, host)))


def _format_details(row: Outcome, change: Change | None, host: str) -> Iterator[str]:
    problem = row.problem
    if problem is not None:
        texts = {"": problem.what, "why: ": problem.why, "state: ": problem.state}
        texts["fix: "] = problem.fix
        yield from (f"  - {label}{escape_prose(text)}" for label, text in texts.items() if text)
    if row.result is Result.WAITING:
        if row.url and is_page_of(row.url, host):
            yield f"  - [open the request]({row.url})"
        elif row.change_request:
            yield f"  - request {format_code(row.change_request)}"
        if problem is None and change is not None and (who := phrases.describe_forecast(change)):
            yield f"  - {escape_prose(who)}"
