"""Conditions as a pure function, and the positions that they evaluate (contract 4)."""

import pytest

from reconciler.sandbox.protocol.errors import ApiError
from reconciler.sandbox.rules import conditions, flag_filters
from reconciler.sandbox.store.generation import G1, G2

ROLLOUT = "rollout_percentage"


def at(**values):
    return {ROLLOUT: [{"path": path, "value": value} for path, value in values.items()]}


def met(rule, before, after, crash=""):
    return conditions.are_met(rule, before=before, after=after, crash=crash)


def rule(kind, operator=None, value=None, field=ROLLOUT):
    parts = {"type": kind, "field": field, "operator": operator, "value": value}
    return {name: part for name, part in parts.items() if part is not None}


CASES = [
    ("empty gates everything", {}, at(a=1), at(a=1), True),
    ("null-like gates everything", None, at(), at(), True),
    ("after holds", rule("before_after", ">", 50), at(a=10), at(a=60), True),
    ("after does not hold", rule("before_after", ">", 50), at(a=90), at(a=50), False),
    ("any position counts", rule("before_after", ">", 50), at(a=60, b=1), at(a=60, b=2), True),
    ("null is skipped", rule("before_after", "<", 50), at(), at(a=None), False),
    ("an increase", rule("change_amount", ">", 20), at(a=10), at(a=31), True),
    ("too small an increase", rule("change_amount", ">", 20), at(a=10), at(a=30), False),
    ("a decrease is no increase", rule("change_amount", ">", 20), at(a=90), at(a=10), False),
    ("a decrease", rule("change_amount", "<", -20), at(a=90), at(a=10), True),
    ("new positions never match", rule("change_amount", ">", 0), at(), at(a=100), False),
    ("null never matches", rule("change_amount", ">", 0), at(a=None), at(a=100), False),
    ("any change", rule("any_change"), at(a=1), at(a=2), True),
    ("no change", rule("any_change"), at(a=1), at(a=1), False),
    ("a position appears", rule("any_change"), at(), at(a=None), True),
    ("a position vanishes", rule("any_change"), at(a=None), at(), True),
    ("null is not 100", rule("any_change"), at(a=None), at(a=100), True),
    ("unknown type gates", {"type": "moon"}, at(), at(), True),
    ("no type gates", {"field": ROLLOUT}, at(), at(), True),
    ("no field gates", rule("any_change", field=""), at(), at(), True),
    ("no operator gates", rule("before_after", value=1), at(), at(a=0), True),
    ("unknown operator gates", rule("before_after", "~", 1), at(), at(a=0), True),
    ("no value gates", rule("change_amount", ">"), at(), at(), True),
    ("text is skipped", rule("before_after", "!=", "x"), at(), at(a=5), False),
    ("text bound is skipped", rule("before_after", ">", "5"), at(), at(a=9), False),
    ("a field without data", rule("any_change", field="name"), at(a=1), at(a=2), False),
    *[
        (f"operator {sign}", rule("before_after", sign, 5), at(), at(a=value), expected)
        for sign, value, expected in (
            (">=", 5, True),
            ("<=", 5, True),
            ("<=", 6, False),
            ("==", 5.0, True),
            ("!=", 5, False),
            ("!=", 6, True),
            ("<", 4, True),
        )
    ],
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_each_condition_holds_or_not(case):
    """Contract 4."""
    _, rules, before, after, expected = case

    assert met(rules, before, after) is expected


def test_a_condition_on_active_crashes_the_gate():
    """Contract 4."""
    with pytest.raises(ApiError) as caught:
        met(rule("any_change", field="active"), {}, {}, crash="active")

    assert caught.value.status == 500


EVERYWHERE = {
    "groups": [{"rollout_percentage": 10}, {}, {"rollout_percentage": None}],
    "super_groups": [{"rollout_percentage": 20}],
    "holdout_groups": [{"rollout_percentage": 30}],
    "holdout": {"exclusion_percentage": 40},
    "multivariate": {"variants": [{"key": "a", "rollout_percentage": 50}]},
}


@pytest.mark.parametrize(
    ("profile", "paths"),
    [
        (
            G2,
            {
                "groups[0].rollout_percentage": 10,
                "groups[2].rollout_percentage": None,
                "holdout.exclusion_percentage": 40,
                "multivariate.variants[0].rollout_percentage": 50,
            },
        ),
        (
            G1,
            {
                "groups[0].rollout_percentage": 10,
                "groups[2].rollout_percentage": None,
                "super_groups[0].rollout_percentage": 20,
                "holdout_groups[0].rollout_percentage": 30,
                "multivariate.variants[0].rollout_percentage": 50,
            },
        ),
    ],
    ids=["g2", "g1"],
)
def test_a_position_exists_only_where_the_key_is(profile, paths):
    """Contract 4."""
    found = flag_filters.find_rollouts(EVERYWHERE, profile)

    assert {one["path"]: one["value"] for one in found} == paths


def test_release_conditions_ignore_order_and_display_only_keys():
    """Contract 4."""
    one = {"key": "a", "type": "person", "operator": "exact", "value": 1}
    two = {"key": "b", "type": "cohort", "value": 2}
    first = {"groups": [{"properties": [one, two], "rollout_percentage": 1}]}
    plain = {"key": "a", "type": "person", "value": 1}
    second = {"groups": [{"properties": [{**two, "cohort_name": "x"}, plain]}]}

    assert flag_filters.find_release_conditions(first) == flag_filters.find_release_conditions(
        second
    )
    assert flag_filters.find_release_conditions(first) != flag_filters.find_release_conditions({})
