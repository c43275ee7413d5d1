"""Print and keep the report of a fleet, from whichever level it comes."""

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler import render
from reconciler.cli.fleet.choice import FleetChoice
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.notifications import fleet as notify_fleet
from reconciler.cli.session import Session
from reconciler.files import result_files
from reconciler.fleet import combine, target_folder
from reconciler.git import repository
from reconciler.model import FleetReport, TargetDetails
from reconciler.planfile import fleet
from reconciler.render.shared.options import RenderOptions, Zoom


def report_targets(
    session: Session,
    options: FleetOptions,
    chosen: FleetChoice,
    folder: Path,
    *,
    interrupted: bool,
) -> int:
    """Combine the reports in `folder`, notify, print the report, and return its exit code."""
    folders = {name: folder / name for name in chosen.targets}
    report = combine.combine_targets(
        folders,
        mode=options.mode,
        commit=_read_commit(session),
        shard=chosen.shard,
        interrupted=interrupted,
    )
    notify_fleet.notify(session, chosen.targets, report, folders)
    out = folder if options.out is not None else None
    return finish(session, report, folders, form=options.format, out=out)


def _read_commit(session: Session) -> str | None:
    """Return the commit that is checked out; None outside git, and before the first."""
    state = repository.read_state(session.folder())
    return state.head if state is not None else None


def finish(
    session: Session,
    report: FleetReport,
    folders: Mapping[str, Path],
    *,
    form: str,
    out: Path | None,
) -> int:
    """Keep the document in `out`, print the report, and return its exit code.

    Args:
        session: the run of the whole fleet.
        report: the results.
        folders: the report folder of each target, by name.
        form: one of `render.FORMATS`.
        out: an existing folder for `fleet.json`, or None.

    """
    if out is not None:
        result_files.write_private(os.fspath(out / combine.FLEET), fleet.dump_fleet(report))
    look = RenderOptions(
        color=session.color,
        width=session.width,
        verbose=session.verbose,
        zoom=Zoom.TOTALS if session.quiet and form == "text" else None,
        identities=session.identities,
    )

    def load(target: str) -> TargetDetails:
        return target_folder.load_details(folders.get(target))

    shown = render.fleet(report, load, format=form, options=look)
    session.say(shown, wraps=form == "text")
    return report.exit_code
