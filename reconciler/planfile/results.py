"""Report the results of a plan: one row per change, totals that add up, the exit code. Pure.

`summary` counts by `Result`. `account` is finer and counts each resource once: planned = done +
unchanged + waiting + skipped + failed + unknown + not started + refused, always.
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
    ExitCode,
    Finding,
    Outcome,
    Plan,
    Problem,
    Result,
    Severity,
    Verdict,
)
from reconciler.planfile import codec, digest

_TOLD: Final = frozenset(  # beside errors
    {"approved-by-author", "author-unknown", "requester-without-access"}
)
_OPEN: Final = (Detail.UNKNOWN, Detail.NOT_STARTED)  # counted apart from their result


def complete_outcomes(ended: Iterable[Outcome], plan: Plan) -> tuple[Outcome, ...]:
    """Return one outcome per write, in the order of the plan, also for writes that never began."""
    outcomes = {outcome.address: outcome for outcome in ended}
    problem = Problem("not started", "the run ended before", "not sent", "run apply again")
    for change in plan.writes:
        skipped = Outcome(
            change.address,
            change.action,
            Result.SKIPPED,
            problem=problem,
            detail=Detail.NOT_STARTED,
        )
        outcomes.setdefault(change.address, skipped)
    ordered = [
        outcomes.pop(change.address) for change in plan.changes if change.address in outcomes
    ]
    return (*ordered, *outcomes.values())


def predict_outcomes(plan: Plan, *, guarded: Collection[str]) -> tuple[Outcome, ...]:
    """Return the outcomes of changes that will not be sent, for reasons in the plan itself.

    `guarded`: codes of findings that refuse rather than fail.
    """
    stopped = find_stopped(plan)
    outcomes = []
    for change in plan.writes:
        if (finding := stopped.get(change.address)) is not None:
            outcomes.append(end_by_finding(change, finding, guarded=guarded))
        elif change.gate.verdict is Verdict.REJECTED:
            row = Outcome(change.address, change.action, Result.REFUSED, id=change.live_id)
            request = change.gate.change_request
            outcomes.append(
                replace(row, problem=describe_rejection(change), change_request=request)
            )
    return tuple(outcomes)


def find_stopped(plan: Plan) -> dict[Address, Finding]:
    """Return the error that keeps each resource from being written."""
    return {
        finding.address: finding
        for finding in plan.findings
        if finding.severity is Severity.ERROR and finding.address is not None
    }


def end_by_finding(change: Change, finding: Finding, *, guarded: Collection[str]) -> Outcome:
    """Return the outcome of a change that a finding keeps from being sent."""
    trouble = Problem(finding.message, finding.why, "not sent", finding.fix)
    result = Result.REFUSED if finding.code in guarded else Result.FAILED
    return Outcome(change.address, change.action, result, id=change.live_id, problem=trouble)


def describe_rejection(change: Change) -> Problem:
    """Return why a change is not sent whose intent was rejected before."""
    return Problem(
        f"{change.address}: the same change was proposed before and not approved",
        change.gate.note or f"change request {change.gate.change_request}",
        "not sent: the same change is not proposed again",
        "change the document in a new commit, or undo the change",
    )


def count_results(rows: Collection[Outcome], plan: Plan) -> dict[str, int]:
    """Count how many resources ended how; what needed no change counts as `unchanged`.

    `partly_written` counts those of them that are live in part: it stands beside the others.
    """
    changed = Counter(row.result for row in rows if row.action is not Action.NONE)
    changed[Result.UNCHANGED] += codec.summarize(plan)["none"]
    partly = sum(bool(row.written) for row in rows)
    return {**{result: changed[result] for result in Result}, "partly_written": partly}


def count_account(rows: Iterable[Outcome], plan: Plan) -> dict[str, int]:
    """Count each planned resource once; unknown and not started are counted separately."""
    counted: Counter[str] = Counter()
    for row in rows:
        if row.action is not Action.NONE:
            counted[row.detail if row.detail in _OPEN else row.result] += 1
    counted[Result.UNCHANGED] += codec.summarize(plan)["none"]
    words = (*Result, *_OPEN)
    return {"planned": counted.total(), **{str(word): counted[word] for word in words}}


def find_incidents(rows: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Return the changes that were written at once although approval was forecast."""
    return tuple(row for row in rows if row.detail is Detail.GATE_MISSED)


def choose_exit_code(rows: Collection[Outcome], plan: Plan, *, guarded: Collection[str]) -> int:
    """Return the exit code of the rows, the worst result first (docs/exit-codes.md).

    `guarded`: codes of findings that refuse rather than fail.
    """
    results = {row.result for row in rows}
    open_ended = any(row.detail in _OPEN for row in rows)
    broken = any(finding.code not in guarded for finding in plan.errors)
    code = ExitCode.DONE
    if find_incidents(rows) or Result.FAILED in results or open_ended or broken:
        code = ExitCode.FAILED
    elif Result.REFUSED in results:
        code = ExitCode.REFUSED
    elif Result.WAITING in results:
        code = ExitCode.WAITING
    elif Result.SKIPPED in results:
        code = ExitCode.FAILED
    return code


def encode_outcomes(ended: Iterable[Outcome], plan: Plan) -> dict[str, Any]:
    """Return the results of a plan as the document of `apply --format json`."""
    rows = complete_outcomes(ended, plan)
    document: dict[str, Any] = codec.make_plain(
        {
            "summary": count_results(rows, plan),
            "account": count_account(rows, plan),
            "results": [_encode_outcome(row) for row in rows],
        }
    )
    findings = [
        finding for finding in plan.findings if finding in plan.errors or finding.code in _TOLD
    ]
    if findings:
        document["findings"] = codec.make_plain(
            findings
        )  # why the code is 1, who approved their own, and why nothing of this key can be applied
    return document


def _encode_outcome(row: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = {
        "address": row.address,
        "action": row.action,
        "outcome": row.result,
        "change_request": row.change_request,
        "url": row.url,
        "attempts": row.attempts,
        "error": row.problem,
    }
    if row.detail is not None:
        document["detail"] = row.detail
    if row.written:
        document["written"] = row.written
    if row.note:
        document["note"] = row.note
    if row.awaits is not None:
        document["waits_for"] = row.awaits
    return document


def dump_outcomes(ended: Iterable[Outcome], plan: Plan) -> str:
    """Return the document of an apply as text."""
    return digest.format_document(encode_outcomes(ended, plan))
