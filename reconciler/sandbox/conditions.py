"""Whether a policy's conditions hold for a change (contract, section 4). Pure."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.sandbox.errors import server_error

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
    if not conditions:
        return True
    if not isinstance(conditions, Mapping):
        return True
    kind = conditions.get("type")
    if kind not in ("before_after", "change_amount", "any_change"):
        return True
    field = conditions.get("field")
    if not field:
        return True
    compare: Callable[[Any, Any], Any] | None = None
    if kind != "any_change":
        compare = _OPERATORS.get(str(conditions.get("operator")))
        if compare is None or conditions.get("value") is None:
            return True
    if field == crash:
        raise server_error("Failed to process approval request")
    old, new = _by_path(before.get(str(field), ())), _by_path(after.get(str(field), ()))
    if compare is None:
        return any(
            old.get(path, _MISSING) != new.get(path, _MISSING) for path in old.keys() | new.keys()
        )
    if kind == "before_after":
        return any(_holds(compare, value, conditions["value"]) for value in new.values())
    return any(
        _holds(compare, _difference(old[path], new[path]), conditions["value"])
        for path in old.keys() & new.keys()
    )


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
