"""Learn the shape of documents with the same keys, to read them twice as fast.

Files of many resources repeat a few shapes. A shape is a pattern of everything in a document but
its values, and the steps that put the values in their places.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

LEARNT_AFTER: Final = 8  # documents; a pattern takes as long to make as fifty to read
MAX_SHAPES: Final = 4  # that are tried for a document
MAX_LEARNT: Final = 32  # in all: where each document has another shape nothing is gained
MAX_SEEN: Final = 1_000
MAX_LINES: Final = 200  # of a document that a pattern is made for

VALUE: Final = 0
MAPPING: Final = 1
SEQUENCE: Final = 2
NULL: Final = 3

_Line = tuple[str, str]  # its beginning, and the rest


class ShapeStep(NamedTuple):
    """What comes next: into which container, under which key (none in a list), and what."""

    container: int
    key: str | None
    what: int


class TextShape(NamedTuple):
    """A pattern with a group for each value, and a step for each value and container."""

    pattern: re.Pattern[str]
    steps: tuple[ShapeStep, ...]
    lines: int


def build_shape(rows: Sequence[_Line], example: dict[str, Any]) -> TextShape:
    """Return the shape of a document.

    Args:
        rows: its lines, each with a key or a dash.
        example: what they are, with text wherever the rest of a line stands for a value.

    """
    lines = (f"{re.escape(begin)}{_REST if rest else ''}\\n" for begin, rest in rows)
    return TextShape(re.compile("".join(lines)), tuple(_list_steps(example)), len(rows))


_REST: Final = r"([^ #\n].*+)"


def _list_steps(example: dict[str, Any]) -> Iterator[ShapeStep]:
    """Yield the steps; containers are numbered in the order in which they begin."""
    number = 1
    todo: list[tuple[int, Iterator[tuple[str | None, Any]]]] = [(0, iter(example.items()))]
    while todo:
        container, items = todo[-1]
        for key, value in items:
            if isinstance(value, dict):
                yield ShapeStep(container, key, MAPPING)
                todo.append((number, iter(value.items())))
            elif isinstance(value, list):
                yield ShapeStep(container, key, SEQUENCE)
                todo.append((number, ((None, item) for item in value)))
            else:
                yield ShapeStep(container, key, NULL if value is None else VALUE)
                continue
            number += 1
            break
        else:
            todo.pop()


class ShapeCache:
    """The shapes that were used most recently, and how often others occurred."""

    def __init__(self) -> None:
        self.known: list[TextShape] = []
        self._seen: dict[int, int] = {}
        self._learnt = 0

    def prefer(self, number: int) -> None:
        """Try a shape first from now on: documents of one shape mostly follow each other."""
        self.known.insert(0, self.known.pop(number))

    def is_worth(self, beginnings: tuple[str, ...]) -> bool:
        """Return whether documents with these line beginnings are frequent enough."""
        if self._learnt >= MAX_LEARNT or len(beginnings) > MAX_LINES:
            return False
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        digest = hash(beginnings)
        times = self._seen[digest] = self._seen.get(digest, 0) + 1
        return times == LEARNT_AFTER

    def learn(self, new: TextShape) -> None:
        """Remember a shape, and forget the one that was not used for longest."""
        self._learnt += 1
        self.known.insert(0, new)
        del self.known[MAX_SHAPES:]
