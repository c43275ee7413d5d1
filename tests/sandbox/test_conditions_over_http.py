"""Conditions over HTTP: each type, each operator, unusual values (contract 4)."""

import pytest

from .conftest import FLAGS

UPDATE = "feature_flag.update"
FIELD = {"field": "rollout_percentage"}


def groups(*shares):
    made = [{"properties": []} if share == "absent" else group(share) for share in shares]
    return {"groups": made}


def group(share):
    return {"properties": [], "rollout_percentage": share}


def gated(api, conditions, before, after):
    assert api.patch(f"{FLAGS}/1/", {"filters": groups(*before)}).status == 200
    api.policy(UPDATE, conditions=conditions)
    reply = api.patch(f"{FLAGS}/1/", {"filters": groups(*after)}, who="max")
    if reply.status == 409:
        assert reply.body["code"] == "approval_required"
        return True
    assert reply.status == 200, reply.body
    return False


def after(sign, value):
    return {"type": "before_after", **FIELD, "operator": sign, "value": value}


def amount(sign, value):
    return {"type": "change_amount", **FIELD, "operator": sign, "value": value}


ANY = {"type": "any_change", **FIELD}
CASES = [
    *[
        (after(sign, 50), [10], [share], expected)
        for sign, share, expected in (
            (">", 51, True),
            (">", 50, False),
            ("<", 49, True),
            ("<", 50, False),
            (">=", 50, True),
            (">=", 49, False),
            ("<=", 50, True),
            ("<=", 51, False),
            ("==", 50, True),
            ("==", 51, False),
            ("!=", 51, True),
            ("!=", 50, False),
        )
    ],
    *[
        (amount(sign, value), [50], [share], expected)
        for sign, value, share, expected in (
            (">", 20, 71, True),
            (">", 20, 70, False),
            (">", 20, 10, False),
            (">=", 20, 70, True),
            ("<", -20, 29, True),
            ("<", -20, 30, False),
            ("<", -20, 90, False),
            ("<=", -20, 30, True),
            ("==", 1, 51, True),
            ("!=", 1, 51, False),
        )
    ],
    (after("<", 50), [10, 20], [60, 20], True),  # positions that did not change count
    (after(">", 50), [60, 10], [60, 11], True),
    (after(">", 0), [10], [None], False),  # null is skipped
    (after(">", 0), [10], ["absent"], False),
    (after(">", "5"), [10], [90], False),  # text and number are not compared
    (amount(">", 0), [None], [100], False),
    (amount(">", 0), [10], [10, 90], False),  # new positions never match
    (amount("<", 0), [10, 90], [10], False),  # nor do those that went
    (ANY, [10], [11], True),
    (ANY, [10, 20], [10], True),
    (ANY, [10], [10, None], True),
    (ANY, [100], [None], True),
    (ANY, [None], ["absent"], True),
    ({"type": "any_change", "field": "release_conditions"}, [10], [11], False),
    ({"type": "any_change"}, [10], [11], True),  # what is incomplete or unknown gates
    ({"type": "before_after", **FIELD}, [10], [11], True),
    ({"type": "before_after", **FIELD, "operator": ">"}, [10], [11], True),
    ({"type": "before_after", "operator": ">", "value": 99}, [10], [11], True),
    ({"type": "change_amount", **FIELD, "value": 99}, [10], [11], True),
    (after("=>", 99), [10], [11], True),
    (amount("moon", 99), [10], [11], True),
    (after(">", None), [10], [11], True),
    ({"type": "moon"}, [10], [11], True),
    (FIELD, [10], [11], True),
    ({}, [10], [11], True),
    ([], [10], [11], True),
    ("", [10], [11], True),
    (after(">", 0.5), [10], [0.4], False),
    (after(">", 0.5), [10], [0.6], True),
]


@pytest.mark.parametrize(
    ("conditions", "before", "then", "expected"), CASES, ids=lambda one: str(one)[:60]
)
def test_each_condition_requires_approval_or_not(api, conditions, before, then, expected):
    """Contract 4."""
    assert gated(api, conditions, before, then) is expected


@pytest.mark.parametrize("action", ["feature_flag.enable", "feature_flag.disable"])
@pytest.mark.parametrize("kind", ["before_after", "change_amount", "any_change"])
def test_enable_and_disable_supply_no_rollouts(api, action, kind):
    """Contract 4."""
    conditions = {"type": kind, **FIELD, "operator": ">", "value": 0}
    api.policy(action, conditions=conditions)
    flag, active = (2, True) if action.endswith("enable") else (1, False)

    assert api.patch(f"{FLAGS}/{flag}/", {"active": active}, who="max").status == 200


VARIANTS = [{"key": "a", "rollout_percentage": 60}, {"key": "b", "rollout_percentage": 40}]


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (groups(10), "groups[0].rollout_percentage"),
        (groups(50, 10), "groups[1].rollout_percentage"),
        (
            {"multivariate": {"variants": VARIANTS}},
            "multivariate.variants[0].rollout_percentage",
        ),
        ({"holdout": {"id": 1, "exclusion_percentage": 5}}, "holdout.exclusion_percentage"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_positions_are_named_by_their_paths(api, sent, path):
    """Contract 4."""
    api.policy(UPDATE)

    reply = api.patch(f"{FLAGS}/1/", {"filters": sent}, who="max")

    assert path in reply.body["change_request"]["intent"]["triggered_paths"]
