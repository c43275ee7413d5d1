"""Changes to one document, made where they stand in its text: every other byte stays.

Works on the places of a composed document; whoever calls it reads the result back and compares.
What cannot be done so, such as a list that stands on the line of another, raises CannotError.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.config.edit import emitter
from reconciler.model import Path

_COMMENT: Final = re.compile(r"[ \t]+#[^\n]*")
_COLON: Final = re.compile(r"[ \t]*:")


class CannotError(Exception):
    """The text is laid out in a way that is not understood here."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change inside a mapping or list, by its keys and places before any change.

    Args:
        inside: the path of the mapping or list.
        what: `set` or `drop` what is there, `add` a key, `insert` an item before a place.
        at: the key or the place.
        value: what it is to be.

    """

    inside: Path
    what: str
    at: str | int
    value: Any = None


@dataclass(frozen=True, slots=True)
class _Part:
    """One entry of a mapping or item of a list."""

    key: Any  # the node of the key; None for an item
    node: Any
    line: int  # of the key or the dash
    last: int  # of what it holds
    start: int  # offsets, between brackets
    end: int


def splice(root: Any, text: str, changes: Iterable[Change], final: Any) -> str:
    """The text with every change made; `root` is its composed document, `final` what it means then.

    Raises CannotError, also where places do not fit.
    """
    grouped: dict[Path, list[Change]] = defaultdict(list)
    for change in changes:
        grouped[change.inside].append(change)
    whole = text if text.endswith("\n") else f"{text}\n"
    made = _Splices(whole, root)
    try:
        for path in sorted(grouped, key=len, reverse=True):  # what ends at one place, inner first
            made.change(path, grouped[path], final)
    except (LookupError, AttributeError, TypeError, ValueError) as problem:
        raise CannotError(str(problem)) from problem
    found = made.text()
    return found if text.endswith("\n") else found.removesuffix("\n")


@dataclass(slots=True)
class _Splices:
    """The text, its document, and what is exchanged: start, end, other text."""

    whole: str
    root: Any
    starts: list[int] = field(default_factory=list)  # of lines
    found: list[tuple[int, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\n", self.whole))]

    def text(self) -> str:
        """Everything exchanged, from the end to the start."""
        text, before = self.whole, len(self.whole)
        self.found.sort(key=lambda one: one[:2])  # of the same place in the order they came
        for start, end, other in reversed(self.found):
            if end > before:
                raise CannotError("two changes overlap")
            text, before = f"{text[:start]}{other}{text[end:]}", start
        return text

    def change(self, path: Path, changes: list[Change], final: Any) -> None:
        """All changes inside one mapping or list."""
        node = self.root
        for step in path:
            node = self._child(node, step)
        parts = list(self._parts(node))
        dropped = {one.at for one in changes if one.what == "drop"}
        if len(dropped) == len(parts):
            self._whole(path, final)
            return
        if node.flow_style:
            _Flow(self, node, parts).change(changes)
        else:
            _Block(self, node, parts).change(changes)

    def put(self, start: int, end: int, other: str) -> None:
        """Exchange a piece of the text."""
        self.found.append((start, end, other))

    def after(self, line: int) -> int:
        """Where the line after this one starts; the end of the text for the last."""
        return self.starts[line + 1] if line + 1 < len(self.starts) else len(self.whole)

    def _whole(self, path: Path, final: Any) -> None:
        """A container of which nothing stays: its entry is written again."""
        value = final
        for step in path:
            value = value[step]
        parent = self.root
        for step in path[:-1]:
            parent = self._child(parent, step)
        one = Change(path[:-1], "set", path[-1], value)
        parts = list(self._parts(parent))
        (_Flow if parent.flow_style else _Block)(self, parent, parts).change([one])

    def _child(self, node: Any, step: str | int) -> Any:
        child = (
            node.value[step]
            if isinstance(step, int)
            else next(value for key, value in node.value if key.value == step)
        )
        if child.anchor is not None:
            raise CannotError("an anchor is shared")
        return child

    def _parts(self, node: Any) -> Iterator[_Part]:
        """Entries or items with their lines."""
        column, line = node.start_mark.column, node.start_mark.line
        for one in node.value:
            key, value = one if isinstance(one, tuple) else (None, one)
            if value.anchor is not None:
                raise CannotError("an anchor is shared")
            if node.flow_style:
                first = key or value
                start, end = first.start_mark.index, max(value.end_mark.index, self.colon(key))
                yield _Part(key, value, first.start_mark.line, value.end_mark.line, start, end)
                continue
            line = key.start_mark.line if key is not None else self._dash(line, column)
            last = self.last(value, line)
            yield _Part(key, value, line, last, 0, 0)
            line = last + 1

    def colon(self, key: Any) -> int:
        """The offset after the colon of a key; 0 for no key."""
        if key is None:
            return 0
        found = _COLON.match(self.whole, key.end_mark.index)
        if found is None:
            raise CannotError("a key without its colon")
        return found.end()

    def _dash(self, line: int, column: int) -> int:
        """The next line with a dash in this column."""
        while self.whole[self.starts[line] + column] != "-":
            line += 1
        return line

    def last(self, node: Any, line: int) -> int:
        """The last line of what a node holds; `line` is that of its key or dash."""
        if isinstance(node.value, str):
            if node.start_mark.index == node.end_mark.index:
                return line  # nothing is written: the mark is that of what follows
            end: int = node.end_mark.line
            if node.style in {"|", ">"}:
                end -= node.end_mark.column == 0
                while end > line and not self.line(end).strip():
                    end -= 1
            return end
        if node.flow_style or not node.value:
            return int(node.end_mark.line)
        return [part.last for part in self._parts(node)][-1]

    def line(self, number: int) -> str:
        """One line, without its end."""
        return self.whole[self.starts[number] : self.after(number)].rstrip("\n")

    def is_alone(self, line: int, column: int) -> bool:
        """Whether nothing stands before a column of a line."""
        return not self.line(line)[:column].strip()


@dataclass(frozen=True, slots=True)
class _Flow:
    """A mapping or list between brackets that is not empty."""

    splices: _Splices
    node: Any
    parts: list[_Part]

    def change(self, changes: list[Change]) -> None:
        """Drop, set, add and insert."""
        index = {part.key.value if part.key else n: n for n, part in enumerate(self.parts)}
        gone = {index[one.at] for one in changes if one.what == "drop"}
        tail = len(self.parts)
        while tail - 1 in gone:
            tail -= 1
        for number in sorted(one for one in gone if one < tail):
            part, follows = self.parts[number], self.parts[number + 1]
            gap = self.splices.whole[part.end : follows.start]
            upto = follows.start if "#" not in gap else part.end + gap.index(",") + 1
            self.splices.put(part.start, upto, "")
        end = self.parts[-1].end
        if tail < len(self.parts):
            self.splices.put(self.parts[tail - 1].end if tail else self.parts[0].start, end, "")
        comma = ", " if tail else ""
        for one in changes:
            value = emitter.flow(one.value)
            if one.what == "set":
                self._set(self.parts[index[one.at]], value)
            elif one.what == "insert" and isinstance(one.at, int) and one.at < tail:
                start = self.parts[one.at].start
                self.splices.put(start, start, f"{value}, ")
            elif one.what in {"add", "insert"}:
                key = f"{emitter.scalar(one.at, flow=True)}: " if one.what == "add" else ""
                self.splices.put(end, end, f"{comma}{key}{value}")
                comma = ", "

    def _set(self, part: _Part, value: str) -> None:
        node = part.node
        if node.start_mark.index == node.end_mark.index and not node.value:
            colon = self.splices.colon(part.key)
            self.splices.put(colon, colon, f" {value}")
        else:
            self.splices.put(node.start_mark.index, node.end_mark.index, value)


@dataclass(frozen=True, slots=True)
class _Block:
    """A mapping or list in lines that is not empty."""

    splices: _Splices
    node: Any
    parts: list[_Part]

    def change(self, changes: list[Change]) -> None:
        """Drop, set, add and insert."""
        index = {part.key.value if part.key else n: n for n, part in enumerate(self.parts)}
        self._drop({index[one.at] for one in changes if one.what == "drop"})
        for one in changes:
            if one.what == "set":
                self._set(self.parts[index[one.at]], one)
        grown: dict[int, list[str]] = defaultdict(list)
        for one in changes:
            if one.what == "add":
                grown[len(self.parts)] += emitter.entry(str(one.at), one.value, self._indent)
            elif one.what == "insert":
                grown[int(one.at)] += emitter.block([one.value], self._indent)
        for at, lines in grown.items():
            place = self._place(at)
            self.splices.put(place, place, "".join(f"{line}\n" for line in lines))

    @property
    def _column(self) -> int:
        return int(self.node.start_mark.column)

    @property
    def _indent(self) -> str:
        return " " * self._column

    def _place(self, at: int) -> int:
        """Where the lines of something new start."""
        if at:
            return self.splices.after(self.parts[at - 1].last)
        first = self.parts[0]
        if not self.splices.is_alone(first.line, self._column):
            raise CannotError("it stands on the line of another")
        return self.splices.starts[first.line]

    def _drop(self, gone: set[int]) -> None:
        """Whole lines; what stands behind the dash of a list leaves the dash to what follows."""
        first = 0
        if 0 in gone and not self.splices.is_alone(self.parts[0].line, self._column):
            first = next(number for number in range(len(self.parts)) if number not in gone)
            follows, last = self.parts[first], self.parts[first - 1].last
            start = self._start(self.parts[0])
            if follows.line == last + 1:
                self.splices.put(start, self._start(follows), "")
            else:  # a comment stands between: the dash keeps its line
                self.splices.put(start, self.splices.after(last) - 1, "")
        for number in sorted(one for one in gone if one >= first):
            part = self.parts[number]
            self.splices.put(self.splices.starts[part.line], self.splices.after(part.last), "")

    def _start(self, part: _Part) -> int:
        """The offset of a key or a dash."""
        return self.splices.starts[part.line] + self._column

    def _set(self, part: _Part, change: Change) -> None:
        """A plain value where it stands; anything else as if it were new, its comment kept."""
        node, value = part.node, change.value
        plain = isinstance(node.value, str) and node.style not in {"|", ">"}
        if plain and not isinstance(value, Mapping | list):
            other = emitter.scalar(value, flow=True)
            start, end = node.start_mark.index, node.end_mark.index
            if start == end:
                start = end = self._opening(part)
                other = f" {other}"
            self.splices.put(start, end, other)
            return
        if part.key is None:
            lines = emitter.block([value], self._indent)
        else:
            lines = emitter.entry(part.key.value, value, self._indent)
        end = self.splices.after(part.last) - 1
        opened = self._opening(part) if part.last > part.line else node.end_mark.index
        comment = _COMMENT.match(self.splices.whole, opened)
        first, *rest = lines
        kept = comment[0] if comment else ""
        other = "\n".join([first[self._column :] + kept, *rest])
        self.splices.put(self._start(part), end, other)

    def _opening(self, part: _Part) -> int:
        """The offset after the colon or the dash."""
        if part.key is not None:
            return self.splices.colon(part.key)
        return self._start(part) + 1
