"""Attach the line that a finding is about, and how much of it to mark."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from reconciler.files.run_folder import find_run_folder
from reconciler.files.text import MAX_BYTES, split_lines
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import Finding
from reconciler.normal_form.encrypted_payloads import quotes_any

MAX_LINE: Final = 400
_MAX_TOKEN: Final = 10_000  # characters that are read; a line may have millions

_TOKEN: Final = compile_later(
    r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\[[^\[\]]*\]|\{[^{}]*\}"""
    r"""|[^\s"'\[\]{},#](?:[^,:#\[\]{}]|:(?!\s|$)|(?<!\s)\#)*"""
)
_ENCRYPTS: Final = compile_later(
    r"""\bhas_encrypted_payloads["']?\s*:\s*(?!(?:false|null|no|off|~)\b)""", re.IGNORECASE
)
_PLAIN: Final = compile_later(r"""\bhas_encrypted_payloads["']?\s*:\s*(?:false|null|no|off|~)\b""")
_REMOTE: Final = compile_later(r"""\bis_remote_configuration["']?\s*:\s*true\b""")
_PAYLOADS: Final = compile_later(r"""(?<!\w)["']?payloads["']?\s*:""")
_KEY: Final = compile_later(r"""^\s*(?:"[^"]*"|'[^']*'|[\w-]+)\s*:""")  # the name of a variant
_WORD: Final = compile_later(r"[^\s\"'{}\[\],:]+")
_COMMON: Final = frozenset({"true", "false", "null"})
_ALIAS: Final = compile_later(r"(?:^|[\s:\[{,-])\*\w")
_NOT_QUOTED: Final = "this is not valid here; not quoted, because the flag encrypts its payloads"


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
        path = find_run_folder() / file
        status = path.stat()
        return _read_lines(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8)
def _read_lines(path: Path, _changed: int, size: int) -> Sequence[str]:
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
    if secret := _find_secret(lines, source.line - 1):
        finding = _withhold_quote(finding, secret.text)
        if secret.covers or quotes_any(lines[source.line - 1][:MAX_LINE], (secret.text,)):
            return finding
    line = lines[source.line - 1]
    width = finding.width if finding.width > 1 else measure_width(line, source.column)
    line = line[:MAX_LINE].rstrip()
    return replace(finding, excerpt=line, width=max(1, min(width, len(line) - source.column + 1)))


@dataclass(frozen=True, slots=True)
class _Secret:
    """The payloads of a document that encrypts them; whether they are in the line in question."""

    text: str
    covers: bool


def find_secret_lines(lines: Sequence[str]) -> set[int]:
    """Return the numbers, from 0, of lines with payloads in documents that encrypt them."""
    starts = [0, *(n for n, line in enumerate(lines) if n and _is_start(line)), len(lines)]
    numbers = set[int]()
    for first, last in pairwise(starts):
        numbers |= {first + number for number, _ in _iterate_payloads(lines[first:last])}
    return numbers


def _find_secret(lines: Sequence[str], at: int) -> _Secret | None:
    """Return the payloads of the document around a line, if its text says that it encrypts them.

    Works on text, because a file with a syntax error is quoted, too.
    """
    first = next((n for n in range(at, -1, -1) if _is_start(lines[n])), 0)
    last = next((n for n in range(at + 1, len(lines)) if _is_start(lines[n])), len(lines))
    inside = dict(_iterate_payloads(lines[first:last]))
    if not inside:
        return None
    text = "\n".join(inside.values())
    return _Secret(text, at - first in inside or bool(_ALIAS.search(text)))


def _iterate_payloads(document: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines with payloads of a document that may encrypt them, without the keys."""
    if not any(map(_ENCRYPTS.search, document)) and (
        not any(map(_REMOTE.search, document)) or any(map(_PLAIN.search, document))
    ):
        return
    depth = level = -1  # the indentation of `payloads`, while its value goes on; of its keys
    for number, line in enumerate(document):
        indent = len(line) - len(line.lstrip())
        if depth >= 0 and line.strip() and indent <= depth:
            depth = -1
        key = _PAYLOADS.search(line) if depth < 0 else None
        if key is not None:
            depth, level = indent, -1
            if value := line[key.end() :].strip():
                yield number, value
        elif depth >= 0:
            level = indent if level < 0 else level
            yield number, _KEY.sub("", line) if indent == level else line


def _is_start(line: str) -> bool:
    return line.startswith("---")


def _withhold_quote(finding: Finding, secret: str) -> Finding:
    """Return the finding without sentences that quote the payloads."""
    secrets = (secret, *(word for word in _WORD.findall(secret) if word not in _COMMON))
    texts = (finding.message, finding.why, finding.fix)
    if not any(quotes_any(text, secrets) for text in texts):
        return finding
    return replace(finding, message=_NOT_QUOTED, why="", fix="")
