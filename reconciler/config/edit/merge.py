"""Write other values into a document that somebody wrote: comments, order and style stay.

Only this module imports ruamel.yaml, and only when a value has to be replaced: it loads slowly.
Changes are made where they stand in the text, so that everything else in the document is the same
byte for byte; where that is not understood, ruamel.yaml writes the document again.
"""

import io
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.config.edit import emitter
from reconciler.config.edit.splice import CannotError, Change, splice
from reconciler.config.yaml import reader
from reconciler.model import Path

_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "")
_WIDE: Final = 1 << 16
_UNDER: Final = re.compile(  # a key, and below it the first dash of its list
    r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", re.MULTILINE
)
_DEEPER: Final = re.compile(r"^[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n( +)[^\s#-]", re.MULTILINE)


class NotKeptError(Exception):
    """The document cannot be rewritten without changing more than was meant."""


@dataclass(slots=True)
class Edit:
    """Values to be put into one document; each change is noted for the text.

    Args:
        folded: paths of lists whose items are names, compared without regard to case.
        wrap: makes a new value what the document is made of.

    """

    folded: Collection[Path] = ()
    wrap: Callable[[Any], Any] = lambda value: value
    changes: list[Change] = field(default_factory=list)

    def merge(self, node: Any, was: Any, now: Any, path: Path = ()) -> None:
        """Change a mapping in place, so that its normal form, which is `was`, becomes `now`."""
        for key in [key for key in was if key not in now]:
            if key in node and was[key] not in _EMPTY:
                self._drop(node, key, path)
        for key, value in now.items():
            before = was.get(key, _EMPTY)
            if before == value or (before in _EMPTY and value in _EMPTY and key in was):
                continue
            inner = node.get(key)
            if _are(Mapping, inner, before, value):
                self.merge(inner, before, value, (*path, key))
            elif _are(list, inner, before, value):
                self._merge_list(inner, before, value, (*path, key))
            else:
                self._put(node, key, value, path)

    def _merge_list(self, node: Any, was: list[Any], now: list[Any], path: Path) -> None:
        """The same for a list: what is equal at both ends stays, the middle is changed."""
        if "filters" not in path and all(map(_is_scalar, [*node, *now])):
            self._merge_set(node, now, path)
            return
        start, end = _ends(was, now)
        old, new = len(was) - end, len(now) - end
        for index in range(start, min(old, new)):
            item, before, value = node[index], was[index], now[index]
            if _are(Mapping, item, before, value):
                self.merge(item, before, value, (*path, index))
            elif before != value:
                self._put(node, index, value, path)
        for index in range(old - 1, max(new, start) - 1, -1):
            self._drop(node, index, path)
        for index in range(max(old, start), new):
            self.changes.append(Change(path, "insert", old, now[index]))
            node.insert(index, self.wrap(now[index]))

    def _merge_set(self, node: Any, now: list[Any], path: Path) -> None:
        """A list whose order means nothing: who stays keeps the place and its comment."""
        fold = _fold if path in self.folded else _same
        wanted, there = {fold(value) for value in now}, [fold(value) for value in node]
        length = len(node)
        for index in range(length - 1, -1, -1):
            if there[index] not in wanted or there[index] in there[:index]:
                self._drop(node, index, path)
        for value in now:
            if fold(value) not in there:
                self.changes.append(Change(path, "insert", length, value))
                node.append(self.wrap(value))

    def _put(self, node: Any, key: Any, value: Any, path: Path) -> None:
        """One value, new or other."""
        is_there = key in node if isinstance(node, Mapping) else True
        self.changes.append(Change(path, "set" if is_there else "add", key, value))
        node[key] = self.wrap(value)

    def _drop(self, node: Any, key: Any, path: Path) -> None:
        """One value less."""
        self.changes.append(Change(path, "drop", key))
        del node[key]


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _same(value: Any) -> Any:
    return value


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, Mapping | list)


def _are(cls: type, *values: Any) -> bool:
    return all(isinstance(value, cls) for value in values)


def _ends(was: list[Any], now: list[Any]) -> tuple[int, int]:
    """How many items are equal at the start, and how many of the others at the end."""
    least = min(len(was), len(now))
    start = next((i for i in range(least) if was[i] != now[i]), least)
    rest = least - start
    return start, next((i for i in range(rest) if was[-1 - i] != now[-1 - i]), rest)


def rewrite(
    text: str, was: Mapping[str, Any], now: Mapping[str, Any], folded: Collection[Path] = ()
) -> str:
    """The text of one document after `merge`, checked by reading it back.

    Args:
        text: one document, with what is around it.
        was: its parts in normal form.
        now: what they are to be.
        folded: paths of lists of names that are compared without regard to case.

    Raises NotKeptError if that is not possible without other changes.

    """
    findings: list[Any] = []
    plain = reader.read(text.encode(), "", findings)
    if findings or len(plain) != 1:
        raise NotKeptError("it cannot be read on its own")
    expected = _plain(plain[0].value)
    edit = Edit(folded)
    edit.merge(expected, was, now)
    yaml, trouble = _yaml()
    try:
        made = _spliced(yaml, text, edit.changes, expected)
        if made is None or not _reads_as(made, expected):
            made = _round_trip(yaml, text, was, now, folded)
    except trouble as problem:
        raise NotKeptError("another reader of YAML does not follow it") from problem
    if not _reads_as(made, expected):
        raise NotKeptError("its layout would not survive")
    return made


def _spliced(yaml: Any, text: str, changes: list[Change], expected: Any) -> str | None:
    """The text with every change made where it stands; None where that is not understood."""
    try:
        return splice(yaml.compose(text), text, changes, expected)
    except CannotError:
        return None


def _reads_as(text: str, expected: Any) -> bool:
    findings: list[Any] = []
    found = reader.read(text.encode(), "", findings)
    return not findings and len(found) == 1 and found[0].value == expected


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _yaml() -> tuple[Any, type[Exception]]:
    """Return the round-trip parser and the class of its errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    return yaml, YAMLError


def _round_trip(
    yaml: Any, text: str, was: Mapping[str, Any], now: Mapping[str, Any], folded: Collection[Path]
) -> str:
    """The document written again by ruamel.yaml, with its comments, for what no splice can do."""
    under, deeper = _UNDER.search(text), _DEEPER.search(text)
    offset = max(0, len(under[2]) - len(under[1])) if under else 2
    step = len(deeper[1]) if deeper else 2
    yaml.indent(mapping=step, sequence=offset + 2, offset=offset)
    loaded = yaml.load(text)
    Edit(folded, _wrapped).merge(loaded, was, now)
    stream = io.StringIO()
    yaml.dump(loaded, stream)
    made = stream.getvalue()
    return made if text.endswith("\n") else made.removesuffix("\n")


def _wrapped(value: Any) -> Any:
    """A value as ruamel.yaml writes it in our style: quoted where any reader could misread it."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        mapping = CommentedMap()
        for key, item in value.items():
            mapping[_wrapped(key)] = _wrapped(item)
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(_wrapped(item) for item in value)
        if all(map(_is_scalar, value)):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and not emitter.is_plain(value, flow=True):
        return DoubleQuotedScalarString(value)
    return value
