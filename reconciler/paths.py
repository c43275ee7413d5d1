"""Places inside a spec: `filters.groups[0].name`, and reference paths such as `members[]`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

Spec = Mapping[str, Any]  # in the language of the files: names, words, durations
_INDEX: Final = re.compile(r"\[(\d+)\]$")
Path = tuple[str | int, ...]  # ("filters", "groups", 0, "rollout_percentage")


class Refusal(NamedTuple):
    """Why PostHog would refuse a spec: the place in it, in the words of a finding."""

    path: Path
    message: str
    why: str = ""
    fix: str = ""
    topic: str = ""  # which check it belongs to, if not the kind's own
    near: tuple[str, ...] = ()  # what may have been meant instead


def encode_part(text: str) -> str:
    """One path segment for a URL."""
    return quote(text, safe="")


def root(text: str) -> str:
    """The top-level field of a path: `filters.groups[0]` -> `filters`."""
    return text.split(".", 1)[0].split("[", 1)[0]


def parse_path(text: str) -> Path:
    """`filters.groups[0].name` -> ("filters", "groups", 0, "name").

    A bracket that holds no number is part of the name: keys of a file may look like that.
    """
    steps: list[str | int] = []
    for piece in text.split("."):
        name, indexes = piece, list[int]()
        while found := _INDEX.search(name):
            name, indexes = name[: found.start()], [int(found[1]), *indexes]
        steps.append(name)
        steps.extend(indexes)
    return tuple(steps)


def at(spec: Any, path: Sequence[str | int], otherwise: Any = None) -> Any:
    """The value at a place, or `otherwise`."""
    for step in path:
        try:
            spec = spec[step]
        except (KeyError, IndexError, TypeError):
            return otherwise
    return spec


def put_back(value: Any, live: Any, path: Path) -> Any:
    """A copy of `value` with what `live` has at `path`, or without it where live has nothing."""
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        if not isinstance(value, list) or step >= len(value):
            return value
        there = live[step] if isinstance(live, list) and step < len(live) else None
        item = put_back(value[step], there, rest) if rest else there
        return [item if number == step else kept for number, kept in enumerate(value)]
    if not isinstance(value, Mapping) or step not in value:
        return value
    known = isinstance(live, Mapping) and step in live
    if rest:
        return {**value, step: put_back(value[step], live[step] if known else None, rest)}
    if known:
        return {**value, step: live[step]}
    return {name: kept for name, kept in value.items() if name != step}


def ordered(value: Any) -> Any:
    """A copy with the keys of every mapping sorted: how somebody wrote them says nothing."""
    if isinstance(value, Mapping):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


def print_path(path: Sequence[str | int]) -> str:
    """("filters", "groups", 0, "name") -> `filters.groups[0].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def values_at(spec: Spec, path: str) -> Iterator[tuple[Path, Any]]:
    """Each value that a reference path such as `approvers.users[]` names, with its place."""
    yield from _values(spec, tuple(path.split(".")), ())


def _values(node: Any, steps: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not steps:
        yield path, node
        return
    name, many = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    if not isinstance(node, Mapping) or node.get(name) is None:
        return
    value = node[name]
    if not many:
        yield from _values(value, steps[1:], (*path, name))
        return
    for index, item in enumerate(value):
        yield from _values(item, steps[1:], (*path, name, index))


def map_values(spec: Spec, path: str, function: Callable[[Any], Any]) -> Spec:
    """A copy of `spec` in which each value that `path` names went through `function`."""
    mapped: Spec = _map(spec, tuple(path.split(".")), function)
    return mapped


def _map(node: Any, steps: tuple[str, ...], function: Callable[[Any], Any]) -> Any:
    if not steps:
        return function(node)
    name, many = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    if not isinstance(node, Mapping) or node.get(name) is None:
        return node
    if many:
        return {**node, name: [_map(item, steps[1:], function) for item in node[name]]}
    return {**node, name: _map(node[name], steps[1:], function)}
