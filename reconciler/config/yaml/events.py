"""Read any YAML text: values that know their position, or findings. Imports PyYAML.

libyaml's events are turned into values here, and not by PyYAML: its composer dies by a signal on
deeply nested text, expands alias bombs, keeps the last of two equal keys and reads YAML 1.1. Every
limit is checked on the event, before anything is built from it.
"""

from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import yaml

from reconciler.config.yaml.scalars import MAY_BE_SPECIAL, resolve_scalar
from reconciler.files.text import (
    MAX_ALIASED_NODES,
    MAX_ALIASES,
    MAX_DEPTH,
    MAX_DOCUMENTS,
    MAX_FINDINGS,
    MAX_KNOWN_KEY,
    MAX_KNOWN_KEYS,
    MAX_MAPPING_KEYS,
    MAX_NODES,
    RefusedError,
    find_hidden_bracket,
    find_hidden_character,
    find_merge_conflict,
    find_tab_indents,
    is_indented_by_tab,
    locate_offset,
    make_error,
)
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Document, Finding, MappingNode, Places, Row, SequenceNode, Source

_known_keys: dict[str, str] = {}  # every key of every file once, if it is harmless
_TAB: Final = "a tab indents this line"
_NO_TABS: Final = "indent with spaces"
_HINTS: Final = (
    ("cannot start any token", "quote the text, or indent with spaces instead of tabs"),
    ("tab character", "indent with spaces"),
    ("mapping values are not allowed", 'quote text that has ": " in it, and check the indentation'),
    ("did not find expected key", "check the indentation of this line and the one before it"),
    ("could not find expected ':'", "write `name: value`, or quote the text"),
    ("unexpected end of stream", "close the quote"),
    ("did not find expected ',' or", "close the bracket"),
    ("found undefined tag handle", "remove the tag: no tags are used here"),
    ("did not find expected <document start>", "put `---` between two documents"),
    (
        "invalid Unicode character escape",
        "write the character itself, or all of it: \\U0001f600",
    ),
)


def read_documents(text: str, file: str, findings: list[Finding]) -> list[Document]:
    """Read every document of a text that `text.check` has looked at; what is wrong is a finding."""
    builder = _Builder(text, file, findings)
    try:
        builder.run()
    except RefusedError as stop:
        findings.append(stop.finding)
    return builder.documents


def read_places(text: str, file: str) -> Sequence[Row]:
    """Return the positions of everything in a text, for `source.Places`."""
    builder = _Builder(text, file, [])
    with suppress(RefusedError):
        builder.run()
    return builder.rows


class _Composer(yaml.SafeLoader):
    """PyYAML's own nodes, with the anchor or the alias that each is written with."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no annotation
        node: Any = super().compose_node(parent, index)
        node.anchor = event.anchor
        return node


def compose_document(text: str) -> Any:
    """Return the nodes of one document that `read_documents` accepts, with start and end of each.

    Returns None if PyYAML's own parser, which is not libyaml, refuses the text.
    """
    try:
        return yaml.compose(text, Loader=_Composer)
    except yaml.YAMLError:
        return None


@dataclass(slots=True)
class _Anchor:
    """A named node; `size` counts the values it stands for, None while it is being read."""

    value: Any
    size: int | None


class _Builder:
    """Events of one file in, documents out. Depth is limited, so recursion is."""

    def __init__(self, text: str, file: str, findings: list[Finding]) -> None:
        self.file = file
        self.text = text
        rows: list[array[int]] = []  # places of what is in each container
        self.rows = rows
        self.places = Places(file, lambda: rows)
        self.findings = findings
        self.documents: list[Document] = []
        self.anchors: dict[str, _Anchor] = {}
        self.scalars: dict[str, Any] = {}  # plain text -> value
        self.odd = "&" in text or "!" in text  # else there is no anchor and no tag
        self.count = self.seen = self.reported = 0
        self.aliases = 0
        self.aliased = 0  # values that aliases stand for
        self.innermost: Any = None  # the event of the container that is being read

    def run(self) -> None:
        """Fill `documents`; raise Refused where the file cannot be followed any further."""
        loader = yaml.CSafeLoader(self.text)
        self.next_event: Callable[[], Any] = loader.get_event
        try:
            self._stream()
        except yaml.YAMLError as problem:
            raise RefusedError(self._syntax(problem)) from None
        finally:
            loader.dispose()
        if "\t" in self.text:
            self._refuse_tabs()

    def _refuse_tabs(self) -> None:
        """Refuse tabs that indent lines, which libyaml accepts between brackets.

        Inside text of several lines a tab at the start of a line is text.
        """
        suspects = find_tab_indents(self.text)
        suspect = next(suspects, None)
        events: Any = yaml.parse(self.text, Loader=yaml.CSafeLoader) if suspect else ()
        for event in events:
            start, end = event.start_mark.index, event.end_mark.index
            while suspect is not None and suspect <= end:
                if event.__class__ is not yaml.ScalarEvent or suspect <= start:
                    where = locate_offset(self.text, suspect, self.file)
                    raise RefusedError(make_error("R001", _TAB, where, fix=_NO_TABS))
                suspect = next(suspects, None)

    def _stream(self) -> None:
        next_event = self.next_event
        while (event := next_event()).__class__ is not yaml.StreamEndEvent:
            if event.__class__ is not yaml.DocumentStartEvent:
                continue  # the start of the stream, the end of a document
            self.seen += 1
            if self.seen > MAX_DOCUMENTS:
                message = f"more than {MAX_DOCUMENTS:,} documents in one file"
                raise self._limit(event, message, "split it")
            self.anchors.clear()
            self.aliases = self.aliased = 0
            event = next_event()
            mark = event.start_mark
            value = self._value(event, 0)
            if self.aliased:
                self._check_depth(value, mark)
            if value is None and event.__class__ is yaml.ScalarEvent and not event.value:
                continue  # an empty document
            source = Source(self.file, mark.line + 1, mark.column + 1)
            self.documents.append(Document(value, source))

    def _value(self, event: Any, depth: int) -> Any:
        self.count += 1
        if event.__class__ is not yaml.ScalarEvent:
            return self._container(event, depth)
        value = event.value
        if event.style == "" and (not value or value[0] in MAY_BE_SPECIAL):
            value = self.scalars[value] if value in self.scalars else self._plain(event)
        if event.tag is not None or event.anchor is not None:
            self._named(event, value, 1)
        return value

    def _container(self, event: Any, depth: int) -> Any:
        if event.__class__ is yaml.AliasEvent:
            return self._alias(event)
        if depth >= MAX_DEPTH:
            raise self._limit(event, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        if self.count > MAX_NODES:
            raise self._too_many(event)
        is_map = event.__class__ is yaml.MappingStartEvent
        node = MappingNode() if is_map else SequenceNode()
        node.places, node.number = self.places, len(self.rows)
        self.rows.append(row := array("I"))
        before = self.count
        if event.tag is not None or event.anchor is not None:
            self._named(event, node, None)
        outer, self.innermost = self.innermost, event
        if isinstance(node, MappingNode):
            self._fill_mapping(node, depth + 1, row)
        else:
            self._fill_sequence(node, depth + 1, row)
        self.innermost = outer
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(node, self.count - before + 1)
        return node

    def _fill_mapping(self, node: MappingNode, depth: int, row: "array[int]") -> None:
        """Fill a mapping. The hot loop: what `_value` does for a scalar is repeated, for speed."""
        keys, scalars, next_event = _known_keys, self.scalars, self.next_event
        scalar, special, is_special = yaml.ScalarEvent, MAY_BE_SPECIAL, self.odd
        while (event := next_event()).__class__ is not yaml.MappingEndEvent:
            if event.__class__ is not scalar:
                raise self._refused(event, "a key has to be text", "write the key as text")
            key = keys.get(event.value) or self._new_key(event)
            if key in node or (is_special and (event.tag or event.anchor) is not None):
                key = self._odd_key(event, node)
            key_mark: Any = event.start_mark
            event = next_event()
            mark: Any = event.start_mark
            if event.__class__ is scalar and not is_special:
                value = event.value
                if not event.style and (not value or value[0] in special):
                    value = scalars[value] if value in scalars else self._plain(event)
            else:
                value = self._value(event, depth)
            if key is not None:
                node[key] = value
                row.extend((key_mark.line + 1, key_mark.column + 1, mark.line + 1, mark.column + 1))
                if len(node) > MAX_MAPPING_KEYS:
                    message = f"more than {MAX_MAPPING_KEYS:,} keys in one mapping"
                    raise self._limit(event, message, "split it")
        self.count += len(node)

    def _fill_sequence(self, node: SequenceNode, depth: int, row: "array[int]") -> None:
        next_event, value_of = self.next_event, self._value
        while (event := next_event()).__class__ is not yaml.SequenceEndEvent:
            mark = event.start_mark
            row.extend((mark.line + 1, mark.column + 1))
            node.append(value_of(event, depth))
            if len(node) > MAX_NODES:
                raise self._too_many(event)

    def _plain(self, event: Any) -> Any:
        try:
            value = self.scalars[event.value] = resolve_scalar(event.value)
        except ValueError as reason:
            message, fix = str(reason), f'quote it to make it text: "{event.value[:40]}"'
            self._report(event, "R005", message, fix=fix)
            return event.value
        return value

    def _new_key(self, event: Any) -> str | None:
        """Return the text of a key seen for the first time; None if it is refused."""
        key: str = event.value
        plain = event.style == ""
        if plain and key == "<<":
            self._report(
                event,
                "R011",
                "merge keys (`<<`) are not allowed",
                fix="write the fields out, or use an overlay",
            )
            return None
        if plain and not key:
            self._report(event, "R001", "a key is missing before `:`", fix="write the key")
            return None
        if hidden := find_hidden_character(key):
            message = f"the key {key!a} has the character {hidden}, which cannot be seen"
            self._report(event, "R012", message, fix="type the key again")
            return None
        if len(_known_keys) < MAX_KNOWN_KEYS and len(key) < MAX_KNOWN_KEY and key != "<<":
            _known_keys[key] = key
        return key

    def _odd_key(self, event: Any, node: MappingNode) -> str | None:
        """Check a key with a tag or an anchor, or a duplicate one."""
        key: str = event.value
        if event.tag is not None or event.anchor is not None:
            self._named(event, key, 1)
        if key not in node:
            return key
        line, column, _, _ = node.marks[key]
        self._report(
            event,
            "R002",
            f'the key "{key}" is written twice',
            why=f"it is on line {line} (column {column}) already",
            fix="remove one of the two",
        )
        return None

    def _named(self, event: Any, value: Any, size: int | None) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._report(
                event,
                "R011",
                f"the tag {tag[:60]} is not allowed",
                why="values are plain text, numbers, true, false, null, lists and mappings",
                fix="remove the tag; quote the value to make it text",
            )
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(value, size)

    def _alias(self, event: Any) -> Any:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            raise self._stop(event, "R001", f"no anchor `&{event.anchor}` above", "write it out")
        if anchor.size is None:
            raise self._limit(event, f"`*{event.anchor}` contains itself", "write the value out")
        self.aliases += 1
        self.aliased += anchor.size
        self.count += anchor.size
        if self.aliases > MAX_ALIASES:
            raise self._limit(event, f"more than {MAX_ALIASES} aliases", "write the values out")
        if self.aliased > MAX_ALIASED_NODES:
            message = f"aliases stand for more than {MAX_ALIASED_NODES:,} values"
            raise self._limit(event, message, "write the values out")
        return anchor.value

    def _check_depth(self, root: Any, mark: Any) -> None:
        """Raise RefusedError if aliases nest values deeper than the limit."""
        level = [root]
        for _ in range(MAX_DEPTH + 1):
            level = [
                child
                for node in level
                if isinstance(node, (dict, list))
                for child in (node.values() if isinstance(node, dict) else node)
            ]
            if not level:
                return
        where = Source(self.file, mark.line + 1, mark.column + 1)
        message = f"aliases make it nested deeper than {MAX_DEPTH} levels"
        raise RefusedError(make_error("R009", message, where, fix="write the values out"))

    def _report(self, event: Any, code: str, message: str, *, why: str = "", fix: str = "") -> None:
        where, width = self._span(event)
        self.findings.append(make_error(code, message, where, why=why, fix=fix, width=width))
        self.reported += 1
        if self.reported > MAX_FINDINGS:
            raise RefusedError(
                make_error("R009", f"more than {MAX_FINDINGS} errors in one file", where)
            )

    def _span(self, event: Any) -> tuple[Source, int]:
        start, end = event.start_mark, event.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return Source(self.file, start.line + 1, start.column + 1), width

    def _stop(self, event: Any, code: str, message: str, fix: str) -> RefusedError:
        where, width = self._span(event)
        return RefusedError(make_error(code, message, where, fix=fix, width=width))

    def _limit(self, event: Any, message: str, fix: str) -> RefusedError:
        return self._stop(event, "R009", message, fix)

    def _too_many(self, event: Any) -> RefusedError:
        return self._limit(event, f"more than {MAX_NODES:,} values in one file", "split it")

    def _refused(self, event: Any, message: str, fix: str) -> RefusedError:
        return self._stop(event, "R011", message, fix)

    def _syntax(self, trouble: yaml.YAMLError) -> Finding:
        """Return a libyaml error in plain words, at the position to correct."""
        problem = str(getattr(trouble, "problem", None) or trouble).splitlines()[0]
        context = getattr(trouble, "context", None) or ""
        mark: Any = getattr(trouble, "problem_mark", None)
        where = Source(self.file, mark.line + 1, mark.column + 1) if mark else Source(self.file, 1)
        end = len(self.text.rstrip())
        opened: Any = getattr(trouble, "context_mark", None)
        if mark and mark.index >= end > 0:  # nothing to see at the end of the file
            index = opened.index if opened and opened.index < end else end - 1
            where = locate_offset(self.text, index, self.file)
        if "maximum nesting depth" in problem:
            return make_error(
                "R009", f"nested deeper than {MAX_DEPTH} levels", where, fix="flatten it"
            )
        if conflict := find_merge_conflict(self.text, self.file):
            return conflict
        if mark and is_indented_by_tab(self.text, mark.index - mark.column):
            return make_error("R001", _TAB, where, fix=_NO_TABS)
        if mark and opened and self._is_open_bracket(opened):
            hidden = find_hidden_bracket(self.text, opened.index, mark.index, self.file)
            if hidden:
                return hidden
        fix = next((fix for part, fix in _HINTS if part in problem), "")
        return make_error("R001", f"not YAML: {problem}", where, why=context, fix=fix)

    def _is_open_bracket(self, mark: Any) -> bool:
        """Return whether a mark is at the bracket that opens the innermost container."""
        event = self.innermost
        return bool(event and event.flow_style) and event.end_mark.index == mark.index + 1
