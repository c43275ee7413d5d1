"""Attach the line that a finding is about, and how much of it to mark."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from reconciler.files.text import MAX_BYTES, split_lines
from reconciler.model import Finding

MAX_LINE: Final = 400
_MAX_TOKEN: Final = 10_000  # characters that are read; a line may have millions

_TOKEN: Final = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\[[^\[\]]*\]|\{[^{}]*\}"""
    r"""|[^\s"'\[\]{},#](?:[^,:#\[\]{}]|:(?!\s|$)|(?<!\s)\#)*"""
)


def measure_width(line: str, column: int) -> int:
    """Return the width of the key or value that starts at `column`, which counts from 1."""
    token = _TOKEN.match(line, column - 1, column - 1 + _MAX_TOKEN)
    return max(1, len(token[0].rstrip())) if token else 1


def read_token(line: str, column: int) -> str:
    """Return the key or value that starts at `column` of a line, as it is written."""
    return line[column - 1 : column - 1 + measure_width(line, column)]


def read_lines_on_disk(file: str) -> Sequence[str] | None:
    """Return the lines of a file of the working tree; None if it cannot be read."""
    try:
        status = Path(file).stat()
        return _read_lines(file, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8)
def _read_lines(file: str, _changed: int, size: int) -> Sequence[str]:
    path = Path(file)
    if size > MAX_BYTES or not path.is_file():
        return ()
    return split_lines(path.read_bytes().decode("utf-8-sig", "replace"))


def attach_excerpt(
    finding: Finding, lines_of: Callable[[str], Sequence[str] | None] = read_lines_on_disk
) -> Finding:
    """Return the finding with its excerpt. `lines_of` returns the lines of a file, or None."""
    source = finding.source
    if source is None or finding.excerpt or (lines := lines_of(source.file)) is None:
        return finding
    if not 0 < source.line <= len(lines):
        return finding
    line = lines[source.line - 1]
    width = finding.width if finding.width > 1 else measure_width(line, source.column)
    line = line[:MAX_LINE].rstrip()
    return replace(finding, excerpt=line, width=max(1, min(width, len(line) - source.column + 1)))
