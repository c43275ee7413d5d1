"""The reference of every command and option, as Markdown, from the program itself.

`make docs` writes it to docs/reference.md; a test fails while the two differ.
"""

import sys
from collections.abc import Iterator

import click

from reconciler.cli import COMMANDS, group

_HEAD = """# Reference

Every command and option, written by the program itself (`make docs`). What a command is for, with
examples, stands on its own page: [index.md](index.md). Exit codes: [exit-codes.md](exit-codes.md).
"""


def markdown() -> str:
    """The whole page."""
    context = click.Context(group, info_name="reconciler", max_content_width=100)
    parts = [
        _HEAD,
        "## Global options\n\nThey are accepted before and after the command.\n",
        _options(group, context),
    ]
    for name in sorted(COMMANDS):
        command = group.get_command(context, name)
        if command is not None:
            parts += _command(command, name, context)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    """One command; of a group every member as well."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {context.command_path.removeprefix('reconciler ')}"
    yield f"```\n{context.command_path} {usage}\n```"
    yield _sentences(command.help or "")
    if table := _options(command, context):
        yield table
    if command.epilog:
        yield f"Example: `{command.epilog.removeprefix('Example: ')}`"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _command(found, child, context)


def _sentences(text: str) -> str:
    """The help of a command as paragraphs."""
    paragraphs = text.replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def _options(command: click.Command, context: click.Context) -> str:
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
    lines += [f"| `{_cell(name)}` | {_cell(about) or ' '} |" for name, about in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
