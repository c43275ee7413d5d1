"""`reconciler fleet schedule`: runs at fixed intervals, kept by the engine's server."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.cli.fleet.engine_place import find_engine
from reconciler.cli.fleet.subcommands import ENGINE_MODES
from reconciler.cli.session import Session
from reconciler.errors import EngineError, GitError
from reconciler.files.working_tree import find_git_root
from reconciler.fleet import selection
from reconciler.fleet.engine.messages import ScheduledFleet, ScheduleEntry, name_schedule
from reconciler.git import repository
from reconciler.model.units import format_duration

_HEADS = "refs/heads/"


def set_schedule(session: Session, mode: str, *, every_s: float, branch: str | None) -> int:
    """Make or replace a schedule."""
    settings = session.settings()
    selection.select_targets(settings.targets, session.target_names)  # unknown names are errors
    cwd = session.cwd.resolve()
    root, chosen = find_git_root(cwd), branch or _find_branch(cwd)
    scheduled = ScheduledFleet(
        mode,
        chosen,
        cwd.relative_to(root or cwd).as_posix(),
        session.target_names,
        poll_s=settings.fleet.poll_s,
    )
    place = find_engine(session, settings.fleet)
    from reconciler.fleet.engine.temporal import fleet  # noqa: PLC0415  the SDK takes half a second

    fleet.set_schedule(place, scheduled, timedelta(seconds=every_s))
    session.say(
        f"{name_schedule(mode)}: {mode} every {format_duration(every_s)} at the newest commit of "
        f"{chosen}; a run is skipped while the previous one is active"
    )
    return 0


def list_schedules(session: Session, form: str) -> int:
    """Print the schedules."""
    place = find_engine(session, session.settings().fleet)
    from reconciler.fleet.engine.temporal import fleet  # noqa: PLC0415  the SDK takes half a second

    entries = fleet.list_schedules(place, [mode.value for mode in ENGINE_MODES])
    if form == "json":
        session.say(json.dumps([_as_row(entry) for entry in entries], indent=2))
    elif not entries:
        session.say("no schedules; make one: reconciler fleet schedule set drift --every 1h")
    else:
        session.say("\n".join(map(_describe, entries)))
    return 0


def delete_schedule(session: Session, mode: str) -> int:
    """Delete a schedule."""
    place = find_engine(session, session.settings().fleet)
    from reconciler.fleet.engine.temporal import fleet  # noqa: PLC0415  the SDK takes half a second

    if not fleet.delete_schedule(place, mode):
        raise EngineError(
            f"there is no schedule for {mode}",
            state="nothing was deleted",
            fix="reconciler fleet schedule list",
        )
    session.say(f"{name_schedule(mode)}: deleted")
    return 0


def _find_branch(cwd: Path) -> str:
    name = repository.read_branch(cwd)
    if name is None:
        raise GitError(
            "no branch is checked out here",
            why="a schedule runs the newest commit of a branch",
            fix="name it with --branch",
        )
    return name.removeprefix(_HEADS)


def _as_row(entry: ScheduleEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "mode": entry.fleet.mode,
        "branch": entry.fleet.branch,
        "targets": list(entry.fleet.patterns),
        "every_seconds": entry.every_s,
        "next_at": entry.next_at,
        "runs": entry.runs,
        "skipped": entry.skipped,
    }


def _describe(entry: ScheduleEntry) -> str:
    fleet = entry.fleet
    whom = ", ".join(fleet.patterns) or "all targets"
    return (
        f"{entry.id}: {fleet.mode} of {whom} every {format_duration(entry.every_s)} at "
        f"{fleet.branch}; next {entry.next_at or 'never'}; runs {entry.runs}, "
        f"skipped {entry.skipped}"
    )
