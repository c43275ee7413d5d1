"""Run a fleet in this process."""

import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from reconciler.cli import terminal
from reconciler.cli.fleet import results
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.session import Session
from reconciler.fleet import combine, selection, shards
from reconciler.git import repository
from reconciler.model import FleetMode


def run_fleet(session: Session, options: FleetOptions) -> int:
    """Run the command for each target; return the worst exit code."""
    targets = session.settings().targets
    names = selection.select_targets(targets, session.target_names)
    shard = None
    if options.shard is not None:
        shard, chosen = shards.select_shard([targets[name] for name in names], options.shard)
        names = tuple(target.name for target in chosen)
    if options.mode is FleetMode.APPLY:
        terminal.require_answer("fleet apply", yes=options.yes)
    folder = Path(options.out or tempfile.mkdtemp(prefix="reconciler-fleet-")).absolute()
    folders = {name: folder / name for name in names}
    for name, place in folders.items():
        _run_target(options, name, place)
    state = repository.read_state(session.folder())
    commit = state.head if state is not None else None
    report = combine.combine_targets(folders, mode=options.mode, commit=commit, shard=shard)
    out = folder if options.out else None
    return results.finish(session, report, folders, form=options.format, out=out)


def _run_target(options: FleetOptions, name: str, report: Path) -> int:
    from reconciler.cli.main import run  # noqa: PLC0415  it imports the commands

    words = ["--target", name, options.mode, *options.words, "--report", str(report)]
    if options.mode is FleetMode.APPLY:
        words.append("--yes")
    with (
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        return run(words)
