"""Evaluate the conditions of an approval policy for a change (contract 4).

They compare positions: `groups[0].rollout_percentage` before and after. A missing position, null
and 100 are three different values.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import isfinite
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass

Positions = Mapping[str, Any]  # path -> value; what has no key is not there
Fields = Mapping[str, tuple[Positions, Positions]]  # field -> positions before, positions after

ROLLOUT: Final = "rollout_percentage"
RELEASE: Final = "release_conditions"
OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_NEEDS: Final = {
    "before_after": ("field", "operator", "value"),
    "change_amount": ("field", "operator", "value"),
    "any_change": ("field",),
}


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """The result of a policy's conditions for one change."""

    gates: bool
    paths: tuple[str, ...] = ()  # the positions that fulfil the conditions
    is_certain: bool = True  # False: servers may differ, by generation or by how they round
    fault: str = ""  # why the conditions are invalid: such conditions gate every change


def are_about(conditions: Any, field: str) -> bool:
    """Return whether the conditions are about this field."""
    return isinstance(conditions, Mapping) and conditions.get("field") == field


def are_crashing(conditions: Any) -> bool:
    """Return whether PostHog fails on these when a flag is enabled or disabled (contract 4)."""
    return are_about(conditions, "active") and find_fault(conditions) is None


def evaluate_conditions(conditions: Any, fields: Fields) -> ConditionResult:
    """Evaluate whether the change is gated: invalid conditions gate, incomparable values do not.

    A field without data in this action has no positions, and so never gates.
    """
    if not conditions:
        return ConditionResult(gates=True)
    if (reason := find_fault(conditions)) is not None:
        return ConditionResult(gates=True, fault=reason)
    field = conditions["field"]
    before, after = fields.get(field, ({}, {})) if isinstance(field, str) else ({}, {})
    hits = tuple(_find_hits(conditions, before, after))
    paths = tuple(hit.path for hit in hits if hit.rounded)
    is_certain = bool(paths) == any(hit.exact for hit in hits)
    return ConditionResult(bool(paths), paths, is_certain and field != RELEASE)


@dataclass(frozen=True, slots=True)
class _Hit:
    """A position that fulfils the conditions, by exact numbers or by rounded ones."""

    path: str
    exact: bool = True
    rounded: bool = True


def find_fault(conditions: Any) -> str | None:
    """Return why these conditions gate everything (the server fails closed), or None."""
    if not isinstance(conditions, Mapping):
        return "its conditions are not a mapping"
    kind = conditions.get("type")
    if kind is None:
        return "its conditions have no type"
    if not isinstance(kind, str) or kind not in _NEEDS:
        return f"its condition type {kind!r} is unknown"
    for name in _NEEDS[kind]:
        if conditions.get(name) is None or (name == "field" and not conditions[name]):
            return f"its conditions have no {name}"
    if kind != "any_change" and conditions["operator"] not in list(OPERATORS):
        return f"its operator {conditions['operator']!r} is unknown"
    return None


def _find_hits(
    conditions: Mapping[str, Any], before: Positions, after: Positions
) -> Iterator[_Hit]:
    """Yield each position that fulfils the conditions."""
    match conditions["type"]:
        case "any_change":
            for path in sorted({*before, *after}):
                if (path in before) != (path in after) or before[path] != after[path]:
                    yield _Hit(path)
        case "before_after":
            for path, value in after.items():
                if compare_values(value, conditions["operator"], conditions["value"]):
                    yield _Hit(path)
        case _:
            for path in after:
                if path in before:
                    yield from _compare_amount(conditions, path, before[path], after[path])


def _compare_amount(
    conditions: Mapping[str, Any], path: str, before: Any, after: Any
) -> Iterator[_Hit]:
    """Compare a signed difference. PostHog subtracts floats: 20 may be 20.000000000000004."""
    limit, test = to_number(conditions["value"]), OPERATORS[conditions["operator"]]
    before, after = to_number(before), to_number(after)
    if limit is None or before is None or after is None:
        return
    exact = rounded = test(after - before, limit)
    if not (isinstance(before, int) and isinstance(after, int)):
        exact = test(to_fraction(after) - to_fraction(before), to_fraction(limit))
    if exact or rounded:
        yield _Hit(path, exact, rounded)


def compare_values(left: Any, symbol: str, right: Any) -> bool:
    """Return `left <symbol> right`; False for values that are not comparable."""
    test, limit = OPERATORS[symbol], to_number(right)
    if (value := to_number(left)) is not None and limit is not None:
        return test(value, limit)
    if isinstance(left, str) and isinstance(right, str):
        return test(left, right)
    return False


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; a boolean is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def to_number(value: Any) -> float | None:
    """Return the number that the server takes a value for: in Python, true is 1."""
    number = int(value) if isinstance(value, bool) else value
    return number if is_number(number) else None


def to_fraction(number: float) -> Fraction:
    """Return the number as it is written: 12.6 is 63/5, not the nearest double."""
    return Fraction(str(number))
