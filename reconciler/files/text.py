"""Decode bytes to text that can be trusted, and count lines as positions do."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Final

from reconciler.lazy_pattern import compile_later
from reconciler.lookalikes import HIDDEN
from reconciler.model import Finding, Severity, Source

MAX_KEYS: Final = 10  # reported for one file
MAX_BYTES: Final = 8 * 1024 * 1024

_NEW_LINE: Final = compile_later(r"\r\n|\n|\r")
_FORBIDDEN: Final = compile_later("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_CONTROL: Final = [chr(code) for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r"]
_TURNING: Final = compile_later("[\u202a-\u202e\u2066-\u2069]")
_JOINTS: Final = "\u200d\ufe0f"  # join symbols, or select their coloured form
_KEYCAPS: Final = frozenset("0123456789#*")
_MARK_BEFORE_MARKER: Final = compile_later(r"^\ufeff(?=---(?:\s|$))", re.MULTILINE)
_MARK_AFTER_MARKER: Final = compile_later(
    r"^((?:---|\.\.\.)[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*)\ufeff", re.MULTILINE
)
_STRAY_MARK: Final = compile_later("^\ufeff", re.MULTILINE)
_TAG_DIRECTIVE: Final = compile_later(r"^%TAG\b.*", re.MULTILINE)
_KEY: Final = compile_later(r"\b(ph[sx]_)[A-Za-z0-9]{20,}")
_CONFLICT: Final = compile_later(r"^(?:<{7}|={7}|>{7}|\|{7})(?= |\r?$)", re.MULTILINE)
# A comment with a closing bracket; quoted texts are skipped.
_COMMENT: Final = compile_later(r""""(?:\\.|[^"\\])*"|'[^']*'|(?<=[ \t])(#[^\r\n]*[\]}])""")
_TAB_INDENT: Final = compile_later(r"(?:^|(?<=\r)) *\t[ \t]*(?=\S)", re.MULTILINE)


class RefusedError(Exception):
    """The rest of a file cannot be used; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def compute_blob_id(data: bytes, algorithm: str = "sha1") -> str:
    """Return git's object id of this content."""
    head = b"blob %d\0" % len(data)
    return hashlib.new(algorithm, head + data, usedforsecurity=False).hexdigest()


def split_lines(text: str) -> list[str]:
    """Split text into lines exactly as positions count them."""
    return _NEW_LINE.split(text)


def find_hidden_character(text: str) -> str:
    """Return the first invisible or bidirectional character, as `U+200B`; or ""."""
    if text.isascii() and text.isprintable():
        return ""
    for hidden in HIDDEN.finditer(text):
        if hidden[0] not in _JOINTS or not _is_in_emoji(text, hidden.start()):
            return f"U+{ord(hidden[0]):04X}"
    return ""


def _is_in_emoji(text: str, at: int) -> bool:
    """Return whether a joining character is part of an emoji, where it shows: ⚠️, 👩‍💻, 1️⃣."""
    preceding, following = (
        text[:at].rstrip("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"),
        text[at + 1 : at + 2],
    )
    if text[at] == "\ufe0f" and following == "\u20e3":
        return preceding[-1:] in _KEYCAPS
    symbols = ("So", "Sm")
    follows_symbol = preceding != "" and unicodedata.category(preceding[-1]) in symbols
    if text[at] == "\ufe0f":
        return follows_symbol and len(preceding) == at  # only one, directly after the symbol
    return follows_symbol and following != "" and unicodedata.category(following) in symbols


def find_tab_indents(text: str) -> Iterator[int]:
    """Return the offset of the first character of each line that has a tab before it."""
    return (match.end() for match in _TAB_INDENT.finditer(text))


def is_indented_by_tab(text: str, start: int) -> bool:
    """Return whether the line that starts here has a tab before its first character."""
    return _TAB_INDENT.match(text, start) is not None


def find_merge_conflict(text: str, file: str) -> Finding | None:
    """Return the finding for an unresolved merge conflict; searched only after an error."""
    mark = _CONFLICT.search(text)
    if mark is None:
        return None
    message, fix = "a merge conflict is not resolved", "keep one side, and remove the marks"
    return make_error(
        "R001", message, locate_offset(text, mark.start(), file), fix=fix, width=len(mark[0])
    )


def find_hidden_bracket(text: str, start: int, end: int, file: str) -> Finding | None:
    """Return the finding for a bracket that a comment hides; searched only after an error."""
    mark = next((each for each in _COMMENT.finditer(text, start, end) if each[1]), None)
    if mark is None:
        return None
    return make_error(
        "R001",
        f"the comment that begins here hides a `{mark[1][-1]}`",
        locate_offset(text, mark.start(), file),
        why="` #` begins a comment",
        fix="quote the text that contains it",
        width=len(mark[1]),
    )


def find_secret_keys(data: bytes, file: str) -> Iterator[Finding]:
    """Yield a finding for each secret key of PostHog: readers of the repository could use it."""
    if b"phx_" not in data and b"phs_" not in data:
        return
    text = data.decode("utf-8-sig", "replace")
    for key in islice(_KEY.finditer(text), MAX_KEYS):
        yield make_error(
            "R017",
            f"this looks like a secret key of PostHog ({key[1]}…)",
            locate_offset(text, key.start(), file),
            why="everybody who can read the repository can use it, even after it is removed",
            fix="revoke it in PostHog, and keep the new one in an environment variable",
            width=len(key[0]),
        )


def decode_text(data: bytes, file: str) -> str:
    """Return the UTF-8 text of a file, without the byte order mark of any document in it.

    YAML 1.2 section 5.2 allows the mark before each document: joined files have several.
    """
    if len(data) > MAX_BYTES:
        raise RefusedError(
            make_error(
                "R009",
                f"the file has {len(data):,} bytes, more than {MAX_BYTES:,}",
                Source(file, 1),
                fix="split it into several files",
            )
        )
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or data[:4] == b"\x00\x00\xfe\xff":
        raise RefusedError(
            make_error(
                "R001", "the file is UTF-16 or UTF-32", Source(file, 1), fix="save it as UTF-8"
            )
        )
    if data[:1] == b"\0" or data[1:2] == b"\0":
        message, fix = "the file is UTF-16 or UTF-32, without its mark", "save it as UTF-8"
        raise RefusedError(make_error("R001", message, Source(file, 1), fix=fix))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        readable = data[: reason.start].decode("utf-8-sig", "replace")
        message = f"byte 0x{data[reason.start]:02x} is not UTF-8"
        source = locate_offset(readable, len(readable), file)
        raise RefusedError(
            make_error("R001", message, source, fix="save the file as UTF-8")
        ) from None
    if "\ufeff" in text:
        text = _MARK_AFTER_MARKER.sub(r"\1", _MARK_BEFORE_MARKER.sub("", text))
    return text


def check_text(text: str, file: str, findings: list[Finding]) -> None:
    """Check the raw text before it is parsed: characters and tag directives."""
    plain = text.isascii() and not any(map(text.__contains__, _CONTROL))
    if not plain and (match := _FORBIDDEN.search(text)):
        code = ord(match[0])
        raise RefusedError(
            make_error(
                "R012",
                f"control character U+{code:04X} in the text",
                locate_offset(text, match.start(), file),
                fix=f'remove it, or write it as "\\u{code:04x}" in double quotes',
            )
        )
    if not plain and (match := _STRAY_MARK.search(text)):
        raise RefusedError(
            make_error(
                "R012",
                "byte order mark (U+FEFF) inside a document",
                locate_offset(text, match.start(), file),
                why="it is allowed only where a document begins; joined files need `---` between",
                fix="remove the mark, or put `---` on a separate line before it",
            )
        )
    if "%" in text and "%TAG" in text and (match := _TAG_DIRECTIVE.search(text)):
        raise RefusedError(
            make_error(
                "R011",
                "%TAG directives are not allowed",
                locate_offset(text, match.start(), file),
                fix="remove the line: no tags are used here",
                width=len(match[0]),
            )
        )
    if not text.isascii() and (match := _TURNING.search(text)):
        findings.append(
            Finding(
                "R012",
                Severity.WARNING,
                f"U+{ord(match[0]):04X} makes the text look different on screen",
                why="it reverses the direction of writing, but only where it is displayed",
                fix=f'remove it, or write it as "\\u{ord(match[0]):04x}" in double quotes',
                source=locate_offset(text, match.start(), file),
            )
        )


def locate_offset(text: str, offset: int, file: str) -> Source:
    """Return line and column of an offset."""
    preceding_lines = split_lines(text[:offset])
    return Source(file, len(preceding_lines), len(preceding_lines[-1]) + 1)


def make_error(
    code: str, message: str, source: Source, *, why: str = "", fix: str = "", width: int = 1
) -> Finding:
    """Return a finding that ends the command with an error."""
    return Finding(
        code, Severity.ERROR, message, why=why, fix=fix, source=source, width=max(width, 1)
    )


MAX_DEPTH: Final = 64
MAX_NODES: Final = 500_000
MAX_MAPPING_KEYS: Final = 100_000  # of one mapping
MAX_DOCUMENTS: Final = 100_000
MAX_ALIASES: Final = 100
MAX_ALIASED_NODES: Final = 100_000
MAX_FINDINGS: Final = 100

MAX_KNOWN_KEYS: Final = 10_000  # distinct keys of all files that are kept
MAX_KNOWN_KEY: Final = 100
