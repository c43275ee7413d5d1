"""Rollouts that name the version they were made for (contract 9.9)."""

import pytest

from .conftest import FLAGS, ORG, REQUESTS

EMAIL = {"key": "email", "type": "person", "operator": "icontains", "value": "@acme.test"}
TARGETING = {
    "groups": [
        {"properties": [EMAIL], "rollout_percentage": 10, "description": "us"},
        {"properties": [], "rollout_percentage": 5},
    ],
    "multivariate": {
        "variants": [
            {"key": "control", "rollout_percentage": 60, "name": "Control"},
            {"key": "test", "rollout_percentage": 40},
        ]
    },
    "payloads": {"control": '"a"'},
    "holdout_groups": [{"properties": [], "rollout_percentage": 5}],
}
SET, EVERYBODY = "set_release_condition_rollout", "roll_out_to_everyone"
ACTIONS = [
    (SET, {"condition_index": 0, "rollout_percentage": 0.5}),
    (EVERYBODY, {"variant_key": "test"}),
]


@pytest.fixture
def rollouts(api):
    def more(seed):
        flag = {"key": "split", "id": 3, "filters": TARGETING, "version": 4}
        seed["organizations"][0]["projects"][0]["feature_flags"].append(flag)

    api.reset(more)
    return api


def act(api, action, number=3, **body):
    return api.post(f"{FLAGS}/{number}/{action}/", body)


def stored(api):
    return api.get(f"{FLAGS}/3/").body


def test_one_percentage_changes_and_nothing_else(rollouts):
    before = stored(rollouts)["filters"]

    reply = act(rollouts, SET, condition_index=1, rollout_percentage=25, version=4)

    assert (reply.status, reply.body["version"]) == (200, 5)
    after = stored(rollouts)["filters"]
    shares = [group["rollout_percentage"] for group in after["groups"]]
    assert (shares, after["groups"][0]["description"]) == ([10, 25], "us")
    same = ("multivariate", "payloads", "holdout_groups")
    assert [after[name] for name in same] == [before[name] for name in same]


def test_a_variant_is_given_to_everybody(rollouts):
    reply = act(rollouts, EVERYBODY, variant_key="test", version=4)

    filters = reply.body["filters"]
    assert [group["rollout_percentage"] for group in filters["groups"]] == [100, 10, 5]
    variants = filters["multivariate"]["variants"]
    assert [(one["key"], one["rollout_percentage"]) for one in variants] == [
        ("control", 0),
        ("test", 100),
    ]
    assert variants[0]["name"] == "Control"


@pytest.mark.parametrize(("action", "body"), ACTIONS)
def test_a_repetition_writes_nothing(rollouts, action, body):
    first = act(rollouts, action, **body, version=4).body
    second = act(rollouts, action, **body, version=5)

    assert (first["version"], second.status, second.body["version"]) == (5, 200, 5)
    assert len(rollouts.results(f"{ORG}/advanced_activity_logs/")) == 1


@pytest.mark.parametrize(("action", "body"), ACTIONS)
def test_a_stale_version_is_refused_before_the_gate(rollouts, action, body):
    rollouts.policy("feature_flag.update")

    for version in (3, None):
        reply = act(rollouts, action, **body, version=version)
        assert (reply.status, reply.body["code"]) == (409, "conflict")
        assert f"changed since version {version}" in reply.body["detail"]
    assert rollouts.results(f"{REQUESTS}/") == []


@pytest.mark.parametrize(("action", "body"), ACTIONS)
def test_an_approved_rollout_is_the_same_change(rollouts, action, body):
    """With the keys that an ordinary save drops."""
    rollouts.policy("feature_flag.update")

    held = act(rollouts, action, **body, version=4)
    request = held.body["change_request"]
    asked = request["intent"]["full_request_data"]["filters"]
    done = rollouts.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body

    assert (held.status, request["resource_id"], done["status"]) == (409, "3", "applied")
    assert stored(rollouts)["filters"] == asked
    assert asked["holdout_groups"] == TARGETING["holdout_groups"]


@pytest.mark.parametrize(
    ("action", "body", "said"),
    [
        (SET, {"condition_index": 2, "rollout_percentage": 25}, "It has 2"),
        (SET, {"condition_index": -1, "rollout_percentage": 25}, "greater than or equal to 0"),
        (SET, {"condition_index": 0, "rollout_percentage": 101}, "less than or equal to 100"),
        (SET, {"rollout_percentage": 25}, "This field is required."),
        (EVERYBODY, {}, "control, test"),
        (EVERYBODY, {"variant_key": "green"}, "has no variant 'green'"),
    ],
)
def test_what_cannot_be_applied_is_refused(rollouts, action, body, said):
    reply = act(rollouts, action, **body, version=4)

    assert (reply.status, reply.body["type"]) == (400, "validation_error")
    assert said in reply.body["detail"]
    assert stored(rollouts)["version"] == 4


def test_the_version_is_required(rollouts):
    reply = act(rollouts, SET, condition_index=0, rollout_percentage=25)

    assert (reply.status, reply.body["attr"]) == (400, "version")


def test_a_flag_without_variants_or_with_enrolment(rollouts):
    plain = act(rollouts, EVERYBODY, 1, version=1)
    assert [group["rollout_percentage"] for group in plain.body["filters"]["groups"]] == [100, 50]
    assert (
        "has no variants" in act(rollouts, EVERYBODY, 1, variant_key="a", version=2).body["detail"]
    )

    rollouts.patch(f"{FLAGS}/1/", {"filters": {"feature_enrollment": True}})
    refused = act(rollouts, EVERYBODY, 1, version=3)
    assert (refused.status, "early access enrollment" in refused.body["detail"]) == (400, True)
    assert act(rollouts, SET, 1, condition_index=0, rollout_percentage=3, version=3).status == 200

    rollouts.patch(f"{FLAGS}/2/", {"filters": {"groups": []}})
    empty = act(rollouts, SET, 2, condition_index=0, rollout_percentage=3, version=2)
    assert (empty.status, "no release conditions" in empty.body["detail"]) == (400, True)


@pytest.mark.parametrize(("action", "body"), ACTIONS)
def test_a_deleted_flag_is_refused_with_a_bare_error(rollouts, action, body):
    rollouts.patch(f"{FLAGS}/3/", {"deleted": True})

    reply = act(rollouts, action, **body, version=5)

    assert (reply.status, set(reply.body)) == (400, {"success", "error"})
    assert "has been deleted" in reply.body["error"]


def test_older_generations_do_not_have_the_routes(g2):
    reply = act(g2, SET, 1, condition_index=0, rollout_percentage=25, version=1)

    assert (reply.status, reply.body) == (404, {"detail": "not modelled by the sandbox"})
