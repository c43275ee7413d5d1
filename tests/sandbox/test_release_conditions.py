"""Generation 3 gates every release condition of a standalone flag (contract 4, 5.1, 5.2)."""

import pytest

from .conftest import FLAGS, FULL, REQUESTS

ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"
EMAIL = {"key": "email", "type": "person", "operator": "icontains", "value": "@acme.test"}
PLAN = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
ROLLOUT = "groups[0].rollout_percentage"


def group(*properties, rollout=50, **more):
    return {"properties": list(properties), "rollout_percentage": rollout, **more}


def filters(*groups, **more):
    return {"filters": {"groups": list(groups), **more}}


def stored(api, number=1):
    return api.get(f"{FLAGS}/{number}/").body


def set_filters(api, value, number=1):
    assert api.patch(f"{FLAGS}/{number}/", {"filters": value}).status == 200


def test_a_change_of_properties_waits_for_approval(api):
    api.policy(UPDATE)

    request = api.file(flag=1, **filters(group(EMAIL)))

    assert (request["action_key"], request["resource_id"]) == (UPDATE, "1")
    intent = request["intent"]
    assert intent["triggered_paths"] == ["groups[0]"]
    assert intent["current_state"]["rollout_percentage"] == [{"path": ROLLOUT, "value": 50}]
    assert intent["gated_changes"]["rollout_percentage"] == [{"path": ROLLOUT, "value": 50}]
    assert [one["path"] for one in intent["gated_changes"]["release_conditions"]] == [
        "bucketing_identifier",
        "early_exit",
        "groups[0]",
    ]
    assert intent["current_state"]["release_conditions"][2]["value"]["properties"] == []
    display = request["intent_display"]
    assert display["description"] == (
        "Update release conditions for feature flag 'on': condition set 1"
    )
    assert display["after"] == intent["gated_changes"]
    assert stored(api)["filters"]["groups"] == FULL["groups"]

    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body

    assert done["status"] == "applied"
    assert stored(api)["filters"]["groups"][0]["properties"] == [EMAIL]


TARGETING = [
    (filters(group(), group(EMAIL)), ["groups[1].rollout_percentage", "groups[1]"]),
    (
        filters(group(rollout=60), group(EMAIL)),
        [ROLLOUT, "groups[1].rollout_percentage", "groups[1]"],
    ),
    ({"bucketing_identifier": "device_id"}, ["bucketing_identifier"]),
    (filters(group(), early_exit=True), ["early_exit"]),
    ({"filters": {"early_exit": True}}, ["early_exit"]),
    (filters(group({**PLAN, "value": ["free"]})), ["groups[0]"]),
]


@pytest.mark.parametrize(("body", "paths"), TARGETING, ids=str)
def test_every_part_of_the_targeting_waits_for_approval(api, body, paths):
    api.policy(UPDATE)

    request = api.file(flag=1, **body)

    assert request["intent"]["triggered_paths"] == paths


def test_a_removed_set_appears_in_the_old_list_only(api):
    set_filters(api, {"groups": [group(), group(EMAIL)]})
    api.policy(UPDATE)

    intent = api.file(flag=1, **filters(group()))["intent"]

    assert intent["triggered_paths"] == ["groups[1].rollout_percentage", "groups[1]"]
    assert len(intent["current_state"]["release_conditions"]) == 4
    assert len(intent["gated_changes"]["release_conditions"]) == 3


def test_a_variant_override_waits_for_approval(api):
    variants = [{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]
    split = {"multivariate": {"variants": variants}}
    set_filters(api, {"groups": [group()], **split})
    api.policy(UPDATE)

    assert api.patch(f"{FLAGS}/1/", filters(group(variant=""), **split)).status == 200
    assert api.file(flag=1, **filters(group(variant="b"), **split))["intent"][
        "triggered_paths"
    ] == ["groups[0]"]


SAME = [
    (PLAN, {**PLAN, "operator": None}),
    (PLAN, {name: PLAN[name] for name in ("key", "type", "value")}),
    (PLAN, {**PLAN, "negation": False}),
    (PLAN, {**PLAN, "operator": "is"}),
    (PLAN, {**PLAN, "cohort_name": "x", "label": "y", "description": "z"}),
    (PLAN, {**PLAN, "group_type_index": None}),
    ({**PLAN, "key": 7}, {**PLAN, "key": "7"}),
]
OTHER = [
    ({**PLAN, "value": 1}, {**PLAN, "value": True}),
    ({**PLAN, "value": 1}, {**PLAN, "value": 1.0}),
    ({**PLAN, "value": 1}, {**PLAN, "value": "1"}),
    ({**PLAN, "value": ["a", "b"]}, {**PLAN, "value": ["b", "a"]}),
    (PLAN, {**PLAN, "operator": "is_not"}),
    (PLAN, {**PLAN, "negation": True}),
]


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [(*pair, 200) for pair in SAME] + [(*pair, 409) for pair in OTHER],
    ids=str,
)
def test_spelling_is_no_change_and_another_value_is(api, before, after, status):
    set_filters(api, {"groups": [group(before)]})
    api.policy(UPDATE)

    assert api.patch(f"{FLAGS}/1/", filters(group(after)), who="max").status == status


def test_the_order_of_properties_and_the_place_of_an_index_do_not_count(api):
    set_filters(api, {"groups": [group(PLAN, EMAIL)]})
    api.policy(UPDATE)

    assert (
        api.patch(
            f"{FLAGS}/1/",
            filters(
                group(EMAIL, PLAN),
            ),
        ).status
        == 200
    )
    same = filters(group(EMAIL, PLAN, aggregation_group_type_index=None, rollout=50.0))
    assert api.patch(f"{FLAGS}/1/", same).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": "N", "tags": ["x"]},
        {"filters": {"payloads": {"true": "1"}}},
        {"filters": {"holdout": None}},
        {"deleted": True},
        {"bucketing_identifier": "distinct_id"},
    ],
    ids=str,
)
def test_what_does_not_target_anybody_is_free(api, body):
    api.policy(UPDATE)

    assert api.patch(f"{FLAGS}/1/", body, who="max").status == 200


def test_a_missing_rollout_differs_from_null(api):
    api.policy(UPDATE, conditions=rule("any_change"))
    null, missing = group(rollout=None), {"properties": []}

    assert api.patch(f"{FLAGS}/1/", filters(null), who="max").status == 409
    born = {"key": "none", "active": False, "filters": {"groups": [missing]}}
    number = api.post(f"{FLAGS}/", born).body["id"]
    assert api.patch(f"{FLAGS}/{number}/", filters(null), who="max").status == 409


def rule(kind, field="rollout_percentage", **more):
    return {"type": kind, "field": field, **more}


ABOVE_40 = {"operator": ">", "value": 40}
CONDITIONS = [
    ({}, 409, 409),
    (rule("any_change"), 409, 200),
    (rule("change_amount", operator=">", value=5), 409, 200),
    (rule("before_after", **ABOVE_40), 409, 409),
    (rule("before_after", operator=">", value=90), 200, 200),
    (rule("any_change", "release_conditions"), 200, 409),
    (rule("before_after", "release_conditions", **ABOVE_40), 200, 200),
]


@pytest.mark.parametrize(("condition", "rollout", "release"), CONDITIONS, ids=str)
def test_conditions_see_rollouts_always_and_release_conditions_when_they_changed(
    api, condition, rollout, release
):
    """Contract 4, the table of conditions."""
    api.policy(UPDATE, conditions=condition)

    assert api.patch(f"{FLAGS}/1/", filters(group(rollout=60)), who="max").status == rollout
    assert api.patch(f"{FLAGS}/2/", filters(group(EMAIL)), who="max").status == release


def test_any_change_of_release_conditions_compares_exactly(api):
    set_filters(api, {"groups": [group({**PLAN, "value": 1})]})
    api.policy(UPDATE, conditions=rule("any_change", "release_conditions"))

    assert api.patch(f"{FLAGS}/1/", filters(group({**PLAN, "value": True}))).status == 409


@pytest.mark.parametrize(
    ("condition", "groups", "status"),
    [
        ({}, [{"properties": [EMAIL]}], 201),
        ({}, [{}], 201),
        ({}, [group(EMAIL)], 409),
        (rule("any_change", "release_conditions"), [group(EMAIL)], 201),
        (rule("any_change"), [group(EMAIL)], 409),
    ],
    ids=str,
)
def test_a_create_compares_rollouts_only(api, condition, groups, status):
    api.policy(UPDATE, conditions=condition)
    body = {"key": "born", "active": False, "filters": {"groups": groups}}

    assert api.post(f"{FLAGS}/", body, who="max").status == status


def test_a_create_without_filters_and_active_is_an_enable_with_no_gated_field(api):
    api.policy(ENABLE)
    api.policy(UPDATE)

    reply = api.post(f"{FLAGS}/", {"key": "born"}, who="max")

    assert reply.status == 409
    request = reply.body["change_request"]
    assert (request["action_key"], request["intent"]["gated_changes"]) == (ENABLE, {})
    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body
    assert done["status"] == "applied"
    assert stored(api, done["result"]["resource_id"])["active"] is True


def test_enabling_with_a_targeting_edit_is_a_conflict_of_policies(api):
    api.policy(ENABLE)
    api.policy(UPDATE)

    reply = api.patch(f"{FLAGS}/2/", {"active": True, **filters(group(EMAIL))}, who="max")

    assert (reply.status, reply.body["code"]) == (400, "policy_conflict")
    assert api.results(f"{REQUESTS}/") == []


def test_rollout_and_targeting_share_one_lock(api):
    api.policy(UPDATE)
    first = api.file(flag=1, **filters(group(rollout=60)))

    reply = api.patch(f"{FLAGS}/1/", filters(group(EMAIL)), who="mia")

    assert (reply.status, reply.body["code"]) == (409, "change_request_pending")
    assert reply.body["change_request_id"] == first["id"]


@pytest.fixture
def moved(api):
    """A flag at version 2, and what an editor read at version 1."""
    original = stored(api)
    assert api.patch(f"{FLAGS}/1/", {"name": "moved"}).status == 200
    return {"version": 1, "original_flag": original}


def test_a_stale_editor_cannot_file_a_targeting_change(api, moved):
    api.policy(UPDATE)

    reply = api.patch(f"{FLAGS}/1/", {**moved, **filters(group(EMAIL))}, who="max")

    assert (reply.status, reply.body["code"]) == (409, "conflict")
    assert reply.body["type"] == "server_error"
    assert api.results(f"{REQUESTS}/") == []


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, filters(group(rollout=60))),
        ({"original_flag": {}}, filters(group(EMAIL))),
        ({"original_flag": None}, filters(group(EMAIL))),
        ({"version": 2}, filters(group(EMAIL))),
        ({"version": 9}, filters(group(EMAIL))),
        ({"version": "1"}, filters(group(EMAIL))),
    ],
    ids=str,
)
def test_any_other_editor_files_against_the_stored_version(api, moved, change, body):
    api.policy(UPDATE)

    request = api.file(flag=1, **moved | change | body)

    assert request["intent"]["preconditions"]["version"] == 2


def test_a_stale_editor_who_may_bypass_is_checked_field_by_field(api, moved):
    api.policy(UPDATE, bypass_org_membership_levels=[1])

    reply = api.patch(f"{FLAGS}/1/", {**moved, **filters(group(EMAIL))}, who="max")

    assert reply.status == 200
    assert reply.body["name"] == "moved"


@pytest.mark.parametrize("action", [UPDATE, ENABLE])
def test_sending_a_whole_flag_back_is_free_until_something_gated_changes(api, action):
    api.policy(action)
    body = stored(api, 2)
    assert api.patch(f"{FLAGS}/2/", body, who="max").status == 200
    assert api.call("PUT", f"{FLAGS}/2/", body, who="max").status == 200

    body["filters"]["groups"][0]["properties"] = [EMAIL]
    expected = 409 if action == UPDATE else 200
    assert api.patch(f"{FLAGS}/2/", body, who="max").status == expected


def test_generation_2_lets_a_targeting_edit_through(g2):
    """It sees release conditions only where a policy selects them."""
    g2.policy(UPDATE)

    assert g2.patch(f"{FLAGS}/1/", filters(group(EMAIL)), who="max").status == 200


def test_the_seed_and_the_state_name_the_generation(api, g2):
    assert (api.sandbox.state()["profile"], g2.sandbox.state()["profile"]) == ("g3", "g2")
    g2.reset(profile="g3")
    try:
        g2.policy(UPDATE)
        assert g2.patch(f"{FLAGS}/1/", filters(group(EMAIL)), who="max").status == 409
    finally:
        g2.reset()
    assert g2.sandbox.state()["profile"] == "g2"
