"""How much room a comment has, and what fits into it. GitHub counts UTF-16 units."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

CAP: Final = 60_000  # GitHub refuses more than 65,536; the rest is for who posts it
_T = TypeVar("_T")
PART: Final = 12_000  # of one change or one list


def measure(block: str) -> int:
    """Return the number of characters as GitHub counts them, with the blank line behind."""
    return len(block.encode("utf-16-le", "surrogatepass")) // 2 + 2


def take_fitting(blocks: Iterable[str], room: int) -> list[str]:
    """Return the first blocks, as many as there is room for."""
    kept = []
    for block in blocks:
        room -= measure(block)
        if room < 0:
            break
        kept.append(block)
    return kept


def list_fitting(
    rows: Sequence[_T], draw: Callable[[_T], str], room: int, most: int = 30
) -> list[str]:
    """Return the first rows of a list as they are drawn, and how many are left out."""
    kept = take_fitting(map(draw, rows[:most]), room)
    more = len(rows) - len(kept)
    return kept if not more else [*kept, f"- … and {more:,} more"]


def limit_lines(lines: Iterable[str], room: int = PART) -> Iterator[str]:
    """Yield as many lines as one part of a comment may take."""
    for line in lines:
        room -= min(measure(line), 1_000)
        if room < 0:
            yield "…"
            return
        yield line
