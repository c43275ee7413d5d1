"""Differences between the profiles (contract 13)."""

import pytest

from .conftest import FLAGS, FULL, ORG, POLICIES, REQUESTS

ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"


def filters(percentage):
    return {"groups": [{"properties": [], "rollout_percentage": percentage}]}


@pytest.fixture
def docs(world_of):
    return world_of(profile="docs")


@pytest.fixture
def g1(world_of):
    return world_of(profile="g1")


def test_docs_answers_decisions_with_the_bare_request(docs):
    """Contract 13."""
    docs.policy()
    request = docs.file()

    body = docs.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body
    assert (body["id"], body["state"]) == (request["id"], "applied")
    other = docs.patch(f"{FLAGS}/2/", {"active": False})
    assert other.status == 200
    request = docs.file()
    body = docs.post(f"{REQUESTS}/{request['id']}/reject/", {"reason": "r"}, who="ada").body
    assert body["state"] == "rejected"
    request = docs.file()
    assert docs.post(f"{REQUESTS}/{request['id']}/cancel/", who="max").body["state"] == "rejected"


def test_docs_counts_and_exports_logs(docs):
    """Contract 13."""
    docs.patch(f"{FLAGS}/1/", {"name": "x"})

    page = docs.get(f"{ORG}/advanced_activity_logs/").body
    assert (page["count"], page["next"]) == (1, None)
    exported = docs.post(f"{ORG}/advanced_activity_logs/export/")
    assert (exported.status, exported.body["activity"]) == (200, "updated")


def test_g2_repeats_the_whole_error_of_a_failed_application(g2):
    """Contract 7.5."""
    g2.policy()
    request = g2.file()
    g2.patch(f"{FLAGS}/2/", {"name": "moved on"})

    reply = g2.post(f"{REQUESTS}/{request['id']}/approve/", who="ada")

    error = "Precondition failed: Flag version mismatch: expected 1, got 2"
    assert reply.body["message"] == f"Quorum reached but application failed: {error}"
    assert reply.body["change_request"]["state"] == "failed"


def test_g2_does_not_offer_early_exit(g2):
    """Contract 9.2."""
    reply = g2.patch(f"{FLAGS}/1/", {"filters": {**filters(100), "early_exit": True}})

    assert (reply.status, reply.body["code"], reply.body["attr"]) == (
        400,
        "invalid_input",
        "filters",
    )


def test_g1_does_not_gate_creates(g1):
    """Contract 13."""
    g1.policy(ENABLE)
    g1.policy(UPDATE)

    assert g1.post(f"{FLAGS}/", {"key": "new", "filters": FULL}, who="max").status == 201


def test_g1_takes_the_first_action_of_several(g1):
    """Contract 13."""
    g1.policy(UPDATE)
    g1.policy(ENABLE)

    reply = g1.patch(f"{FLAGS}/2/", {"active": True, "filters": filters(90)}, who="max")

    assert reply.body["change_request"]["action_key"] == ENABLE


def test_g1_flattens_the_policy_conflict(world_of):
    """Contract 13."""

    def wide(seed):
        seed["organizations"][0]["approval_policies"] = [
            {"action_key": ENABLE, "approver_config": {"quorum": 1}}
        ]

    g1 = world_of(profile="g1")
    g1.reset(wide)
    g1.policy(ENABLE)

    reply = g1.patch(f"{FLAGS}/2/", {"active": True}, who="max")

    assert (reply.status, reply.body) == (
        400,
        {
            "type": "validation_error",
            "code": "invalid_input",
            "detail": "policy_conflict",
            "attr": "code",
        },
    )


def test_g1_keeps_policies_as_sent(g1):
    """Contract 13."""
    policy = g1.policy(
        "experiment.launch", approver_config={"users": []}, bypass_org_membership_levels=["8"]
    )

    assert policy["approver_config"] == {"users": []}
    assert policy["bypass_org_membership_levels"] == ["8"]


def test_g1_replaces_filters_and_keeps_them_as_sent(g1):
    """Contract 13."""
    sent = {**filters(90), "super_groups": [{"properties": [], "rollout_percentage": 1}]}

    assert g1.patch(f"{FLAGS}/1/", {"filters": sent}).body["filters"] == sent


def test_g1_ignores_a_patch_of_filters_without_groups(g1):
    """Contract 13."""
    before = g1.get(f"{FLAGS}/1/").body["filters"]

    after = g1.patch(f"{FLAGS}/1/", {"filters": {"payloads": {"true": "1"}}}).body["filters"]

    assert before == after


def test_g1_replays_the_raw_body(g1):
    """Contract 13."""
    g1.policy(UPDATE)
    sent = {"filters": filters(90), "moon": 1}
    request = g1.file(**sent)

    assert request["intent"]["full_request_data"] == sent
    assert request["intent_display"]["after"] == request["intent"]["gated_changes"]
    assert g1.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body["status"] == "applied"


def test_g1_cancels_despite_an_approval_with_another_message(g1):
    """Contract 13."""
    g1.policy(approver_config={"quorum": 2, "users": [12, 13]})
    request = g1.file()
    path = f"{REQUESTS}/{request['id']}"
    g1.post(f"{path}/approve/", who="ada")

    reply = g1.post(f"{path}/cancel/", who="olga")
    assert reply.body["detail"] == "You can only cancel your own change requests"
    assert g1.post(f"{path}/cancel/", who="max").status == 200
    reply = g1.post(f"{path}/cancel/", who="max")
    assert reply.body["detail"] == "Only pending change requests can be canceled"


def test_g1_marks_expired_requests(g1):
    """Contract 13."""
    g1.policy(expires_after="00:00:00")
    request = g1.file()
    g1.sandbox.run_task("expire_change_requests")

    body = g1.get(f"{REQUESTS}/{request['id']}/").body
    assert (body["state"], body["validation_status"]) == ("expired", "expired")
    assert g1.results(f"{REQUESTS}/?action_type={ENABLE}")
    assert g1.results(f"{REQUESTS}/?action_type=moon") == []


def test_g1_has_no_archive_and_no_flag_actions(g1):
    """Contract 13."""
    assert "archived" not in g1.get(f"{FLAGS}/1/").body
    assert g1.post(f"{FLAGS}/1/disable/").status == 404
    assert g1.patch(f"{FLAGS}/2/", {"archived": True}).status == 200
    assert len(g1.results(f"{FLAGS}/")) == 2


def test_the_environments_prefix_works_in_every_profile(docs, g1):
    """Contract 13."""
    for api in (docs, g1):
        assert api.get(POLICIES.replace("projects", "environments")).status == 200


@pytest.mark.parametrize(
    ("profile", "eligibility", "rollbacks"),
    [("g1", False, True), ("g2", True, True), ("g3", True, False)],
)
def test_a_flag_has_the_fields_of_its_generation(world_of, profile, eligibility, rollbacks):
    """Contract 9.1."""
    flag = world_of(profile=profile).get(f"{FLAGS}/1/").body

    assert ("is_eligible_for_experiment" in flag) is eligibility
    assert ("rollback_conditions" in flag) is rollbacks
    assert ("performed_rollback" in flag) is rollbacks


def test_g1_does_not_know_later_settings_of_organizations(g1):
    """Contract 6.1: unknown fields are ignored."""
    later = {"members_can_see_org_members": False, "is_ai_training_opted_in": True}
    reply = g1.patch(f"{ORG}/", {**later, "enforce_2fa": True})
    seen = g1.get(f"{ORG}/members/", who="max").body["count"]

    assert (reply.status, reply.body["enforce_2fa"]) == (200, True)
    assert set() == {*later, "members_can_create_projects", "is_hipaa"} & set(reply.body)
    assert seen == g1.get(f"{ORG}/members/").body["count"]
