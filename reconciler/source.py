"""Where a value stands in a file: places, and containers that know the places of their items."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A place in a file: `file:line:column`, both counted from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class MappingNode(dict[str, Any]):
    """A mapping from a file that knows where its keys and values stand.

    It compares, iterates and prints as the dict it is. `marks[key]` is
    `(key_line, key_column, line, column)` of that key and its value, counted from 1.
    """

    __slots__ = ("file", "marks", "origins")

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.marks: dict[str, tuple[int, int, int, int]] = {}
        self.origins: dict[str, str] | None = None  # key -> file, where overlays were merged in

    def key_source(self, key: str) -> Source:
        """Where the key itself is written; KeyError if it is not."""
        line, column, _, _ = self.marks[key]
        return Source(self._file(key), line, column)

    def value_source(self, key: str) -> Source:
        """Where the key's value starts; KeyError if it is not there."""
        _, _, line, column = self.marks[key]
        return Source(self._file(key), line, column)

    def _file(self, key: str) -> str:
        return self.origins.get(key, self.file) if self.origins else self.file


class SequenceNode(list[Any]):
    """A sequence from a file; `marks[i]` is `(line, column)` of item i, counted from 1."""

    __slots__ = ("file", "marks")

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.marks: list[tuple[int, int]] = []

    def value_source(self, index: int) -> Source:
        """Where item `index` starts; IndexError if there is none."""
        line, column = self.marks[index]
        return Source(self.file, line, column)
