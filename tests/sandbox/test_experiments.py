"""Experiments as far as they own flags (contract 17)."""

import pytest

from .conftest import FLAGS, REQUESTS

EXPERIMENTS = "/api/projects/1/experiments"
HOLDOUTS = "/api/projects/1/experiment_holdouts"
EMAIL = {"key": "email", "type": "person", "operator": "icontains", "value": "@acme.test"}
KEYS = {
    False: ("feature_flag.enable", "feature_flag.disable", "feature_flag.update"),
    True: ("experiment.launch", "experiment.pause", "experiment.update"),
}


def flag_of(api, experiment):
    return api.get(f"{FLAGS}/{experiment['feature_flag']['id']}/").body


def create(api, key="exp", **more):
    reply = api.post(f"{EXPERIMENTS}/", {"name": "E", "feature_flag_key": key, **more})
    assert reply.status == 201, reply.body
    return reply.body


def act(api, experiment, verb, body=None, who="olga"):
    return api.post(f"{EXPERIMENTS}/{experiment['id']}/{verb}/", body, who=who)


@pytest.fixture(params=[False, True], ids=["switch off", "switch on"])
def switch(request):
    return request.param


@pytest.fixture
def api(api, switch):
    def turn(seed):
        seed["organizations"][0]["owner_scoping"] = switch

    api.reset(turn)
    return api


def test_an_experiment_creates_its_flag_and_goes_through_its_states(api):
    experiment = create(api, description="D")
    assert (experiment["status"], experiment["start_date"]) == ("draft", None)
    flag = flag_of(api, experiment)
    assert (flag["key"], flag["active"], flag["experiment_set"]) == (
        "exp",
        False,
        [experiment["id"]],
    )
    assert len(flag["filters"]["multivariate"]["variants"]) == 2

    for verb, status, active in (
        ("launch", "running", True),
        ("pause", "paused", False),
        ("resume", "running", True),
        ("end", "stopped", True),
    ):
        reply = act(api, experiment, verb)
        assert (reply.status, reply.body["status"]) == (200, status)
        assert flag_of(api, experiment)["active"] is active
    assert act(api, experiment, "launch").status == 400
    assert api.results(f"{EXPERIMENTS}/")[0]["id"] == experiment["id"]
    assert api.patch(f"{EXPERIMENTS}/{experiment['id']}/", {"deleted": True}).status == 200
    assert api.results(f"{EXPERIMENTS}/") == []
    assert flag_of(api, experiment)["experiment_set"] == []


TRANSITIONS = [("launch", [], 0), ("pause", ["launch"], 1), ("resume", ["launch", "pause"], 0)]


@pytest.mark.parametrize(("verb", "before", "kind"), TRANSITIONS, ids=str)
def test_a_transition_waits_for_approval_without_a_resource_id(api, switch, verb, before, kind):
    experiment = create(api)
    for step in before:
        assert act(api, experiment, step).status == 200
    api.policy(KEYS[switch][kind])
    old = flag_of(api, experiment)

    reply = act(api, experiment, verb, who="max")

    assert (reply.status, reply.body["code"]) == (409, "approval_required")
    request = reply.body["change_request"]
    assert (request["resource_type"], request["resource_id"]) == ("feature_flag", None)
    assert request["action_key"] == KEYS[switch][kind]
    assert request["intent"]["flag_id"] == old["id"]
    assert request["intent"]["http_method"] == "POST"
    assert flag_of(api, experiment) == old
    again = act(api, experiment, verb, who="mia")
    assert (again.status, again.body["code"]) == (409, "change_request_pending")
    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body
    assert done["status"] == "applied"
    assert flag_of(api, experiment)["active"] is not old["active"]
    if verb == "launch":  # the start does not follow: the caller tries again
        assert api.get(f"{EXPERIMENTS}/{experiment['id']}/").body["status"] == "draft"
        assert act(api, experiment, "launch", who="max").body["status"] == "running"


def test_requests_of_several_experiments_do_not_block_each_other(api, switch):
    first, second = create(api), create(api, "other")
    api.policy(KEYS[switch][0])

    assert act(api, first, "launch").body["code"] == "approval_required"
    assert act(api, second, "launch").body["code"] == "approval_required"


def test_shipping_a_variant_waits_and_does_not_end_the_experiment(api, switch):
    experiment = create(api)
    act(api, experiment, "launch")
    api.policy(KEYS[switch][2])

    reply = act(api, experiment, "ship_variant", {"variant_key": "test"}, who="max")

    assert reply.body["change_request"]["action_key"] == KEYS[switch][2]
    assert api.get(f"{EXPERIMENTS}/{experiment['id']}/").body["status"] == "running"
    assert act(api, experiment, "ship_variant", {"variant_key": "moon"}).status == 400


VARIANTS = [
    {"key": "control", "rollout_percentage": 10},
    {"key": "test", "rollout_percentage": 90},
]


@pytest.mark.parametrize(
    "change",
    [
        {"feature_flag": {"filters": {"multivariate": {"variants": VARIANTS}}}},
        {"parameters": {"feature_flag_variants": VARIANTS}},
    ],
    ids=["flag", "parameters"],
)
def test_a_variant_edit_waits_with_a_resource_id(api, switch, change):
    experiment = create(api)
    api.policy(KEYS[switch][2])

    reply = api.patch(f"{EXPERIMENTS}/{experiment['id']}/", change, who="max")

    assert reply.status == 409
    assert reply.body["resource_id"] == str(experiment["feature_flag"]["id"])


def test_older_parameters_split_a_new_flag_and_may_be_repeated(api):
    """A running experiment takes them only with a word for the flag."""
    older = {"parameters": {"feature_flag_variants": VARIANTS}}
    experiment = create(api, **older)
    assert flag_of(api, experiment)["filters"]["multivariate"]["variants"] == VARIANTS
    assert create(api, name="Second", **older)["feature_flag_key"] == "exp"

    act(api, experiment, "launch")
    path = f"{EXPERIMENTS}/{experiment['id']}/"
    assert api.patch(path, older).status == 200
    other = {"parameters": {"feature_flag_variants": VARIANTS[::-1]}}
    assert api.patch(path, other).status == 400
    assert api.patch(path, {**other, "update_feature_flag_params": True}).status == 200
    assert flag_of(api, experiment)["filters"]["multivariate"]["variants"] == VARIANTS[::-1]


def test_release_conditions_of_its_flag_are_free_and_rollouts_are_not(api, switch):
    experiment = create(api)
    api.policy(KEYS[switch][2])
    place = f"{FLAGS}/{experiment['feature_flag']['id']}/"

    free = {"groups": [{"properties": [EMAIL], "rollout_percentage": 100}]}
    assert api.patch(place, {"filters": free}, who="max").status == 200
    gated = {"groups": [{"properties": [EMAIL], "rollout_percentage": 50}]}
    assert api.patch(place, {"filters": gated}, who="max").status == 409


def test_two_actions_in_one_body_conflict(api, switch):
    experiment = create(api)
    for key in (KEYS[switch][0], KEYS[switch][2]):
        api.policy(key)
    body = {"active": True, "filters": {"groups": [{"properties": [], "rollout_percentage": 5}]}}

    reply = api.patch(f"{FLAGS}/{experiment['feature_flag']['id']}/", body, who="max")

    assert (reply.status, reply.body["code"]) == (400, "policy_conflict")


def test_a_new_flag_has_no_owner_yet(api):
    api.policy("feature_flag.update")

    reply = api.post(f"{EXPERIMENTS}/", {"name": "E", "feature_flag_key": "new"}, who="max")

    assert reply.status == 409
    assert reply.body["change_request"]["action_key"] == "feature_flag.update"
    assert api.results(f"{EXPERIMENTS}/") == []


def test_an_existing_flag_is_adopted_only_if_it_fits(api):
    def own(seed):
        web = seed["organizations"][0]["projects"][0]
        variants = [{"key": key, "rollout_percentage": 50} for key in "ab"]
        split = {"groups": [], "multivariate": {"variants": variants}}
        web["feature_flags"] += [{"key": key, "filters": split} for key in ("free", "taken")]
        web["surveys"] = [{"name": "S", "targeting_flag": "taken"}]

    api.reset(own)

    assert create(api, "free")["feature_flag_key"] == "free"
    for key in ("taken", "on"):
        reply = api.post(f"{EXPERIMENTS}/", {"name": "E", "feature_flag_key": key})
        assert (reply.status, reply.body["attr"]) == (400, "feature_flag_key")


def test_a_holdout_is_written_to_the_flag(api):
    holdout = api.post(f"{HOLDOUTS}/", {"name": "H", "filters": [{"rollout_percentage": 7}]}).body[
        "id"
    ]

    experiment = create(api, holdout_id=holdout)

    assert experiment["holdout"]["id"] == holdout
    assert flag_of(api, experiment)["filters"]["holdout"] == {
        "id": holdout,
        "exclusion_percentage": 7,
    }
    place = f"{EXPERIMENTS}/{experiment['id']}/"
    assert api.patch(place, {"holdout_id": None}).body["holdout"] is None
    assert flag_of(api, experiment)["filters"]["holdout"] is None
    assert api.patch(place, {"holdout_id": 99}).body["attr"] == "holdout_id"


def test_what_is_not_modelled_of_experiments_says_so(api):
    experiment = create(api)

    for method, path in (("POST", "duplicate/"), ("PUT", ""), ("DELETE", "")):
        reply = api.call(method, f"{EXPERIMENTS}/{experiment['id']}/{path}", {})
        assert (reply.status, reply.body) == (404, {"detail": "not modelled by the sandbox"})
