"""Who owns a flag decides which policy gates it (contract 3.8, 5.8)."""

import pytest

from .conftest import FLAGS, FULL, POLICIES, REQUESTS, RULE

FLAG_KEYS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
EXPERIMENT_KEYS = ("experiment.launch", "experiment.pause", "experiment.update")
EMAIL = {"key": "email", "type": "person", "operator": "icontains", "value": "@acme.test"}
OWNERS = {
    "standalone": {},
    "experiment": {"experiments": [{"name": "E", "feature_flag": "f"}]},
    "survey owned": {"surveys": [{"name": "S", "targeting_flag": "f"}]},
    "survey internal": {"surveys": [{"name": "S", "internal_targeting_flag": "f"}]},
    "survey sampling": {"surveys": [{"name": "S", "internal_response_sampling_flag": "f"}]},
    "survey linked": {"surveys": [{"name": "S", "linked_flag": "f"}]},
    "tour owned": {
        "product_tours": [{"name": "T", "internal_targeting_flag": "f", "archived": True}]
    },
    "tour linked": {"product_tours": [{"name": "T", "linked_flag": "f"}]},
    "early access": {"early_access_features": [{"name": "F", "feature_flag": "f"}]},
    "replay": {"session_replay_flag": "f"},
}
OPERATIONS = {
    "rollout": {"filters": {"groups": [{"properties": [], "rollout_percentage": 100}]}},
    "release": {"filters": {"groups": [{"properties": [EMAIL], "rollout_percentage": 50}]}},
    "enable": {"active": True},
    "disable": {"active": False},
    "delete": {"deleted": True},
}
ENABLE, DISABLE, UPDATE = FLAG_KEYS
LAUNCH, PAUSE, EXPERIMENT_UPDATE = EXPERIMENT_KEYS
FREE, REFUSED = None, "refused"
STANDALONE = (UPDATE, UPDATE, ENABLE, DISABLE, FREE)
OWNED = (UPDATE, FREE, ENABLE, DISABLE, FREE)
UNGATED = (FREE, FREE, FREE, FREE, FREE)
SWITCH_OFF = {
    "standalone": STANDALONE,
    "experiment": OWNED,
    "survey owned": OWNED,
    "survey internal": OWNED,
    "survey sampling": OWNED,
    "survey linked": STANDALONE,
    "tour owned": OWNED,
    "tour linked": STANDALONE,
    "early access": (*OWNED[:4], REFUSED),
    "replay": (*STANDALONE[:4], REFUSED),
}
SWITCH_ON = SWITCH_OFF | {
    "experiment": (EXPERIMENT_UPDATE, FREE, LAUNCH, PAUSE, FREE),
    "survey owned": UNGATED,
    "survey internal": UNGATED,
    "survey sampling": UNGATED,
    "tour owned": UNGATED,
    "early access": (FREE, FREE, FREE, FREE, REFUSED),
}
CELLS = [
    pytest.param(switch, owner, operation, cell, id=f"{owner} {operation} {switch}")
    for switch, table in ((False, SWITCH_OFF), (True, SWITCH_ON))
    for owner, cells in table.items()
    for operation, cell in zip(OPERATIONS, cells, strict=True)
]


def world(owner="standalone", *, switch=False, active=True, keys=(*FLAG_KEYS, *EXPERIMENT_KEYS)):
    """A change of the seed: flag 3, its owner, and a policy for each key."""

    def change(seed):
        acme = seed["organizations"][0]
        acme["owner_scoping"] = switch
        web = acme["projects"][0]
        web["feature_flags"].append({"key": "f", "id": 3, "active": active, "filters": FULL})
        web["approval_policies"] = [{"action_key": key, **RULE} for key in keys]
        web.update(OWNERS[owner])

    return change


@pytest.mark.parametrize(("switch", "owner", "operation", "expected"), CELLS)
def test_the_owner_decides_which_policy_gates_a_write(api, switch, owner, operation, expected):
    api.reset(world(owner, switch=switch, active=operation != "enable"))
    before = api.get(f"{FLAGS}/3/").body

    reply = api.patch(f"{FLAGS}/3/", OPERATIONS[operation], who="max")

    filed = [one["action_key"] for one in api.results(f"{REQUESTS}/")]
    after = api.get(f"{FLAGS}/3/").body
    if expected is FREE:
        assert (reply.status, filed) == (200, [])
        assert after["version"] == before["version"] + 1
    else:
        assert reply.status == (400 if expected == REFUSED else 409)
        assert filed == ([] if expected == REFUSED else [expected])
        assert after == before


@pytest.mark.parametrize("switch", [False, True])
def test_a_create_has_no_owner_yet(api, switch):
    api.reset(world(switch=switch))

    reply = api.post(f"{FLAGS}/", {"key": "born", "active": True}, who="max")

    assert reply.body["change_request"]["action_key"] == ENABLE


def test_a_flag_shows_what_uses_it_but_not_who_owns_it(api):
    def use(seed):
        web = seed["organizations"][0]["projects"][0]
        web["experiments"] = [
            {"name": "E", "id": 9, "feature_flag": "on", "start_date": "2026-01-01"}
        ]
        web["early_access_features"] = [{"name": "F", "feature_flag": "off"}]
        web["surveys"] = [{"name": "S", "linked_flag": "off"}]
        web["session_replay_flag"] = "on"

    api.reset(use)

    on, off = api.get(f"{FLAGS}/1/").body, api.get(f"{FLAGS}/2/").body

    assert on["experiment_set"] == [9]
    assert on["experiment_set_metadata"] == [{"id": 9, "name": "E", "is_running": True}]
    assert (on["is_used_in_replay_settings"], off["is_used_in_replay_settings"]) == (True, False)
    assert [one["name"] for one in off["features"]] == ["F"]
    assert [one["name"] for one in off["surveys"]] == ["S"]
    assert api.patch(f"{FLAGS}/1/", {"deleted": True}).status == 400


def test_the_recorded_owner_is_in_no_answer_and_in_the_state(api):
    api.reset(world("experiment", active=False))

    request = api.file(flag=3, active=True)

    assert "owner_kind" not in request
    assert "owner_kind" not in api.results(f"{REQUESTS}/")[0]
    project = api.sandbox.state()["organizations"][0]["projects"][0]
    assert project["change_requests"][0]["owner_kind"] == "experiment"


def change_state(api, change):
    """Load the state of the sandbox after a change of its first project."""
    state = api.sandbox.state()
    change(state["organizations"][0]["projects"][0])
    api.sandbox.reset(state)


def adopt(project):
    project["experiments"] = [{"name": "E", "feature_flag": "f"}]


def test_a_request_whose_flag_got_another_owner_is_stale_and_fails(api):
    api.reset(world(active=False))
    request = api.file(flag=3, active=True)
    change_state(api, adopt)

    api.sandbox.run_task("check_staleness")
    stale = api.get(f"{REQUESTS}/{request['id']}/").body
    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body

    text = "Ownership changed since this request was created: unowned -> experiment"
    assert (stale["validation_status"], stale["validation_errors"]) == (
        "stale",
        {"staleness": text},
    )
    assert (done["status"], done["change_request"]["apply_error"]) == ("failed", text)
    assert done["message"].startswith(
        "Quorum reached but application failed: This resource now belongs to a different product"
    )
    assert api.get(f"{FLAGS}/3/").body["active"] is False


def test_a_request_without_a_recorded_owner_applies(api):
    api.reset(world(active=False))
    request = api.file(flag=3, active=True)

    def forget(project):
        adopt(project)
        project["change_requests"][0]["owner_kind"] = None

    change_state(api, forget)

    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body
    assert done["status"] == "applied"


# -- experiment keys


@pytest.mark.parametrize("key", EXPERIMENT_KEYS)
def test_experiment_keys_are_refused_and_hidden_with_the_switch_off(api, key):
    api.reset(world(keys=[key, ENABLE]))
    stored = api.sandbox.state()["organizations"][0]["projects"][0]["approval_policies"][0]
    place = f"{POLICIES}/{stored['id']}/"
    visible = api.results(f"{POLICIES}/")
    body = {"action_key": key, "approver_config": {"quorum": 1}}

    created = api.post(f"{POLICIES}/", body)
    changed = api.patch(f"{POLICIES}/{visible[0]['id']}/", {"action_key": key})

    assert [one["action_key"] for one in visible] == [ENABLE]
    for reply in (created, changed):
        assert (reply.status, reply.body["attr"]) == (400, "action_key")
        assert reply.body["detail"] == "This approval action isn't available yet."
    assert api.get(place).status == 404
    assert api.patch(place, {"enabled": False}).status == 404
    assert api.call("PUT", place, body).status == 404
    assert api.delete(place).status == 404


@pytest.mark.parametrize("key", EXPERIMENT_KEYS)
def test_experiment_keys_are_ordinary_with_the_switch_on(api, key):
    api.reset(world(switch=True, keys=[]))

    policy = api.policy(key)

    assert [one["id"] for one in api.results(f"{POLICIES}/?action_key={key}")] == [policy["id"]]
    again = api.post(f"{POLICIES}/", {"action_key": key, "approver_config": {"quorum": 1}})
    assert (again.status, again.body["attr"]) == (400, None)
    assert api.patch(f"{POLICIES}/{policy['id']}/", {"enabled": False}).body["enabled"] is False
    assert api.delete(f"{POLICIES}/{policy['id']}/").status == 204


@pytest.mark.parametrize(
    "key", ["survey.launch", "experiment_holdout.update", "experiment_holdout.delete"]
)
def test_other_keys_are_accepted(api, key):
    assert api.policy(key)["action_key"] == key


def policies_of(api, *, project=True):
    acme = api.sandbox.state()["organizations"][0]
    listed = acme["projects"][0]["approval_policies"] if project else acme["approval_policies"]
    return {one["action_key"]: one for one in listed}


def test_mirrors_follow_flag_policies_until_the_hand_over(api):
    def wide(seed):
        world(keys=[ENABLE])(seed)
        seed["organizations"][0]["approval_policies"] = [{"action_key": UPDATE, **RULE}]

    api.reset(wide)
    assert api.sandbox.control("POST", "tasks", {"run": "sync_experiment_policies"})["changed"] == 2
    source, copy = (policies_of(api)[key] for key in (ENABLE, LAUNCH))
    unlike = {"id", "action_key", "created_at", "updated_at"}
    assert {k: v for k, v in source.items() if k not in unlike} == {
        k: v for k, v in copy.items() if k not in unlike
    }
    assert policies_of(api, project=False).keys() == {UPDATE, EXPERIMENT_UPDATE}

    api.patch(f"{POLICIES}/{source['id']}/", {"allow_self_approve": True, "conditions": {"a": 1}})
    api.sandbox.run_task("sync_experiment_policies")
    assert policies_of(api)[LAUNCH]["conditions"] == {"a": 1}
    assert policies_of(api)[LAUNCH]["id"] == copy["id"]

    state = api.sandbox.state()
    state["organizations"][0]["owner_scoping"] = True
    api.sandbox.reset(state)
    assert [one["action_key"] for one in api.results(f"{POLICIES}/")] == [LAUNCH, ENABLE]
    api.delete(f"{POLICIES}/{source['id']}/")
    api.sandbox.run_task("sync_experiment_policies")
    assert [one["id"] for one in api.results(f"{POLICIES}/")] == [copy["id"]]


def test_a_mirror_goes_with_its_source_and_overwrites_what_was_there(api):
    api.reset(world(keys=[ENABLE, PAUSE, LAUNCH]))
    source = policies_of(api)[ENABLE]
    api.patch(f"{POLICIES}/{source['id']}/", {"enabled": False})

    api.sandbox.run_task("sync_experiment_policies")

    assert policies_of(api).keys() == {ENABLE, LAUNCH}
    assert policies_of(api)[LAUNCH]["enabled"] is False
    api.delete(f"{POLICIES}/{source['id']}/")
    api.sandbox.advance("1h")
    assert policies_of(api) == {}


def test_generation_2_keeps_no_mirrors(g2):
    g2.policy(ENABLE)

    g2.sandbox.run_task("sync_experiment_policies")

    assert policies_of(g2).keys() == {ENABLE}
