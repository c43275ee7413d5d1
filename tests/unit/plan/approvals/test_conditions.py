"""Conditions of section 4 of the contract: every row a sentence, and all of them by brute force."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.plan.approvals.actions import list_rollout_positions
from reconciler.plan.approvals.conditions import (
    OPERATORS,
    RELEASE,
    ROLLOUT,
    ConditionResult,
    are_crashing,
    evaluate_conditions,
)
from reconciler.plan.approvals.release_conditions import CanonicalGroup
from reconciler.plan.approvals.server_generation import Generation

A, B = "groups[0].rollout_percentage", "groups[1].rollout_percentage"


def gates(conditions, before, after, field=ROLLOUT):
    return evaluate_conditions(conditions, {field: (before, after)}).gates


def becomes(symbol, value, **more):
    return {"type": "before_after", "field": ROLLOUT, "operator": symbol, "value": value, **more}


def moves(symbol, value, **more):
    return {"type": "change_amount", "field": ROLLOUT, "operator": symbol, "value": value, **more}


CHANGED = {"type": "any_change", "field": ROLLOUT}

ROWS = [
    ("no conditions gate every change", {}, {A: 10}, {A: 11}, True),
    ("conditions of null gate every change", None, {A: 10}, {A: 11}, True),
    ("an empty list is falsy and gates every change", [], {A: 10}, {A: 11}, True),
    ("text in place of an object gates", "x > 3", {A: 10}, {A: 11}, True),
    ("a list in place of an object gates", [{}], {A: 10}, {A: 11}, True),
    ("an unknown type gates", {"type": "weekday", "field": ROLLOUT}, {A: 1}, {A: 1}, True),
    ("a type that is no text gates", {"type": ["any_change"]}, {A: 1}, {A: 1}, True),
    ("no type gates", {"field": ROLLOUT, "operator": ">", "value": 99}, {A: 1}, {A: 1}, True),
    # before_after
    ("the new value is over the limit", becomes(">", 50), {A: 10}, {A: 80}, True),
    ("the new value is at the limit, not over it", becomes(">", 50), {A: 10}, {A: 50}, False),
    ("at least includes the limit", becomes(">=", 50), {A: 10}, {A: 50}, True),
    ("only the new value counts", becomes(">", 50), {A: 80}, {A: 10}, False),
    ("less than", becomes("<", 50), {A: 80}, {A: 49.5}, True),
    ("at most", becomes("<=", 50), {A: 80}, {A: 50}, True),
    ("equal: 50 is 50.0", becomes("==", 50), {A: 80}, {A: 50.0}, True),
    ("unequal", becomes("!=", 50), {A: 50}, {A: 51}, True),
    ("unequal, and equal", becomes("!=", 50), {A: 51}, {A: 50}, False),
    ("an unchanged position counts", becomes(">", 50), {A: 80, B: 1}, {A: 80, B: 2}, True),
    ("a new position counts", becomes(">", 50), {A: 1}, {A: 1, B: 80}, True),
    ("a removed position does not", becomes(">", 50), {A: 1, B: 80}, {A: 1}, False),
    ("null is skipped", becomes("!=", 50), {A: 1}, {A: None}, False),
    ("text is no number and is skipped", becomes(">", "50"), {A: 1}, {A: 80}, False),
    ("text differs from a number, and is skipped", becomes("!=", "50"), {A: 1}, {A: 80}, False),
    ("text compares with text", becomes("==", "x"), {A: "y"}, {A: "x"}, True),
    ("true is 1", becomes(">", 0), {A: 0}, {A: True}, True),
    ("a limit of true is 1 to the server", becomes(">", value=True), {A: 0}, {A: 80}, True),
    ("a skipped position hides no other", becomes(">", 50), {}, {A: None, B: 80}, True),
    # change_amount
    ("a rise over the limit", moves(">", 20), {A: 10}, {A: 50}, True),
    ("a rise of the limit is not over it", moves(">", 20), {A: 10}, {A: 30}, False),
    ("a fall is no rise", moves(">", 20), {A: 90}, {A: 10}, False),
    ("signed: a fall under a negative limit", moves("<", -20), {A: 90}, {A: 10}, True),
    ("signed: a rise is not", moves("<", -20), {A: 10}, {A: 90}, False),
    ("an empty field is a missing one", becomes(">", 50, field=""), {A: 0}, {A: 1}, True),
    ("halves are exact", moves(">=", 2.5), {A: 10}, {A: 12.5}, True),
    ("a new position never matches", moves(">", 20), {A: 10}, {A: 10, B: 100}, False),
    ("a removed position never matches", moves("<", 0), {A: 10, B: 100}, {A: 10}, False),
    ("from null never matches", moves(">", 20), {A: None}, {A: 100}, False),
    ("to null never matches", moves("<", 0), {A: 100}, {A: None}, False),
    ("text is skipped", moves(">", 0), {A: "10"}, {A: 50}, False),
    ("a limit that is text is skipped", moves(">", "0"), {A: 10}, {A: 50}, False),
    ("an unchanged position has moved by 0", moves("==", 0), {A: 10, B: 1}, {A: 10, B: 9}, True),
    # any_change
    ("any change", CHANGED, {A: 10}, {A: 10.5}, True),
    ("10 and 10.0 are no change", CHANGED, {A: 10}, {A: 10.0}, False),
    ("a position that appears", CHANGED, {A: 10}, {A: 10, B: None}, True),
    ("a position that vanishes", CHANGED, {A: 10, B: 1}, {A: 10}, True),
    ("null is not 100", CHANGED, {A: None}, {A: 100}, True),
    ("no change", CHANGED, {A: 10}, {A: 10}, False),
    # fails closed
    ("no field", {"type": "any_change"}, {A: 1}, {A: 1}, True),
    ("no operator", moves(None, 20), {A: 1}, {A: 1}, True),
    ("no value", becomes(">", None), {A: 1}, {A: 1}, True),
    ("an unknown operator", becomes("=>", 99), {A: 1}, {A: 1}, True),
    ("an operator that is no text", becomes([">"], 99), {A: 1}, {A: 1}, True),
    # over nothing
    ("a field without data gates nothing", moves(">", 1, field="name"), {A: 1}, {A: 99}, False),
    ("a field that is no text gates nothing", moves(">", 1, field=["x"]), {A: 1}, {A: 99}, False),
]


@pytest.mark.parametrize(
    ("conditions", "before", "after", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_row(conditions, before, after, expected):
    """Contract section 4, one row after the other."""
    assert gates(conditions, before, after) is expected


@pytest.mark.parametrize("conditions", [moves(">", 20), becomes(">", 0), CHANGED, becomes("!=", 7)])
def test_enabling_and_disabling_have_nothing_to_look_at(conditions):
    """A condition on rollout_percentage evaluates over nothing: allowed."""
    assert not evaluate_conditions(conditions, {}).gates


def test_a_condition_on_active_makes_the_gate_fail():
    """Unless it is malformed: then it gates before it looks."""
    assert are_crashing({"type": "any_change", "field": "active"})
    assert not are_crashing({"type": "before_after", "field": "active"})
    assert not are_crashing(CHANGED)


def test_a_switch_counts_as_a_number_and_a_group_as_nothing():
    """In Python, true is 1; a group is compared with neither numbers nor text (contract 4)."""
    group = CanonicalGroup("{}")
    before = {"groups[0]": group, "early_exit": False}
    fields = {RELEASE: (before, {**before, "early_exit": True})}
    grows = {"type": "change_amount", "field": RELEASE, "operator": ">", "value": 0}
    differs = {"type": "before_after", "field": RELEASE, "operator": "!=", "value": "x"}

    assert evaluate_conditions(grows, fields).paths == ("early_exit",)
    assert evaluate_conditions(differs, fields).paths == ()


def test_release_conditions_are_never_sure():
    """Only late servers know the field."""
    changed = {"type": "any_change", "field": RELEASE}

    assert evaluate_conditions(
        changed, {RELEASE: ({"groups[0]": []}, {"groups[0]": ["x"]})}
    ) == ConditionResult(gates=True, paths=("groups[0]",), is_certain=False)
    assert not evaluate_conditions(changed, {RELEASE: ({"groups[0]": []}, {"groups[0]": []})}).gates


def test_where_rounding_decides_the_answer_is_that_of_floats_and_not_sure():
    """From 10.1 to 30.3 is 20.2 by hand, and another number in doubles."""
    assert (30.3 - 10.1) != 20.2

    answer = evaluate_conditions(moves(">", 20.2), {ROLLOUT: ({A: 10.1}, {A: 30.3})})

    assert (answer.gates, answer.is_certain) == (30.3 - 10.1 > 20.2, False)
    equal = evaluate_conditions(moves("==", 20.2), {ROLLOUT: ({A: 10.1}, {A: 30.3})})
    assert equal == ConditionResult(gates=False, is_certain=False)
    both = evaluate_conditions(moves("==", 20.2), {ROLLOUT: ({A: 10.1, B: 0}, {A: 30.3, B: 20.2})})
    assert both == ConditionResult(gates=True, paths=(B,))


def test_positions_of_each_generation():
    """Groups and variants; the holdout or its forerunners; only keys that are there."""
    filters = {
        "groups": [{"rollout_percentage": 12.5}, {"properties": []}, {"rollout_percentage": None}],
        "multivariate": {"variants": [{"key": "a", "rollout_percentage": 60}]},
        "holdout": {"id": 3, "exclusion_percentage": 5},
        "super_groups": [{"rollout_percentage": 1}],
        "holdout_groups": [{"rollout_percentage": 2}],
    }
    both = {
        "groups[0].rollout_percentage": 12.5,
        "groups[2].rollout_percentage": None,
        "multivariate.variants[0].rollout_percentage": 60,
    }

    assert list_rollout_positions(filters, Generation.G2) == {
        **both,
        "holdout.exclusion_percentage": 5,
    }
    assert list_rollout_positions(filters, Generation.G1) == {
        **both,
        "super_groups[0].rollout_percentage": 1,
        "holdout_groups[0].rollout_percentage": 2,
    }
    for one in Generation:
        assert (
            list_rollout_positions({"groups": None, "multivariate": None, "holdout": None}, one)
            == {}
        )
        assert (
            list_rollout_positions({"multivariate": {"variants": None}, "groups": ["odd"]}, one)
            == {}
        )


NUMBERS = st.one_of(
    st.integers(-3, 12), st.sampled_from([0.5, 2.5, 10.1, 99.9, 12.5, 0.1, 0.2, 0.3])
)
VALUES = st.one_of(NUMBERS, st.none(), st.sampled_from(["5", True, False]))
POSITIONS = st.dictionaries(st.sampled_from([A, B, "holdout.exclusion_percentage"]), VALUES)


def numeric(value):
    return not isinstance(value, bool) and isinstance(value, int | float)


def brute(conditions, before, after):
    """The contract once more, over every (before, after) pair of positions."""
    test, limit = OPERATORS.get(conditions.get("operator")), conditions.get("value")
    pairs = [(before.get(p, ...), after.get(p, ...)) for p in {*before, *after}]
    match conditions["type"]:
        case "any_change":
            return any(b is not a and b != a for b, a in pairs)
        case "before_after":
            return any(test(Fraction(str(a)), Fraction(str(limit))) for _, a in pairs if numeric(a))
        case _:
            return any(
                test(Fraction(str(a)) - Fraction(str(b)), Fraction(str(limit)))
                for b, a in pairs
                if numeric(a) and numeric(b)
            )


@given(
    kind=st.sampled_from(["before_after", "change_amount", "any_change"]),
    symbol=st.sampled_from(sorted(OPERATORS)),
    limit=NUMBERS,
    before=POSITIONS,
    after=POSITIONS,
)
@example("change_amount", ">", 0.2, {A: 0.1}, {A: 0.3})
def test_evaluation_is_the_set_of_gated_pairs(kind, symbol, limit, before, after):
    """Whatever is sure is exactly what counting by hand says; what is not sure is gated."""
    conditions = {"type": kind, "field": ROLLOUT, "operator": symbol, "value": limit}

    answer = evaluate_conditions(conditions, {ROLLOUT: (before, after)})

    if answer.is_certain:
        assert answer.gates is brute(conditions, before, after)
    else:
        assert answer.gates
        assert kind == "change_amount"
