"""Run a fleet in threads of this process: a line for each target as it ends, then the report."""

import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from reconciler.cli import event_log
from reconciler.cli.fleet import choice, results
from reconciler.cli.fleet.choice import FleetChoice
from reconciler.cli.fleet.runner import CommandRunner
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.progress import Lines
from reconciler.cli.session import Session
from reconciler.cli.signals import catch_interrupts
from reconciler.errors import ReconcilerError
from reconciler.fleet import combine, target_folder
from reconciler.fleet.local import LocalFleet, LocalLimits
from reconciler.fleet.target_run import TargetRun
from reconciler.fleet.waves import Waves
from reconciler.model import ExitCode, FleetMode
from reconciler.render.text.fleet import format_ended


def run_fleet(session: Session, options: FleetOptions) -> int:
    """Run the command for each target; return the worst exit code."""
    chosen = choice.choose_targets(session, options)
    choice.confirm(options, chosen.targets)
    folder = open_folder(session, options.out, chosen.targets)
    folders = {name: folder / name for name in chosen.targets}
    was_interrupted = _run_targets(session, options, chosen, folders)
    return results.report_targets(session, options, chosen, folder, interrupted=was_interrupted)


def open_folder(session: Session, out: str | None, targets: Collection[str]) -> Path:
    """Return an absolute folder for the reports: DIR of --out, else a temporary one.

    Raises ReconcilerError if the reports of these targets cannot be written there.
    """
    if out is None:
        temporary = tempfile.TemporaryDirectory(
            prefix="reconciler-fleet-", ignore_cleanup_errors=True
        )
        return Path(session.cleanup.enter_context(temporary))
    folder = session.cwd / out
    results.prepare_out(folder, out, targets)
    (folder / combine.FLEET).unlink(
        missing_ok=True
    )  # a killed run must not leave the report of an earlier one
    return folder


def _run_targets(
    session: Session, options: FleetOptions, chosen: FleetChoice, folders: Mapping[str, Path]
) -> bool:
    """Run every target, with a line for each that ends; return whether somebody stopped them."""
    runs = {
        name: TargetRun(options.mode, name, options.words, session.cwd, report)
        for name, report in folders.items()
    }
    fleet = LocalFleet(
        runs,
        Waves(options.mode, chosen.needs),
        CommandRunner(session),
        LocalLimits(options.concurrency, options.timeout_s),
    )
    if options.mode is not FleetMode.VALIDATE:
        _reserve_budgets(session, chosen)
    with (
        catch_interrupts(lambda _grace_s: fleet.stop(), session.surroundings.control),
        Lines(session.err, quiet=session.quiet) as lines,
    ):
        for result in fleet.run():
            show_ended(session, options.mode, lines, folders[result.target])
    session.surroundings.has_abandoned |= bool(fleet.abandoned)
    return fleet.is_stopped


def _reserve_budgets(session: Session, chosen: FleetChoice) -> None:
    """Let targets with the same key begin with the strictest of their limits."""
    for target in chosen.targets.values():
        with suppress(ReconcilerError):  # its own run says what is wrong with its key
            session.reserve_budget(target)


def show_ended(session: Session, mode: FleetMode, lines: Lines, folder: Path) -> None:
    """Print how a target has ended, by the report in its folder."""
    ended = target_folder.read_result(folder, folder.name, mode)
    if mode is not FleetMode.VALIDATE and ended.exit_code in {ExitCode.FAILED, ExitCode.REFUSED}:
        ended, _ = target_folder.read_target(
            folder, folder.name, mode
        )  # the report of its plan says why
    facts = {
        "target": ended.target,
        "exit_code": ended.exit_code,
        "seconds": ended.seconds,
        "reads": ended.requests.reads,
        "writes": ended.requests.writes,
        "skipped_because": ended.skipped_because,
    }
    if not event_log.emit_event("target.ended", **facts):
        color = session.has_color(session.err)
        lines.ended(format_ended(mode, ended, color=color))
