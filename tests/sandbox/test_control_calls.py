"""The control endpoints: reset, clock, tasks, ledger, request log, state, OpenAPI."""

import json

import pytest

from reconciler.sandbox.api import list_routes

from .conftest import FLAGS, NOW, ORG, POLICIES, REQUESTS, SEED


def refused(api, method, name, body=None):
    with pytest.raises(ValueError, match=r".") as caught:
        api.sandbox.control(method, name, body)
    return str(caught.value)


def test_control_calls_need_no_key_count_against_no_limit_and_are_not_logged(api):
    api.reset(rate_limit={"per_minute": 1})
    for _ in range(3):
        api.sandbox.state()

    assert api.sandbox.requests() == []
    assert api.get(FLAGS).status == 200


def test_reset_undoes_everything(api):
    before = api.sandbox.state()
    api.sandbox.inject("GET:*:every:before:status(503)")
    assert api.get(FLAGS).status == 503
    api.patch(f"{FLAGS}/1/", {"name": "x"})
    api.sandbox.advance("3d")

    api.reset()

    assert api.sandbox.state() == before
    assert (api.sandbox.ledger(), api.sandbox.requests()) == ([], [])
    assert api.get(FLAGS).status == 200


def test_reset_accepts_yaml_and_without_a_body_restores_the_start(api):
    started = api.sandbox.control("POST", "reset")
    assert started == {"now": NOW}
    api.sandbox.reset("users: [{email: zoe@acme.test, tokens: [{token: phx_zoe}]}]")

    assert api.get("/api/users/@me/", who="zoe").body["organization"] is None
    assert api.get(FLAGS).status == 401
    api.sandbox.reset()
    assert api.get(FLAGS).status == 200


def test_an_invalid_seed_changes_nothing(api):
    api.patch(f"{FLAGS}/1/", {"name": "kept"})

    message = refused(api, "POST", "reset", {"organizations": [{"nmae": "x"}]})

    assert message.startswith("organizations[0]: unknown field 'nmae'")
    assert api.get(f"{FLAGS}/1/").body["name"] == "kept"


def test_a_frozen_clock_moves_only_on_request(api):
    assert api.sandbox.control("GET", "clock") == {"now": NOW}
    assert api.sandbox.advance("15d") == "2026-01-20T09:00:00Z"
    assert api.sandbox.advance("1w2h30s") == "2026-01-27T11:00:30Z"
    back = api.sandbox.control("POST", "clock", {"set": "2026-01-01"})
    assert back == {"now": "2026-01-01T00:00:00Z"}
    assert api.sandbox.control("GET", "clock") == back


def test_a_running_clock_continues_from_the_time_it_was_set_to(api):
    seed = {name: value for name, value in SEED.items() if name != "now"}
    api.sandbox.reset(seed)
    set_to = api.sandbox.control("POST", "clock", {"set": "2030-01-01T00:00:00Z"})["now"]
    read = api.sandbox.control("GET", "clock")["now"]

    assert set_to == "2030-01-01T00:00:00Z"
    assert read > set_to.replace("Z", ".000000Z")
    assert read < "2030-01-01T00:00:30Z"
    assert api.sandbox.advance("1d").startswith("2030-01-02T00:00:")
    api.sandbox.reset(api.sandbox.state())
    assert api.sandbox.control("GET", "clock")["now"].startswith("2030-01-02T00:00:")


@pytest.mark.parametrize(
    "body",
    [{}, {"advance": "soon"}, {"set": "moon"}, {"advance": "1d", "set": NOW}, {"advance": "9" * 30},
     {"advance": "99999999w"}, {"advance": "9999999999999999w"}, "[", "[]"],
    ids=str,
)  # fmt: skip
def test_an_invalid_time_is_refused(api, body):
    assert refused(api, "POST", "clock", body)
    assert api.sandbox.control("GET", "clock") == {"now": NOW}


def test_tasks_run_on_request_and_by_the_clock(api):
    api.policy(expires_after="2 00:00:00")
    api.file()

    assert api.sandbox.control("POST", "tasks", {"run": "expire_change_requests"})["changed"] == 0
    api.sandbox.advance("49h")
    assert api.results(f"{REQUESTS}/")[0]["state"] == "expired"
    assert "unknown task" in refused(api, "POST", "tasks", {"run": "moon"})
    assert "unknown task" in refused(api, "POST", "tasks", {})


def test_staleness_is_checked_by_the_clock(api):
    api.policy()
    api.file()
    api.patch(f"{FLAGS}/2/", {"name": "x"})
    api.sandbox.advance("1h")

    assert api.results(f"{REQUESTS}/")[0]["validation_status"] == "stale"


def test_the_ledger_contains_every_committed_effect(api):
    api.policy()
    request = api.file()
    api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada")

    lines = api.sandbox.ledger()

    assert all(
        line.keys() == {"n", "at", "request", "user", "effect", "object", "before", "after"}
        for line in lines
    )
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    told = [(line["request"], line["user"], line["effect"], line["object"]) for line in lines]
    assert (2, "max@acme.test", "create", f"ChangeRequest/{request['id']}") in told
    assert (3, "ada@acme.test", "update", "FeatureFlag/2") in told
    flag = next(line for line in lines if line["object"] == "FeatureFlag/2")
    assert (flag["before"]["active"], flag["after"]["active"]) == (False, True)
    assert flag["at"] == NOW


def test_the_ledger_omits_refused_calls_and_reads(api):
    api.get(FLAGS)
    api.patch(f"{FLAGS}/1/", {"key": "not a key"})
    api.post(f"{POLICIES}/", {}, who="max")

    assert api.sandbox.ledger() == []


def test_the_request_log_contains_every_call(api):
    api.get(f"{FLAGS}/?limit=1", who="max")
    api.patch(f"{FLAGS}/1/", {"key": "not a key"})
    api.get(FLAGS, who=None)

    lines = api.sandbox.requests()

    assert lines[0] == {
        "n": 1,
        "at": NOW,
        "method": "GET",
        "path": f"{FLAGS}/",
        "query": "limit=1",
        "status": 200,
        "user": "max@acme.test",
        "fault": None,
    }
    told = [(line["n"], line["method"], line["status"], line["user"]) for line in lines[1:]]
    assert told == [(2, "PATCH", 400, "olga@acme.test"), (3, "GET", 401, None)]
    assert api.sandbox.control("DELETE", "requests") == {"requests": 0}
    assert api.sandbox.requests() == []
    api.get(FLAGS)
    assert [line["n"] for line in api.sandbox.requests()] == [4]


def busy(api):
    """A world in which everything has happened once."""
    for action in ("feature_flag.enable", "feature_flag.update"):
        api.policy(
            action,
            approver_config={"quorum": 2, "users": [12, 99, "12", "ada@acme.test"], "x": [1]},
            bypass_roles=["b0000000-0000-4000-8000-000000000001"],
            conditions={"type": "any_change", "field": "rollout_percentage"},
        )
    api.sandbox.advance("90s")
    api.post(f"{FLAGS}/", {"key": "new", "active": False, "filters": {"groups": [{}]}})
    request = api.file(flag=1, filters={"groups": [{"rollout_percentage": 1}]})
    api.post(f"{REQUESTS}/{request['id']}/approve/", {"reason": "ok"}, who="ada")
    api.patch(f"{FLAGS}/1/", {"deleted": True}, who="mia")
    api.post("/api/organizations/", {"name": "Second"}, who="max")
    api.post(f"{ORG}/projects/", {"name": "Third"})
    api.patch(f"{ORG}/", {"enforce_2fa": True, "default_role_id": None})
    api.sandbox.run_task("check_staleness")


def test_the_state_is_a_seed_that_makes_the_same_world(api):
    busy(api)
    state = api.sandbox.state()
    pages = [
        "/api/users/@me/",
        "/api/organizations/",
        f"{ORG}/roles/",
        f"{ORG}/members/",
        f"{ORG}/advanced_activity_logs/",
        "/api/projects/",
        f"{POLICIES}/",
        f"{REQUESTS}/",
        f"{FLAGS}/",
        f"{FLAGS}/1/",
    ]
    before = [api.get(page, who="ada").body for page in pages]

    api.sandbox.reset(state)

    assert api.sandbox.state() == state
    assert [api.get(page, who="ada").body for page in pages] == before
    assert json.loads(json.dumps(state)) == state


def test_ids_are_never_given_twice_after_a_round_trip(api):
    busy(api)
    api.sandbox.reset(api.sandbox.state())

    roles = [api.post(f"{ORG}/roles/", {"name": f"r{n}"}).body["id"] for n in range(5)]
    known = json.dumps(api.sandbox.state())
    assert all(known.count(f'"{identity}"') >= 1 for identity in roles)
    flags = api.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    new = api.post(f"{FLAGS}/", {"key": "z", "filters": {"groups": [{}]}, "active": False}).body
    assert new["id"] == max(one["id"] for one in flags) + 1


def test_the_same_calls_make_the_same_world_and_the_same_ledger(api):
    busy(api)
    first = (api.sandbox.state(), api.sandbox.ledger(), api.sandbox.requests())
    api.reset()
    busy(api)

    assert (api.sandbox.state(), api.sandbox.ledger(), api.sandbox.requests()) == first


def test_the_openapi_document_lists_every_route(api):
    document = api.sandbox.control("GET", "openapi.json")

    assert document["openapi"].startswith("3.1")
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    served = [route for route in list_routes() if "g3" in route.generations]
    assert len(operations) == len(served)
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)
    assert all(one["summary"] for one in operations)
    flag = document["paths"]["/api/projects/{project}/feature_flags/{id}/"]
    assert flag.keys() == {"get", "patch", "put", "delete"}


def test_an_unknown_control_call_names_the_known_calls(api):
    assert "no control call" in refused(api, "PUT", "clock", {})
    message = refused(api, "GET", "docs")

    assert "no control call GET 'docs'" in message
    assert "GET ledger" in message
    assert "POST reset" in message
