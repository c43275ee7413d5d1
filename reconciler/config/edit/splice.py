"""Edit the text of one document in place: every other byte stays.

Uses the marks of a composed document; the caller reads the result back and compares. An edit that
cannot be made so, for example in a list that starts on the line of another, raises CannotEditError.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from reconciler.config.edit import emitter
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import Path

_COMMENT: Final = compile_later(r"[ \t]+#[^\n]*")
_COLON: Final = compile_later(r"[ \t]*:")


class CannotEditError(Exception):
    """The document cannot be edited without changing more than was meant."""


@dataclass(frozen=True, slots=True)
class TextEdit:
    """One edit inside a mapping or list, by keys and positions as they are before any edit.

    Args:
        container: the path of the mapping or list.
        action: `set` or `drop` a value, `add` a key, `insert` an item before a position.
        at: the key or the position.
        value: the new value.

    """

    container: Path
    action: str
    at: str | int
    value: Any = None


@dataclass(frozen=True, slots=True)
class _Part:
    """One entry of a mapping or item of a list."""

    key: Any  # the node of the key; None for an item
    node: Any
    line: int  # of the key or the dash
    last: int  # line of its value
    start: int  # offsets, only between brackets
    end: int


def splice_edits(root: Any, text: str, edits: Iterable[TextEdit], final: Any) -> str:
    """Return the text with every edit made.

    Args:
        root: the composed document.
        text: its text.
        edits: what to change.
        final: the value of the document after all edits.

    Raises CannotEditError, also where positions do not fit.

    """
    grouped: dict[Path, list[TextEdit]] = defaultdict(list)
    for edit in edits:
        grouped[edit.container].append(edit)
    whole = text if text.endswith("\n") else f"{text}\n"
    splices = _Splices(whole, root)
    try:
        for path in sorted(grouped, key=len, reverse=True):  # containers may end at one offset
            splices.edit_container(path, grouped[path], final)
    except (LookupError, AttributeError, TypeError, ValueError) as problem:
        raise CannotEditError(f"its layout is not supported: {problem}") from problem
    edited = splices.join_text()
    return edited if text.endswith("\n") else edited.removesuffix("\n")


@dataclass(slots=True)
class _Splices:
    """The text, its document, and the replacements: start, end, new text."""

    whole: str
    root: Any
    line_starts: list[int] = field(default_factory=list)
    replacements: list[tuple[int, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", self.whole))]

    def join_text(self) -> str:
        """Return the text with all replacements, which are made from the end to the start."""
        text, limit = self.whole, len(self.whole)
        # Replacements at one offset keep the order in which they were added.
        self.replacements.sort(key=lambda replacement: replacement[:2])
        for start, end, new in reversed(self.replacements):
            if end > limit:
                raise CannotEditError("two edits overlap")
            text, limit = f"{text[:start]}{new}{text[end:]}", start
        return text

    def edit_container(self, path: Path, edits: list[TextEdit], final: Any) -> None:
        """Make all edits inside one mapping or list."""
        node = self.root
        for step in path:
            node = self._find_child(node, step)
        parts = list(self._list_parts(node))
        dropped = {edit.at for edit in edits if edit.action == "drop"}
        if len(dropped) == len(parts):
            self._replace_container(path, final)
            return
        if node.flow_style:
            _Flow(self, node, parts).make_edits(edits)
        else:
            _Block(self, node, parts).make_edits(edits)

    def replace(self, start: int, end: int, new: str) -> None:
        """Note a replacement of a piece of the text."""
        self.replacements.append((start, end, new))

    def find_next_line_start(self, line: int) -> int:
        """Return where the line after this one starts; the end of the text for the last."""
        is_last = line + 1 >= len(self.line_starts)
        return len(self.whole) if is_last else self.line_starts[line + 1]

    def _replace_container(self, path: Path, final: Any) -> None:
        """Write the entry of a container again if none of its parts stays."""
        value = final
        for step in path:
            value = value[step]
        parent = self.root
        for step in path[:-1]:
            parent = self._find_child(parent, step)
        edit = TextEdit(path[:-1], "set", path[-1], value)
        parts = list(self._list_parts(parent))
        (_Flow if parent.flow_style else _Block)(self, parent, parts).make_edits([edit])

    def _find_child(self, node: Any, step: str | int) -> Any:
        child = (
            node.value[step]
            if isinstance(step, int)
            else next(value for key, value in node.value if key.value == step)
        )
        if child.anchor is not None:
            raise CannotEditError("an alias shares the value with another place")
        return child

    def _list_parts(self, node: Any) -> Iterator[_Part]:
        """Yield entries or items with their lines."""
        column, line = node.start_mark.column, node.start_mark.line
        for child in node.value:
            key, value = child if isinstance(child, tuple) else (None, child)
            if value.anchor is not None:
                raise CannotEditError("an alias shares the value with another place")
            if node.flow_style:
                first = key or value
                start = first.start_mark.index
                end = max(value.end_mark.index, self.find_colon_end(key))
                yield _Part(key, value, first.start_mark.line, value.end_mark.line, start, end)
                continue
            line = key.start_mark.line if key is not None else self._find_dash(line, column)
            last = self.find_last_line(value, line)
            yield _Part(key, value, line, last, 0, 0)
            line = last + 1

    def find_colon_end(self, key: Any) -> int:
        """Return the offset after the colon of a key; 0 without a key."""
        if key is None:
            return 0
        colon = _COLON.match(self.whole, key.end_mark.index)
        if colon is None:
            raise CannotEditError("a key is not followed by its colon")
        return colon.end()

    def _find_dash(self, line: int, column: int) -> int:
        """Return the next line with a dash in this column."""
        while self.whole[self.line_starts[line] + column] != "-":
            line += 1
        return line

    def find_last_line(self, node: Any, line: int) -> int:
        """Return the last line of a value; `line` is that of its key or dash."""
        if isinstance(node.value, str):
            if node.start_mark.index == node.end_mark.index:
                return line  # an empty value: its mark may be that of the next token
            end: int = node.end_mark.line
            if node.style in {"|", ">"}:
                end -= node.end_mark.column == 0
                while end > line and not self.read_line(end).strip():
                    end -= 1
            return end
        if node.flow_style or not node.value:
            return int(node.end_mark.line)
        return [part.last for part in self._list_parts(node)][-1]

    def read_line(self, number: int) -> str:
        """Return one line, without its line break."""
        return self.whole[self.line_starts[number] : self.find_next_line_start(number)].rstrip("\n")

    def is_first_on_line(self, line: int, column: int) -> bool:
        """Return whether there is nothing before a column of a line."""
        return not self.read_line(line)[:column].strip()


@dataclass(frozen=True, slots=True)
class _Flow:
    """A mapping or list between brackets that is not empty."""

    splices: _Splices
    node: Any
    parts: list[_Part]

    def make_edits(self, edits: list[TextEdit]) -> None:
        """Drop, set, add and insert."""
        index = {part.key.value if part.key else n: n for n, part in enumerate(self.parts)}
        dropped = {index[edit.at] for edit in edits if edit.action == "drop"}
        tail = len(self.parts)
        while tail - 1 in dropped:
            tail -= 1
        for number in sorted(number for number in dropped if number < tail):
            part, follower = self.parts[number], self.parts[number + 1]
            gap = self.splices.whole[part.end : follower.start]
            upto = follower.start if "#" not in gap else part.end + gap.index(",") + 1
            self.splices.replace(part.start, upto, "")
        end = self.parts[-1].end
        if tail < len(self.parts):
            kept_end = self.parts[tail - 1].end if tail else self.parts[0].start
            self.splices.replace(kept_end, end, "")
        comma = ", " if tail else ""
        for edit in edits:
            value = emitter.format_flow(edit.value)
            if edit.action == "set":
                self._set_value(self.parts[index[edit.at]], value)
            elif edit.action == "insert" and isinstance(edit.at, int) and edit.at < tail:
                start = self.parts[edit.at].start
                self.splices.replace(start, start, f"{value}, ")
            elif edit.action in {"add", "insert"}:
                is_add = edit.action == "add"
                key = f"{emitter.format_scalar(edit.at, flow=True)}: " if is_add else ""
                self.splices.replace(end, end, f"{comma}{key}{value}")
                comma = ", "

    def _set_value(self, part: _Part, value: str) -> None:
        node = part.node
        if node.start_mark.index == node.end_mark.index and not node.value:
            colon = self.splices.find_colon_end(part.key)
            self.splices.replace(colon, colon, f" {value}")
        else:
            self.splices.replace(node.start_mark.index, node.end_mark.index, value)


@dataclass(frozen=True, slots=True)
class _Block:
    """A mapping or list in block style that is not empty."""

    splices: _Splices
    node: Any
    parts: list[_Part]

    def make_edits(self, edits: list[TextEdit]) -> None:
        """Drop, set, add and insert."""
        index = {part.key.value if part.key else n: n for n, part in enumerate(self.parts)}
        self._drop_parts({index[edit.at] for edit in edits if edit.action == "drop"})
        for edit in edits:
            if edit.action == "set":
                self._set_value(self.parts[index[edit.at]], edit)
        new_lines: dict[int, list[str]] = defaultdict(list)
        for edit in edits:
            if edit.action == "add":
                entry = emitter.format_entry(str(edit.at), edit.value, self._indent)
                new_lines[len(self.parts)] += entry
            elif edit.action == "insert":
                new_lines[int(edit.at)] += emitter.format_block([edit.value], self._indent)
        for at, lines in new_lines.items():
            offset = self._find_insertion_offset(at)
            self.splices.replace(offset, offset, "".join(f"{line}\n" for line in lines))

    @property
    def _column(self) -> int:
        return int(self.node.start_mark.column)

    @property
    def _indent(self) -> str:
        return " " * self._column

    def _find_insertion_offset(self, at: int) -> int:
        """Return the offset at which the lines of a new part start."""
        if at:
            return self.splices.find_next_line_start(self.parts[at - 1].last)
        first = self.parts[0]
        if not self.splices.is_first_on_line(first.line, self._column):
            raise CannotEditError("a list starts on the line of another")
        return self.splices.line_starts[first.line]

    def _drop_parts(self, dropped: set[int]) -> None:
        """Remove whole lines; the first part on the line of a dash leaves the dash to the next."""
        first = 0
        first_line = self.parts[0].line
        if 0 in dropped and not self.splices.is_first_on_line(first_line, self._column):
            first = next(number for number in range(len(self.parts)) if number not in dropped)
            follower, last = self.parts[first], self.parts[first - 1].last
            start = self._find_part_start(self.parts[0])
            if follower.line == last + 1:
                self.splices.replace(start, self._find_part_start(follower), "")
            else:  # there is a comment between them: the dash keeps its line
                self.splices.replace(start, self.splices.find_next_line_start(last) - 1, "")
        for number in sorted(number for number in dropped if number >= first):
            part = self.parts[number]
            end = self.splices.find_next_line_start(part.last)
            self.splices.replace(self.splices.line_starts[part.line], end, "")

    def _find_part_start(self, part: _Part) -> int:
        """Return the offset of a key or a dash."""
        return self.splices.line_starts[part.line] + self._column

    def _set_value(self, part: _Part, edit: TextEdit) -> None:
        """Replace a plain value in place; write any other as if it were new, with its comment."""
        node, value = part.node, edit.value
        is_plain = isinstance(node.value, str) and node.style not in {"|", ">"}
        if is_plain and not isinstance(value, Mapping | list):
            new = emitter.format_scalar(value, flow=True)
            start, end = node.start_mark.index, node.end_mark.index
            if start == end:
                start = end = self._find_value_start(part)
                new = f" {new}"
            self.splices.replace(start, end, new)
            return
        if part.key is None:
            lines = emitter.format_block([value], self._indent)
        else:
            lines = emitter.format_entry(part.key.value, value, self._indent)
        end = self.splices.find_next_line_start(part.last) - 1
        header_end = self._find_value_start(part) if part.last > part.line else node.end_mark.index
        comment = _COMMENT.match(self.splices.whole, header_end)
        first, *following = lines
        new = "\n".join([first[self._column :] + (comment[0] if comment else ""), *following])
        self.splices.replace(self._find_part_start(part), end, new)

    def _find_value_start(self, part: _Part) -> int:
        """Return the offset after the colon or the dash."""
        if part.key is not None:
            return self.splices.find_colon_end(part.key)
        return self._find_part_start(part) + 1
