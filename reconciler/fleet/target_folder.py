"""Read and write the report folder of one target: what `--report` keeps, and no more.

A folder that cannot be read is not left out: it becomes a result with an error, so that a fleet's
report has no gap.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files import result_files
from reconciler.fleet import waiting
from reconciler.model import (
    ExitCode,
    Finding,
    FleetMode,
    Outcome,
    Problem,
    RequestCounts,
    Result,
    Severity,
    TargetDetails,
    TargetResult,
)
from reconciler.planfile import codec, outcomes
from reconciler.planfile.digest import format_document
from reconciler.planfile.fleet import read_seconds
from reconciler.planfile.reader import Node

SUMMARY: Final = "summary.json"  # the last file that a run writes
FORMAT_VERSION: Final = 1
_MAX_BYTES: Final = 512 * 1024 * 1024  # of a file
_UNREADABLE: Final = (OSError, ValueError, RecursionError, ReconcilerError)
_BAD_RESULTS: Final = (Result.FAILED, Result.REFUSED)
_T = TypeVar("_T")


def write_result(folder: Path, mode: FleetMode, result: TargetResult) -> None:
    """Write the summary of a target that could not write one: skipped, stopped, or crashed.

    Raises ReconcilerError if the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fix = "name a folder that can be written"
        why = explain_refusal(error)
        raise ReconcilerError(f"{folder} cannot be made", why=why, fix=fix) from error
    document = {
        "format_version": FORMAT_VERSION,
        "target": result.target,
        "command": mode,
        "exit_code": result.exit_code,
        "seconds": result.seconds,
        "reads": result.requests.reads,
        "writes": result.requests.writes,
        "error": result.error,
        "skipped_because": result.skipped_because,
        "summary": result.summary,
        "files": [*(() if result.exit_code is None else _list_files(folder)), SUMMARY],
    }
    text = format_document(codec.make_plain(document))
    result_files.write_private(os.fspath(folder / SUMMARY), text)


def read_target(folder: Path, target: str, mode: FleetMode) -> tuple[TargetResult, TargetDetails]:
    """Return how the run of a target ended, and the rest of its report.

    What is missing or damaged is the error of the result, whose exit code is then 1.
    """
    try:
        summary = _read_json(folder / SUMMARY)
        result = _read_summary(summary, folder, target, mode)
    except _UNREADABLE as error:
        return _report_damage(folder, target, SUMMARY, error), TargetDetails()
    try:
        details = _read_details(summary, folder)
        if details.status is not None:
            waiting.read_status_rows(target, details.status)
    except _UNREADABLE as error:
        damaged = _report_damage(folder, target, "its report", error)
        return replace(result, exit_code=ExitCode.FAILED, error=damaged.error), TargetDetails()
    if result.exit_code and (result.error is None or details.findings):
        result = replace(result, error=_find_first_problem(result, details) or result.error)
    return result, details


def load_details(folder: Path | None) -> TargetDetails:
    """Return the report beside its summary, for people; nothing where it cannot be read."""
    try:
        if folder is None:
            return TargetDetails()
        return _read_details(_read_json(folder / SUMMARY), folder)
    except _UNREADABLE:  # the result of the target says so
        return TargetDetails()


def read_result(folder: Path, target: str, mode: FleetMode) -> TargetResult:
    """Return how the run of a target ended, without the rest of its report."""
    try:
        return _read_summary(_read_json(folder / SUMMARY), folder, target, mode)
    except _UNREADABLE as error:
        return _report_damage(folder, target, SUMMARY, error)


def read_filed(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return facts about the change requests that a run has filed; none where it cannot be read."""
    try:
        rows = _read_json(folder / SUMMARY).get("filed") or ()
    except _UNREADABLE:  # the result of the target says so
        return ()
    return tuple(row for row in rows if isinstance(row, dict))


def _read_details(summary: Mapping[str, Any], folder: Path) -> TargetDetails:
    """Return the report beside its summary; raise OSError, ValueError or ReconcilerError."""
    names = Node(summary, "")["files"].each(Node.text)  # others are of an earlier run
    return TargetDetails(
        plan=_read_if(folder / "plan.json", names, codec.load_plan),
        outcomes=_read_if(folder / "outcomes.json", names, _parse_outcomes) or (),
        findings=codec.read_findings(summary.get("findings") or []),
        status=_read_if(folder / "status.json", names, _parse_object),
    )


def _read_summary(
    summary: Mapping[str, Any], folder: Path, target: str, mode: FleetMode
) -> TargetResult:
    node = Node(summary, "")
    name = node["target"].maybe(Node.text)
    command = node["command"].text()
    if name not in {None, target} or command != mode:
        raise ReconcilerError(f"it is the report of {command} for target {name}")
    missing = [each for each in node["files"].each(Node.text) if not (folder / each).is_file()]
    if missing:
        raise ReconcilerError(f"these files are missing: {', '.join(missing)}")
    return TargetResult(
        target=target,
        exit_code=node["exit_code"].maybe(Node.count),
        seconds=read_seconds(node["seconds"]),
        requests=RequestCounts(node["reads"].count(), node["writes"].count()),
        summary=node["summary"].values(lambda total: total.value),
        skipped_because=node["skipped_because"].maybe(Node.text),
        error=node["error"].maybe(outcomes.read_problem),
    )


def _report_damage(folder: Path, target: str, what: str, error: Exception) -> TargetResult:
    """Return the result of a target whose report cannot be used."""
    if isinstance(error, ReconcilerError):
        why = error.why or error.what
    else:
        why = explain_refusal(error, otherwise="it is not JSON")
    problem = Problem(
        f"{what} cannot be read",
        f"{folder.name}: {why}",
        "it is not known what the run has done",
        "run the command for this target again",
    )
    return TargetResult(target, ExitCode.FAILED, error=problem)


def _find_first_problem(result: TargetResult, details: TargetDetails) -> Problem | None:
    """Return the first reason why a run failed, with its place and the number of the others."""
    plan = details.plan
    errors = plan.errors if plan is not None else ()
    errors += tuple(each for each in details.findings if each.severity is Severity.ERROR)
    state = "" if result.requests.writes else "nothing was written"
    if result.error is not None:
        state = result.error.state
    problems = [_describe_finding(finding, state) for finding in dict.fromkeys(errors)]
    known = {finding.address for finding in errors}  # their changes fail for the same reason
    problems += [
        outcome.problem if outcome.problem is not None else _describe_outcome(outcome)
        for outcome in details.outcomes
        if outcome.result in _BAD_RESULTS and outcome.address not in known
    ]
    if not problems:
        return None
    first, *others = problems
    more = f" (and {len(others):,} more)" if others else ""
    return replace(first, what=f"{first.what}{more}")


def _describe_finding(finding: Finding, state: str) -> Problem:
    place = f"{finding.source}: " if finding.source is not None else ""
    return Problem(f"{place}{finding.message}", finding.why, state, finding.fix)


def _describe_outcome(outcome: Outcome) -> Problem:
    return Problem(f"{outcome.address}: {outcome.result}")


def _list_files(folder: Path) -> list[str]:
    """Return the names of the files in the folder, without the summary."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [name for name in names if name != SUMMARY]


def _read_if(path: Path, names: tuple[str, ...], read: Callable[[str], _T]) -> _T | None:
    if path.name not in names:
        return None
    return read(result_files.read_whole_file(os.fspath(path), _MAX_BYTES))


def _read_json(path: Path) -> Mapping[str, Any]:
    return _parse_object(result_files.read_whole_file(os.fspath(path), _MAX_BYTES))


def _parse_object(text: str) -> Mapping[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004  the same as text that is not JSON
    return document


def _parse_outcomes(text: str) -> tuple[Outcome, ...]:
    return outcomes.read_outcomes(json.loads(text))
