"""The line that a finding is about, and how much of it. Nothing here decides what is wrong."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from reconciler.files.text import MAX_BYTES, lines
from reconciler.model import Finding

MAX_LINE: Final = 400
_LOOKED_AT: Final = 10_000  # characters; a line may have millions

_TOKEN: Final = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\[[^\[\]]*\]|\{[^{}]*\}"""
    r"""|[^\s"'\[\]{},#](?:[^,:#\[\]{}]|:(?!\s|$)|(?<!\s)\#)*"""
)


def width_at(line: str, column: int) -> int:
    """Columns of the key or value that starts at `column`, counted from 1; at least 1."""
    found = _TOKEN.match(line, column - 1, column - 1 + _LOOKED_AT)
    return max(1, len(found[0].rstrip())) if found else 1


def text_at(line: str, column: int) -> str:
    """The key or value that starts at `column` of a line, as it is written."""
    return line[column - 1 : column - 1 + width_at(line, column)]


def on_disk(file: str) -> Sequence[str] | None:
    """Lines of a file of the working tree; None if it cannot be read."""
    try:
        about = Path(file).stat()
        return _lines(file, about.st_mtime_ns, about.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8)
def _lines(file: str, _changed: int, size: int) -> Sequence[str]:
    path = Path(file)
    if size > MAX_BYTES or not path.is_file():
        return ()
    return lines(path.read_bytes().decode("utf-8-sig", "replace"))


def attach(finding: Finding, lines_of: Callable[[str], Sequence[str] | None] = on_disk) -> Finding:
    """Fill `excerpt` and `width` in. `lines_of` gives the lines of a file, or None."""
    place = finding.source
    if place is None or finding.excerpt or (found := lines_of(place.file)) is None:
        return finding
    if not 0 < place.line <= len(found):
        return finding
    line = found[place.line - 1]
    width = finding.width if finding.width > 1 else width_at(line, place.column)
    line = line[:MAX_LINE].rstrip()
    return replace(finding, excerpt=line, width=max(1, min(width, len(line) - place.column + 1)))
