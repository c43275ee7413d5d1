"""Print and keep the report of a fleet, from whichever level it comes."""

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler import render
from reconciler.cli.session import Session
from reconciler.files import result_files
from reconciler.fleet import combine, target_folder
from reconciler.model import FleetReport, TargetDetails
from reconciler.planfile import fleet
from reconciler.render.shared.options import RenderOptions, Zoom


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
