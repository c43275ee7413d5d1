"""How things are drawn, and how one field is: its path, what it was, what it becomes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.render.shared import values
from reconciler.render.shared.phrases import Tone
from reconciler.render.shared.sanitize import clip, count_columns, escape, is_page_of
from reconciler.render.text.terminal import format_link, paint

INDENT: Final = " " * 6

SIGNS: Final = {"+": "green", "~": "yellow", "-": "red", " ": "dim"}
TONES: Final = {Tone.WAIT: "cyan", Tone.LOUD: "loud", Tone.STOP: "alarm"}
_SIGNS: Final = {"+": "green", "-": "red", "": ""}
_LINES: Final = 24  # lines of one value that are shown


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How things are to be drawn."""

    color: bool
    width: int
    verbose: int = 0
    drift: bool = False  # the files on the left, the live side on the right
    links: str = ""  # the host whose pages this terminal can open; empty if it can open none

    @property
    def room(self) -> int:
        """Return the columns for a value on a separate line."""
        return max(20, self.width - len(INDENT) - 2)

    @property
    def paths(self) -> int:
        """Return the columns that paths may take before their value moves to the next line."""
        return self.room * 3 // 5

    def clip(self, text: str) -> str:
        """Return escaped text as far as there is room for it; all of it with --verbose."""
        return text if self.verbose else clip(text, self.room)

    def fit(self, text: str, taken: int) -> str:
        """Return escaped text as far as it fits on a line with so many columns taken."""
        return text if self.verbose else clip(text, max(12, self.width - taken))

    def paint(self, text: str, style: str) -> str:
        """Return escaped text in colour, if there is any."""
        return paint(text, style, on=self.color)

    def link(self, text: str, url: str | None) -> str:
        """Return escaped text that opens a page, where the terminal can."""
        return (
            format_link(text, url) if self.links and url and is_page_of(url, self.links) else text
        )


def format_difference(
    path: str,
    sides: tuple[Any, Any],
    column: int,
    look: TextStyle,
    *,
    marker: str = "",
    style: str = "",
) -> Iterator[str]:
    """Yield the lines of one field. `column`: the width of the paths; `marker` is escaped."""
    name = escape(path)
    gap = column - count_columns(name)
    tail = f"  {look.paint(marker, style)}" if marker else ""
    room = look.room - column - 3 - (count_columns(marker) + 2 if marker else 0)
    difference = values.compare_values(*sides, room, whole=bool(look.verbose))
    if difference.inline and gap >= 0:
        pieces = (_format_piece(sign, text, look) for sign, text in difference.pieces)
        yield f"{INDENT}{name}{' ' * gap}   {'  '.join(pieces)}{tail}"
        return
    what = look.paint(f"  {difference.note}", "dim") if difference.note else ""
    yield f"{INDENT}{name}{what}{tail}"
    rows = (f"{INDENT}  {_format_row(sign, text, look)}" for sign, text in difference.pieces)
    yield from cut_lines(rows, look)


def _format_piece(sign: str, text: str, look: TextStyle) -> str:
    shown = escape(text)
    return look.paint(f"{sign} {shown}", _SIGNS[sign]) if sign else shown


def _format_row(sign: str, text: str, look: TextStyle) -> str:
    return look.paint(look.clip(f"{sign or ' '} {escape(text)}"), _SIGNS[sign])


def cut_lines(lines: Iterable[str], look: TextStyle) -> Iterator[str]:
    """Yield the first lines of many, and how many are left out."""
    every = list(lines)
    if look.verbose or len(every) <= _LINES + 1:
        yield from every
        return
    yield from every[:_LINES]
    yield INDENT + look.paint(f"… {len(every) - _LINES} more lines", "dim")
