"""Holdouts, their gate, and the flags that they write (contract 16)."""

import pytest

from .conftest import FLAGS, POLICIES, REQUESTS

HOLDOUTS = "/api/projects/1/experiment_holdouts"
EXPERIMENTS = "/api/projects/1/experiments"
UPDATE, DELETE = "experiment_holdout.update", "experiment_holdout.delete"


def share(value):
    return [{"properties": [], "rollout_percentage": value}]


def world(seed):
    web = seed["organizations"][0]["projects"][0]
    web["experiment_holdouts"] = [{"id": 3, "name": "Global", "filters": share(10)}]
    web["experiments"] = [
        {"id": 5, "name": "E", "feature_flag": "on", "holdout": "Global"},
        {"id": 6, "name": "Gone", "feature_flag": "off", "holdout": 3, "deleted": True},
    ]


@pytest.fixture
def api(api):
    api.reset(world)
    return api


def switch_on(seed):
    world(seed)
    seed["organizations"][0]["owner_scoping"] = True


def file(api, value=20, who="max", **more):
    reply = api.patch(f"{HOLDOUTS}/3/", {"filters": share(value), **more}, who=who)
    assert (reply.status, reply.body["code"]) == (409, "approval_required"), reply.body
    return reply.body


def approve(api, request):
    return api.post(f"{REQUESTS}/{request}/approve/", who="ada").body


def flag(api, number=1):
    return api.get(f"{FLAGS}/{number}/").body


def test_holdouts_are_listed_created_read_changed_and_deleted(api):
    made = api.post(f"{HOLDOUTS}/", {"name": "New", "filters": share(12.5)}, who="max")

    assert made.status == 201
    number = made.body["id"]
    assert made.body["filters"] == [
        {"properties": [], "rollout_percentage": 12.5, "variant": f"holdout-{number}"}
    ]
    assert made.body["created_by"]["email"] == "max@acme.test"
    assert [one["id"] for one in api.results(f"{HOLDOUTS}/")] == [number, 3]
    changed = api.patch(f"{HOLDOUTS}/{number}/", {"description": "D", "name": "Newer"})
    assert (changed.status, changed.body["description"]) == (200, "D")
    body = {"name": "Put", "filters": share(1)}
    assert api.call("PUT", f"{HOLDOUTS}/{number}/", body).body["name"] == "Put"
    assert api.get(f"{HOLDOUTS}/{number}/").body["filters"][0]["rollout_percentage"] == 1
    assert api.delete(f"{HOLDOUTS}/{number}/").status == 204
    assert api.get(f"{HOLDOUTS}/{number}/").status == 404
    assert api.get("/api/projects/2/experiment_holdouts/3/").status == 404


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"filters": share(1)}, "name"),
        ({"name": "N", "filters": {}}, "filters"),
        ({"name": "N", "filters": [{}]}, "filters"),
        ({"name": "N", "filters": share(101)}, "filters"),
        ({"name": "N", "filters": share(-1)}, "filters"),
        ({"name": "N", "filters": share("5")}, "filters"),
    ],
    ids=str,
)
def test_an_invalid_holdout_is_refused_before_the_gate(api, body, attr):
    api.policy(UPDATE)

    for method, path in (("POST", "/"), ("PUT", "/3/")):
        reply = api.call(method, HOLDOUTS + path, body, who="max")
        assert (reply.status, reply.body["attr"]) == (400, attr)


def test_filters_are_needed_to_create_and_kept_by_a_put(api):
    for missing in ({}, {"filters": []}):
        created = api.post(f"{HOLDOUTS}/", {"name": "N", **missing})
        assert (created.status, created.body["code"]) == (400, "invalid_input")
        assert created.body["detail"] == "Filters are required to create an holdout group"

    emptied = api.patch(f"{HOLDOUTS}/3/", {"filters": []})
    assert (emptied.status, emptied.body["attr"]) == (400, "filters")
    replaced = api.call("PUT", f"{HOLDOUTS}/3/", {"name": "N"})
    assert (replaced.status, replaced.body["name"]) == (200, "N")
    assert replaced.body["filters"][0]["rollout_percentage"] == 10


def test_a_write_of_filters_reaches_the_flags_of_live_experiments(api):
    before = flag(api)

    api.patch(f"{HOLDOUTS}/3/", {"filters": [*share(20), *share(99)]})

    after = flag(api)
    assert after["filters"]["holdout"] == {"id": 3, "exclusion_percentage": 20}
    assert after["version"] == before["version"] + 1
    assert flag(api, 2)["version"] == 1


def test_filters_are_compared_before_the_variant_is_added(api):
    sent = api.get(f"{HOLDOUTS}/3/").body["filters"]

    api.patch(f"{HOLDOUTS}/3/", {"filters": sent, "name": "Same"})
    assert flag(api)["version"] == 1
    api.patch(f"{HOLDOUTS}/3/", {"filters": share(10)})
    assert flag(api)["version"] == 2


def test_deleting_clears_the_flags(api):
    api.patch(f"{HOLDOUTS}/3/", {"filters": share(20)})

    assert api.delete(f"{HOLDOUTS}/3/").status == 204

    assert flag(api)["filters"]["holdout"] is None
    assert flag(api)["version"] == 3
    assert api.get(f"{EXPERIMENTS}/5/").body["holdout_id"] is None


def test_a_changed_share_waits_in_the_form_of_a_serializer(api):
    api.policy(UPDATE)

    body = file(api, name="Renamed")

    request = body["change_request"]
    assert (body["resource_type"], body["resource_id"]) == ("experiment_holdout", "3")
    assert body["detail"] == body["message"]
    assert body["required_approvers"] == {"quorum": 1, "users": [12]}
    assert request["intent"] == {
        "holdout_id": 3,
        "holdout_name": "Global",
        "current_state": {"exclusion_percentage": 10},
        "gated_changes": {"exclusion_percentage": 20},
        "desired_filters": share(20),
        "desired_changes": {"name": "Renamed", "filters": share(20)},
        "affected_experiments": [{"id": 5, "name": "E", "flag_key": "on"}],
        "http_method": "PATCH",
    }
    display = request["intent_display"]
    assert display["description"] == (
        "Change holdout 'Global' exclusion from 10% to 20%, affecting 1 experiments"
    )
    assert (display["before"], display["after"]) == (
        {"exclusion_percentage": 10},
        {"exclusion_percentage": 20},
    )
    assert api.get(f"{HOLDOUTS}/3/").body["name"] == "Global"
    assert api.results(f"{REQUESTS}/?resource_type=experiment_holdout&resource_id=3")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "N", "description": "D"},
        {"filters": [{"properties": [1], "rollout_percentage": 10}, *share(50)]},
        {"filters": share(10.0)},
    ],
    ids=str,
)
def test_anything_but_the_first_share_is_free(api, body):
    api.policy(UPDATE)
    api.policy(DELETE)

    assert api.patch(f"{HOLDOUTS}/3/", body, who="max").status == 200
    new = {"name": "N", "filters": share(50)}
    assert api.post(f"{HOLDOUTS}/", new, who="max").status == 201


def test_approving_writes_the_holdout_and_its_flags_without_another_gate(api):
    api.policy(UPDATE)
    api.policy("feature_flag.update")
    request = file(api, name="Renamed")["change_request_id"]

    done = approve(api, request)

    assert (done["status"], done["result"]) == (
        "applied",
        {"resource_id": 3, "resource_version": None},
    )
    assert done["change_request"]["applied_by"]["email"] == "max@acme.test"
    holdout = api.get(f"{HOLDOUTS}/3/").body
    assert (holdout["name"], holdout["filters"][0]["variant"]) == ("Renamed", "holdout-3")
    assert flag(api)["filters"]["holdout"]["exclusion_percentage"] == 20
    assert flag(api)["last_modified_by"]["email"] == "max@acme.test"
    assert len(api.results(f"{REQUESTS}/")) == 1


def test_an_applied_holdout_ends_the_requests_of_its_flags(api):
    api.policy(UPDATE)
    api.policy("feature_flag.disable")
    other = api.file(flag=1, active=False)["id"]

    approve(api, file(api)["change_request_id"])

    assert approve(api, other)["status"] == "failed"


def test_a_delete_waits_in_the_form_of_a_view(api):
    api.policy(DELETE)

    reply = api.delete(f"{HOLDOUTS}/3/", who="max")

    assert (reply.status, reply.body["code"]) == (409, "approval_required")
    assert "detail" not in reply.body
    intent = reply.body["change_request"]["intent"]
    assert intent["gated_changes"] == {"deleted": True}
    assert intent["http_method"] == "DELETE"
    assert not {"desired_filters", "desired_changes"} & intent.keys()
    again = api.delete(f"{HOLDOUTS}/3/", who="mia")
    assert again.status == 409
    assert again.body.keys() == {
        *("code", "error", "resource_type", "resource_id", "change_request_id"),
        "existing_change_request",
    }
    done = approve(api, reply.body["change_request_id"])
    assert (done["status"], done["result"]) == (
        "applied",
        {"resource_id": None, "resource_version": None},
    )
    assert api.get(f"{HOLDOUTS}/3/").status == 404


def test_a_delete_applies_whatever_the_share_is_and_if_it_is_gone(api):
    api.policy(DELETE)
    first = api.delete(f"{HOLDOUTS}/3/", who="max").body["change_request_id"]
    api.patch(f"{HOLDOUTS}/3/", {"filters": share(77)})
    api.sandbox.run_task("check_staleness")
    assert api.get(f"{REQUESTS}/{first}/").body["validation_status"] == "stale"
    policy = api.results(f"{POLICIES}/")[0]["id"]
    api.delete(f"{POLICIES}/{policy}/")

    assert api.delete(f"{HOLDOUTS}/3/").status == 204
    assert approve(api, first)["status"] == "applied"


def test_update_and_delete_do_not_block_each_other(api):
    api.policy(UPDATE)
    api.policy(DELETE)
    first = file(api)

    second = api.patch(f"{HOLDOUTS}/3/", {"filters": share(30)}, who="mia")
    deleted = api.delete(f"{HOLDOUTS}/3/", who="mia")

    assert (second.status, second.body["code"]) == (409, "change_request_pending")
    assert second.body["change_request_id"] == first["change_request_id"]
    assert second.body["required_approvers"] == {}
    assert deleted.body["code"] == "approval_required"


NEVER = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 999}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_without_a_policy_that_of_the_flag_counts_without_its_conditions(api, method):
    api.policy("feature_flag.update", conditions=NEVER, expires_after="1 00:00:00")
    body = {"filters": share(20)} if method == "PATCH" else None

    reply = api.call(method, f"{HOLDOUTS}/3/", body, who="max")

    assert reply.status == 409
    request = reply.body["change_request"]
    assert request["action_key"] == (UPDATE if method == "PATCH" else DELETE)
    assert request["policy_snapshot"]["conditions"] == {}
    assert request["expires_at"] == "2026-01-06T09:00:00Z"


def quorums(action_keys):
    """Policies with different quorums, by which a request shows where it comes from."""
    return [
        {"action_key": key, "approver_config": {"quorum": number, "users": ["ada@acme.test"]}}
        for number, key in enumerate(action_keys, start=1)
    ]


@pytest.mark.parametrize(
    ("switch", "keys", "quorum"),
    [
        (False, [UPDATE, "experiment.update", "feature_flag.update"], 1),
        (False, ["experiment.update", "feature_flag.update"], 2),
        (True, [UPDATE, "experiment.update", "feature_flag.update"], 1),
        (True, ["experiment.update", "feature_flag.update"], 1),
        (True, ["feature_flag.update"], 1),
    ],
    ids=str,
)
def test_its_own_policy_comes_first_then_that_of_experiments_then_of_flags(
    api, switch, keys, quorum
):
    def change(seed):
        (switch_on if switch else world)(seed)
        seed["organizations"][0]["projects"][0]["approval_policies"] = quorums(keys)

    api.reset(change)

    assert file(api)["change_request"]["policy_snapshot"]["quorum"] == quorum


def test_a_policy_of_the_organization_is_a_fallback_too(api):
    def change(seed):
        world(seed)
        seed["organizations"][0]["approval_policies"] = quorums(["feature_flag.update"])

    api.reset(change)

    assert file(api)["change_request"]["action_key"] == UPDATE


def test_own_policies_of_project_and_organization_conflict(api):
    def change(seed):
        world(seed)
        acme = seed["organizations"][0]
        acme["approval_policies"] = acme["projects"][0]["approval_policies"] = quorums([UPDATE])

    api.reset(change)

    reply = api.patch(f"{HOLDOUTS}/3/", {"filters": share(20)}, who="max")
    assert (reply.status, reply.body["code"]) == (400, "policy_conflict")


@pytest.mark.parametrize(
    ("condition", "status"),
    [({}, 409), (NEVER, 200), ({**NEVER, "field": "exclusion_percentage"}, 500)],
    ids=str,
)
def test_its_own_policy_is_safe_without_conditions_only(api, condition, status):
    api.policy(UPDATE, conditions=condition)

    assert api.patch(f"{HOLDOUTS}/3/", {"filters": share(20)}, who="max").status == status


def test_whoever_bypasses_the_policy_writes_at_once(api):
    api.policy("feature_flag.update", bypass_org_membership_levels=[1])

    assert api.patch(f"{HOLDOUTS}/3/", {"filters": share(20)}, who="max").status == 200


def mark(api, request):
    api.sandbox.run_task("check_staleness")
    return api.get(f"{REQUESTS}/{request}/").body["validation_status"]


def test_staleness_of_a_holdout_recovers(api):
    api.policy(UPDATE, bypass_org_membership_levels=[15])
    request = file(api)["change_request_id"]

    api.patch(f"{HOLDOUTS}/3/", {"filters": share(50)})
    assert mark(api, request) == "stale"
    api.patch(f"{HOLDOUTS}/3/", {"filters": share(10)})
    assert mark(api, request) == "valid"
    api.patch(f"{EXPERIMENTS}/5/", {"holdout_id": None})
    assert mark(api, request) == "stale"
    api.patch(f"{EXPERIMENTS}/5/", {"holdout_id": 3})
    assert mark(api, request) == "valid"
    assert approve(api, request)["status"] == "applied"


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (f"{HOLDOUTS}/3/", {"filters": share(50)}, "The holdout changed"),
        (f"{EXPERIMENTS}/5/", {"holdout_id": None}, "The experiments in this holdout changed"),
        (f"{EXPERIMENTS}/5/", {"deleted": True}, "The experiments in this holdout changed"),
    ],
    ids=str,
)
def test_a_moved_holdout_cannot_be_applied(api, path, body, why):
    api.policy(UPDATE, bypass_org_membership_levels=[15])
    request = file(api)["change_request_id"]
    assert api.patch(path, body).status == 200

    done = approve(api, request)

    assert done["status"] == "failed"
    assert done["message"].startswith(f"Quorum reached but application failed: {why}")
    assert done["change_request"]["apply_error"].startswith(f"Precondition failed: {why}")


def test_a_holdout_that_is_already_as_wanted_is_applied_without_a_write(api):
    api.policy(UPDATE, bypass_org_membership_levels=[15])
    request = file(api)["change_request_id"]
    api.patch(f"{HOLDOUTS}/3/", {"filters": share(20)})
    version = flag(api)["version"]

    assert approve(api, request)["status"] == "applied"
    assert flag(api)["version"] == version


def test_a_holdout_that_is_gone_is_stale_and_fails(api):
    api.policy(UPDATE)
    request = file(api)["change_request_id"]
    api.delete(f"{HOLDOUTS}/3/")

    assert mark(api, request) == "stale"
    assert approve(api, request)["change_request"]["apply_error"] == (
        "Precondition failed: The holdout no longer exists"
    )


def test_holdouts_need_scopes_of_their_own(api):
    def keys(seed):
        world(seed)
        seed["users"][3]["tokens"] = [
            {"token": "phx_max", "scopes": ["experiment:write", "experiment_holdout:read"]}
        ]

    api.reset(keys)

    assert api.get(f"{HOLDOUTS}/3/", who="max").status == 200
    reply = api.patch(f"{HOLDOUTS}/3/", {"name": "N"}, who="max")
    assert reply.body["detail"] == "API key missing required scope 'experiment_holdout:write'"


def test_writes_of_holdouts_are_logged(api):
    api.patch(f"{HOLDOUTS}/3/", {"filters": share(20)})

    log = "/api/projects/1/advanced_activity_logs/?scopes=ExperimentHoldout&scopes=FeatureFlag"
    assert [(one["scope"], one["item_id"]) for one in api.results(log)] == [
        ("ExperimentHoldout", "3"),
        ("FeatureFlag", "1"),
    ]


def test_requests_of_holdouts_survive_an_exported_state(api):
    api.policy(UPDATE)
    request = file(api)["change_request"]

    state = api.sandbox.state()
    api.sandbox.reset(state)

    assert api.sandbox.state() == state
    assert api.results(f"{REQUESTS}/")[0]["intent"] == request["intent"]
    assert approve(api, request["id"])["status"] == "applied"


def test_older_generations_do_not_have_holdouts(g2):
    assert g2.get(f"{HOLDOUTS}/").status == 404
