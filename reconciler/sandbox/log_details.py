"""Looking into the `detail` of log entries: by path, and as a catalogue (contract 11.1)."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reconciler.sandbox.errors import invalid
from reconciler.sandbox.model import Entry

Test = Callable[[Entry], bool]

_MOST = 100
_NAME = "detail_filters"
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}


def tests(text: str) -> list[Test]:
    """`{"<path>": {"operation": "exact|contains|in", "value": ...}}` as tests.

    Raises:
        ApiError: 400, for another shape or too many.
    """
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("Must be a JSON object.", _NAME) from error
    if not isinstance(wanted, dict):
        raise invalid("Must be a JSON object.", _NAME)
    if len(wanted) > _MOST:
        raise invalid(f"At most {_MOST} filters are allowed.", _NAME)
    return [_test(path, one) for path, one in wanted.items()]


def _test(path: str, wanted: Any) -> Test:
    if not isinstance(wanted, dict) or "value" not in wanted:
        raise invalid(f"{path}: needs an operation and a value.", _NAME)
    operation, value = wanted.get("operation", "exact"), wanted["value"]
    if operation == "exact":
        return lambda entry: any(_same(one, value) for one in at(entry.detail, path))
    if operation == "contains":
        word = str(value).lower()
        return lambda entry: any(word in _text(one).lower() for one in at(entry.detail, path))
    if operation == "in" and isinstance(value, list):
        return lambda entry: any(_same(one, two) for one in at(entry.detail, path) for two in value)
    raise invalid(f"{path}: the operation is exact, contains or in.", _NAME)


def _same(one: Any, two: Any) -> bool:
    return bool(one == two) or _text(one) == _text(two)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def at(detail: Any, path: str) -> Iterator[Any]:
    """The values at `a.b[].c` of a detail."""
    values = [detail]
    for part in path.split("."):
        name = part.removesuffix("[]")
        values = [one[name] for one in values if isinstance(one, dict) and name in one]
        if part.endswith("[]"):
            values = [inner for one in values if isinstance(one, list) for inner in one]
    yield from values


def fields_by_scope(entries: Iterable[Entry]) -> dict[str, Any]:
    """Every path in the details, and its types, by scope (contract 11.3)."""
    found: dict[str, dict[str, set[str]]] = {}
    for entry in entries:
        paths = found.setdefault(entry.scope, {})
        for path, kind in _paths(entry.detail, ""):
            paths.setdefault(path, set()).add(kind)
    return {
        scope: {"fields": [{"name": path, "types": sorted(paths[path])} for path in sorted(paths)]}
        for scope, paths in sorted(found.items())
    }


def _paths(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for inner in value:
            yield from _paths(inner, f"{path}[]")
    elif value is not None and path:
        yield path, _TYPES.get(type(value), "object")
