"""The options of the whole program. They are accepted before the command and after it."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from reconciler.cli.session import Session


def _complete_targets(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    from reconciler.cli.parsing import completion  # noqa: PLC0415  --help does without

    return completion.complete_targets(ctx, parameter, incomplete)


# Names of parameters, as `Session.override` takes them.
_OPTIONS: Final[tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = (
    (("--chdir", "-C"), {"metavar": "DIR", "help": "Run as if started in this directory."}),
    (("--config",), {"metavar": "FILE", "envvar": "RECONCILER_CONFIG", "help": "reconciler.yaml."}),
    (
        ("--target",),
        {
            "multiple": True,
            "shell_complete": _complete_targets,
            "metavar": "NAME",
            "envvar": "RECONCILER_TARGET",
            "help": "One of its targets.",
        },
    ),
    (("--host",), {"metavar": "URL", "help": "The PostHog instance."}),
    (("--sandbox",), {"is_flag": True, "help": "Run against a temporary embedded server."}),
    (("--color",), {"type": click.Choice(["auto", "always", "never"]), "default": "auto"}),
    (("--quiet", "-q"), {"is_flag": True, "help": "No progress, no notes."}),
    (("--verbose", "-v"), {"count": True, "help": "More details; repeatable."}),
    (("--log-format",), {"type": click.Choice(["text", "json"]), "default": "text"}),
)


_NOTE: Final = "Global options (--target, -C, --quiet, …): reconciler --help"


def before_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to the program itself: they stand before the command."""
    for names, settings in reversed(_OPTIONS):
        command = click.option(*names, **settings)(command)
    return command


def accept_after_command(command: click.Command) -> click.Command:
    """Let a command, and every command below it, take the options as well; return it.

    `--help` of the command refers to that of the program, which lists them.
    """
    command.epilog = f"{command.epilog or ''}\n\n{_NOTE}".strip()
    if isinstance(command, click.Group):
        for child in command.commands.values():
            accept_after_command(child)
        return command
    taken = {name for parameter in command.params for name in parameter.opts}
    for names, settings in _OPTIONS:
        if not taken & set(names):
            command.params.append(_hidden(names, settings))
    command.callback = _begin_first(command.callback)
    return command


def _hidden(names: tuple[str, ...], settings: dict[str, Any]) -> click.Option:
    own = {name: value for name, value in settings.items() if name not in {"envvar", "default"}}
    return click.Option(names, hidden=True, expose_value=False, callback=_override, **own)


def _override(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Hand a value that stands after the command to the session."""
    typed = ctx.get_parameter_source(parameter.name or "")
    if typed is not click.core.ParameterSource.COMMANDLINE:
        return
    if ctx.resilient_parsing:  # a shell asks what could be typed next
        ctx.meta[f"reconciler.{parameter.name}"] = value
        return
    root = ctx.find_root()
    name = parameter.name or ""
    before = root.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    accumulates = name in {"verbose", "quiet", "sandbox", "target"}
    if before and not accumulates and root.params[name] != value:
        message = f"{parameter.opts[0]} is given twice: {root.params[name]!r} and {value!r}"
        raise click.UsageError(message, ctx)
    if before and name == "target":
        value = (*root.params[name], *value)
    session: Session = ctx.obj
    session.override(name, value)


def _begin_first(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    """Begin the session once every option was read, then run the command."""

    @wraps(callback or (lambda: None))
    def begin(*arguments: Any, **options: Any) -> Any:
        session: Session = click.get_current_context().obj
        session.begin()
        return callback(*arguments, **options) if callback else None

    return begin
