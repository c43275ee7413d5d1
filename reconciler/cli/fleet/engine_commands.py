"""`reconciler fleet worker` and `fleet schedule`: what only the engine has."""

import click

from reconciler.cli import options
from reconciler.cli.fleet import schedules, worker_process
from reconciler.cli.fleet.subcommands import ENGINE_MODES
from reconciler.cli.session import Session

_MODES = click.Choice([mode.value for mode in ENGINE_MODES])


@click.command("worker", epilog="Example: reconciler fleet worker --repo /srv/config")
@click.option(
    "--repo",
    metavar="DIR",
    callback=options.named,
    help="A clone of the configuration repository; default: this one.",
)
@click.option(
    "--out",
    metavar="DIR",
    callback=options.named,
    help="Keep the reports here; default: `fleet.artifacts`, else .reconciler/fleet in the clone.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=16,
    show_default=True,
    metavar="N",
    help="Number of targets at once; targets with the same key use at most half of it.",
)
@click.pass_obj
def worker(session: Session, repo: str | None, out: str | None, concurrency: int) -> int:
    """Run the targets of a fleet on the engine, with the keys in this environment.

    Each target runs in a checkout of its commit, not in the working tree; a missing commit is
    fetched. The worker stops on SIGTERM and Ctrl-C; another worker continues its runs.
    """
    return worker_process.run_worker(session, repo=repo, out=out, concurrency=concurrency)


@click.group("schedule", epilog="Example: reconciler fleet schedule set drift --every 1h")
def schedule() -> None:
    """Run a fleet at fixed intervals on the engine; skip a run while the previous one is active."""


@schedule.command("set", epilog="Example: reconciler fleet schedule set drift --every 1h")
@click.argument("mode", type=_MODES)
@click.option(
    "--every",
    "every_s",
    type=options.Duration(least_s=1.0),
    required=True,
    metavar="DURATION",
    help="How often: 30m, 1h.",
)
@click.option(
    "--branch", metavar="NAME", help="Run its newest commit; default: the branch checked out here."
)
@click.pass_obj
def set_(session: Session, mode: str, every_s: float, branch: str | None) -> int:
    """Create or replace the schedule of MODE, for the targets of --target, or else for all."""
    return schedules.set_schedule(session, mode, every_s=every_s, branch=branch)


@schedule.command("list", epilog="Example: reconciler fleet schedule list --format json")
@options.formats("text", "json")
@click.pass_obj
def list_(session: Session, format_: str) -> int:
    """List the schedules: the time of the next run, and how many runs were skipped."""
    return schedules.list_schedules(session, format_)


@schedule.command("delete", epilog="Example: reconciler fleet schedule delete drift")
@click.argument("mode", type=_MODES)
@click.pass_obj
def delete(session: Session, mode: str) -> int:
    """Delete the schedule of MODE; a run that has started continues."""
    return schedules.delete_schedule(session, mode)
