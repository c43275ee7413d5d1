"""Learn the shape of documents with the same keys, to read them three times as fast.

Files of many resources repeat a few shapes. A shape is a pattern of everything in a document but
its values, and a function, compiled for it, that puts the values in their places.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from reconciler.model import MappingNode, SequenceNode

LEARNT_AFTER: Final = 24  # documents; to learn a shape takes as long as to read seventy without
MAX_SHAPES: Final = 4  # that are tried for a document
MAX_LEARNT: Final = 32  # in all: where each document has another shape nothing is gained
MAX_SEEN: Final = 1_000
MAX_LINES: Final = 200  # of a document that a pattern is made for

_Line = tuple[str, str]  # its beginning, and the rest


class TextShape(NamedTuple):
    """A pattern with a group for each value, and a function that puts them in their places."""

    pattern: re.Pattern[str]  # from the start of a line to the end of the document
    build: Callable[[Any, Iterable[Any]], MappingNode]  # takes a reader and the values
    lines: int


def build_shape(rows: Sequence[_Line], example: dict[str, Any], brackets: type) -> TextShape:
    """Return the shape of a document.

    Args:
        rows: its lines, each with a key or a dash.
        example: what they are, with text wherever the rest of a line stands for a value.
        brackets: the class of the values that a reader makes containers of.

    """
    lines = (f"{re.escape(begin)}{'(.++)' if rest else ''}\\n" for begin, rest in rows)
    pattern = re.compile(f"(?:---\\n)?{''.join(lines)}(?=---[ \\n]|\\Z)")
    return TextShape(pattern, _compile_function(example, brackets), len(rows))


def _compile_function(example: dict[str, Any], brackets: type) -> Any:
    """Return a function that makes a document like the example, of other values."""
    writer = _FunctionWriter()
    writer.add_value("", example)
    values = ", ".join(f"v{number}" for number in range(writer.values))
    lines = (
        "def build(reader, values):",
        "places, numbers, container = reader.places, reader.numbers, reader.container",
        f"[{values}] = values",
        *writer.lines,
        "return c0",
    )
    scope = {"Brackets": brackets, "MappingNode": MappingNode, "SequenceNode": SequenceNode}
    exec("\n ".join(lines), scope)  # noqa: S102  of the document there are only its keys, as text
    return scope["build"]


class _FunctionWriter:
    """Writes the lines that make each container, in the order in which they begin."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values = 0
        self.containers = 0

    def add_value(self, node: str, value: Any, key: str | None = None) -> None:
        """Add the lines that put a value into a container, under a key or as the next item."""
        text = "None"
        if isinstance(value, (dict, list)):
            text = f"c{self.containers}"
            self.containers += 1
            container = "MappingNode" if isinstance(value, dict) else "SequenceNode"
            self.lines.append(f"{text} = {container}()")
            self.lines.append(f"{text}.places, {text}.number = places, next(numbers)")
        elif value is not None:
            name = f"v{self.values}"
            self.values += 1
            text = f"container({name}) if type({name}) is Brackets else {name}"
        if node:
            self.lines.append(
                f"{node}.append({text})" if key is None else f"{node}[{key!r}] = {text}"
            )
        if isinstance(value, dict):
            for field, item in value.items():
                self.add_value(text, item, field)
        elif isinstance(value, list):
            for item in value:
                self.add_value(text, item)


class ShapeCache:
    """The shapes that were used most recently, and how often others occurred."""

    def __init__(self) -> None:
        self.known: list[TextShape] = []
        self._seen: dict[int, int] = {}
        self._learnt = 0

    def prefer(self, shape: TextShape) -> None:
        """Try a shape first from now on: documents of one shape mostly follow each other."""
        self.known.remove(shape)
        self.known.insert(0, shape)

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
