"""Say what click refuses in the same four parts as every other error."""

import click

from reconciler.errors import UsageError


def explain_usage_error(error: click.ClickException) -> UsageError:
    """Return what the parser refused, and where the options of that command are explained."""
    message = error.format_message().strip().removesuffix(".")
    what = message[:1].lower() + message[1:]
    command = _find_command(error)
    fix = f"{command} --help shows what it accepts"
    match error:
        case click.NoSuchOption():
            what = f"no such option: {error.option_name}"
            if error.possibilities:
                fix = f"did you mean {' or '.join(sorted(error.possibilities))}?"
        case click.exceptions.NoArgsIsHelpError(ctx=click.Context() as context):
            names = _list_commands(context)
            what = f"missing command: {command} COMMAND"
            fix = f"write one of {', '.join(names)}; {command} --help describes them"
        case click.MissingParameter(param=click.Parameter(type=click.Choice() as choice) as given):
            words = ", ".join(map(str, choice.choices))
            what = f"missing {given.param_type_name}: {given.human_readable_name}"
            fix = f"write one of {words}; {command} --help describes them"
        case _:
            pass
    return UsageError(what, fix=fix)


def _list_commands(context: click.Context) -> list[str]:
    command = context.command
    return command.list_commands(context) if isinstance(command, click.Group) else []


def _find_command(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context is not None else "reconciler"
