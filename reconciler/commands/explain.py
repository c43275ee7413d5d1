"""`reconciler explain`: what a kind or a field means, from the schema that checks it."""

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from reconciler.cli import options
from reconciler.config.schema import reference
from reconciler.config.schema.reference import Field
from reconciler.config.yaml.scalars import resolve
from reconciler.kinds import KINDS
from reconciler.model import ABSENT

_WIDTH = 96


@click.command(
    "explain", epilog="Example: reconciler explain FeatureFlag.filters.groups.rollout_percentage"
)
@click.argument("what", metavar="[KIND[.field[.field]]]", required=False)
@options.formats("text", "json")
def command(what: str | None, format_: str) -> int:
    """Say what a kind or a field means: type, default, API field, who may write it, example."""
    if what is None:
        kinds = [reference.find(name) for name in KINDS]
        if format_ == "json":
            click.echo(json.dumps([_as_json(kind) for kind in kinds], indent=2))
        else:
            click.echo("\n".join(_rows([(kind.kind, kind.description) for kind in kinds])))
        return 0
    field = reference.find(what)
    if format_ == "json":
        click.echo(json.dumps(_as_json(field), indent=2))
    else:
        click.echo("\n".join(_about(field)))
    return 0


def _as_json(field: Field) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": field.kind, "path": field.path, "type": field.type}
    about |= {"description": field.description, "required": field.required}
    if field.default is not ABSENT:
        about["default"] = field.default
    about |= {"api": field.api or None, "writers": field.writers or None}
    about |= {"limits": field.limits or None, "examples": field.examples}
    return {**about, "fields": [child.path for child in reference.inside(field)]}


def _about(field: Field) -> Iterator[str]:
    """Everything about one field, for a person."""
    yield f"{field.kind}.{field.path}" if field.path else field.kind
    yield from _wrapped(field.description, "  ")
    yield ""
    if field.path:
        yield from _facts(field)
        children = list(reference.inside(field))
    else:
        parts = [reference.find(f"{field.kind}.{name}") for name in ("metadata", "spec")]
        children = [child for part in parts for child in reference.inside(part)]
    if children:
        yield "  fields:"
        rows = [(child.path, f"{child.type}. {_first(child.description)}") for child in children]
        yield from (f"    {row}" for row in _rows(rows))
    if not field.path:
        yield from ("", "  example:")
        for example in field.examples[:1]:
            yield from (f"    {line}" for line in yaml_lines(example))


def _facts(field: Field) -> Iterator[str]:
    facts = [("type", field.type), ("required", "yes" if field.required else "no")]
    if field.limits:
        facts.insert(1, ("limits", field.limits))
    facts.append(("default", "none" if field.default is ABSENT else _flow(field.default)))
    facts.append(("API field", field.api or "none: it is not sent"))
    writers = field.writers or ("" if field.api else "whoever may change the file")
    facts.append(("written by", writers or "PostHog decides"))
    facts += [("example", _flow(example)) for example in field.examples[:3]]
    for name, text in facts:
        yield f"  {name + ':':<12}{text}"


def _rows(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Names and the first sentence about each, in two columns."""
    width = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        first, *rest = _wrapped(text, "", _WIDTH - width)
        yield f"{name:<{width}}{first}"
        yield from (f"{'':<{width}}{line}" for line in rest)


def _first(text: str) -> str:
    """The first sentence."""
    return text.split(". ", maxsplit=1)[0].removesuffix(".") + "."


def _wrapped(text: str, indent: str, width: int = _WIDTH) -> list[str]:
    return textwrap.wrap(
        text,
        max(40, width),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _flow(value: Any) -> str:
    """A value in one line, as it may be written in a file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether text stays text without quotes, and between brackets too."""
    return bool(re.fullmatch(r"\w(?:[\w @./-]*\w)?", text)) and resolve(text) == text


def yaml_lines(node: Any) -> Iterator[str]:
    """A value in block style; what is small stays on one line."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, (dict, list)) and len(_flow(value)) > 60:  # noqa: PLR2004  a line
                yield f"{_flow(key)}:"
                yield from (f"  {line}" for line in yaml_lines(value))
            else:
                yield f"{_flow(key)}: {_flow(value)}"
        return
    for item in node:
        first, *rest = yaml_lines(item) if isinstance(item, dict) else [_flow(item)]
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)
