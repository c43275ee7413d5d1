"""Edge cases of voting, canceling, applying, staleness and expiry (contract 7)."""

import pytest

from .conftest import FLAGS, FULL, ORG, POLICIES, REQUESTS
from .test_change_requests import approve, cancel, read, refusal, reject, rollout, two_of

ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"
VOTED = {"error": "You have already voted on this change request."}


def state(api, request):
    return read(api, request)["state"]


def test_a_reason_is_stored_unchanged(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()

    approve(api, request, reason="looks good")
    reject(api, request, who="abe", reason="  ")

    found = {one["created_by"]["id"]: one for one in read(api, request)["approvals"]}
    assert found[12].keys() == {"id", "created_by", "decision", "reason", "created_at"}
    assert (found[12]["decision"], found[12]["reason"]) == ("approved", "looks good")
    assert (found[13]["decision"], found[13]["reason"]) == ("rejected", "  ")


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": None}, {"moon": 1}])
def test_approving_needs_no_reason(api, body):
    """Contract 7.4."""
    api.policy()
    request = api.file()

    reply = api.call("POST", f"{REQUESTS}/{request['id']}/approve/", body, who="ada")

    assert reply.status == 200
    assert reply.body.keys() == {"status", "message", "change_request", "result"}
    assert read(api, request)["approvals"][0]["reason"] == ""


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({}, "Canceled by requester"),
        ({"reason": "not now"}, "not now"),
        ({"reason": ""}, ""),
    ],
)
def test_a_canceled_request_keeps_the_reason(api, body, kept):
    """Contract 7.3."""
    api.policy()
    request = api.file()

    reply = cancel(api, request, **body)

    assert (reply.body["status"], reply.body["message"]) == (
        "canceled",
        "Change request canceled.",
    )
    assert reply.body.keys() == {"status", "message", "change_request"}
    vote = reply.body["change_request"]["approvals"][0]
    assert (vote["decision"], vote["reason"], vote["created_by"]["id"]) == ("rejected", kept, 14)


def test_a_vote_on_a_closed_request_is_refused(api):
    """Contract 7.4."""
    api.policy()
    request = api.file()
    approve(api, request)

    closed = "Only pending change requests can be approved"
    assert refusal(approve(api, request)) == closed
    assert refusal(reject(api, request)) == closed
    assert refusal(approve(api, request, who="max")) == closed
    assert refusal(cancel(api, request)) == "You cannot cancel this change request"


def test_a_missing_reason_is_refused_before_a_second_vote(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()
    approve(api, request)

    assert reject(api, request).body == {"error": "A reason is required for rejection."}
    assert reject(api, request, reason="r").body == VOTED


def test_permission_is_checked_before_the_reason(api):
    """Contract 7.4."""
    api.policy()
    request = api.file()

    assert reject(api, request, who="abe").status == 403


def own_vote(api):
    api.policy(allow_self_approve=True, **two_of(14, 12))
    request = api.file()
    assert approve(api, request, who="max").body["status"] == "approved"
    return request


def test_a_requester_cannot_cancel_after_its_own_vote(api):
    """Contract 7.4."""
    request = own_vote(api)

    assert refusal(cancel(api, request)) == "You cannot cancel this change request"
    assert read(api, request, who="max")["can_cancel"] is False


def test_a_requester_who_voted_gets_500_for_a_stale_request(api):
    """Contract 7.4."""
    request = own_vote(api)
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})
    api.sandbox.run_task("check_staleness")

    reply = cancel(api, request)

    assert reply.status == 500
    assert reply.body.keys() == {"error"}
    assert state(api, request) == "pending"


def test_a_stale_request_may_be_canceled_despite_approvals(api):
    """Contract 7.4."""
    api.policy(**two_of(12, 13))
    request = api.file()
    approve(api, request)
    assert refusal(cancel(api, request)) == "You cannot cancel this change request"
    assert read(api, request, who="max")["can_cancel"] is False
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})
    api.sandbox.run_task("check_staleness")

    assert read(api, request, who="max")["can_cancel"] is True
    assert cancel(api, request).body["status"] == "canceled"
    assert state(api, request) == "rejected"


def test_an_overdue_request_stays_open_until_the_task_runs(api):
    """Contract 7.3."""
    api.policy(expires_after="00:00:00")
    request = api.file()
    assert request["expires_at"] == request["created_at"]

    again = api.patch(f"{FLAGS}/2/", {"active": True}, who="ada")
    assert again.body["code"] == "change_request_pending"
    assert again.body["change_request_id"] == request["id"]
    assert approve(api, request).body["status"] == "applied"


def test_an_expired_request_is_final_and_does_not_block(api):
    """Contract 7.3."""
    api.policy(expires_after="00:10:00")
    request = api.file()
    api.sandbox.advance("2h")

    assert state(api, request) == "expired"
    assert refusal(approve(api, request)) == "Only pending change requests can be approved"
    assert api.patch(f"{FLAGS}/2/", {"active": True}).body["code"] == "approval_required"


def test_a_failed_application_is_200_and_final(api):
    """Contract 7.5."""
    api.policy()
    request = api.file()
    api.patch(f"{FLAGS}/2/", {"name": "moved on"})

    reply = approve(api, request, reason="go")

    assert reply.status == 200
    assert reply.body.keys() == {"status", "message", "change_request"}
    assert reply.body["status"] == "failed"
    assert reply.body["message"].startswith("Quorum reached but application failed: ")
    shown = reply.body["change_request"]
    expected = "Precondition failed: Flag version mismatch: expected 1, got 2"
    assert (shown["state"], shown["apply_error"]) == ("failed", expected)
    assert (shown["applied_at"], shown["applied_by"], shown["result_data"]) == (None, None, None)
    assert [one["decision"] for one in shown["approvals"]] == ["approved"]
    assert api.get(f"{FLAGS}/2/").body["active"] is False
    assert api.patch(f"{FLAGS}/2/", {"active": True}).body["code"] == "approval_required"


def test_a_flag_created_in_the_meantime_is_the_result(api):
    """Contract 7.5."""
    policy = api.policy(ENABLE)
    body = {"key": "fresh", "filters": FULL}
    request = api.post(f"{FLAGS}/", body, who="max").body["change_request"]
    api.patch(f"{POLICIES}/{policy['id']}/", {"enabled": False})
    made = api.post(f"{FLAGS}/", {"key": "fresh", "name": "mine", "filters": rollout(1)}).body

    reply = approve(api, request)

    assert reply.body["status"] == "applied"
    assert reply.body["result"] == {"resource_id": made["id"], "resource_version": 1}
    assert api.get(f"{FLAGS}/{made['id']}/").body == made


def test_apply_is_the_requesters_write_with_version_and_log(api):
    """Contract 7.5."""
    api.policy(UPDATE)
    request = api.file(flag=1, filters=rollout(90), name="with it")

    approve(api, request)

    flag = api.get(f"{FLAGS}/1/").body
    assert (flag["version"], flag["name"]) == (2, "with it")
    assert flag["last_modified_by"]["id"] == 14
    (entry,) = api.results(f"{ORG}/advanced_activity_logs/")
    assert (entry["scope"], entry["activity"], entry["item_id"]) == ("FeatureFlag", "updated", "1")
    assert entry["user"]["id"] == 14
    assert {one["field"] for one in entry["detail"]["changes"]} == {"filters", "name"}
    shown = read(api, request)
    assert (shown["applied_by"]["id"], shown["apply_error"]) == (14, "")
    assert shown["result_data"] == {"resource_id": 1, "resource_version": 2}


def test_an_invalid_change_fails_with_validation_failed(api):
    """Contract 7.5."""
    api.policy(ENABLE)
    request = api.post(f"{FLAGS}/", {"key": "fresh", "filters": FULL}, who="max").body
    api.sandbox.reset(spoil(api.sandbox.state()))

    reply = approve(api, request["change_request"])

    shown = reply.body["change_request"]
    assert shown["state"] == "failed"
    assert shown["apply_error"].startswith("Validation failed: ")


def spoil(seed):
    """The request of somebody whose flag key has become impossible."""
    (request,) = seed["organizations"][0]["projects"][0]["change_requests"]
    request["intent"]["full_request_data"]["key"] = "no key"
    request["intent"]["flag_key"] = "no key"
    return seed


def test_a_role_of_another_organization_is_not_an_approver(api):
    """Contract 7.1."""

    def change(seed):
        seed["organizations"][1]["members"].append({"email": "abe@acme.test"})
        seed["organizations"][1]["roles"][0]["members"] = ["abe@acme.test"]

    api.reset(change)
    foreign = "b0000000-0000-4000-8000-000000000003"
    api.policy(approver_config={"quorum": 1, "roles": [foreign]})
    request = api.file()

    assert read(api, request, who="abe")["can_approve"] is False
    assert approve(api, request, who="abe").status == 403


def test_a_fractional_quorum_is_reached_above_it(api):
    """Contract 7.1."""
    api.policy(approver_config={"quorum": 1.5, "users": [12, 13]})
    request = api.file()

    assert approve(api, request).body["status"] == "approved"
    assert approve(api, request, who="abe").body["status"] == "applied"


def test_the_last_of_repeated_states_counts(api):
    """Contract 7.6."""
    api.policy()
    cancel(api, api.file())
    api.file()

    def states(query):
        return [one["state"] for one in api.results(f"{REQUESTS}/?{query}")]

    assert states("state=rejected&state=pending") == ["pending"]
    assert states("state=pending,rejected") == ["pending", "rejected"]
    assert states("state=moon") == []
    assert states("state=moon,rejected") == ["rejected"]
    assert states("resource_type=feature_flag&resource_id=2&limit=1") == ["pending"]
    assert states("resource_type=survey") == []
    assert states("requester=12") == []
    assert states("requester=14&action_key=feature_flag.enable") == ["pending", "rejected"]


@pytest.mark.parametrize("word", ["abc", "1x", "nan"])
def test_a_requester_is_a_number(api, word):
    """Contract 7.6."""
    reply = api.get(f"{REQUESTS}/?requester={word}")

    assert (reply.status, reply.body) == (
        400,
        {
            "type": "validation_error",
            "code": "invalid_input",
            "detail": "Enter a number.",
            "attr": "requester",
        },
    )


def test_change_requests_are_not_in_the_activity_log(api):
    """Contract 7.7."""
    api.policy(**two_of(12, 13))
    approve(api, api.file())
    reject(api, api.results(f"{REQUESTS}/")[0], who="abe", reason="r")

    assert api.results(f"{ORG}/advanced_activity_logs/") == []
