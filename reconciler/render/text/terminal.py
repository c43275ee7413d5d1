"""Colours of the terminal, links, and lines that fit. `sanitize.escape` comes first."""

from collections.abc import Iterator
from typing import Final

from reconciler.lazy_pattern import compile_later
from reconciler.render.shared.sanitize import count_columns

_CODES: Final = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold": "1",
    "dim": "2",
    "loud": "1;33",
    "alarm": "1;31",
}


_UNSEEN: Final = compile_later(r"\x1b\[[0-9;]*m|\x1b\]8;;.*?\x1b\\")  # our own colours and links
_COLUMN: Final = compile_later(r" {2,}")  # what separates two columns, or indents a line
_PART: Final = compile_later(r"[^/.,]*[/.,]*")  # after which a long word may be broken


def paint(text: str, style: str, *, on: bool) -> str:
    """Return escaped text in colour."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if on and text and style else text


def format_link(text: str, url: str) -> str:
    """Return escaped text as a hyperlink (OSC 8) to a URL that `is_page_of` accepted."""
    return f"\x1b]8;;{url}\x1b\\{text}\x1b]8;;\x1b\\"


def wrap(text: str, *, indent: str, width: int, hang: str = "  ") -> list[str]:
    """Return escaped text in lines of `width`, broken at spaces only; all but the first hang."""
    lines: list[str] = []
    line = indent
    fresh = True
    for word in text.split(" "):
        if not fresh and count_columns(line) + 1 + count_columns(word) > width:
            lines.append(line)
            line, fresh = indent + hang, True
        line, fresh = (line + word if fresh else f"{line} {word}"), False
    return [*lines, line]


def format_beside(left: str, right: str, *, painted: str, dim: str, width: int) -> str:
    """Return two pieces at both ends of a line; below each other where they do not fit."""
    gap = width - count_columns(left) - count_columns(right)
    return f"{painted}{' ' * gap}{dim}" if gap > 1 else f"{painted}\n      {dim}"


def format_clock(seconds: float) -> str:
    """Return `0:07`, `12:40`, `1:02:03`."""
    whole = int(max(0.0, seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count_rows(lines: list[str], width: int) -> int:
    """Return the rows that lines drawn for another width take in a terminal of this one."""
    return sum(max(1, -(-_measure(line) // max(1, width))) for line in lines)


def fit_lines(text: str, width: int) -> str:
    """Return printed text with no line wider than `width`: a terminal breaks in mid-word.

    A line continues below its last column. Words that are too long are broken at `/`, `.` and `,`;
    URLs are not, because a break would keep them from being opened.
    """
    lines = text.split("\n")
    if all(len(line) <= width for line in lines) and text.isascii():
        return text
    return "\n".join(piece for line in lines for piece in _fit_line(line, width))


def _fit_line(text: str, width: int) -> Iterator[str]:
    if _measure(text) <= width:
        yield text
        return
    plain = _UNSEEN.sub("", text)
    indent = len(plain) - len(plain.lstrip(" "))
    ends = [match.end() for match in _COLUMN.finditer(plain) if indent < match.end() <= width // 2]
    least = indent + 2
    column = max(least, *ends) if ends else least
    lead = len(text) - len(text.lstrip(" "))
    line, fresh = " " * lead, True
    for word in text[lead:].split(" "):
        if not fresh and _measure(line) + 1 + _measure(word) <= width:
            line = f"{line} {word}"
            continue
        if not fresh and not word:  # the gap between columns ends the line
            continue
        first, *others = _break_word(word, width - least)
        if fresh:
            line, fresh = line + first, False
        else:
            yield line.rstrip()
            line = " " * max(least, min(column, width - _measure(first))) + first
        for part in others:
            yield line
            line = " " * least + part
    yield line.rstrip()


def _break_word(word: str, room: int) -> list[str]:
    """Return a word in parts that fit, if it can be broken."""
    if _measure(word) <= room or "://" in word:
        return [word]
    parts = [""]
    for part in _PART.findall(word):
        if parts[-1] and _measure(parts[-1] + part) > room:
            parts.append("")
        parts[-1] += part
    return parts


def _measure(text: str) -> int:
    """Return the columns of printed text, whose colours and links take none."""
    return count_columns(_UNSEEN.sub("", text) if "\x1b" in text else text)
