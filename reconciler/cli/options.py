"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

paths = click.argument("paths", nargs=-1, metavar="[PATH]...")


def formats(*names: str) -> Decorator:
    """`--format`, text unless said otherwise."""
    return click.option(
        "--format", "format_", type=click.Choice(names), default=names[0], show_default=True
    )


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--select` and `--exclude`: addresses with `*`."""
    command = click.option(
        "--exclude", multiple=True, metavar="PATTERN", help="Leave these addresses out; repeatable."
    )(command)
    return click.option(
        "--select", multiple=True, metavar="PATTERN", help="Only these addresses; repeatable."
    )(command)


def yes(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--yes`: no question."""
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(command)
