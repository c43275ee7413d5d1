"""Where a value stands in a file: places, and containers that know the places of their items."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

Row = Sequence[int]
"""Places of one container's items: four numbers a key, two an item of a list."""

_Else = TypeVar("_Else")
_FEW: Final = 16  # places of so many keys are sorted out anew each time, and not kept


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A place in a file: `file:line:column`, both counted from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Document(NamedTuple):
    """One document of a file. `value` is built of MappingNode, SequenceNode and plain scalars."""

    value: Any
    source: Source


class Places:
    """Where everything in one file stands: found out when somebody asks for the first time.

    Places are wanted only where something is to be said, and kept for everything they would take
    more room than the values.

    Args:
        file: the name of the file in messages.
        find: reads the file again; one row for each container, in the order they begin.

    """

    __slots__ = ("_find", "_marks", "_rows", "file")

    def __init__(self, file: str, find: Callable[[], Sequence[Row]]) -> None:
        self.file = file
        self._find = find
        self._rows: Sequence[Row] | None = None
        self._marks: dict[int, dict[str, tuple[int, int, int, int]]] = {}

    def row(self, number: int) -> Row:
        """Places of what is in one container; fewer than there are if the file was left before."""
        if self._rows is None:
            self._rows = self._find()
        return self._rows[number] if number < len(self._rows) else ()

    def marks(self, node: "MappingNode") -> dict[str, tuple[int, int, int, int]]:
        """Places of a mapping by key."""
        if len(node) <= _FEW:
            return self._by_key(node)
        known = self._marks.get(node.number)
        if known is None or len(known) != len(node):
            known = self._marks[node.number] = self._by_key(node)
        return known

    def _by_key(self, node: "MappingNode") -> dict[str, tuple[int, int, int, int]]:
        numbers = iter(self.row(node.number))
        return dict(zip(node, zip(numbers, numbers, numbers, numbers, strict=True), strict=False))


class MappingNode(dict[str, Any]):
    """A mapping from a file that knows where its keys and values stand.

    It compares, iterates and prints as the dict it is. Whoever makes one sets `places` and
    `number`, which says what container of the file it is. Not to be changed once it is read.
    """

    __slots__ = ("number", "places")

    number: int
    places: Places

    @property
    def file(self) -> str:
        """The file it is from."""
        return self.places.file

    @property
    def marks(self) -> dict[str, tuple[int, int, int, int]]:
        """`(key_line, key_column, line, column)` of each key and its value, counted from 1."""
        return self.places.marks(self)

    def key_source(self, key: str) -> Source:
        """Where the key itself is written; KeyError if it is not."""
        line, column, _, _ = self.marks[key]
        return Source(self.file, line, column)

    def value_source(self, key: str) -> Source:
        """Where the key's value starts; KeyError if it is not there."""
        _, _, line, column = self.marks[key]
        return Source(self.file, line, column)


class SequenceNode(list[Any]):
    """A sequence from a file; made as a MappingNode is."""

    __slots__ = ("number", "places")

    number: int
    places: Places

    @property
    def file(self) -> str:
        """The file it is from."""
        return self.places.file

    def value_source(self, index: int) -> Source:
        """Where item `index` starts; IndexError if there is none."""
        row = self.places.row(self.number)
        return Source(self.file, row[2 * index], row[2 * index + 1])


def value_place(document: Any, path: Sequence[str | int], otherwise: _Else) -> Source | _Else:
    """Where the value of a path starts; of its deepest written part, if it is not there.

    `otherwise` where not even the first step is written, or the document is from no file.
    """
    node = document
    place: Source | _Else = otherwise
    for step in path:
        if isinstance(node, MappingNode) and step in node:
            place = node.value_source(str(step))
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node):
            place = node.value_source(step)
        else:
            break
        node = node[step]
    return place


def bare(value: Any) -> Any:
    """A copy in plain dicts and lists, which know no places."""
    if isinstance(value, Mapping):
        return {name: bare(item) for name, item in value.items()}
    return [bare(item) for item in value] if isinstance(value, list) else value
