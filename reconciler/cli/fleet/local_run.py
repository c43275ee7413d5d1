"""Run a fleet in this process."""

import io
import json
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from reconciler.cli import terminal
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.session import Session
from reconciler.fleet import selection
from reconciler.model import FleetMode, worst_exit_code


def run_fleet(session: Session, options: FleetOptions) -> int:
    """Run the command for each target; return the worst exit code."""
    settings = session.settings()
    names = selection.select_targets(settings.targets, session.target_names)
    if options.mode is FleetMode.APPLY:
        terminal.require_answer("fleet apply", yes=options.yes)
    folder = Path(options.out or tempfile.mkdtemp(prefix="reconciler-fleet-")).absolute()
    codes: dict[str, int] = {}
    for name in names:
        codes[name] = _run_target(options, name, folder / name)
        session.say(f"{name}: {codes[name]}")
    code = worst_exit_code(codes.values())
    if options.format == "json":
        session.say(json.dumps({"mode": options.mode, "exit_code": code}))
    return code


def _run_target(options: FleetOptions, name: str, report: Path) -> int:
    from reconciler.cli.main import run  # noqa: PLC0415  it imports the commands

    words = ["--target", name, options.mode, *options.words, "--report", str(report)]
    if options.mode is FleetMode.STATUS:
        del words[-2:]
    if options.mode is FleetMode.APPLY:
        words.append("--yes")
    with (
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        return run(words)
