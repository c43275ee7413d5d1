"""Options that lift a guardrail for one run: commands take them as one value."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, Final

import click

from reconciler.cli import options
from reconciler.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class GuardrailOptions:
    """Which guardrails the command line lifts, each field named after its option.

    Attributes:
        allow_destroy: addresses of protected resources that may be deleted.
        allow_lockout: addresses of organizations that may shut people out.
        allow_weakening: whether approvals may get easier.
        allow_rollback: whether the commit may be older than what was applied last.
        go_on: whether --continue was given.
        confirm_deletes: the number of deletions that is allowed, where a command asks for it.

    """

    allow_destroy: tuple[str, ...]
    allow_lockout: tuple[str, ...]
    allow_weakening: bool
    allow_rollback: bool
    go_on: bool
    confirm_deletes: int | None = None


NAMES: Final = frozenset(field.name for field in fields(GuardrailOptions))


def guardrails(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `lifts`, --prefer, and --confirm-deletes."""
    for add in (
        click.option(
            "--prefer",
            type=click.Choice(["git", "live"]),
            help="Which value wins if a field was changed in the files and in PostHog.",
        ),
        click.option(
            "--confirm-deletes",
            type=click.IntRange(1),
            metavar="N",
            help="Allow exactly N deletions of resources that were removed from the files "
            "or pruned.",
        ),
        lifts,
    ):
        command = add(command)
    return command


def lifts(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that also count where the files have not changed, as `lifted`."""
    command = _collect(command)
    for add in (
        click.option(
            "--continue", "go_on", is_flag=True, help="Refuse what a guardrail stops, do the rest."
        ),
        click.option(
            "--allow-weakening", is_flag=True, help="Approvals may get easier, and nothing else."
        ),
        click.option(
            "--allow-rollback",
            is_flag=True,
            help="A commit may be older than its branch, or than what was applied last.",
        ),
        _build_address_option(
            "--allow-destroy", "This protected resource may be deleted; repeatable."
        ),
        _build_address_option(
            "--allow-lockout",
            "This organization may shut out people whose email domain is not verified; repeatable.",
        ),
    ):
        command = add(command)
    return command


def _build_address_option(name: str, text: str) -> Callable[..., Any]:
    """Return a decorator that adds an option for exact addresses."""
    return click.option(
        name,
        multiple=True,
        callback=_require_exact,
        shell_complete=options.complete("addresses"),
        metavar="ADDRESS",
        help=text,
    )


def _collect(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with its guardrail options as one argument, `lifted`."""

    @wraps(command)
    def inner(**values: Any) -> Any:
        given = {name: values.pop(name) for name in NAMES & values.keys()}
        return command(lifted=GuardrailOptions(**given), **values)

    return inner


def _require_exact(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> Any:
    """Return addresses of one resource each: a pattern would allow too much."""
    for value in values:
        options.require_address(value)
        if "*" in value:
            raise click.BadParameter(f"{value!r} is a pattern: name each resource by its address")
    return values
