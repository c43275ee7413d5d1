"""`reconciler fleet`: run a command for many targets at once."""

import click

from reconciler.cli import main
from reconciler.cli.fleet import (
    engine_commands,
    engine_run,
    local_run,
    shard_commands,
    subcommands,
)
from reconciler.cli.fleet.subcommands import ENGINE_MODES, FleetOptions
from reconciler.cli.parsing import guardrail_options
from reconciler.cli.session import Session
from reconciler.commands import drift
from reconciler.errors import UsageError
from reconciler.model import FleetMode


@click.group("fleet", epilog="Example: reconciler fleet plan --target 'eu-*' --out report")
def command() -> None:
    """Run a command for many targets at once: validate, plan, apply, drift or status.

    --target takes names with `*` and is repeatable; without it, the command runs for every target
    in reconciler.yaml. All of them have a common report and a common exit code.
    """


def _run(session: Session, options: FleetOptions) -> int:
    """Run a fleet in this process or on the engine."""
    if options.mode is FleetMode.DRIFT:  # once, and not in each target
        drift.check_options(options.values["actions"], guardrail_options.NAMES)
    engine = options.engine or session.settings().fleet.engine
    on_engine = engine == "temporal" and options.mode in ENGINE_MODES
    if options.detach and not on_engine:
        raise UsageError("--detach is for runs on an engine", fix="add --engine temporal")
    return (engine_run.run_fleet if on_engine else local_run.run_fleet)(session, options)


for _mode in FleetMode:
    command.add_command(subcommands.make_command(_mode, main.load_command(_mode.value), _run))
command.add_command(shard_commands.print_matrix)
command.add_command(shard_commands.merge)
command.add_command(engine_commands.worker)
command.add_command(engine_commands.schedule)
