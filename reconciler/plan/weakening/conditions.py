"""Which changes one set of conditions gates and another does not: computed, not guessed.

A condition is the set of (before, after) pairs of a position that it gates. The lines `after = v`,
`after - before = d` and `before = after` cut all pairs into finitely many cells; inside a cell
nothing depends on the point. One exact point of every cell therefore decides inclusion, for all
percentages that there are.
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

Pair = tuple[Any, Any]  # before, after: a Fraction, None for null, ABSENT for no position
Gates = Callable[[Pair], bool]

_RELEASE_CHANGE: Final[Pair] = (RELEASE, ABSENT)  # stands for any move of the release conditions
_FLIP: Final[Pair] = (False, True)  # the one change that enabling or disabling can be
_FULL: Final = Fraction(100)


def lost(action: str, before: Any, after: Any) -> str | None:
    """A change that `before` gates and `after` does not, in words; None if there is none."""
    if before == after:
        return None
    if action not in {UPDATE, ENABLE, DISABLE}:
        return _opaque(before, after)
    if action != UPDATE:
        old, new = _of_flip(before), _of_flip(after)
        return None if new(_FLIP) or not old(_FLIP) else "every change"
    old, new = _of_rollout(before), _of_rollout(after)
    pairs = _points(before, after)
    missed = [pair for pair in pairs if old(pair) and not new(pair)]
    moves = (pair for pair in pairs if pair[0] != pair[1] and pair != _RELEASE_CHANGE)
    if all(new(pair) for pair in moves):  # what stays needs a move beside it to be looked at
        missed = [pair for pair in missed if pair == _RELEASE_CHANGE]
    return _words(min(missed, key=_plainness)) if missed else None


def _opaque(before: Any, after: Any) -> str | None:
    """An action whose rules are not known: only 'everything' can be compared."""
    if not after or find_fault(after) is not None:
        return None
    everything = not before or find_fault(before) is not None
    return "every change" if everything else "changes that its former conditions covered"


def _of_flip(conditions: Any) -> Gates:
    """Enabling and disabling have no positions: all or nothing (a crash lets nothing through)."""
    everything = not conditions or find_fault(conditions) is not None or are_crashing(conditions)
    return lambda _: everything


def _of_rollout(conditions: Any) -> Gates:
    """What conditions gate of `feature_flag.update`."""
    if not conditions or find_fault(conditions) is not None:
        return lambda pair: pair != _RELEASE_CHANGE
    field, changed = conditions["field"], conditions["type"] == "any_change"
    if field == RELEASE and changed:
        return lambda pair: pair == _RELEASE_CHANGE
    if field != ROLLOUT or not (changed or to_number(conditions["value"]) is not None):
        return lambda _: False
    if changed:
        return lambda pair: pair != _RELEASE_CHANGE and pair[0] != pair[1]
    return _of_numbers(conditions)


def _of_numbers(conditions: Mapping[str, Any]) -> Gates:
    test, limit = (
        OPERATORS[conditions["operator"]],
        to_fraction(to_number(conditions["value"]) or 0),
    )

    def becomes(pair: Pair) -> bool:
        return isinstance(pair[1], Fraction) and test(pair[1], limit)

    def moves(pair: Pair) -> bool:
        before, after = pair
        return (
            isinstance(before, Fraction)
            and isinstance(after, Fraction)
            and test(after - before, limit)
        )

    return becomes if conditions["type"] == "before_after" else moves


def _points(*conditions: Any) -> list[Pair]:
    """One exact point of every cell, the empty positions, and a move of the release conditions."""
    levels = {Fraction(0), _FULL, *_limits(conditions, "before_after")}
    steps = {Fraction(0), *_limits(conditions, "change_amount")}
    after = _between(levels | steps | {step + _FULL for step in steps})
    pairs: list[Pair] = [_RELEASE_CHANGE, (ABSENT, None), (None, ABSENT), (None, None)]
    for value in after:
        pairs += [(ABSENT, value), (value, ABSENT), (None, value), (value, None)]
        before = _between({Fraction(0), _FULL, *(value - step for step in steps)})
        pairs += [(other, value) for other in before]
    return pairs


def _limits(conditions: Iterable[Any], kind: str) -> set[Fraction]:
    return {
        to_fraction(limit)
        for one in conditions
        if isinstance(one, Mapping)
        and one.get("type") == kind
        and (limit := to_number(one.get("value"))) is not None
    }


def _between(marks: set[Fraction]) -> list[Fraction]:
    """The marks that are percentages, and a point between each two."""
    inside = sorted(mark for mark in marks if 0 <= mark <= _FULL)
    return sorted({*inside, *((low + high) / 2 for low, high in pairwise(inside))})


def _plainness(pair: Pair) -> tuple[bool, int, int, Fraction]:
    """The example that people grasp quickest: a move, from a number to a number, in whole ones."""
    numbers = [value for value in pair if isinstance(value, Fraction)]
    return (
        pair[0] == pair[1],
        len(pair) - len(numbers),
        sum(value.denominator for value in numbers),
        -abs(numbers[-1] - numbers[0]) if numbers else Fraction(0),
    )


def _words(pair: Pair) -> str:
    if pair == _RELEASE_CHANGE:
        return "changes of the release conditions"
    before, after = (_value(value) for value in pair)
    if before == after:
        return f"changes beside a position that stays at {after}"
    return f"changes such as {before} -> {after}"


def _value(value: Any) -> str:
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    return "null" if value is None else "nothing"
