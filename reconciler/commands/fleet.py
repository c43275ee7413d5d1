"""`reconciler fleet`: run a command for many targets at once."""

import click

from reconciler.cli import main
from reconciler.cli.fleet import local_run, shard_commands, subcommands
from reconciler.model import FleetMode


@click.group("fleet", epilog="Example: reconciler fleet plan --target 'eu-*' --out report")
def command() -> None:
    """Run a command for many targets at once: validate, plan, apply, drift or status.

    --target takes names with `*` and is repeatable; without it, the command runs for every target
    in reconciler.yaml. All of them have a common report and a common exit code.
    """


for _mode in FleetMode:
    command.add_command(
        subcommands.make_command(_mode, main.load_command(_mode.value), local_run.run_fleet)
    )
command.add_command(shard_commands.print_matrix)
command.add_command(shard_commands.merge)
