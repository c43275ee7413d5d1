"""Colours of the terminal, links, and lines that fit. `sanitize.escape` comes first."""

from typing import Final

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
    bare = (count_columns(_strip_colors(line)) for line in lines)
    return sum(max(1, -(-wide // max(1, width))) for wide in bare)


def _strip_colors(line: str) -> str:
    """Return the line without its colours: those are our own, the text is escaped."""
    text, _, rest = line.partition("\x1b[")
    while rest:
        _, _, rest = rest.partition("m")
        piece, _, rest = rest.partition("\x1b[")
        text += piece
    return text
