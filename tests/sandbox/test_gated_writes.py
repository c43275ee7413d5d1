"""Every kind of write that an enabled policy gates needs an approval (contract 5)."""

import pytest

from .conftest import FLAGS, FULL, REQUESTS

ENABLE, DISABLE, UPDATE = "feature_flag.enable", "feature_flag.disable", "feature_flag.update"
OLD = {"properties": [], "rollout_percentage": 5}
GATED = ("active", "filters", "archived", "deleted")


def share(value):
    return {"groups": [{"properties": [], "rollout_percentage": value}]}


def one_pending(api):
    found = api.results(f"{REQUESTS}/")
    assert [one["state"] for one in found] == ["pending"]
    return found[0]


def approve(api, request):
    reply = api.post(f"{REQUESTS}/{request['id']}/approve/", {}, who="ada")
    assert reply.body["status"] == "applied", reply.body
    return reply.body


WAYS = [
    ("PATCH", "2/", {"active": True}, ENABLE),
    ("PATCH", "1/", {"active": False}, DISABLE),
    ("PATCH", "1/", {"filters": share(90)}, UPDATE),
    ("PATCH", "1/", {"filters": share(90), "active": True, "key": "on"}, UPDATE),
    ("PATCH", "1/", {"filters": share(90), "active": False}, UPDATE),
    ("PUT", "2/", {"key": "off", "active": True, "filters": FULL}, ENABLE),
    ("PUT", "1/", {"key": "on", "filters": share(0)}, UPDATE),
    ("POST", "2/enable/", None, ENABLE),
    ("POST", "1/disable/", None, DISABLE),
    ("POST", "1/archive/", None, DISABLE),
]


@pytest.mark.parametrize("prefix", ["projects", "environments"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_kind_of_gated_write_needs_approval(api, prefix, way):
    """Contract 5.2."""
    method, path, body, action = way
    api.policy(action)
    number = path.split("/")[0]
    before = api.get(f"{FLAGS}/{number}/").body

    reply = api.call(method, f"/api/{prefix}/1/feature_flags/{path}", body, who="max")

    assert (reply.status, reply.body["code"]) == (409, "approval_required")
    assert reply.body["resource_id"] == number
    assert api.get(f"{FLAGS}/{number}/").body == before
    request = one_pending(api)
    assert (request["action_key"], request["id"]) == (action, reply.body["change_request_id"])


CREATES = [
    ({"active": True, "filters": share(100)}, ENABLE),
    ({"filters": share(100)}, ENABLE),
    ({"active": False, "filters": share(100)}, UPDATE),
    ({"active": False, "is_remote_configuration": True}, UPDATE),
]


@pytest.mark.parametrize(("body", "action"), CREATES)
def test_no_flag_is_created_in_a_gated_state(api, body, action):
    """Contract 5.2."""
    rule = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 0}
    api.policy(action, conditions=rule if action == UPDATE else {})

    reply = api.post(f"{FLAGS}/", {"key": "born", **body}, who="max")

    assert (reply.status, reply.body["code"]) == (409, "approval_required")
    assert reply.body["resource_id"] is None
    assert [one["key"] for one in api.results(f"{FLAGS}/")] == ["off", "on"]
    number = approve(api, one_pending(api))["result"]["resource_id"]
    made = api.get(f"{FLAGS}/{number}/").body
    assert (made["key"], made["active"], made["version"]) == ("born", body.get("active", True), 1)
    assert made["filters"]["groups"][0]["rollout_percentage"] == 100
    assert one_or_none(api, number) is None


def one_or_none(api, number):
    """A create stays without a resource id after it is applied; its result has the id."""
    request = api.results(f"{REQUESTS}/")[0]
    assert request["result_data"] == {"resource_id": number, "resource_version": 1}
    return request["resource_id"]


def test_recreating_a_deleted_flag_is_gated_like_any_create(api):
    """Contract 5.2."""
    api.patch(f"{FLAGS}/1/", {"deleted": True})
    api.policy(ENABLE)

    assert api.post(f"{FLAGS}/", {"key": "on", "filters": FULL}, who="max").status == 409


def test_sending_back_the_body_of_a_read_is_gated_without_error(api):
    """Contract 5.2."""
    api.policy(UPDATE)
    body = api.get(f"{FLAGS}/1/").body
    assert api.patch(f"{FLAGS}/1/", body, who="max").status == 200

    body["filters"]["groups"][0]["rollout_percentage"] = 75
    reply = api.patch(f"{FLAGS}/1/", body, who="max")

    assert (reply.status, reply.body["code"]) == (409, "approval_required")


@pytest.mark.parametrize("policy", [ENABLE, DISABLE])
@pytest.mark.parametrize("action", ["archive", "unarchive"])
def test_archiving_a_disabled_flag_is_not_gated(api, policy, action):
    """Contract 5.2."""
    if action == "unarchive":
        api.post(f"{FLAGS}/2/archive/")
    api.policy(policy)

    reply = api.post(f"{FLAGS}/2/{action}/", who="max")

    assert (reply.status, reply.body["archived"]) == (200, action == "archive")
    assert api.results(f"{REQUESTS}/") == []


def test_an_approved_archive_also_disables_the_flag(api):
    """Contract 5.2."""
    api.policy(DISABLE)
    reply = api.post(f"{FLAGS}/1/archive/", who="max")
    request = reply.body["change_request"]
    assert request["intent"]["gated_changes"] == {"active": False}
    assert request["intent_display"]["after"] == {"active": False, "archived": True}

    approve(api, request)

    flag = api.get(f"{FLAGS}/1/").body
    assert (flag["active"], flag["archived"]) == (False, True)


def test_actions_on_two_flags_are_two_requests(api):
    """Contract 5.4."""
    api.post(f"{FLAGS}/", {"key": "second", "filters": FULL})
    api.policy(DISABLE)

    for number in (1, 3):
        reply = api.post(f"{FLAGS}/{number}/disable/", who="max")
        assert (reply.status, reply.body["code"]) == (409, "approval_required")
    assert {one["resource_id"] for one in api.results(f"{REQUESTS}/")} == {"1", "3"}


def with_old_filters(seed):
    flag = seed["organizations"][0]["projects"][0]["feature_flags"][0]
    flag["filters"] = {**FULL, "holdout_groups": [OLD], "super_groups": [OLD]}


@pytest.mark.parametrize("approved", [False, True])
def test_an_ordinary_save_drops_the_old_keys_and_an_action_keeps_them(api, approved):
    """Contract 9.2."""
    api.reset(with_old_filters)
    kept = api.get(f"{FLAGS}/1/").body["filters"]
    assert {"holdout_groups", "super_groups"} <= kept.keys()
    if approved:
        api.policy(DISABLE)

    reply = api.post(f"{FLAGS}/1/disable/", who="max")
    if approved:
        approve(api, reply.body["change_request"])
    assert api.get(f"{FLAGS}/1/").body["filters"] == kept

    if approved:
        api.policy(ENABLE)
    reply = api.patch(f"{FLAGS}/1/", {"active": True}, who="max")
    if approved:
        approve(api, reply.body["change_request"])
    flag = api.get(f"{FLAGS}/1/").body
    assert flag["active"] is True
    assert flag["filters"] == FULL


def test_a_text_level_in_a_bypass_list_counts_as_its_number(api):
    """Contract 5.1."""

    def change(seed):
        rule = {"approver_config": {"quorum": 1, "users": [12]}}
        seed["organizations"][0]["projects"][0]["approval_policies"] = [
            {"action_key": ENABLE, **rule, "bypass_org_membership_levels": ["8", "15"]}
        ]

    api.reset(change)
    assert api.patch(f"{FLAGS}/2/", {"active": True}, who="max").status == 409
    assert api.patch(f"{FLAGS}/2/", {"active": True}, who="abe").status == 200


def test_the_steps_of_the_gate_are_in_order(api):
    """Auth, then the body, then several actions, bypass, conditions, the open request."""
    both = {"active": True, "filters": share(90)}
    never = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 99}
    api.policy(ENABLE, bypass_org_membership_levels=[1, 15])
    update = api.policy(UPDATE, conditions=never)
    path = f"{FLAGS}/2/"

    assert api.patch(path, both, who=None).status == 401
    assert api.patch(path, both, who="otto").status == 403
    assert api.patch(path, {**both, "key": "n o"}, who="max").body["code"] == "invalid_key"
    assert api.patch(path, both, who="max").body["code"] == "policy_conflict"
    assert api.patch(path, {"filters": share(90)}, who="max").status == 200  # conditions
    assert api.patch(path, {"active": True}, who="ada").status == 409  # level 8 is no bypass
    assert api.patch(path, {"active": True}, who="max").status == 200  # nor is a request a bar
    assert api.results(f"{REQUESTS}/")[0]["state"] == "pending"
    api.call("PATCH", f"/api/projects/1/approval_policies/{update['id']}/", {"enabled": False})
    assert api.patch(path, {"active": False, "filters": share(1)}, who="max").status == 200


def test_a_gated_write_applies_no_part_of_the_body(api):
    """Contract 5.3."""
    api.policy(ENABLE)
    before = api.get(f"{FLAGS}/2/").body

    api.patch(f"{FLAGS}/2/", {"active": True, "name": "x", "tags": ["a"]}, who="max")

    assert api.get(f"{FLAGS}/2/").body == before
