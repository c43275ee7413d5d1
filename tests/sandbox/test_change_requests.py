"""Change requests (contract 7)."""

import pytest

from .conftest import FLAGS, MANAGERS, ORG, POLICIES, REQUESTS

UPDATE = "feature_flag.update"
FIELDS = {
    "id",
    "action_key",
    "action_version",
    "resource_type",
    "resource_id",
    "intent",
    "intent_display",
    "policy_snapshot",
    "validation_status",
    "validation_errors",
    "validated_at",
    "state",
    "created_by",
    "applied_by",
    "created_at",
    "updated_at",
    "expires_at",
    "applied_at",
    "apply_error",
    "result_data",
    "approvals",
    "can_approve",
    "can_cancel",
    "is_requester",
    "user_decision",
}


def rollout(percentage):
    return {"groups": [{"properties": [], "rollout_percentage": percentage}]}


def approve(api, request, who="ada", **body):
    return api.post(f"{REQUESTS}/{request['id']}/approve/", body, who=who)


def reject(api, request, who="ada", **body):
    return api.post(f"{REQUESTS}/{request['id']}/reject/", body, who=who)


def cancel(api, request, who="max", **body):
    return api.post(f"{REQUESTS}/{request['id']}/cancel/", body, who=who)


def read(api, request, who="olga"):
    return api.get(f"{REQUESTS}/{request['id']}/", who=who).body


def two_of(*users, **more):
    return {"approver_config": {"quorum": 2, "users": list(users)}, **more}


def test_a_request_has_twenty_five_fields(api):
    """Contract 7.1."""
    api.policy(expires_after="7 00:00:00")
    body = read(api, api.file())

    assert body.keys() == FIELDS
    assert (body["action_version"], body["resource_type"], body["resource_id"]) == (
        1,
        "feature_flag",
        "2",
    )
    assert (body["validation_status"], body["validation_errors"]) == ("valid", None)
    assert (body["apply_error"], body["result_data"], body["applied_by"]) == ("", None, None)
    assert body["expires_at"] == "2026-01-12T09:00:00Z"
    assert body["created_by"]["email"] == "max@acme.test"
    assert body["policy_snapshot"] == {
        "quorum": 1,
        "users": [12],
        "roles": [],
        "allow_self_approve": False,
        "conditions": {},
        "bypass_org_membership_levels": [],
        "bypass_roles": [],
    }


def test_computed_fields_depend_on_the_caller(api):
    """Contract 7.1."""
    api.policy(approver_config={"quorum": 2, "users": [12, 14], "roles": [MANAGERS]})
    request = api.file()

    names = ("can_approve", "can_cancel", "is_requester", "user_decision")
    views = {who: tuple(read(api, request, who)[one] for one in names) for who in ("ada", "max")}
    assert views == {"ada": (True, False, False, None), "max": (False, True, True, None)}
    assert read(api, request, "mia")["can_approve"] is True
    approve(api, request)
    view = read(api, request, "ada")
    assert (view["can_approve"], view["user_decision"]) == (True, "approved")


def test_the_intent_of_an_enable(api):
    """Contract 7.2."""
    api.policy()
    request = api.file(active=True, name="x", moon=1)

    intent = request["intent"]
    assert intent.pop("skip_opportunistic_filter_cleanup") is False
    assert intent == {
        "flag_id": 2,
        "flag_key": "off",
        "http_method": "PATCH",
        "current_state": {"active": False},
        "gated_changes": {"active": True},
        "full_request_data": {"name": "x", "active": True},
        "preconditions": {"version": 1, "updated_at": "2026-01-05T09:00:00+00:00"},
    }
    assert request["intent_display"]["after"] == {"name": "x", "active": True}


def test_the_intent_of_an_update_is_merged_and_normalized(api):
    """Contract 7.2."""
    api.policy(UPDATE)
    intent = api.file(filters=rollout(90))["intent"]

    path = "groups[0].rollout_percentage"
    assert intent["current_state"] == {"rollout_percentage": [{"path": path, "value": 50}]}
    assert intent["gated_changes"] == {"rollout_percentage": [{"path": path, "value": 90}]}
    assert intent["triggered_paths"] == [path]
    group = {"properties": [], "rollout_percentage": 90, "aggregation_group_type_index": None}
    assert intent["full_request_data"] == {
        "filters": {"groups": [group], "aggregation_group_type_index": None}
    }


def test_the_intent_of_a_create_has_no_preconditions(api):
    """Contract 7.2."""
    api.policy()
    body = {"key": "new", "filters": {"groups": [{"properties": []}]}}
    intent = api.post(f"{FLAGS}/", body, who="max").body["change_request"]["intent"]

    assert (intent["flag_id"], intent["flag_key"], intent["http_method"]) == (None, "new", "POST")
    assert intent["current_state"] == {"active": False}
    assert intent["preconditions"] == {"version": None, "updated_at": None}


def test_an_approval_below_the_quorum_is_only_recorded(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()

    reply = approve(api, request, reason="looks fine")

    assert reply.status == 200
    assert reply.body["status"] == "approved"
    assert reply.body["message"] == "Approval recorded. 1/2 approvals received."
    assert reply.body["change_request"]["state"] == "pending"
    assert reply.body["change_request"]["user_decision"] == "approved"
    assert "result" not in reply.body
    (vote,) = reply.body["change_request"]["approvals"]
    assert vote.keys() == {"id", "created_by", "decision", "reason", "created_at"}
    assert (vote["decision"], vote["reason"]) == ("approved", "looks fine")
    assert api.get(f"{FLAGS}/2/").body["active"] is False


def test_the_last_approval_applies_as_the_requester(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file(active=True, name="both")
    approve(api, request)

    reply = approve(api, request, who="abe")

    assert reply.body["status"] == "applied"
    assert reply.body["message"] == "Quorum reached. Change applied successfully."
    assert reply.body["result"] == {"resource_id": 2, "resource_version": 2}
    done = reply.body["change_request"]
    assert (done["state"], done["applied_at"]) == ("applied", "2026-01-05T09:00:00Z")
    assert done["applied_by"]["email"] == "max@acme.test"
    assert done["result_data"] == {"resource_id": 2, "resource_version": 2}
    flag = api.get(f"{FLAGS}/2/").body
    assert (flag["active"], flag["name"], flag["version"]) == (True, "both", 2)
    assert flag["last_modified_by"]["email"] == "max@acme.test"
    entry = api.results(f"{ORG}/advanced_activity_logs/")[0]
    assert (entry["activity"], entry["user"]["email"]) == ("updated", "max@acme.test")


def refusal(reply):
    assert reply.status == 403
    assert reply.body["code"] == "permission_denied"
    return reply.body["detail"]


def test_the_three_checks_of_an_approver_come_in_order(api):
    """Contract 7.4."""
    api.policy(approver_config={"quorum": 1, "users": [14]})
    request = api.file()

    expected = "You cannot approve your own change request"
    assert refusal(approve(api, request, who="max")) == expected
    expected = "You are not in the approver set for this change request"
    assert refusal(approve(api, request)) == expected
    cancel(api, request)
    expected = "Only pending change requests can be approved"
    assert refusal(approve(api, request, who="max")) == expected


def test_reject_has_the_same_checks(api):
    """Contract 7.4."""
    api.policy(approver_config={"quorum": 1, "users": [14]})
    request = api.file()

    own = "You cannot approve your own change request"  # the words of approve
    assert refusal(reject(api, request, who="max", reason="r")) == own
    assert "approver set" in refusal(reject(api, request, who="ada", reason="r"))
    cancel(api, request)
    expected = "Only pending change requests can be approved"
    assert refusal(reject(api, request, who="ada", reason="r")) == expected


def test_self_approval_does_not_make_an_approver(api):
    """Contract 7.4."""
    api.policy(allow_self_approve=True)
    request = api.file()

    expected = "You are not in the approver set for this change request"
    assert refusal(approve(api, request, who="max")) == expected
    assert approve(api, request).body["status"] == "applied"


def test_with_self_approval_an_approver_may_approve_its_own(api):
    """Contract 7.4."""
    api.policy(allow_self_approve=True)
    request = api.file(who="ada")

    assert approve(api, request, who="ada").body["status"] == "applied"


def test_approver_roles_come_from_the_snapshot_with_current_members(api):
    """Contract 7.4."""
    policy = api.policy(approver_config={"quorum": 1, "roles": [MANAGERS]})
    request = api.file()
    api.patch(f"{POLICIES}/{policy['id']}/", {"approver_config": {"quorum": 9, "roles": []}})
    assert approve(api, request, who="abe").status == 403

    abe = api.get("/api/users/@me/", who="abe").body["uuid"]
    held = api.post(f"{ORG}/roles/{MANAGERS}/role_memberships/", {"user_uuid": abe})
    assert held.status == 201
    assert approve(api, request, who="abe").body["status"] == "applied"


def test_nobody_votes_twice(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()
    approve(api, request)

    expected = {"error": "You have already voted on this change request."}
    for again in (approve(api, request), reject(api, request, reason="r")):
        assert (again.status, again.body) == (400, expected)


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": None}])
def test_a_rejection_needs_a_reason(api, body):
    """Contract 7.4."""
    api.policy()
    request = api.file()

    reply = reject(api, request, **body)

    expected = {"error": "A reason is required for rejection."}
    assert (reply.status, reply.body) == (400, expected)
    assert read(api, request)["state"] == "pending"


def test_one_rejection_ends_a_request(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()
    approve(api, request)

    reply = reject(api, request, who="abe", reason="no")

    assert reply.status == 200
    assert (reply.body["status"], reply.body["message"]) == (
        "rejected",
        "Change request rejected.",
    )
    assert reply.body["change_request"]["state"] == "rejected"
    assert [one["decision"] for one in read(api, request)["approvals"]] == ["approved", "rejected"]


def test_a_canceled_request_is_rejected_by_its_requester(api):
    """Contract 7.3."""
    api.policy()
    request = api.file()

    reply = cancel(api, request)

    assert reply.status == 200
    assert (reply.body["status"], reply.body["message"]) == (
        "canceled",
        "Change request canceled.",
    )
    done = read(api, request)
    assert done["state"] == "rejected"
    (vote,) = done["approvals"]
    assert (vote["created_by"]["email"], vote["reason"]) == (
        "max@acme.test",
        "Canceled by requester",
    )


def test_only_the_requester_cancels_and_only_without_approvals(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()

    expected = "You cannot cancel this change request"
    assert refusal(cancel(api, request, who="olga")) == expected
    approve(api, request)
    assert read(api, request, "max")["can_cancel"] is False
    assert refusal(cancel(api, request)) == expected
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})
    api.sandbox.run_task("check_staleness")
    assert read(api, request, "max")["can_cancel"] is True
    assert cancel(api, request, reason="mine").body["status"] == "canceled"
    assert refusal(cancel(api, request)) == expected


def test_a_requester_who_voted_cannot_cancel(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13), allow_self_approve=True)
    request = api.file(who="ada")
    approve(api, request)

    assert cancel(api, request, who="ada").status == 403
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})
    api.sandbox.run_task("check_staleness")
    reply = cancel(api, request, who="ada")
    assert reply.status == 500
    assert "error" in reply.body
    assert read(api, request)["state"] == "pending"


def test_another_version_fails_the_application_with_200(api):
    """Contract 7.5."""
    api.policy()
    request = api.file()
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})
    assert read(api, request)["validation_status"] == "valid"

    reply = approve(api, request)

    error = "Flag version mismatch: expected 1, got 2"
    assert (reply.status, reply.body["status"]) == (200, "failed")
    assert reply.body["message"] == f"Quorum reached but application failed: {error}"
    assert "result" not in reply.body
    assert (reply.body["change_request"]["state"], read(api, request)["apply_error"]) == (
        "failed",
        f"Precondition failed: {error}",
    )
    assert api.get(f"{FLAGS}/2/").body["active"] is False


def test_a_change_that_became_invalid_fails_to_apply(api):
    """Contract 7.5."""
    api.policy()
    request = api.file(active=True, key="taken")
    body = {"key": "taken", "active": False, "filters": rollout(1)}
    assert api.post(f"{FLAGS}/", body).status == 201

    reply = approve(api, request)

    assert reply.body["status"] == "failed"
    assert read(api, request)["apply_error"].startswith("Validation failed: ")


def test_a_requester_who_left_fails_the_application(api):
    """Contract 7.5."""
    api.policy()
    request = api.file()
    uuid = api.get("/api/users/@me/", who="max").body["uuid"]
    assert api.delete(f"{ORG}/members/{uuid}/").status == 204

    assert approve(api, request).body["status"] == "failed"
    assert read(api, request)["validation_status"] == "invalid"


def test_a_create_is_applied_with_version_1(api):
    """Contract 7.5."""
    api.policy()
    body = {"key": "new", "filters": {"groups": [{"properties": []}]}, "tags": ["t"]}
    request = api.post(f"{FLAGS}/", body, who="max").body["change_request"]

    done = approve(api, request).body

    number = done["result"]["resource_id"]
    assert done["result"] == {"resource_id": number, "resource_version": 1}
    assert done["change_request"]["resource_id"] is None
    flag = api.get(f"{FLAGS}/{number}/").body
    assert (flag["key"], flag["active"], flag["tags"]) == ("new", True, ["t"])
    assert flag["created_by"]["email"] == "max@acme.test"


def test_a_create_whose_flag_exists_reports_it(api):
    """Contract 7.5."""
    policy = api.policy()
    body = {"key": "new", "filters": {"groups": [{"properties": []}]}}
    request = api.post(f"{FLAGS}/", body, who="max").body["change_request"]
    api.patch(f"{POLICIES}/{policy['id']}/", {"enabled": False})
    made = api.post(f"{FLAGS}/", body).body

    assert approve(api, request).body["result"]["resource_id"] == made["id"]


def test_enabling_an_enabled_flag_at_the_same_version_succeeds(api):
    """Contract 7.5."""
    request = {
        "action_key": "feature_flag.enable",
        "intent": {"flag_key": "on", "gated_changes": {"active": True}},
        "policy_snapshot": {"users": ["ada@acme.test"]},
        "created_by": "max@acme.test",
        "id": "d0000000-0000-4000-8000-000000000001",
    }

    def change(seed):
        seed["organizations"][0]["projects"][0]["change_requests"] = [request]

    api.reset(change)

    done = approve(api, request).body
    assert done["result"] == {"resource_id": 1, "resource_version": 1}
    assert api.get(f"{FLAGS}/1/").body["version"] == 1


def test_a_deleted_policy_does_not_matter(api):
    """Contract 7.5."""
    policy = api.policy()
    request = api.file()
    api.delete(f"{POLICIES}/{policy['id']}/")

    assert approve(api, request).body["status"] == "applied"


def test_staleness_is_marked_by_the_task_and_is_permanent(api):
    """Contract 7.5."""
    api.policy()
    request = api.file()
    api.sandbox.run_task("check_staleness")
    assert read(api, request)["validation_status"] == "valid"
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})

    api.sandbox.run_task("check_staleness")

    stale = read(api, request)
    assert (stale["validation_status"], stale["state"]) == ("stale", "pending")
    assert "staleness" in stale["validation_errors"]
    assert stale["validated_at"] == "2026-01-05T09:00:00Z"
    assert approve(api, request).body["status"] == "failed"


def test_a_deleted_flag_makes_a_request_stale(api):
    """Contract 7.5."""
    api.policy()
    request = api.file()
    api.patch(f"{FLAGS}/2/", {"deleted": True})
    api.sandbox.run_task("check_staleness")

    assert read(api, request)["validation_status"] == "stale"


def test_expiry_waits_for_the_hourly_task(api):
    """Contract 7.3."""
    api.policy(expires_after="00:30:00")
    request = api.file()
    api.sandbox.advance("45m")

    assert read(api, request)["state"] == "pending"
    again = api.patch(f"{FLAGS}/2/", {"active": True}, who="max")
    assert again.body["code"] == "change_request_pending"
    api.sandbox.advance("15m")
    assert read(api, request)["state"] == "expired"
    assert api.patch(f"{FLAGS}/2/", {"active": True}, who="max").status == 409


def test_an_overdue_request_can_be_approved_before_the_task_runs(api):
    """Contract 7.3."""
    api.policy(expires_after="00:30:00")
    request = api.file()
    api.sandbox.advance("45m")

    assert approve(api, request).body["status"] == "applied"


def test_the_expiry_task_can_be_run_on_request(api):
    """Contract 7.3."""
    api.policy(expires_after="")
    request = api.file()
    assert read(api, request)["state"] == "pending"

    api.sandbox.run_task("expire_change_requests")
    assert read(api, request)["state"] == "expired"
    assert "Only pending" in refusal(approve(api, request))


def test_lists_are_newest_first_and_filtered(api):
    """Contract 7.6."""
    for action in ("feature_flag.enable", "feature_flag.disable", UPDATE):
        api.policy(action)
    enable = api.file()
    disable = api.file(flag=1, active=False, who="mia")
    update = api.file(flag=1, filters=rollout(1))
    cancel(api, enable)

    def ids(query=""):
        return [one["id"] for one in api.results(f"{REQUESTS}/{query}")]

    assert ids() == [update["id"], disable["id"], enable["id"]]
    assert ids("?state=pending") == [update["id"], disable["id"]]
    assert ids("?state=rejected,pending") == ids()
    assert ids("?state=moon") == []
    assert ids("?state=pending&state=rejected") == [enable["id"]]
    assert ids(f"?action_key={UPDATE}") == [update["id"]]
    assert ids("?requester=15") == [disable["id"]]
    assert ids("?resource_type=feature_flag&resource_id=1") == [update["id"], disable["id"]]
    assert ids("?resource_type=survey") == []
    reply = api.get(f"{REQUESTS}/?requester=mia")
    assert (reply.status, reply.body["code"], reply.body["attr"], reply.body["detail"]) == (
        400,
        "invalid_input",
        "requester",
        "Enter a number.",
    )


def test_a_request_of_another_project_is_not_found_here(api):
    """Contract 7."""
    api.policy()
    request = api.file()

    assert api.get(f"/api/projects/2/change_requests/{request['id']}/").status == 404
    assert api.get(f"{REQUESTS}/moon/").status == 404
    assert api.post(f"{REQUESTS}/moon/approve/").status == 404
    alias = f"/api/environments/1/change_requests/{request['id']}/"
    assert api.get(alias).body["id"] == request["id"]


def test_generation_2_redacts_encrypted_payloads_in_responses(g2):
    """Contract 7.2."""

    def change(seed):
        flag = seed["organizations"][0]["projects"][0]["feature_flags"][1]
        flag.update(is_remote_configuration=True, has_encrypted_payloads=True)
        flag["filters"] = {**rollout(50), "payloads": {"true": '"secret"'}}

    g2.reset(change)
    g2.policy(UPDATE)
    sent = {**rollout(90), "payloads": {"true": '"new secret"'}}

    request = g2.file(filters=sent)

    assert "secret" not in str(read(g2, request))
    approve(g2, request)
    flags = g2.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert flags[1]["filters"]["payloads"] == {"true": '"new secret"'}
