"""Handle paths inside a spec: `filters.groups[0].name`, and reference paths such as `members[]`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from reconciler.lazy_pattern import compile_later

Spec = Mapping[str, Any]  # in the terms of the files: names, words, durations
_KEYED: Final = compile_later(r"(\w+\.(?:roles|members))\.(.+)", re.DOTALL)
_INDEX: Final = compile_later(r"\[(\d+)\]$")
MAPPINGS: Final = (dict, Mapping)  # for isinstance: most are a dict, which is recognized faster
Path = tuple[str | int, ...]  # ("filters", "groups", 0, "rollout_percentage")


class RejectedValue(NamedTuple):
    """Say why PostHog would refuse a spec: the path in it, in the words of a finding."""

    path: Path
    message: str
    why: str = ""
    fix: str = ""
    topic: str = ""  # the check that it belongs to, if not the kind's own
    near: tuple[str, ...] = ()  # what the author may have meant instead


def encode_part(text: str) -> str:
    """Return one path segment for a URL."""
    return quote(text, safe="")


def get_root(text: str) -> str:
    """Return the top-level field of a path: `filters.groups[0]` -> `filters`."""
    return text.split(".", 1)[0].split("[", 1)[0]


def parse_path(text: str) -> Path:
    """Parse `filters.groups[0].name` to ("filters", "groups", 0, "name").

    A bracket without a number is part of the name: keys of a file may look like that. What follows
    `roles.` or `members.` is one key: names and addresses contain dots.
    """
    if match := _KEYED.fullmatch(text):
        return (*parse_path(match[1]), match[2])
    steps: list[str | int] = []
    for piece in text.split("."):
        name, indexes = piece, list[int]()
        while match := _INDEX.search(name):
            name, indexes = name[: match.start()], [int(match[1]), *indexes]
        steps.append(name)
        steps.extend(indexes)
    return tuple(steps)


def get_value(spec: Any, path: Sequence[str | int], otherwise: Any = None) -> Any:
    """Return the value at a path, or `otherwise`."""
    for step in path:
        try:
            spec = spec[step]
        except (KeyError, IndexError, TypeError):
            return otherwise
    return spec


def put_back(value: Any, live: Any, path: Path) -> Any:
    """Return a copy of `value` with what `live` has at `path`, or without it if it has nothing."""
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        if not isinstance(value, list) or step >= len(value):
            return value
        live_item = live[step] if isinstance(live, list) and step < len(live) else None
        item = put_back(value[step], live_item, rest) if rest else live_item
        return [item if number == step else kept for number, kept in enumerate(value)]
    if not isinstance(value, Mapping) or step not in value:
        return value
    known = isinstance(live, Mapping) and step in live
    if rest:
        return {**value, step: put_back(value[step], live[step] if known else None, rest)}
    if known:
        return {**value, step: live[step]}
    return {name: kept for name, kept in value.items() if name != step}


def sort_keys(value: Any) -> Any:
    """Return a copy with the keys of every mapping sorted: their order means nothing."""
    if isinstance(value, Mapping):
        return {name: sort_keys(value[name]) for name in sorted(value)}
    return [sort_keys(item) for item in value] if isinstance(value, list) else value


def format_path(path: Sequence[str | int]) -> str:
    """Format ("filters", "groups", 0, "name") as `filters.groups[0].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class _Step(NamedTuple):
    """Hold one step of a reference path.

    `name` is a field, `name[]` each item of a list, `name[type=flag]` each mapping in a list whose
    `type` is `flag`, `name{}` each key of a mapping.
    """

    name: str
    many: bool = False
    field: str = ""
    value: str = ""
    keys: bool = False

    def picks(self, item: Any) -> bool:
        """Return whether the step includes an item of the list."""
        return not self.field or (isinstance(item, MAPPINGS) and item.get(self.field) == self.value)


@cache
def _parse_steps(path: str) -> tuple[_Step, ...]:
    steps = []
    for piece in path.split("."):
        keys = piece.endswith("{}")
        name, bracket, test = piece.removesuffix("{}").removesuffix("]").partition("[")
        field, _, value = test.partition("=")
        steps.append(_Step(name, bool(bracket), field, value, keys))
    return tuple(steps)


def iterate_values(spec: Spec, path: str) -> Iterator[tuple[Path, Any]]:
    """Yield each value that a reference path such as `approvers.users[]` names, with its path."""
    return _iterate_values(spec, _parse_steps(path), ())


_Search = Callable[[Mapping[str, Any]], bool]


@cache
def build_search(*paths: str) -> _Search:
    """Return a function that returns False if a spec has no value at any of these paths.

    True means that it may have one. Most resources refer to nothing, and every resource is
    searched, so what paths have in common is looked up once, up to the first step that filters.
    """
    return _merge_steps([_parse_steps(path) for path in paths])


def _merge_steps(paths: Sequence[tuple[_Step, ...]]) -> _Search:
    groups: dict[tuple[str, bool, str], list[tuple[_Step, ...]]] = {}
    for steps in paths:
        groups.setdefault((steps[0].name, steps[0].many, steps[0].field), []).append(steps)
    searches = tuple(_build_search(*first, group) for first, group in groups.items())
    if len(searches) == 1:
        return searches[0]

    def search_all(node: Mapping[str, Any]) -> bool:
        for search in searches:  # noqa: SIM110  a loop is faster than a generator
            if search(node):
                return True
        return False

    return search_all


def _build_search(name: str, many: bool, field: str, paths: Sequence[tuple[_Step, ...]]) -> _Search:
    """Return the search for paths whose first steps have the same name."""
    if field:
        wanted = tuple({steps[0].value for steps in paths})
        return _search_each(name, lambda item: item.get(field) in wanted)
    if any(len(steps) == 1 for steps in paths):
        if many:
            return lambda node: isinstance(items := node.get(name), list) and bool(items)
        return lambda node: node.get(name) is not None
    search = _merge_steps([steps[1:] for steps in paths])
    return _search_each(name, search) if many else _search_below(name, search)


def _search_each(name: str, search: _Search) -> _Search:
    def search_each(node: Mapping[str, Any]) -> bool:
        items = node.get(name)
        if isinstance(items, list):
            for item in items:
                if isinstance(item, MAPPINGS) and search(item):
                    return True
        return False

    return search_each


def _search_below(name: str, search: _Search) -> _Search:
    def search_below(node: Mapping[str, Any]) -> bool:
        value = node.get(name)
        return value is not None and isinstance(value, MAPPINGS) and search(value)

    return search_below


def _iterate_values(node: Any, steps: tuple[_Step, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not steps:
        yield path, node
        return
    step = steps[0]
    if not isinstance(node, MAPPINGS) or node.get(step.name) is None:
        return
    value = node[step.name]
    if step.keys:
        yield from (((*path, step.name, key), key) for key in value)
        return
    if not step.many:
        yield from _iterate_values(value, steps[1:], (*path, step.name))
        return
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if step.picks(item):
            yield from _iterate_values(item, steps[1:], (*path, step.name, index))


def map_values(spec: Spec, path: str, function: Callable[[Any], Any]) -> Spec:
    """Return a copy of `spec` with `function` applied to each value that `path` names.

    Return `spec` itself if no value changed: most flags name nothing.
    """
    if not build_search(path)(spec):
        return spec
    mapped: Spec = _map_steps(spec, _parse_steps(path), function)
    return mapped


def _map_steps(node: Any, steps: tuple[_Step, ...], function: Callable[[Any], Any]) -> Any:
    if not steps:
        return function(node)
    step = steps[0]
    if not isinstance(node, Mapping) or node.get(step.name) is None:
        return node
    value = node[step.name]
    if step.keys:
        renamed = {function(key): item for key, item in value.items()}
        return node if list(renamed) == list(value) else {**node, step.name: renamed}
    if not step.many:
        mapped = _map_steps(value, steps[1:], function)
        return node if mapped is value else {**node, step.name: mapped}
    if not isinstance(value, list):
        return node
    items = [_map_steps(item, steps[1:], function) if step.picks(item) else item for item in value]
    same = all(new is old for new, old in zip(items, value, strict=True))
    return node if same else {**node, step.name: items}
