"""What became of a plan: one row a change, totals that add up, the exit code. Pure.

`summary` counts by the words of `Result`. `account` is finer, and each resource
stands in it once: planned = done + unchanged + waiting + skipped + failed + unknown +
not started + refused, always.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Final

from reconciler.model import (
    Action,
    Address,
    Change,
    Detail,
    Finding,
    Outcome,
    Plan,
    Problem,
    Result,
    Severity,
    Verdict,
)
from reconciler.planfile import codec, digest

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


def foretold(plan: Plan, *, guarded: Collection[str]) -> tuple[Outcome, ...]:
    """Return how those changes end that will not be sent: the plan itself says why.

    `guarded`: codes of findings that refuse, instead of fail.
    """
    named = stopped(plan)
    found = []
    for change in plan.writes:
        if (finding := named.get(change.address)) is not None:
            found.append(by_finding(change, finding, guarded=guarded))
        elif change.gate.verdict is Verdict.REJECTED:
            row = Outcome(change.address, change.action, Result.REFUSED, id=change.live_id)
            request = change.gate.change_request
            found.append(replace(row, problem=rejected(change), change_request=request))
    return tuple(found)


def stopped(plan: Plan) -> dict[Address, Finding]:
    """Return the error that keeps each resource from being written."""
    return {
        finding.address: finding
        for finding in plan.findings
        if finding.severity is Severity.ERROR and finding.address is not None
    }


def by_finding(change: Change, finding: Finding, *, guarded: Collection[str]) -> Outcome:
    """Return the outcome of a change that a finding keeps from being sent."""
    trouble = Problem(finding.message, finding.why, "not sent", finding.fix)
    result = Result.REFUSED if finding.code in guarded else Result.FAILED
    return Outcome(change.address, change.action, result, id=change.live_id, problem=trouble)


def rejected(change: Change) -> Problem:
    """Return why a change is not sent whose intent people have turned down before."""
    return Problem(
        f"{change.address}: the same was proposed before, and not approved",
        change.gate.note or f"change request {change.gate.change_request}",
        "not sent: the same change is not proposed again",
        "change the document and commit it, or agree with those who decide",
    )


def totals(rows: Collection[Outcome], plan: Plan) -> dict[str, int]:
    """Count how many resources ended how; what needed no change counts as `unchanged`.

    `partly_written` counts those of them that are live in part: it stands beside the others.
    """
    changed = Counter(row.result for row in rows if row.action is not Action.NONE)
    changed[Result.UNCHANGED] += codec.summary(plan)["none"]
    partly = sum(bool(row.written) for row in rows)
    return {**{result: changed[result] for result in Result}, "partly_written": partly}


def account(rows: Iterable[Outcome], plan: Plan) -> dict[str, int]:
    """Each planned resource once: what is unknown and what did not start stand by themselves."""
    counted: Counter[str] = Counter()
    for row in rows:
        if row.action is not Action.NONE:
            counted[row.detail if row.detail in _OPEN else row.result] += 1
    counted[Result.UNCHANGED] += codec.summary(plan)["none"]
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
    found: dict[str, Any] = codec.plain(
        {
            "summary": totals(rows, plan),
            "account": account(rows, plan),
            "results": [_row(row) for row in rows],
        }
    )
    told = [one for one in plan.findings if one in plan.errors or one.code in _TOLD]
    if told:
        found["findings"] = codec.plain(told)  # why the code is 1, and who approved their own
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
    if row.written:
        shown["written"] = row.written
    if row.note:
        shown["note"] = row.note
    if row.awaits is not None:
        shown["waits_for"] = row.awaits
    return shown


def dumps(ended: Iterable[Outcome], plan: Plan) -> str:
    """The document of an apply as text."""
    return digest.as_text(document(ended, plan))
