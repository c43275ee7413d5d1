"""Filters that PostHog refuses, with their codes (contract 9.2)."""

import copy

import pytest

from .conftest import FLAGS, SEED

HALVES = [{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]
TWO = {"multivariate": {"variants": HALVES}}
AS_STORED = {"key": "age", "type": "person", "operator": "regex", "value": "("}


def one(**item):
    """Filters of one group with one property."""
    return {"groups": [{"properties": [{"key": "age", "type": "person", **item}]}]}


def variants(*shares):
    """Filters with variants of these shares."""
    listed = [{"key": f"v{n}", "rollout_percentage": share} for n, share in enumerate(shares)]
    return {"multivariate": {"variants": listed}}


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        (variants(50, 40), "invalid_input"),
        (variants(100, None), "invalid_input"),
        ({"multivariate": {"variants": [HALVES[0], HALVES[0]]}}, "invalid_input"),
        ({"groups": [{"variant": "c"}], **TWO}, "invalid_input"),
        ({"groups": [{"variant": 5}], **TWO}, "invalid_input"),
        ({"payloads": {"c": "1"}, **TWO}, "invalid_input"),
        ({"payloads": {"a": "1"}}, "invalid_input"),
        ({"early_exit": "yes"}, "invalid_input"),
        ({"version": 2}, "reserved_config_version"),
        (one(operator="gt", value=5), "invalid_value"),
        (one(operator=">=", value=5), "invalid_value"),
        (one(operator="icontains", value=["a"]), "invalid_value"),
        (one(operator="is_nearly", value="5"), "invalid_operator"),
        (one(operator="between", value=[1, 2]), "unsupported_operator"),
        (one(operator="in", value=["a"]), "invalid_operator"),
        (one(operator="is_date_after", value="tomorrow"), "invalid_date"),
        (one(operator="semver_gt", value="latest"), "invalid_value"),
        (one(operator="icontains_multi", value="a"), "invalid_value"),
        (one(operator="regex", value="("), "invalid_input"),
        (one(type="group", group_type_index=0, value="a"), "invalid_input"),
        (one(type="event", value="a"), "invalid_input"),
        (one(type="flag", value=True), "invalid_input"),
        ({"aggregation_group_type_index": 0, **one(value="a")}, "invalid_input"),
        (
            {"aggregation_group_type_index": 0, **one(type="group", group_type_index=1, value="a")},
            "invalid_input",
        ),
    ],
    ids=str,
)
def test_filters_are_refused_with_a_code(api, filters, code):
    """On create and on update; `attr` is always `filters` (contract 9.2)."""
    body = {"groups": [{}], **filters}
    for reply in (
        api.post(f"{FLAGS}/", {"key": "new", "active": False, "filters": body}),
        api.patch(f"{FLAGS}/1/", {"filters": body}),
    ):
        assert (reply.status, reply.body["code"], reply.body["attr"]) == (400, code, "filters")


def test_a_stored_pattern_is_not_checked_again(api):
    """Other engines know expressions that Python does not (contract 9.2)."""
    seed = copy.deepcopy(SEED)
    flag = seed["organizations"][0]["projects"][0]["feature_flags"][0]
    flag["filters"] = {"groups": [{"properties": [AS_STORED]}]}
    api.sandbox.reset(seed)
    wider = {"groups": [{"properties": [AS_STORED], "rollout_percentage": 5}]}

    assert api.patch(f"{FLAGS}/{flag['id']}/", {"filters": wider}).status == 200
