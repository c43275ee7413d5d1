"""Say what click refuses in the same four parts as every other error."""

import click

from reconciler.errors import UsageError


def explain_usage_error(error: click.ClickException) -> UsageError:
    """Return what the parser refused, and where the options of that command are explained."""
    message = error.format_message().strip().removesuffix(".")
    what = message[:1].lower() + message[1:]
    fix = f"{_find_command(error)} --help shows what it accepts"
    if isinstance(error, click.NoSuchOption):
        what = f"no such option: {error.option_name}"
        if error.possibilities:
            fix = f"did you mean {' or '.join(sorted(error.possibilities))}?"
    return UsageError(what, fix=fix)


def _find_command(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context is not None else "reconciler"
