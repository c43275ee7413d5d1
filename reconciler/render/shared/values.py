"""Values as compact YAML, and how two of them differ. Plain text: each format escapes it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import ABSENT
from reconciler.planfile.reader import redact
from reconciler.render.shared import text_diff

NOT_SET: Final = "(not set)"
REMOVED: Final = "(removed)"

_PLAIN: Final = compile_later(r"[^\W\d][\w ./@%+*$()<>=~^-]*(?<! )|\d+[wdhms]")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_AROUND: Final = 16  # characters shown before the place where two long texts part


@dataclass(frozen=True, slots=True)
class Difference:
    """How two values differ, as pieces with a sign: `+`, `-`, or nothing for what stays.

    `inline` pieces belong on the line of the field; the others stand one below the other.
    """

    inline: bool
    pieces: tuple[tuple[str, str], ...]
    note: str = ""  # what the pieces are of, where that is not plain


def format_scalar(value: Any) -> str:
    """Return a value that is not a collection, as a person would write it in YAML."""
    if value is ABSENT:
        return NOT_SET
    if value is None:
        return "null"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return _quote(value)


def _quote(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if '"' in value and value.isprintable():  # as JSON inside of a text: easier to read so
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=False)


def format_flow(value: Any) -> str:
    """Return any value on one line: `{groups: [{rollout_percentage: 50}]}`."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{format_scalar(k)}: {format_flow(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(format_flow, value)) + "]"
    return format_scalar(value)


def format_block(value: Any, room: int) -> Iterator[str]:
    """Yield any value as indented lines; what fits into `room` stays on one."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _format_entry(f"{format_scalar(name)}:", item, room)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            head, *rest = format_block(item, room - 2)
            yield f"- {head}"
            yield from (f"  {line}" for line in rest)
    elif isinstance(value, str) and (lines := text_diff.format_literal(value)):
        yield from lines
    else:
        yield format_scalar(value) if _is_scalar(value) else format_flow(value)


def _format_entry(head: str, item: Any, room: int) -> Iterator[str]:
    if isinstance(item, str) and (lines := text_diff.format_literal(item)):
        yield f"{head} {lines[0]}"
        yield from lines[1:]
        return
    short = format_flow(item)
    if _is_scalar(item) or not item or len(head) + 1 + len(short) <= min(room, 60):
        yield f"{head} {short}"
    else:
        yield head
        yield from (f"  {line}" for line in format_block(item, room - 2))


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, Mapping | list | tuple)


def compare_values(old: Any, new: Any, room: int, *, whole: bool = False) -> Difference:
    """Return what changes between two values. Lists of words are compared as sets if possible.

    `whole`: long texts are not cut down to where they differ.
    """
    if (items := _compare_items(old, new)) is not None and _measure(items) <= room:
        return Difference(inline=True, pieces=items)
    arrow = f"{format_flow(old)} → {REMOVED if new is ABSENT else format_flow(new)}"
    if len(arrow) <= room:
        return Difference(inline=True, pieces=(("", arrow),))
    if items is not None:
        return Difference(inline=False, pieces=items)
    if isinstance(old, str) and isinstance(new, str):
        old, new = redact(old), redact(new)  # before they are cut, or half a key would be left
        if (lines := text_diff.unfold(old, new)) is not None:
            before, after, note = lines
            if compared := tuple(text_diff.compare_lines(before, after)):
                return Difference(inline=False, pieces=compared, note=note)
        return Difference(inline=False, pieces=_compare_texts(old, new, 0 if whole else room // 2))
    pieces = text_diff.compare_lines(_format_lines(old, room), _format_lines(new, room))
    return Difference(inline=False, pieces=tuple(pieces))


def _measure(items: tuple[tuple[str, str], ...]) -> int:
    return sum(len(text) + 4 for _, text in items)


def _compare_items(old: Any, new: Any) -> tuple[tuple[str, str], ...] | None:
    """Return what a list of scalars gained and lost; None if that would not say everything."""
    lists = isinstance(old, list | tuple) and isinstance(new, list | tuple)
    if not lists or not all(map(_is_scalar, (*old, *new))):
        return None
    before, after = [format_scalar(item) for item in old], [format_scalar(item) for item in new]
    if len(set(before)) < len(before) or len(set(after)) < len(after):
        return None
    added = [("+", item) for item in after if item not in before]
    removed = [("-", item) for item in before if item not in after]
    return (*added, *removed) if added or removed else None


def _compare_texts(old: str, new: str, most: int) -> tuple[tuple[str, str], ...]:
    """Return two long texts; where they begin alike for long, from just before they differ."""
    pairs = enumerate(zip(old, new, strict=False))
    same = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
    lead_in = old[same - _AROUND : same].lstrip() if most and same > max(most, _AROUND) else ""
    start = same - len(lead_in) if lead_in else 0
    lead = "…" if start else ""
    return ("-", lead + format_scalar(old[start:])), ("+", lead + format_scalar(new[start:]))


def _format_lines(value: Any, room: int) -> list[str]:
    return [] if value is ABSENT else list(format_block(value, room))
