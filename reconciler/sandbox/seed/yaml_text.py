"""YAML to plain values, quick enough for a seed of 100,000 flags.

Values are built from libyaml's events. Times stay text, as in JSON, and a key stands once.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from reconciler.sandbox.protocol.errors import SeedError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_COLLECTIONS = ("!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_MERGED = object()  # the key `<<`
_DEEPEST = 200


class _Resolver(Resolver):
    """Without times."""


_Resolver.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in Resolver.yaml_implicit_resolvers.items()
}
_RESOLVER: Any = _Resolver()


def load(text: str) -> Any:
    """The one document of a text; an empty text is None.

    Raises:
        SeedError: it is no YAML, or holds what a seed cannot.
    """
    try:
        return _document(_Events(iter(yaml.parse(text, Loader=_Loader))))
    except yaml.YAMLError as error:
        raise SeedError(f"the seed is neither JSON nor YAML: {_first_line(error)}") from error


def _first_line(error: yaml.YAMLError) -> str:
    """Where and what, in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    what = str(problem or error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what


Event = Any  # of which libyaml's own have no types


class _Events:
    """The events of a text, and the anchors so far."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.next: Callable[[], Event] = events.__next__
        self.anchors: dict[str, Any] = {}


def _document(events: _Events) -> Any:
    events.next()  # the stream begins
    if isinstance(events.next(), yaml.StreamEndEvent):
        return None
    value = _value(events, events.next(), 0)
    events.next()  # the document ends
    if not isinstance(extra := events.next(), yaml.StreamEndEvent):
        raise SeedError(f"line {extra.start_mark.line + 1}: a seed is one document")
    return value


def _value(events: _Events, event: Event, depth: int) -> Any:
    kind = type(event)
    if kind is yaml.ScalarEvent:
        value = _scalar(event.value, event.tag, event.implicit[0])
    elif kind is yaml.AliasEvent:
        if event.anchor not in events.anchors:
            raise _wrong(event, f"no anchor is called {event.anchor!r}")
        return events.anchors[event.anchor]
    elif event.tag is not None and event.tag not in _COLLECTIONS:
        raise _wrong(event, f"the tag {event.tag} is not for a seed")
    elif depth > _DEEPEST:
        raise SeedError("the seed is nested too deeply")
    elif kind is yaml.SequenceStartEvent:
        value = []
        while type(inner := events.next()) is not yaml.SequenceEndEvent:
            value.append(_value(events, inner, depth + 1))
    else:
        value = _mapping(events, depth)
    if event.anchor is not None:
        events.anchors[event.anchor] = value
    return value


def _mapping(events: _Events, depth: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    merged: list[Any] = []
    while type(event := events.next()) is not yaml.MappingEndEvent:
        key = _value(events, event, depth + 1)
        value = _value(events, events.next(), depth + 1)
        if key is _MERGED:
            merged += value if isinstance(value, list) else [value]
            continue
        if isinstance(key, dict | list):
            raise _wrong(event, "a key is a text")
        if key in found:
            raise _wrong(event, f"{key!r} stands there twice")
        found[key] = value
    for one in merged:
        if not isinstance(one, dict):
            raise SeedError("'<<' takes in objects only")
        found = {**one, **found}
    return found


def _wrong(event: Event, what: str) -> SeedError:
    return SeedError(f"line {event.start_mark.line + 1}: {what}")


@lru_cache(maxsize=65536)
def _scalar(text: str, tag: str | None, plain: bool) -> Any:
    if tag is None or tag == "!":
        tag = _RESOLVER.resolve(yaml.ScalarNode, text, (plain, not plain))
    if tag == _TEXT:
        return text
    if tag == _MERGE:
        return _MERGED
    try:
        return SafeConstructor().construct_object(yaml.ScalarNode(tag, text))
    except ValueError as error:
        raise SeedError(f"{text!r} is no {tag.rsplit(':', 1)[-1]}") from error
