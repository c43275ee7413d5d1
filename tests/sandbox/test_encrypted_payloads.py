"""Requests about flags with encrypted payloads, in both modes (contract 7.2)."""

import pytest

from .conftest import FLAGS, REQUESTS, SEED, Api, Sandbox, background

SECRET, OLD = '"s3cret"', '"old"'
REDACTED = '"********* (encrypted)"'
ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"


def world(seed):
    seed["organizations"][0]["projects"][0]["feature_flags"].append(
        {
            "key": "config",
            "id": 3,
            "active": False,
            "is_remote_configuration": True,
            "has_encrypted_payloads": True,
            "filters": {
                "groups": [{"properties": [], "rollout_percentage": 50}],
                "payloads": {"true": OLD},
            },
        }
    )


@pytest.fixture
def shown(api):
    api.reset(world)
    return api


@pytest.fixture(scope="module")
def withholding_server():
    with background(seed=SEED, profile="g3", withhold_payloads=True) as running:
        yield Sandbox(running.url)


@pytest.fixture
def withheld(withholding_server):
    found = Api(withholding_server)
    found.reset(world)
    return found


def change(value=SECRET, **more):
    return {"active": True, "filters": {"payloads": {"true": value}}, **more}


def payloads(request):
    """The payloads in both places that show them."""
    places = (request["intent"]["full_request_data"], request["intent_display"]["after"])
    return [place["filters"]["payloads"]["true"] for place in places]


def stored(api, number=3):
    """The payload as the sandbox has it; the API redacts it."""
    project = api.sandbox.state()["organizations"][0]["projects"][0]
    return next(f for f in project["feature_flags"] if f["id"] == number)["filters"]["payloads"]


def approve(api, request):
    return api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body


def test_a_request_shows_the_secret_in_both_places(shown):
    shown.policy(ENABLE)

    request = shown.file(flag=3, **change())

    assert payloads(request) == [SECRET, SECRET]
    assert payloads(shown.get(f"{REQUESTS}/{request['id']}/", who="mia").body) == [SECRET, SECRET]
    assert approve(shown, request)["status"] == "applied"
    assert stored(shown) == {"true": SECRET}
    assert shown.get(f"{FLAGS}/3/").body["filters"]["payloads"] == {"true": SECRET}


def test_a_withheld_secret_is_nowhere_and_still_applied(withheld):
    withheld.policy(ENABLE)

    request = withheld.file(flag=3, **change())

    assert payloads(request) == [REDACTED, REDACTED]
    assert "encrypted_payloads" not in request["intent"]
    state = withheld.sandbox.state()
    assert SECRET.strip('"') not in str(state["organizations"][0]["projects"][0]["change_requests"])
    withheld.sandbox.reset(state)
    assert approve(withheld, request)["status"] == "applied"
    assert stored(withheld) == {"true": SECRET}


@pytest.mark.parametrize("mode", ["shown", "withheld"])
def test_a_redacted_payload_that_is_sent_back_keeps_the_stored_one(request, mode):
    api = request.getfixturevalue(mode)
    api.policy(ENABLE)

    filed = api.file(flag=3, **change(REDACTED))

    assert approve(api, filed)["status"] == "applied"
    assert stored(api) == {"true": OLD}


def test_a_request_that_ends_encryption_shows_its_payload(withheld):
    withheld.policy(ENABLE)

    request = withheld.file(flag=3, **change(has_encrypted_payloads=False))

    assert payloads(request) == [SECRET, SECRET]


def test_a_create_says_itself_whether_its_payload_is_secret(withheld):
    withheld.policy(ENABLE)
    groups = [{"properties": [], "rollout_percentage": 50}]
    secret = {"is_remote_configuration": True, "has_encrypted_payloads": True}

    def file(key, **more):
        body = {"key": key, "filters": {"groups": groups, "payloads": {"true": SECRET}}, **more}
        return withheld.post(f"{FLAGS}/", body, who="max").body["change_request"]

    hidden, plain = file("hidden", **secret), file("plain")

    assert payloads(hidden) == [REDACTED, REDACTED]
    assert payloads(plain) == [SECRET, SECRET]
    done = approve(withheld, hidden)
    assert stored(withheld, done["result"]["resource_id"]) == {"true": SECRET}


@pytest.mark.parametrize("deleted", [True, None])
def test_requests_of_deleted_and_lost_flags_stay_withheld(withheld, deleted):
    withheld.policy(ENABLE)
    request = withheld.file(flag=3, **change())
    state = withheld.sandbox.state()
    project = state["organizations"][0]["projects"][0]
    if deleted:
        project["feature_flags"][2]["deleted"] = True
    else:
        del project["feature_flags"][2]
    withheld.sandbox.reset(state)

    assert payloads(withheld.get(f"{REQUESTS}/{request['id']}/").body) == [REDACTED, REDACTED]


def test_requests_filed_before_are_withheld_too(shown, withheld):
    shown.policy(ENABLE)
    request = shown.file(flag=3, **change())
    state = shown.sandbox.state()
    del state["withhold_payloads"]

    withheld.sandbox.reset(state)

    assert payloads(withheld.get(f"{REQUESTS}/{request['id']}/").body) == [REDACTED, REDACTED]
    assert approve(withheld, request)["status"] == "applied"
    assert stored(withheld) == {"true": SECRET}


def test_a_payload_that_cannot_be_decrypted_fails(withheld):
    withheld.policy(ENABLE)
    request = withheld.file(flag=3, **change())
    state = withheld.sandbox.state()
    filed = state["organizations"][0]["projects"][0]["change_requests"][0]
    filed["intent"]["encrypted_payloads"]["true"] = "gAAAAABm"
    withheld.sandbox.reset(state)

    done = approve(withheld, request)

    assert (done["status"], done["change_request"]["validation_status"]) == ("failed", "valid")
    assert stored(withheld) == {"true": OLD}


def test_the_seed_chooses_the_mode(api):
    api.reset(world, withhold_payloads=True)
    api.policy(ENABLE)

    assert payloads(api.file(flag=3, **change())) == [REDACTED, REDACTED]
    assert api.sandbox.state()["withhold_payloads"] is True


def test_an_update_request_does_not_show_payloads_among_its_gated_changes(shown):
    shown.policy(UPDATE)
    groups = [{"properties": [], "rollout_percentage": 60}]

    request = shown.file(flag=3, filters={"groups": groups, "payloads": {"true": SECRET}})

    assert SECRET not in str(request["intent_display"])
    assert request["intent"]["full_request_data"]["filters"]["payloads"] == {"true": SECRET}
