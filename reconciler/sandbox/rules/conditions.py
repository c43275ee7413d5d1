"""Whether a policy's conditions hold for a change (contract, section 4). Pure."""

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


def met(
    conditions: Any, *, before: Mapping[str, Positions], after: Mapping[str, Positions], crash: str
) -> bool:
    """Whether a change is held back.

    `before` and `after` have a list of positions for each field that the action supplies. `crash`
    is a field that breaks PostHog's own evaluation.

    Raises:
        ApiError: 500, for that field.
    """
    if not _understood(conditions):
        return True
    field = conditions["field"]
    if field == crash:
        raise server_error("Failed to process approval request")
    old, new = _by_path(before.get(str(field), ())), _by_path(after.get(str(field), ()))
    if conditions["type"] == "any_change":
        return any(
            old.get(path, _MISSING) != new.get(path, _MISSING) for path in old.keys() | new.keys()
        )
    compare, bound = _OPERATORS[conditions["operator"]], conditions["value"]
    if conditions["type"] == "before_after":
        return any(_holds(compare, value, bound) for value in new.values())
    return any(
        _holds(compare, _difference(old[path], new[path]), bound)
        for path in old.keys() & new.keys()
    )


def _understood(conditions: Any) -> bool:
    """Whether there is something to evaluate; what is not understood holds everything back."""
    if not isinstance(conditions, Mapping) or not conditions.get("field"):
        return False
    if conditions.get("type") == "any_change":
        return True
    if conditions.get("type") not in ("before_after", "change_amount"):
        return False
    known = isinstance(conditions.get("operator"), str) and conditions["operator"] in _OPERATORS
    return known and conditions.get("value") is not None


def _by_path(positions: Positions) -> dict[Any, Any]:
    return {one["path"]: one["value"] for one in positions}


def _difference(old: Any, new: Any) -> Any:
    try:
        return new - old
    except TypeError:
        return None


def _holds(compare: Callable[[Any, Any], Any], value: Any, bound: Any) -> bool:
    """Null is skipped, and so is what cannot be compared, as text with a number."""
    for kind in (int | float, str):
        if isinstance(value, kind) and isinstance(bound, kind):
            return bool(compare(value, bound))
    return False
