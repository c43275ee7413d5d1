"""The reference of every command and option, as Markdown, from the program itself.

`make docs` writes it to docs/reference.md; a test fails while the two differ.
"""

import sys
from collections.abc import Iterator

import click

from reconciler.cli.main import COMMANDS, group

_HEAD = """# Reference

This page lists every command and option. It is generated from the program's help (`make docs`).
The [index](index.md) lists the page of each command, with examples. [Exit codes](exit-codes.md)
are on another page.
"""


def render_reference() -> str:
    """Return the whole page."""
    context = click.Context(group, info_name="reconciler", max_content_width=100)
    parts = [
        _HEAD,
        "## Global options\n\nThey are accepted before and after the command.\n",
        _render_options(group, context),
    ]
    for name in sorted(COMMANDS):
        command = group.get_command(context, name)
        if command is not None:
            parts += _render_command(command, name, context)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _render_command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    """Yield the parts of one command, and of every member of a group."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {context.command_path.removeprefix('reconciler ')}"
    yield f"```\n{context.command_path} {usage}\n```"
    yield _reflow(command.help or "")
    if table := _render_options(command, context):
        yield table
    if command.epilog:
        example, _, _ = command.epilog.partition("\n\n")
        yield f"Example: `{example.removeprefix('Example: ')}`"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            member = command.get_command(context, child)
            if member is not None:
                yield from _render_command(member, child, context)


def _reflow(text: str) -> str:
    """Return the help of a command as paragraphs, one line each."""
    paragraphs = text.replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _render_options(command: click.Command, context: click.Context) -> str:
    """Return the table of a command's options; "" if it has none."""
    rows = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and not parameter.hidden
        and "--help" not in parameter.opts
        and (record := parameter.get_help_record(context)) is not None
    ]
    if not rows:
        return ""
    lines = ["| option | meaning |", "| --- | --- |"]
    lines += [f"| `{_escape(name)}` | {_escape(about) or ' '} |" for name, about in rows]
    return "\n".join(lines)


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(render_reference())
