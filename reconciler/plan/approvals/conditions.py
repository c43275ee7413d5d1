"""The conditions of an approval policy (contract 4): whether a change falls under them.

They look at positions: `groups[0].rollout_percentage` before, and after. A position that is
missing, one that is null and one that is 100 are three different things.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Any, Final

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
class Answer:
    """What a policy's conditions say to one change."""

    gates: bool
    paths: tuple[str, ...] = ()  # the positions that made it so
    sure: bool = True  # False: servers may differ, by generation or by how they round
    why: str = ""  # what is wrong with conditions that gate without looking


def selects(conditions: Any, field: str) -> bool:
    """Whether the conditions are about this field."""
    return isinstance(conditions, Mapping) and conditions.get("field") == field


def crashes(conditions: Any) -> bool:
    """Whether PostHog fails on these for enabling and disabling, which have no list to look at."""
    return selects(conditions, "active") and fault(conditions) is None


def evaluate(conditions: Any, fields: Fields) -> Answer:
    """Whether the change is gated. What cannot be understood gates; what cannot be compared not.

    A field that the action has no data for is evaluated over nothing, and so never gates.
    """
    if not conditions:
        return Answer(gates=True)
    if (why := fault(conditions)) is not None:
        return Answer(gates=True, why=why)
    field = conditions["field"]
    before, after = fields.get(field, ({}, {})) if isinstance(field, str) else ({}, {})
    hits = tuple(_hits(conditions, before, after))
    met = tuple(hit.path for hit in hits if hit.rounded)
    sure = bool(met) == any(hit.exact for hit in hits)
    return Answer(bool(met), met, sure and field != RELEASE)


@dataclass(frozen=True, slots=True)
class _Hit:
    """A position that meets the conditions, by numbers as written or as servers round them."""

    path: str
    exact: bool = True
    rounded: bool = True


def fault(conditions: Any) -> str | None:
    """Why these conditions gate everything (the server fails closed), or None."""
    if not isinstance(conditions, Mapping):
        return "its conditions are no mapping"
    kind = conditions.get("type")
    if kind is None:
        return "its conditions name no type"
    if not isinstance(kind, str) or kind not in _NEEDS:
        return f"its condition type {kind!r} is unknown"
    for name in _NEEDS[kind]:
        if conditions.get(name) is None or (name == "field" and not conditions[name]):
            return f"its conditions name no {name}"
    if kind != "any_change" and conditions["operator"] not in list(OPERATORS):
        return f"its operator {conditions['operator']!r} is unknown"
    return None


def _hits(conditions: Mapping[str, Any], before: Positions, after: Positions) -> Iterator[_Hit]:
    """Each position that meets the conditions."""
    match conditions["type"]:
        case "any_change":
            for path in sorted({*before, *after}):
                if (path in before) != (path in after) or before[path] != after[path]:
                    yield _Hit(path)
        case "before_after":
            for path, value in after.items():
                if compare(value, conditions["operator"], conditions["value"]):
                    yield _Hit(path)
        case _:
            for path in after:
                if path in before:
                    yield from _amount(conditions, path, before[path], after[path])


def _amount(conditions: Mapping[str, Any], path: str, before: Any, after: Any) -> Iterator[_Hit]:
    """Signed. PostHog subtracts floats, and may see 20.000000000000004 for 20."""
    limit, test = as_number(conditions["value"]), OPERATORS[conditions["operator"]]
    if limit is None or not (is_number(before) and is_number(after)):
        return
    exact = rounded = test(after - before, limit)
    if not (isinstance(before, int) and isinstance(after, int)):
        exact = test(exactly(after) - exactly(before), exactly(limit))
    if exact or rounded:
        yield _Hit(path, exact, rounded)


def compare(left: Any, symbol: str, right: Any) -> bool:
    """`left <symbol> right`; False for what cannot be compared, such as text with a number."""
    test, limit = OPERATORS[symbol], as_number(right)
    if is_number(left) and limit is not None:
        return test(left, limit)
    if isinstance(left, str) and isinstance(right, str):
        return test(left, right)
    return False


def is_number(value: Any) -> bool:
    """A finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def as_number(limit: Any) -> float | None:
    """The number that a limit is to the server: to Python, true is 1."""
    value = int(limit) if isinstance(limit, bool) else limit
    return value if is_number(value) else None


def exactly(number: float) -> Fraction:
    """The number as it is written: 12.6 is 63/5, not the nearest double."""
    return Fraction(str(number))
