"""Find which changes one set of conditions gates and another does not: computed, not guessed.

A condition is the set of (before, after) pairs of a position that it gates. The lines `after = v`,
`after - before = d` and `before = after` divide all pairs into finitely many cells; all points of a
cell have the same result. So one exact point of every cell decides inclusion for all percentages.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from reconciler.model import ABSENT
from reconciler.plan.approvals.actions import DISABLE, ENABLE, UPDATE
from reconciler.plan.approvals.conditions import (
    OPERATORS,
    RELEASE,
    ROLLOUT,
    are_crashing,
    find_fault,
    to_fraction,
    to_number,
)

ValuePair = tuple[Any, Any]  # before, after: a Fraction, None for null, ABSENT for no position
Gates = Callable[[ValuePair], bool]

_RELEASE_CHANGE: Final[ValuePair] = (RELEASE, ABSENT)  # represents any change of release conditions
_SWITCH: Final[ValuePair] = (False, True)  # represents enabling or disabling
_FULL: Final = Fraction(100)


def find_ungated_change(action: str, before: Any, after: Any) -> str | None:
    """Return a change that `before` gates and `after` does not, in words; None if there is none."""
    if before == after:
        return None
    if action not in {UPDATE, ENABLE, DISABLE}:
        return _compare_unknown_action(before, after)
    if action != UPDATE:
        is_gated_before, is_gated_after = _build_switch_gate(before), _build_switch_gate(after)
        return None if is_gated_after(_SWITCH) or not is_gated_before(_SWITCH) else "every change"
    is_gated_before, is_gated_after = _build_rollout_gate(before), _build_rollout_gate(after)
    pairs = _list_points(before, after)
    ungated = [pair for pair in pairs if is_gated_before(pair) and not is_gated_after(pair)]
    changed_pairs = (pair for pair in pairs if pair[0] != pair[1] and pair != _RELEASE_CHANGE)
    if all(
        is_gated_after(pair) for pair in changed_pairs
    ):  # an unchanged position counts only beside a changed one
        ungated = [pair for pair in ungated if pair == _RELEASE_CHANGE]
    return _describe_example(min(ungated, key=_rank_example)) if ungated else None


def _compare_unknown_action(before: Any, after: Any) -> str | None:
    """Compare conditions of an unknown action: only whether they gate everything is comparable."""
    if not after or find_fault(after) is not None:
        return None
    everything = not before or find_fault(before) is not None
    return "every change" if everything else "changes that its former conditions covered"


def _build_switch_gate(conditions: Any) -> Gates:
    """Return the gate of enabling or disabling: all or nothing; a crash blocks the write, too."""
    everything = not conditions or find_fault(conditions) is not None or are_crashing(conditions)
    return lambda _: everything


def _build_rollout_gate(conditions: Any) -> Gates:
    """Return which changes of `feature_flag.update` conditions gate."""
    if not conditions or find_fault(conditions) is not None:
        return lambda pair: pair != _RELEASE_CHANGE
    field, is_any_change = conditions["field"], conditions["type"] == "any_change"
    if field == RELEASE and is_any_change:
        return lambda pair: pair == _RELEASE_CHANGE
    if field != ROLLOUT or not (is_any_change or to_number(conditions["value"]) is not None):
        return lambda _: False
    if is_any_change:
        return lambda pair: pair != _RELEASE_CHANGE and pair[0] != pair[1]
    return _build_number_gate(conditions)


def _build_number_gate(conditions: Mapping[str, Any]) -> Gates:
    test, limit = (
        OPERATORS[conditions["operator"]],
        to_fraction(to_number(conditions["value"]) or 0),
    )

    def becomes(pair: ValuePair) -> bool:
        return isinstance(pair[1], Fraction) and test(pair[1], limit)

    def moves(pair: ValuePair) -> bool:
        before, after = pair
        return (
            isinstance(before, Fraction)
            and isinstance(after, Fraction)
            and test(after - before, limit)
        )

    return becomes if conditions["type"] == "before_after" else moves


def _list_points(*conditions: Any) -> list[ValuePair]:
    """Return a point of every cell, the empty positions, and a change of release conditions."""
    levels = {Fraction(0), _FULL, *_list_limits(conditions, "before_after")}
    steps = {Fraction(0), *_list_limits(conditions, "change_amount")}
    after = _add_midpoints(levels | steps | {step + _FULL for step in steps})
    pairs: list[ValuePair] = [_RELEASE_CHANGE, (ABSENT, None), (None, ABSENT), (None, None)]
    for value in after:
        pairs += [(ABSENT, value), (value, ABSENT), (None, value), (value, None)]
        before = _add_midpoints({Fraction(0), _FULL, *(value - step for step in steps)})
        pairs += [(old_value, value) for old_value in before]
    return pairs


def _list_limits(conditions: Iterable[Any], condition_type: str) -> set[Fraction]:
    return {
        to_fraction(limit)
        for condition in conditions
        if isinstance(condition, Mapping)
        and condition.get("type") == condition_type
        and (limit := to_number(condition.get("value"))) is not None
    }


def _add_midpoints(marks: set[Fraction]) -> list[Fraction]:
    """Return the marks that are percentages, and a point between each two."""
    inside = sorted(mark for mark in marks if 0 <= mark <= _FULL)
    return sorted({*inside, *((low + high) / 2 for low, high in pairwise(inside))})


def _rank_example(pair: ValuePair) -> tuple[bool, int, int, Fraction]:
    """Return a sort key that prefers plain examples: changes between whole numbers."""
    numbers = [value for value in pair if isinstance(value, Fraction)]
    return (
        pair[0] == pair[1],
        len(pair) - len(numbers),
        sum(value.denominator for value in numbers),
        -abs(numbers[-1] - numbers[0]) if numbers else Fraction(0),
    )


def _describe_example(pair: ValuePair) -> str:
    if pair == _RELEASE_CHANGE:
        return "changes of the release conditions"
    before, after = (_format_value(value) for value in pair)
    if before == after:
        return f"changes beside a position that stays at {after}"
    return f"changes such as {before} -> {after}"


def _format_value(value: Any) -> str:
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    return "null" if value is None else "nothing"
