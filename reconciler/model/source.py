"""Locate values in files: sources, and containers that know the sources of their items."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from reconciler.lazy_dataclass import dataclass

Row = Sequence[int]
"""Positions of one container's items: four numbers per key, two per item of a list."""

_Else = TypeVar("_Else")
_FEW: Final = 16  # positions of so few keys are computed each time, and not kept


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Hold a position in a file: `file:line:column`, both counted from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Document(NamedTuple):
    """Hold one document of a file. `value` consists of MappingNode, SequenceNode and scalars."""

    value: Any
    source: Source


class Places:
    """Know the position of everything in one file, computed when it is first needed.

    Positions are needed only for messages, and would take more memory than the values.

    Args:
        file: the name of the file in messages.
        read_rows: reads the file again; returns a row per container, in the order they begin.
        read_values: reads the documents of the file again, with these places; None: it cannot.

    `can_read_values` is whether a mapping of the file can be read again.

    """

    __slots__ = (
        "_marks",
        "_nodes",
        "_read_rows",
        "_read_values",
        "_rows",
        "can_read_values",
        "file",
    )

    def __init__(
        self,
        file: str,
        read_rows: Callable[[], Sequence[Row]],
        read_values: Callable[["Places"], Sequence[Document]] | None = None,
    ) -> None:
        self.file = file
        self._read_rows = read_rows
        self._read_values = read_values
        self.can_read_values = read_values is not None
        self._rows: Sequence[Row] | None = None
        self._nodes: dict[int, MappingNode] = {}
        self._marks: dict[int, dict[str, tuple[int, int, int, int]]] = {}

    def read_mapping(self, number: int) -> "MappingNode":
        """Return a mapping of the file, which is read again the first time."""
        if not self._nodes and self._read_values is not None:
            self._nodes = dict(_list_mappings(self._read_values(self)))
        return self._nodes[number]

    def get_row(self, number: int) -> Row:
        """Return the positions in one container; fewer than its items if the file has changed."""
        if self._rows is None:
            self._rows = self._read_rows()
        return self._rows[number] if number < len(self._rows) else ()

    def get_marks(self, node: "MappingNode") -> dict[str, tuple[int, int, int, int]]:
        """Return the positions of a mapping by key."""
        if len(node) <= _FEW:
            return self._map_by_key(node)
        known = self._marks.get(node.number)
        if known is None or len(known) != len(node):
            known = self._marks[node.number] = self._map_by_key(node)
        return known

    def _map_by_key(self, node: "MappingNode") -> dict[str, tuple[int, int, int, int]]:
        numbers = iter(self.get_row(node.number))
        return dict(zip(node, zip(numbers, numbers, numbers, numbers, strict=True), strict=False))


class MappingNode(dict[str, Any]):
    """Hold a mapping from a file, with the positions of its keys and values.

    It compares, iterates and prints as a dict. The code that makes one sets `places` and `number`,
    the index of the container in its file. It must not be changed after it is read.
    """

    __slots__ = ("number", "places")

    number: int
    places: Places

    @property
    def file(self) -> str:
        """Return the file that it is from."""
        return self.places.file

    @property
    def marks(self) -> dict[str, tuple[int, int, int, int]]:
        """Return `(key_line, key_column, line, column)` of each key and value, counted from 1."""
        return self.places.get_marks(self)

    def key_source(self, key: str) -> Source:
        """Return the position of the key itself; raise KeyError if it is not written."""
        line, column, _, _ = self.marks[key]
        return Source(self.file, line, column)

    def value_source(self, key: str) -> Source:
        """Return the position of the key's value; raise KeyError if it is not written."""
        _, _, line, column = self.marks[key]
        return Source(self.file, line, column)


def _list_mappings(documents: Sequence[Document]) -> Iterator[tuple[int, MappingNode]]:
    """Yield every mapping in some documents, with its number in the file."""
    nodes = [document.value for document in documents]
    while nodes:
        node = nodes.pop()
        if isinstance(node, MappingNode):
            yield node.number, node
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)


class WrittenMapping:
    """Hold a mapping as it is in a file. Once released, it is read from the file when needed.

    Most resources of a run do not change, and nobody asks where their fields are written.
    """

    __slots__ = ("_node", "_number", "_places")

    def __init__(self, node: Mapping[str, Any]) -> None:
        self._node: Mapping[str, Any] | None = node
        self._places: Places | None = None
        if node.__class__ is MappingNode and node.places.can_read_values:  # others are not in files
            self._places, self._number = node.places, node.number

    @property
    def node(self) -> Mapping[str, Any]:
        """Return the mapping."""
        if self._node is not None:
            return self._node
        assert self._places is not None  # noqa: S101  only then it is released
        return self._places.read_mapping(self._number)

    def release(self) -> None:
        """Give the mapping up if it can be read again."""
        if self._places is not None:
            self._node = None


class SequenceNode(list[Any]):
    """Hold a sequence from a file, with the positions of its items; made like a MappingNode."""

    __slots__ = ("number", "places")

    number: int
    places: Places

    @property
    def file(self) -> str:
        """Return the file that it is from."""
        return self.places.file

    def value_source(self, index: int) -> Source:
        """Return the position of item `index`; raise IndexError if there is none."""
        row = self.places.get_row(self.number)
        return Source(self.file, row[2 * index], row[2 * index + 1])


def locate_value(document: Any, path: Sequence[str | int], otherwise: _Else) -> Source | _Else:
    """Return the position of the value at a path, or of its deepest written part.

    Return `otherwise` if not even the first step is written, or the document is not from a file.
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


def strip_positions(value: Any) -> Any:
    """Return a copy in plain dicts and lists, without positions."""
    if isinstance(value, Mapping):
        return {name: strip_positions(item) for name, item in value.items()}
    return [strip_positions(item) for item in value] if isinstance(value, list) else value
