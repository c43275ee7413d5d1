"""Long texts: written out as YAML would, and compared line by line. JSON in a text is unfolded."""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

MANY: Final = 400  # lines that are compared; nobody reads more in a diff
CONTEXT: Final = 2  # lines shown around each difference
PAYLOAD: Final = "JSON text"
RESPELLED: Final = "the same JSON, spelled differently"

_Piece = tuple[str, str]  # a sign, and a line


def format_literal(text: str) -> list[str] | None:
    """Return a text of several lines as a YAML literal block; None if it cannot be one."""
    if "\n" not in text.rstrip("\n"):
        return None
    lines = text.rstrip("\n").split("\n")
    first = next(line for line in lines if line)
    if first.startswith(" ") or not all(map(str.isprintable, lines)):
        return None
    ends = len(text) - len(text.rstrip("\n"))
    mark = {0: "|-", 1: "|"}.get(ends, "|+")
    return [mark, *(f"  {line}" if line else "" for line in lines), *([""] * (ends - 1))]


def unfold(old: str, new: str) -> tuple[list[str], list[str], str] | None:
    """Return two texts as lines to compare, and what they are; None if best shown whole."""
    before, after = _read_payload(old), _read_payload(new)
    if before is not None and after is not None:
        if before != after:
            return before, after, PAYLOAD
        return *_split_lines(old, new), RESPELLED
    if "\n" in old.strip("\n") or "\n" in new.strip("\n"):
        return *_split_lines(old, new), ""
    return None


def _read_payload(text: str) -> list[str] | None:
    """Return the lines of a JSON object or list that is written in a text."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value: Any = json.loads(text)
        written = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return written.split("\n")


def _split_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    """Return the lines of both; a last line without an end is marked if the other has one."""
    before, after = old.split("\n"), new.split("\n")
    if (before[-1] == "") != (after[-1] == ""):
        open_end = before if before[-1] else after
        open_end.append("(no newline at the end)")
    return (before[:-1] if before[-1] == "" else before), (after[:-1] if after[-1] == "" else after)


def compare_lines(before: Sequence[str], after: Sequence[str]) -> Iterator[_Piece]:
    """Yield the lines that differ, with a few around them; what is between is one `…`.

    What both sides begin and end with is set aside first, so that a difference is found wherever
    it is in however long a text.
    """
    lead, tail = _count_alike(before, after)
    start = max(0, lead - CONTEXT)
    left, right = before[start : _find_stop(before, tail)], after[start : _find_stop(after, tail)]
    left, right = _limit_lines(left), _limit_lines(right)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    groups = list(matcher.get_grouped_opcodes(CONTEXT))
    if start and groups:
        yield "", "…"
    for number, group in enumerate(groups):
        if number:
            yield "", "…"
        for name, i, j, k, m in group:
            if name == "equal":
                yield from (("", line) for line in left[i:j])
            else:
                yield from (("-", line) for line in left[i:j])
                yield from (("+", line) for line in right[k:m])


def _count_alike(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Return how many lines both begin with, and how many of the others both end with."""
    short = min(len(before), len(after))
    lead = next((n for n in range(short) if before[n] != after[n]), short)
    rest = short - lead
    tail = next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)
    return lead, tail


def _find_stop(lines: Sequence[str], tail: int) -> int:
    return len(lines) - max(0, tail - CONTEXT)


def _limit_lines(lines: Sequence[str]) -> Sequence[str]:
    more = len(lines) - MANY
    return lines if more <= 0 else [*lines[:MANY], f"… {more:,} more lines"]
