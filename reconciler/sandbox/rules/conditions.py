"""Evaluation of a policy's conditions for a change (contract 4). Pure."""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.sandbox.protocol.errors import server_error

Positions = Sequence[Mapping[str, Any]]
_MISSING = object()

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def are_met(
    conditions: Any,
    *,
    before: Mapping[str, Positions],
    after: Mapping[str, Positions],
    crash: str,
    exact: str = "",
) -> bool:
    """Return whether a change needs approval.

    `before` and `after` have a list of positions for each field that the action supplies. `crash`
    is a field that breaks PostHog's own evaluation; values of the field `exact` are compared as
    JSON text.

    Raises:
        ApiError: 500, for that field.
    """
    if not _can_evaluate(conditions):
        return True
    field = conditions["field"]
    if field == crash:
        raise server_error("Failed to process approval request")
    old, new = _index_by_path(before.get(str(field), ())), _index_by_path(after.get(str(field), ()))
    if conditions["type"] == "any_change":
        if field == exact:
            return old.keys() != new.keys() or any(
                json.dumps(old[path], sort_keys=True) != json.dumps(new[path], sort_keys=True)
                for path in old
            )
        return any(
            old.get(path, _MISSING) != new.get(path, _MISSING) for path in old.keys() | new.keys()
        )
    compare, bound = _OPERATORS[conditions["operator"]], conditions["value"]
    if conditions["type"] == "before_after":
        return any(_compare(compare, value, bound) for value in new.values())
    return any(
        _compare(compare, _subtract(old[path], new[path]), bound)
        for path in old.keys() & new.keys()
    )


def _can_evaluate(conditions: Any) -> bool:
    """Return whether the conditions can be evaluated; otherwise every change needs approval."""
    if not isinstance(conditions, Mapping) or not conditions.get("field"):
        return False
    if conditions.get("type") == "any_change":
        return True
    if conditions.get("type") not in ("before_after", "change_amount"):
        return False
    known = isinstance(conditions.get("operator"), str) and conditions["operator"] in _OPERATORS
    return known and conditions.get("value") is not None


def _index_by_path(positions: Positions) -> dict[Any, Any]:
    return {position["path"]: position["value"] for position in positions}


def _subtract(old: Any, new: Any) -> Any:
    try:
        return new - old
    except TypeError:
        return None


def _compare(compare: Callable[[Any, Any], Any], value: Any, bound: Any) -> bool:
    """Compare two values; null, and values of different types, do not match."""
    for kind in (int | float, str):
        if isinstance(value, kind) and isinstance(bound, kind):
            return bool(compare(value, bound))
    return False
