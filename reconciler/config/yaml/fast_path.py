"""Read YAML as most people write it, line by line: five times as fast as libyaml's events.

Mappings and lists in block style, lists and mappings of one line in brackets, text of one line or
more, comments. Everything else, and every error, is left to `events`: the result is None for
the whole file then. Any other result equals that of `events`.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from reconciler.config.yaml.scalars import MAY_BE_SPECIAL, resolve_scalar
from reconciler.config.yaml.shapes import ShapeCache, build_shape
from reconciler.files.text import MAX_DOCUMENTS, MAX_KNOWN_KEYS, MAX_NODES
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Document, MappingNode, Places, SequenceNode, Source

MAX_DOCUMENT: Final = 256 * 1024  # characters
MAX_OPEN: Final = 40  # blocks in each other; with MAX_BRACKETS less than MAX_DEPTH
MAX_BRACKETS: Final = 20
MAX_KNOWN: Final = 10_000
MAX_KNOWN_TEXT: Final = 60

_KEY: Final = (  # as written; quotes without escapes
    r"(?>[A-Za-z0-9_][A-Za-z0-9_.@/$+-]{0,99}"
    r'|"[ !#-\[\]-~]{1,100}"'
    r"|'[ -&(-~]{1,100}')"
)
_LINE: Final = re.compile(  # any line: indentation, dash and key, and the rest
    rf"( *+(?:- ++)?(?:{_KEY}:(?: ++(?!#)|(?: ++#.*)?(?=\n)))?)(.*)\n"
)
_BEGIN: Final = re.compile(rf"( *+)(- ++)?(?:({_KEY}):.*)?")
_FIRST: Final = r"(?:[^\x00- \-?:,\[\]{}#&*!|>'\"%@`]|-(?=[0-9A-Za-z.]))"
_PLAIN: Final = re.compile(rf"{_FIRST}[^:#]*+(?:(?::(?! )|(?<! )#)[^:#]*+)*+(?<!:)")
_QUOTED: Final = re.compile(r"""(?:"([^"\\]*+)"|'([^']*+(?:''[^']*+)*+)')(?: *+| ++#.*)""")
_ITEM: Final = rf"""(?>{_FIRST}(?:[^:#,\[\]{{}}]*[^:#,\[\]{{}} ])?|"[^"\\]*"|'[^']*')"""
_WORD: Final = re.compile(_KEY)
_SIMPLE: Final = re.compile(r"""\[[^][{}"'#]*+\]|\{[^][{}"'#]*+\}""")  # nothing special inside
_TOKEN: Final = re.compile(rf" *+(?:([\[\]{{}},])|({_KEY}):(?= )|({_ITEM}))")
_MARKS: Final = MAY_BE_SPECIAL | {*map(chr, range(33)), *"-?:,[]{}#&*!|>'\"%@`"}
_AFTER: Final = re.compile(r" *+| ++#.*")

_Line = tuple[str, str]  # its beginning, and the rest
_Begin = tuple[int, int, bool, str | None]  # column, that of the key, whether with a dash, key

_begins: Final[dict[str, _Begin]] = {}  # as written -> what it says
_keys: Final[dict[str, str]] = {}  # as written -> key: every key of every file once


class _NotSimple(Exception):  # noqa: N818  never leaves this module
    """The text is not simple, or has an error."""


@dataclass(slots=True)
class _Brackets:
    """A list or mapping in brackets, which becomes a new container wherever it is written."""

    written: str
    container: Any  # its class
    flat: Any  # its items or fields; None: there are brackets in it


class _Values(dict[str, Any]):
    """The value of the rest of a line, as written; a list or mapping is `_Brackets`."""

    def __missing__(self, written: str) -> Any:
        value: Any = written
        if not written or written[0] in _MARKS or ":" in written or "#" in written:
            value = _parse_value(written)
        elif written[-1] == " ":
            value = written.rstrip(" ")
        if len(written) <= MAX_KNOWN_TEXT:
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[written] = value
        return value


_values: Final = _Values()
_find_value: Final = _values.__getitem__  # faster than brackets, as for any subclass of dict
_make_document: Final = partial(tuple.__new__, Document)  # faster than the class itself
_shapes: Final = ShapeCache()


def read_documents(text: str, places: Places) -> list[Document] | None:
    """Return every document of a file; None if it needs `events`."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    text = f"\n{text}" if text.endswith("\n") else f"\n{text}\n"
    if any(mark in text for mark in ("\r", "\t", "\ufeff")) or ("%" in text and "\n%" in text):
        return None
    if len(text) > 4 * MAX_DOCUMENTS and text.count("\n---") >= MAX_DOCUMENTS:
        return None
    if len(text) > MAX_NODES and sum(map(text.count, ("\n", "- ", ",", "[", "{"))) > MAX_NODES:
        return None  # there may be more values than that
    try:
        return list(_Reader(places).read(text))
    except _NotSimple:
        return None


def _find_end(text: str, at: int) -> int:
    """Return the offset after the document that begins at a line, or after its `---`."""
    end = text.find("\n---", at)
    while end >= 0 and text[end + 4] not in " \n":
        end = text.find("\n---", end + 4)
    return end + 1 or len(text)


def _find_first_line(rows: Sequence[_Line]) -> int | None:
    """Return the first line of a document that is not empty."""
    for at, (begin, rest) in enumerate(rows):
        column, _, dash, key = _begins[begin] if begin in _begins else _parse_beginning(begin)
        if key is not None or dash or (rest and rest[0] != "#"):
            if column or dash or key is None:
                raise _NotSimple
            return at
    return None


class _Reader:
    """Lines of documents in, values out; counts the containers of a file."""

    __slots__ = ("numbers", "places")

    def __init__(self, places: Places) -> None:
        self.places = places
        self.numbers = count()

    def read(self, text: str) -> Iterator[Document]:
        """Yield each document of a file that is not empty."""
        at, line = 1, 1  # the first character ends a line that is not in the file
        while at < len(text):
            value: MappingNode | None = None
            start, lines, end = 0, 0, at
            for shape in _shapes.known:
                if match := shape.pattern.match(text, at):
                    if shape is not _shapes.known[0]:
                        _shapes.prefer(shape)
                    try:
                        values = [*map(_find_value, match.groups())]
                    except _NotSimple:  # perhaps a mapping where others have text
                        break
                    start = 1 if text[at] == "-" else 0  # after the line of a `---`
                    lines, end = start + shape.lines, match.end()
                    value = shape.build(self, values)
                    break
            if value is None:
                begin = at + 3 if text.startswith("---", at) and text[at + 3] in " \n" else at
                end = _find_end(text, begin)
                start, lines, value = self.piece(text[begin:end])
            if value is not None:
                yield _make_document((value, Source(self.places.file, line + start)))
            at, line = end, line + lines

    def piece(self, text: str) -> tuple[int, int, MappingNode | None]:
        """Return first line, number of lines and value of a piece; None without a document."""
        if len(text) > MAX_DOCUMENT:
            raise _NotSimple
        rows = _LINE.findall(text)
        first = _find_first_line(rows)
        if first is None:
            return 0, len(rows), None
        inside = rows[first:] if first else rows
        value = self.document(inside)
        self.learn(inside)
        return first, len(rows), value

    def learn(self, rows: Sequence[_Line]) -> None:
        """Learn the shape of a document that was read, if many are like it."""
        beginnings = tuple(begin for begin, _ in rows)
        if not _shapes.is_worth(beginnings):
            return
        if all(key is not None or dash for _, _, dash, key in map(_parse_beginning, beginnings)):
            example = [(begin, "value" if rest else "") for begin, rest in rows]
            _shapes.learn(build_shape(rows, _Reader(self.places).document(example), _Brackets))

    def document(self, rows: Sequence[_Line]) -> MappingNode:  # noqa: C901, PLR0912  calls cost
        """Return the mapping of lines, of which the first has a key. The hot loop."""
        begins, find_value = _begins, _find_value
        root = self.mapping()
        node: Any = root
        column, is_map = 0, True
        outer: list[tuple[Any, int, bool]] = []  # the blocks that `node` is in
        last: Any = ""
        waiting, skip = False, 0  # waiting: the value of `last` is on the next lines
        for at, (begin, rest) in enumerate(rows):
            indent, inner, dash, key = begins[begin] if begin in begins else _parse_beginning(begin)
            if key is None and not dash:
                if at >= skip and rest and rest[0] != "#":
                    text, skip = _join_lines(rows, at, column)
                    node[last if is_map else -1] = text
                continue
            if waiting:
                waiting = False
                if indent > column or (dash and indent == column):
                    if len(outer) >= MAX_OPEN:
                        raise _NotSimple
                    outer.append((node, column, is_map))
                    node[last] = child = self.sequence() if dash else self.mapping()
                    node, column, is_map = child, indent, not dash
                else:
                    node[last] = None
            while indent < column:
                node, column, is_map = outer.pop()
            if dash:
                if is_map or indent != column or len(outer) >= MAX_OPEN:
                    raise _NotSimple
                if key is None:
                    value = find_value(rest)
                    node.append(self.container(value) if type(value) is _Brackets else value)
                    continue
                outer.append((node, column, False))
                node.append(child := self.mapping())
                node, column, is_map = child, inner, True
            elif not is_map:  # a list ends that stood as far left as its key
                node, column, is_map = outer.pop()
            if inner != column or key in node:
                raise _NotSimple
            if rest:
                value = find_value(rest)
                node[key] = self.container(value) if type(value) is _Brackets else value
            else:
                waiting = True
            last = key
        if waiting:
            node[last] = None
        return root

    def mapping(self) -> MappingNode:
        """Return a mapping, as the next container of the file."""
        node = MappingNode()
        node.places, node.number = self.places, next(self.numbers)
        return node

    def sequence(self) -> SequenceNode:
        """Return a list, as the next container of the file."""
        node = SequenceNode()
        node.places, node.number = self.places, next(self.numbers)
        return node

    def container(self, value: _Brackets) -> Any:
        """Return a list or mapping in brackets, as the next container of the file."""
        if value.flat is not None:
            node = value.container(value.flat)
            node.places, node.number = self.places, next(self.numbers)
            return node
        node, end = self.brackets(value.written, 0, 0)
        if _AFTER.fullmatch(value.written, end) is None:
            raise _NotSimple
        return node

    def brackets(self, text: str, at: int, depth: int) -> tuple[Any, int]:
        """Return the value of the brackets at an offset, and the offset after them."""
        if depth >= MAX_BRACKETS:
            raise _NotSimple
        is_map = text[at] == "{"
        node: Any = self.mapping() if is_map else self.sequence()
        partner, mark = "}" if is_map else "]", ","
        at += 1
        if (token := _TOKEN.match(text, at)) and token[1] == partner:
            return node, token.end()
        while mark == ",":
            word, at = _read_key(text, at) if is_map else ("", at)
            token = _match_token(text, at)
            at = token.end()
            if token[3]:
                value = _find_value(token[3])
            elif token[1] and token[1] in "[{":
                value, at = self.brackets(text, at - 1, depth + 1)
            else:
                raise _NotSimple
            if not is_map:
                node.append(value)
            elif word in node:
                raise _NotSimple
            else:
                node[word] = value
            token = _match_token(text, at)
            mark, at = token[1], token.end()
        if mark != partner:
            raise _NotSimple
        return node, at


def _match_token(text: str, at: int) -> re.Match[str]:
    token = _TOKEN.match(text, at)
    if token is None:
        raise _NotSimple
    return token


def _read_key(text: str, at: int) -> tuple[str, int]:
    """Return the key at an offset, and the offset after its colon."""
    token = _match_token(text, at)
    if not token[2]:
        raise _NotSimple
    return _unquote_key(token[2]), token.end()


def _read_flat(written: str) -> Any:
    """Return the values of a list or mapping of scalars; None for anything else."""
    if _SIMPLE.fullmatch(written) is None:
        return None
    inside = written[1:-1].split(",") if written[1:-1].strip(" ") else ()
    flat: Any = []
    if written[0] == "[":
        for part in inside:
            flat.append(_find_value(part.strip(" ")))
    else:
        flat = {}
        for part in inside:
            word, _, scalar = part.strip(" ").partition(": ")
            if word not in _keys and _WORD.fullmatch(word) is None:
                return None
            key = _unquote_key(word)
            if key in flat:
                return None
            flat[key] = _find_value(scalar.lstrip(" "))
    return flat


def _parse_beginning(written: str) -> _Begin:
    """Return what a line begins with: column, dash and key."""
    if (match := _BEGIN.fullmatch(written)) is None:
        raise _NotSimple  # cannot be: `_LINE` has cut it out
    indent, dash, word = match.groups(default="")
    key = _unquote_key(word) if word else None
    column = len(indent)
    begin = (column, column + len(dash), bool(dash), key)
    if len(written) <= MAX_KNOWN_TEXT:
        if len(_begins) >= MAX_KNOWN:
            _begins.clear()
        _begins[written] = begin
    return begin


def _unquote_key(word: str) -> str:
    """Return the text of a key as it is written."""
    if word in _keys:
        return _keys[word]
    key = word[1:-1] if word[0] in "\"'" else word
    if len(_keys) < MAX_KNOWN_KEYS:
        _keys[word] = key
    return key


def _parse_value(written: str) -> Any:
    """Return the value of the rest of a line."""
    if written[:1] == "[":
        return _Brackets(written, SequenceNode, _read_flat(written))
    if written[:1] == "{":
        return _Brackets(written, MappingNode, _read_flat(written))
    return _parse_scalar(written)


def _parse_scalar(written: str) -> Any:
    """Return the value of a scalar, which may have a comment after it."""
    first = written[:1]
    if first in {'"', "'"}:
        match = _QUOTED.fullmatch(written)
        if match is None:
            raise _NotSimple
        value: Any = match[1] if match[1] is not None else match[2].replace("''", "'")
    else:
        value = _parse_plain(written.partition(" #")[0])
        try:
            value = resolve_scalar(value) if first in MAY_BE_SPECIAL else value
        except ValueError:
            raise _NotSimple from None
    return value


def _parse_plain(written: str) -> str:
    """Return text without quotes."""
    text = written.rstrip(" ")
    if _PLAIN.fullmatch(text) is None:
        raise _NotSimple
    return text


def _join_lines(rows: Sequence[_Line], at: int, column: int) -> tuple[str, int]:
    """Return the text that continues on line `at`, and the number of the line after it."""
    words = [_parse_plain(rows[at - 1][1])]
    while at < len(rows):
        begin, rest = rows[at]
        indent, _, dash, key = _parse_beginning(begin)
        if dash or key is not None or not rest or rest[0] == "#":
            break
        if indent <= column:
            raise _NotSimple
        words.append(_parse_plain(rest))
        at += 1
    return " ".join(words), at
