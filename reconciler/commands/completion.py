"""`reconciler completion`: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class

from reconciler.cli.main import group


@click.command("completion", epilog='Example: eval "$(reconciler completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of a shell."""
    completion = get_completion_class(shell)
    if completion is None:
        raise click.BadParameter(f"no completion for {shell}")
    click.echo(completion(group, {}, "reconciler", "_RECONCILER_COMPLETE").source())
    return 0
