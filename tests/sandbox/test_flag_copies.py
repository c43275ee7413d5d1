"""Copies of a flag in other projects, and the gate there (contract 19)."""

import pytest

from .conftest import FLAGS, FULL, ORG

COPY = f"{ORG}/feature_flags/copy_flags"
THERE = "/api/projects/2"
PENDING = "A change request has been created and is pending approval."


@pytest.fixture(params=["g3", "g2"])
def any_api(request, api, g2):
    return api if request.param == "g3" else g2


def copy_flag(api, key="on", who="olga", **more):
    body = {"feature_flag_key": key, "from_project": 1, "target_project_ids": [2], **more}
    return api.post(COPY, body, who=who)


def require(api, action="feature_flag.enable", project=THERE):
    rule = {"action_key": action, "approver_config": {"quorum": 1, "users": [12]}}
    assert api.post(f"{project}/approval_policies/", rule).status == 201


def test_a_flag_is_copied_onto_none_and_onto_its_namesake(any_api):
    reply = copy_flag(any_api)
    made = any_api.results(f"{THERE}/feature_flags/")

    assert (reply.status, reply.body["failed"]) == (200, [])
    assert [(row["key"], row["active"], row["version"]) for row in made] == [("on", True, 1)]
    assert made[0]["filters"]["groups"][0]["rollout_percentage"] == 50
    row = reply.body["success"][0]
    assert (row["id"], row["team_id"], row["key"]) == (made[0]["id"], 2, "on")

    assert copy_flag(any_api, disable_copied_flag=True).body["success"][0]["active"] is False
    assert any_api.get(f"{THERE}/feature_flags/{row['id']}/").body["version"] == 2


@pytest.mark.parametrize("existing", [False, True])
def test_a_copy_that_waits_is_a_failure_of_its_project(any_api, existing):
    if existing:
        body = {"key": "on", "active": False, "filters": FULL}
        assert any_api.post(f"{THERE}/feature_flags/", body).status == 201
    require(any_api)

    reply = copy_flag(any_api)

    assert (reply.status, reply.body["success"]) == (200, [])
    assert reply.body["failed"][0]["project_id"] == 2
    assert PENDING[:-1] in reply.body["failed"][0]["error_message"]
    flags = any_api.results(f"{THERE}/feature_flags/")
    assert [flag["active"] for flag in flags] == [False] * existing
    request = any_api.results(f"{THERE}/change_requests/")[0]
    assert request["resource_id"] == (str(flags[0]["id"]) if existing else None)
    assert any_api.results("/api/projects/1/change_requests/") == []

    done = any_api.post(f"{THERE}/change_requests/{request['id']}/approve/", who="ada").body
    assert done["status"] == "applied"
    assert any_api.results(f"{THERE}/feature_flags/")[0]["active"] is True


def test_only_the_newest_generation_names_the_request(api, g2):
    for one in (api, g2):
        require(one)
    request = copy_flag(api).body["failed"][0]

    assert request["approval_pending"] is True
    path = f"{THERE}/change_requests/{request['change_request_id']}/"
    assert api.get(path).body["state"] == "pending"
    assert copy_flag(api).body["failed"][0]["change_request_id"] == request["change_request_id"]
    assert set(copy_flag(g2).body["failed"][0]) == {"project_id", "error_message"}


def test_a_disabled_copy_is_free_and_several_policies_conflict(api):
    require(api)
    assert copy_flag(api, disable_copied_flag=True).body["failed"] == []

    require(api, "feature_flag.update")
    api.patch(f"{FLAGS}/1/", {"filters": {"groups": [{"rollout_percentage": 7}]}})
    failed = copy_flag(api).body["failed"][0]
    assert set(failed) == {"project_id", "error_message"}
    assert "multiple policies" in failed["error_message"]
    assert api.results(f"{THERE}/change_requests/") == []


def test_each_project_fails_on_its_own(any_api):
    reply = copy_flag(any_api, target_project_ids=[3, 99, 2])

    missing = "Project not found."
    assert reply.body["failed"] == [
        {"project_id": 3, "error_message": missing},
        {"project_id": 99, "error_message": missing},
    ]
    assert len(reply.body["success"]) == 1


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"feature_flag_key": None}, "feature_flag_key"),
        ({"from_project": "x"}, "from_project"),
        ({"target_project_ids": []}, "target_project_ids"),
        ({"target_project_ids": 2}, "target_project_ids"),
        ({"target_project_ids": list(range(51))}, "target_project_ids"),
    ],
    ids=str,
)
def test_an_invalid_copy_is_refused(api, change, attr):
    reply = api.post(
        COPY, {"feature_flag_key": "on", "from_project": 1, "target_project_ids": [2], **change}
    )
    assert (reply.status, reply.body["attr"]) == (400, attr)


@pytest.mark.parametrize("source", [{"key": "no-such"}, {"from_project": 3}], ids=str)
def test_a_missing_source_is_a_bare_error(api, source):
    reply = copy_flag(api, **source)

    assert (reply.status, reply.body) == (400, {"error": "Feature flag to copy does not exist."})


def test_ids_in_conditions_become_those_of_the_other_project(api):
    cohort = {"key": "id", "type": "cohort", "operator": "in", "value": 5}
    needs = {"key": "1", "type": "flag", "operator": "flag_evaluates_to", "value": True}
    groups = [{"properties": [cohort, needs], "rollout_percentage": 10}]
    body = {"key": "user", "filters": {"groups": groups}}
    assert api.post(f"{FLAGS}/", body).status == 201

    dropped = copy_flag(api, "user").body["success"][0]
    assert dropped["active"] is False
    assert "no flag with that key exists" in dropped["flag_dependency_warnings"][0]
    kept = dropped["filters"]["groups"][0]["properties"]
    assert [(item["type"], item["value"]) for item in kept] == [("cohort", 7)]

    base = copy_flag(api).body["success"][0]
    copied = copy_flag(api, "user").body["success"][0]
    assert "flag_dependency_warnings" not in copied
    kept = copied["filters"]["groups"][0]["properties"]
    assert [str(item["key"]) for item in kept] == ["id", str(base["id"])]


def test_a_cohort_that_is_missing_is_created(api):
    seed_cohorts = "/api/projects/2/cohorts/"
    api.reset(lambda seed: seed["organizations"][0]["projects"][1].pop("cohorts"))
    cohort = {"key": "id", "type": "cohort", "operator": "in", "value": 5}
    api.patch(f"{FLAGS}/1/", {"filters": {"groups": [{"properties": [cohort]}]}})

    copied = copy_flag(api).body["success"][0]

    made = api.results(seed_cohorts)[0]
    assert (made["name"], made["id"]) == ("Beta testers", 7)
    assert copied["filters"]["groups"][0]["properties"][0]["value"] == made["id"]


@pytest.mark.parametrize("conflict", [False, True])
def test_copied_schedules_get_requests_of_their_own(api, conflict):
    def more(seed):
        rule = {"action_key": "feature_flag.enable", "approver_config": {"quorum": 1, "users": []}}
        seed["organizations"][0]["approval_policies"] = [rule] * conflict

    api.reset(more)
    change = {
        "record_id": "1",
        "model_name": "FeatureFlag",
        "payload": {"operation": "update_status", "value": True},
        "scheduled_at": "2026-01-06T09:00:00Z",
    }
    assert api.post("/api/projects/1/scheduled_changes/", change).status == 201
    require(api)

    reply = copy_flag(api, copy_schedule=True, disable_copied_flag=True)

    assert len(reply.body["success"]) == 1
    copied = api.results(f"{THERE}/scheduled_changes/")
    assert [row["change_request"]["state"] for row in copied] == ["pending"] * (not conflict)


def test_a_copy_needs_the_scope_of_flags(api):
    def read_only(seed):
        seed["users"][0]["tokens"][0]["scopes"] = ["feature_flag:read", "organization:write"]

    api.reset(read_only)
    reply = copy_flag(api)

    assert (reply.status, reply.body["detail"]) == (
        403,
        "API key missing required scope 'feature_flag:write'",
    )


def test_the_first_generation_does_not_model_copies(world_of):
    reply = copy_flag(world_of(profile="g1"))

    assert (reply.status, reply.body) == (404, {"detail": "not modelled by the sandbox"})


def test_copies_of_dependencies_are_not_modelled(api):
    reply = copy_flag(api, copy_dependencies=True)

    assert (reply.status, reply.body) == (404, {"detail": "not modelled by the sandbox"})
