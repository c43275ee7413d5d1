"""Find which changes one set of conditions gates and another does not: computed, not guessed.

A condition is the set of (before, after) pairs of a position that it gates. The lines `after = v`,
`after - before = d` and `before = after` divide all pairs into finitely many cells; all points of a
cell have the same result. So one exact point of every cell decides inclusion for all percentages.

Generations of PostHog differ on changes of the release conditions. What is no longer gated in any
generation that the server may be counts.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from reconciler.model import ABSENT, EXPERIMENT_TWINS
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
from reconciler.plan.approvals.server_generation import Generation, Generations

ValuePair = tuple[Any, Any]  # before, after: a Fraction, None for null, ABSENT for no position
Gates = Callable[[ValuePair], bool]

_RELEASE_CHANGE: Final[ValuePair] = (RELEASE, ABSENT)  # represents any change of release conditions
_SWITCH: Final[ValuePair] = (False, True)  # represents enabling or disabling
_FULL: Final = Fraction(100)
_UPDATES: Final = frozenset({UPDATE, EXPERIMENT_TWINS[UPDATE]})
_SWITCHES: Final = frozenset({ENABLE, DISABLE, EXPERIMENT_TWINS[ENABLE], EXPERIMENT_TWINS[DISABLE]})


class _Targeting(Enum):
    """When an action is about changes of the release conditions (contract 5.2, 5.8)."""

    NEVER = auto()
    IF_SELECTED = auto()  # by the conditions of the policy
    ALWAYS = auto()


def find_ungated_change(
    action: str, before: Any, after: Any, generations: Generations
) -> str | None:
    """Return a change that `before` gates and `after` does not, in words; None if there is none.

    `generations` are those that the server may be; a change that differs between them says so.
    """
    if before == after:
        return None
    if action in _SWITCHES:
        is_gated_before, is_gated_after = _build_switch_gate(before), _build_switch_gate(after)
        return None if is_gated_after(_SWITCH) or not is_gated_before(_SWITCH) else "every change"
    if action not in _UPDATES:
        return _compare_unknown_action(before, after)
    by_targeting = {
        _find_targeting(action, generation): generation for generation in reversed(generations)
    }
    examples = {
        generation: example
        for targeting, generation in by_targeting.items()
        if (example := _find_example(before, after, targeting)) is not None
    }
    if not examples:
        return None
    newest = next(generation for generation in generations if generation in examples)
    if len(examples) == len(by_targeting):
        return examples[newest]
    when = "since" if newest is Generation.G3 else "before"
    return f"{examples[newest]} (on PostHog {when} autumn 2026; nothing shows the version)"


def _find_targeting(action: str, generation: Generation) -> _Targeting:
    if action != UPDATE:
        return _Targeting.NEVER
    return _Targeting.ALWAYS if generation is Generation.G3 else _Targeting.IF_SELECTED


def _find_example(before: Any, after: Any, targeting: _Targeting) -> str | None:
    """Return a change that is no longer gated, where the action is about targeting like this."""
    is_gated_before, is_gated_after = (
        _build_update_gate(before, targeting),
        _build_update_gate(after, targeting),
    )
    pairs = _list_points(before, after)
    ungated = [pair for pair in pairs if is_gated_before(pair) and not is_gated_after(pair)]
    free_changes = [
        pair
        for pair in pairs
        if pair[0] != pair[1]
        and not is_gated_after(pair)
        and (pair != _RELEASE_CHANGE or targeting is _Targeting.ALWAYS)
    ]
    if not free_changes:  # an unchanged position counts only beside a change
        ungated = [pair for pair in ungated if pair[0] != pair[1]]
    if not ungated:
        return None
    return _describe_example(
        min(ungated, key=_rank_example), is_beside_release=free_changes == [_RELEASE_CHANGE]
    )


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


def _build_update_gate(conditions: Any, targeting: _Targeting) -> Gates:
    """Return which changes the conditions of an update gate."""
    if not conditions or find_fault(conditions) is not None:
        return lambda pair: pair != _RELEASE_CHANGE or targeting is _Targeting.ALWAYS
    field, is_any_change = conditions["field"], conditions["type"] == "any_change"
    if field == RELEASE and is_any_change:
        return lambda pair: pair == _RELEASE_CHANGE and targeting is not _Targeting.NEVER
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


def _describe_example(pair: ValuePair, *, is_beside_release: bool) -> str:
    if pair == _RELEASE_CHANGE:
        return "changes of the release conditions"
    before, after = (_format_value(value) for value in pair)
    if before == after:
        change = "changes of the release conditions" if is_beside_release else "changes"
        return f"{change} beside a position that stays at {after}"
    return f"changes such as {before} → {after}"


def _format_value(value: Any) -> str:
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    return "null" if value is None else "nothing"
