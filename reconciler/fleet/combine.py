"""Combine the report folders of targets to the report of a fleet: the same one on each level.

Threads of one process, the jobs of a build and the workers of an engine leave the same folders.
Targets are read one after the other, and only what the report says of them is kept.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.config.uncommitted import DIRTY_TREE
from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files import result_files
from reconciler.fleet import target_folder
from reconciler.fleet.causes import CauseGroups
from reconciler.fleet.waiting import WaitingRequests
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ExitCode,
    FleetMode,
    FleetReport,
    Problem,
    Shard,
    TargetResult,
    worst_exit_code,
)
from reconciler.planfile import fleet

FLEET: Final = "fleet.json"
_MAX_BYTES: Final = 512 * 1024 * 1024
_NOTHING: Final = "nothing was contacted, nothing was written"
_NAMED: Final = 5  # targets or shards that an error names


@dataclass(frozen=True, slots=True)
class MergedReport:
    """Hold one report of several folders, and where the report of each target is."""

    report: FleetReport
    folders: Mapping[str, Path]


def combine_targets(
    folders: Mapping[str, Path],
    *,
    mode: FleetMode,
    commit: str | None,
    shard: Shard | None = None,
    interrupted: bool = False,
) -> FleetReport:
    """Return the report of the targets whose folders are given.

    A folder that is missing or damaged is an error of its target.

    Args:
        folders: the report folder of each target, by name; also of those that were skipped.
        mode: the command that ran.
        commit: whose files were used.
        shard: which part of the fleet this is.
        interrupted: whether somebody stopped the run.

    """
    results: list[TargetResult] = []
    requests = WaitingRequests()
    groups = CauseGroups()
    is_dirty = False
    for target, folder in sorted(folders.items()):
        result, details = target_folder.read_target(folder, target, mode)
        results.append(result)
        requests.add(target, details)
        if details.plan is None:
            continue
        is_dirty |= any(finding.code == DIRTY_TREE for finding in details.plan.findings)
        if mode is FleetMode.DRIFT:
            groups.add(target, details.plan)
    code = worst_exit_code(result.exit_code for result in results)
    return FleetReport(
        mode=mode,
        commit=commit,
        targets=tuple(results),
        causes=groups.list_causes(),
        waiting=requests.list_by_expiry(),
        exit_code=ExitCode.INTERRUPTED if interrupted else code,
        shard=shard,
        is_dirty=is_dirty,
    )


def merge_folders(places: Sequence[Path]) -> MergedReport:
    """Return one report of the `--out` folders of several runs, such as the jobs of a matrix.

    Raises ReconcilerError for folders that do not belong together, or that no run has written.
    The targets of a shard that is missing are errors of the report.
    """
    parts = [(place, _read_part(place)) for place in places]
    _require_one_fleet(parts)
    folders = {
        result.target: place / result.target for place, part in parts for result in part.targets
    }
    first = parts[0][1]
    report = combine_targets(
        folders,
        mode=first.mode,
        commit=first.commit,
        interrupted=any(part.exit_code == ExitCode.INTERRUPTED for _, part in parts),
    )
    missing = _report_missing(part for _, part in parts)
    results = sorted((*report.targets, *missing), key=lambda result: result.target)
    codes = (report.exit_code, *(part.exit_code for _, part in parts))
    code = worst_exit_code((*codes, *(result.exit_code for result in missing)))
    merged = replace(report, targets=tuple(results), exit_code=code)
    return MergedReport(merged, folders)


def _read_part(place: Path) -> FleetReport:
    """Return the report in one folder; raise ReconcilerError if it is not a whole one."""
    try:
        text = result_files.read_whole_file(os.fspath(place / FLEET), _MAX_BYTES)
        part = fleet.decode_fleet(json.loads(text))
        reported = {path.parent.name for path in place.glob(f"*/{target_folder.SUMMARY}")}
    except (OSError, ValueError, RecursionError, ReconcilerError) as error:
        why = getattr(error, "why", "") or explain_refusal(error, otherwise="it is not JSON")
        raise ReconcilerError(
            f"{place} is not the --out folder of a fleet",
            why=f"{FLEET}: {why}",
            state=_NOTHING,
            fix="name the folders that a fleet command with --out DIR has "
            "written; a job that was stopped leaves none: run it again",
        ) from error
    if foreign := reported - {result.target for result in part.targets}:
        raise ReconcilerError(
            f"{place} holds reports of another run: {_list_names(foreign)}",
            why=f"its {FLEET} does not name them",
            state=_NOTHING,
            fix="remove these folders, or run again into an empty folder",
        )
    return part


def _require_one_fleet(parts: Sequence[tuple[Path, FleetReport]]) -> None:
    """Raise ReconcilerError unless these are different parts of one run of a fleet."""
    first_place, first = parts[0]
    for place, part in parts[1:]:
        for what, own, other in (
            ("command", part.mode, first.mode),
            ("commit", part.commit, first.commit),
            ("number of shards", _count_shards(part), _count_shards(first)),
            ("list of targets", _list_fleet(part), _list_fleet(first)),
        ):
            if own != other:
                raise _refuse(
                    f"{place} and {first_place} are not parts of one run",
                    f"each has another {what}"
                    + ("" if isinstance(own, tuple) else f": {own} and {other}"),
                )
    counted = Counter(result.target for _, part in parts for result in part.targets)
    if twice := {name for name, number in counted.items() if number > 1}:
        where = sorted(
            str(place)
            for place, part in parts
            if twice & {result.target for result in part.targets}
        )
        raise _refuse(
            f"several folders report on {_list_names(twice)}", f"these: {', '.join(where)}"
        )


def _refuse(what: str, why: str) -> ReconcilerError:
    fix = "name the folder of each job of one run, each once"
    return ReconcilerError(what, why=why, state=_NOTHING, fix=fix)


def _count_shards(part: FleetReport) -> int | None:
    return part.shard.count if part.shard is not None else None


def _list_fleet(part: FleetReport) -> tuple[str, ...]:
    return part.shard.fleet if part.shard is not None else ()


def _report_missing(parts: Iterable[FleetReport]) -> list[TargetResult]:
    """Return an error for each target of a shard whose folder was not given."""
    shards, reported = [], set()
    for part in parts:
        shards += [part.shard] if part.shard is not None else []
        reported |= {result.target for result in part.targets}
    if not shards:
        return []
    given = {shard.index for shard in shards}
    absent = [str(n) for n in range(1, shards[0].count + 1) if n not in given]
    where = "no shard contains the target"
    if absent:
        noun, verb = ("shard", "is") if len(absent) == 1 else ("shards", "are")
        where = f"{noun} {_list_some(absent)} of {shards[0].count:,} {verb} missing"
    return [
        TargetResult(
            target,
            ExitCode.FAILED,
            error=Problem(
                "there is no report",
                where,
                "it is not known whether the target ran",
                "give `fleet merge` the folder of each shard; run the job of a missing one again",
            ),
        )
        for target in shards[0].fleet
        if target not in reported
    ]


def _list_names(names: Iterable[str]) -> str:
    return _list_some(sorted(names))


def _list_some(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
