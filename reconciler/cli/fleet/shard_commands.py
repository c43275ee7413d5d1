"""`fleet matrix` and `fleet merge`: divide a fleet among the jobs of a build, and combine them."""

import shutil
from pathlib import Path
from typing import Final

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.fleet import results
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.fleet import combine, matrix, selection, shards
from reconciler.fleet.combine import MergedReport
from reconciler.fleet.target_run import LOG

_NOTHING: Final = "nothing was contacted, nothing was written"


@click.command("matrix", epilog="Example: reconciler fleet matrix --shards 4 --format github")
@click.option(
    "--shards",
    "count",
    type=click.IntRange(1, shards.MOST),
    required=True,
    metavar="N",
    help="At most this many jobs; shards without targets are left out.",
)
@options.formats(*matrix.FORMATS)
@click.pass_obj
def print_matrix(session: Session, count: int, format_: str) -> int:
    """Print the shards that have targets, for the matrix of a build. Needs no key.

    Targets that use the same key on the same host are in one shard, and so are targets that need
    each other. github: one line of JSON for `fromJSON`; gitlab: a file for a child pipeline.
    """
    targets = session.settings().targets
    names = selection.select_targets(targets, session.target_names)
    divided = shards.divide_targets([targets[name] for name in names], count)
    session.say(matrix.format_matrix(divided, format_))
    return 0


@click.command("merge", epilog="Example: reconciler fleet merge shard-1 shard-2 --format markdown")
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="DIR...",
    callback=options.named,
)
@options.formats(*render.FORMATS)
@click.option(
    "--out",
    metavar="DIR",
    callback=options.named,
    help="Keep the reports of all targets and one fleet.json here.",
)
@click.pass_obj
def merge(session: Session, folders: tuple[str, ...], format_: str, out: str | None) -> int:
    """Combine the --out folders of several jobs into one report and one exit code.

    If the folder of a shard is missing, its targets are errors in the report. Contacts nothing.
    """
    merged = combine.merge_folders([Path(folder) for folder in folders])
    place = None
    if out is not None:
        place = Path(out)
        results.prepare_out(place, out, merged.folders)
        merged = _copy_reports(merged, place)
    return results.finish(session, merged.report, merged.folders, form=format_, out=place)


def _copy_reports(merged: MergedReport, out: Path) -> MergedReport:
    """Copy the report of each target to `out`; raise ReconcilerError if that is not possible."""
    copies = {target: out / target for target in merged.folders}
    try:
        if used := next((place for place in copies.values() if place.exists()), None):
            raise ReconcilerError(
                f"--out {out}: there is a report already: {used.name}",
                state=_NOTHING,
                fix="name an empty folder",
            )
        for target, folder in merged.folders.items():
            log = folder.with_name(f"{target}{LOG}")
            if folder.is_dir():
                shutil.copytree(folder, copies[target], symlinks=True)
            if log.is_file():
                shutil.copy(log, out, follow_symlinks=False)
    except OSError as error:
        raise ReconcilerError(
            f"--out {out} cannot be written",
            why=explain_refusal(error),
            state="some reports may have been copied",
            fix="name an empty folder that can be written",
        ) from error
    return MergedReport(merged.report, copies)
