"""What became of a plan: one row a change, totals that add up, the exit code. Pure.

`summary` counts by the words of `Result`. `account` is finer, and each resource
stands in it once: planned = done + unchanged + waiting + skipped + failed + unknown +
not started + refused, always.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Final

from reconciler import planfile
from reconciler.model import Action, Detail, Outcome, Plan, Problem, Result

FAILED: Final = 1
WAITING: Final = 3
REFUSED: Final = 4
_TOLD: Final = frozenset({"approved-by-author", "author-unknown"})  # beside errors
_OPEN: Final = (Detail.UNKNOWN, Detail.NOT_STARTED)  # counted apart from their result


def settled(ended: Iterable[Outcome], plan: Plan) -> tuple[Outcome, ...]:
    """One outcome a write, in the order of the plan; of what never began, that it did not."""
    found = {outcome.address: outcome for outcome in ended}
    never = Problem("not started", "the run ended before", "not sent", "run apply again")
    for one in plan.writes:
        skipped = Outcome(
            one.address, one.action, Result.SKIPPED, problem=never, detail=Detail.NOT_STARTED
        )
        found.setdefault(one.address, skipped)
    ordered = [found.pop(change.address) for change in plan.changes if change.address in found]
    return (*ordered, *found.values())


def totals(rows: Iterable[Outcome], plan: Plan) -> dict[str, int]:
    """How many resources ended how; what needed no change counts as `unchanged`."""
    changed = Counter(row.result for row in rows if row.action is not Action.NONE)
    changed[Result.UNCHANGED] += planfile.summary(plan)["none"]
    return {result: changed[result] for result in Result}


def account(rows: Iterable[Outcome], plan: Plan) -> dict[str, int]:
    """Each planned resource once: what is unknown and what did not start stand by themselves."""
    counted: Counter[str] = Counter()
    for row in rows:
        if row.action is not Action.NONE:
            counted[row.detail if row.detail in _OPEN else row.result] += 1
    counted[Result.UNCHANGED] += planfile.summary(plan)["none"]
    words = (*Result, *_OPEN)
    return {"planned": counted.total(), **{str(word): counted[word] for word in words}}


def incidents(rows: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """What was written at once although people should have been asked."""
    return tuple(row for row in rows if row.detail is Detail.GATE_MISSED)


def exit_code(rows: Collection[Outcome], plan: Plan, *, guarded: Collection[str]) -> int:
    """A function of the report, worst first (docs/exit-codes.md).

    `guarded`: codes of findings that refuse, instead of fail.
    """
    results = {row.result for row in rows}
    open_ended = any(row.detail in _OPEN for row in rows)
    broken = any(finding.code not in guarded for finding in plan.errors)
    code = 0
    if incidents(rows) or Result.FAILED in results or open_ended or broken:
        code = FAILED
    elif Result.REFUSED in results:
        code = REFUSED
    elif Result.WAITING in results:
        code = WAITING
    elif Result.SKIPPED in results:
        code = FAILED
    return code


def document(ended: Iterable[Outcome], plan: Plan) -> dict[str, Any]:
    """What became of a plan, as the document of `apply --format json`."""
    rows = settled(ended, plan)
    found: dict[str, Any] = planfile.plain(
        {
            "summary": totals(rows, plan),
            "account": account(rows, plan),
            "results": [_row(row) for row in rows],
        }
    )
    told = [one for one in plan.findings if one in plan.errors or one.code in _TOLD]
    if told:
        found["findings"] = planfile.plain(told)  # why the code is 1, and who approved their own
    return found


def _row(row: Outcome) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "address": row.address,
        "action": row.action,
        "outcome": row.result,
        "change_request": row.change_request,
        "url": row.url,
        "attempts": row.attempts,
        "error": row.problem,
    }
    if row.detail is not None:
        shown["detail"] = row.detail
    if row.note:
        shown["note"] = row.note
    if row.awaits is not None:
        shown["waits_for"] = row.awaits
    return shown


def dumps(ended: Iterable[Outcome], plan: Plan) -> str:
    """The document of an apply as text."""
    return planfile.as_text(document(ended, plan))
