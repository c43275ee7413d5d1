"""`reconciler explain`: what a kind or a field means, from the schema that checks it."""

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import click

from reconciler.cli import options, terminal
from reconciler.config.schema import reference
from reconciler.config.schema.reference import Field
from reconciler.config.yaml.scalars import resolve_scalar
from reconciler.kinds import KINDS
from reconciler.model import ABSENT

_WIDTH = 96
_LEAST = 30  # columns of text beside a name


@click.command(
    "explain", epilog="Example: reconciler explain FeatureFlag.filters.groups.rollout_percentage"
)
@click.argument(
    "what",
    metavar="[KIND[.field[.field]]]",
    required=False,
    shell_complete=options.complete("fields"),
)
@options.formats("text", "json")
def command(what: str | None, format_: str) -> int:
    """Say what a kind or a field means: type, default, API field, who may write it, example."""
    if what is None:
        kinds = [reference.find_field(name) for name in KINDS]
        if format_ == "json":
            click.echo(json.dumps([_as_json(kind) for kind in kinds], indent=2))
        else:
            _print(_format_rows([(kind.kind, kind.description) for kind in kinds]))
        return 0
    field = reference.find_field(what)
    if format_ == "json":
        click.echo(json.dumps(_as_json(field), indent=2))
    else:
        _print(_describe_field(field))
    return 0


def _print(lines: Iterable[str]) -> None:
    """Print lines for a person."""
    click.echo(terminal.fit("\n".join(lines), sys.stdout))


def _as_json(field: Field) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": field.kind, "path": field.path, "type": field.type}
    about |= {"description": field.description, "required": field.required}
    if field.default is not ABSENT:
        about["default"] = field.default
    about |= {"api": field.api or None, "writers": field.writers or None}
    about |= {"limits": field.limits or None, "examples": field.examples}
    return {**about, "fields": [child.path for child in reference.list_fields(field)]}


def _describe_field(field: Field) -> Iterator[str]:
    """Yield everything about one field, for a person."""
    yield f"{field.kind}.{field.path}" if field.path else field.kind
    yield from _wrapped(field.description, "  ")
    yield ""
    if field.path:
        yield from _facts(field)
        children = list(reference.list_fields(field))
    else:
        parts = [reference.find_field(f"{field.kind}.{name}") for name in ("metadata", "spec")]
        children = [child for part in parts for child in reference.list_fields(part)]
    if children:
        yield "  fields:"
        rows = [
            (child.path, f"{child.type}. {_first_sentence(child.description)}")
            for child in children
        ]
        yield from (f"    {row}" for row in _format_rows(rows))
    if not field.path:
        yield from ("", "  example:")
        for example in field.examples[:1]:
            yield from (f"    {line}" for line in format_block(example))


def _facts(field: Field) -> Iterator[str]:
    facts = [("type", field.type), ("required", "yes" if field.required else "no")]
    if field.limits:
        facts.insert(1, ("limits", field.limits))
    facts.append(("default", "none" if field.default is ABSENT else _format_flow(field.default)))
    facts.append(("API field", field.api or "none: it is not sent"))
    writers = field.writers or ("" if field.api else "anyone who may change the file")
    facts.append(("written by", writers or "PostHog decides"))
    facts += [("example", _format_flow(example)) for example in field.examples[:3]]
    for name, text in facts:
        yield f"  {name + ':':<12}{text}"


def _format_rows(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Yield names and the first sentence about each, in two columns."""
    width = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        first, *rest = _wrapped(text, "", taken=width + 4)
        yield f"{name:<{width}}{first}"
        yield from (f"{'':<{width}}{line}" for line in rest)


def _first_sentence(text: str) -> str:
    """Return the first sentence."""
    return text.split(". ", maxsplit=1)[0].removesuffix(".") + "."


def _wrapped(text: str, indent: str, *, taken: int = 0) -> list[str]:
    """Return text in lines that fit beside what has taken columns already."""
    width = terminal.read_size(sys.stdout)[0] if sys.stdout.isatty() else _WIDTH
    return textwrap.wrap(
        text,
        max(_LEAST, min(width, _WIDTH) - taken),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _format_flow(value: Any) -> str:
    """Return a value on one line, as it may be written in a file."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{_format_flow(key)}: {_format_flow(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_format_flow(item) for item in value) + "]"
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Return whether text stays text without quotes, and between brackets too."""
    return bool(re.fullmatch(r"\w(?:[\w @./-]*\w)?", text)) and resolve_scalar(text) == text


def format_block(node: Any) -> Iterator[str]:
    """Yield a value in block style; what is small stays on one line."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, (dict, list)) and len(_format_flow(value)) > 60:  # noqa: PLR2004  a line
                yield f"{_format_flow(key)}:"
                yield from (f"  {line}" for line in format_block(value))
            else:
                yield f"{_format_flow(key)}: {_format_flow(value)}"
        return
    for item in node:
        first, *rest = format_block(item) if isinstance(item, dict) else [_format_flow(item)]
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)
