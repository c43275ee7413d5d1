"""The approval gate on flag writes (contract 5)."""

from itertools import permutations

import pytest

from .conftest import FLAGS, FULL, MANAGERS, POLICIES, REQUESTS

ENABLE, DISABLE, UPDATE = "feature_flag.enable", "feature_flag.disable", "feature_flag.update"
CONFIG = {"quorum": 1, "users": [12]}


def filters(percentage, **more):
    return {"groups": [{"properties": [], "rollout_percentage": percentage}], **more}


def on(api, flag=2, who="max", **change):
    return api.patch(f"{FLAGS}/{flag}/", change, who=who)


def wide(action, **more):
    """A seed with a policy of the whole organization."""

    def change(seed):
        seed["organizations"][0]["approval_policies"] = [
            {"action_key": action, "approver_config": CONFIG, **more}
        ]

    return change


def test_an_invalid_body_is_an_ordinary_400_and_files_nothing(api):
    """Contract 5.1."""
    api.policy()

    reply = on(api, active=True, key="not a key")

    assert (reply.status, reply.body["code"]) == (400, "invalid_key")
    assert api.results(f"{REQUESTS}/") == []


def test_policy_conflict_comes_before_bypass(api):
    """Contract 5.1."""
    for action in (ENABLE, UPDATE):
        api.policy(action, bypass_org_membership_levels=[15])

    reply = on(api, who="olga", active=True, filters=filters(90))

    assert (reply.status, reply.body["code"]) == (400, "policy_conflict")
    assert on(api, who="olga", active=True).status == 200


def test_policy_conflict_comes_before_conditions(api):
    """Contract 5.1."""
    never = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 100}
    api.policy(ENABLE)
    api.policy(UPDATE, conditions=never)

    assert on(api, active=True, filters=filters(90)).body["code"] == "policy_conflict"


def test_a_disabled_policy_is_ignored(api):
    """Contract 5.1."""
    api.policy(ENABLE)
    api.policy(UPDATE, enabled=False)

    assert on(api, active=True, filters=filters(90)).body["code"] == "approval_required"


def test_an_organizations_policy_applies_without_one_of_the_project(api):
    """Contract 5.1."""
    api.reset(wide(ENABLE))

    reply = on(api, active=True)

    assert (reply.status, reply.body["code"]) == (409, "approval_required")


def test_project_and_organization_policies_conflict_when_both_match(api):
    """Contract 5.1."""
    api.reset(wide(ENABLE))
    api.policy(ENABLE)

    reply = on(api, active=True)

    assert reply.status == 400
    assert reply.body["error"] == "This change matches multiple approval policies"
    assert [sorted(one) for one in reply.body["conflicting_policies"]] == [["id", "name"]] * 2


def test_the_projects_policy_decides_when_the_other_does_not_match(api):
    """Contract 5.1."""
    api.reset(
        wide(
            UPDATE,
            conditions={
                "type": "before_after",
                "field": "rollout_percentage",
                "operator": ">",
                "value": 95,
            },
        )
    )
    policy = api.policy(UPDATE, approver_config={"quorum": 3})

    reply = on(api, filters=filters(90))

    assert reply.body["required_approvers"] == policy["approver_config"]


@pytest.mark.parametrize(("level", "status"), [(15, 200), (8, 409), (1, 409)])
def test_a_bypass_level_is_exact(api, level, status):
    """Contract 5.1."""
    api.policy(bypass_org_membership_levels=[level])

    assert on(api, who="olga", active=True).status == status


def test_any_role_of_the_bypass_list_bypasses(api):
    """Contract 5.1."""
    api.policy(bypass_roles=[MANAGERS])

    assert on(api, who="max", active=True).status == 409
    assert on(api, flag=2, who="mia", active=True).status == 200


def test_unmet_conditions_do_not_gate(api):
    """Contract 5.1."""
    much = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
    api.policy(UPDATE, conditions=much)

    assert on(api, filters=filters(70)).status == 200
    assert on(api, filters=filters(91)).status == 409


def test_the_gate_runs_before_the_version_check(api):
    """Contract 5.1."""
    api.policy()
    original = api.get(f"{FLAGS}/2/").body
    assert on(api, name="theirs").status == 200

    stale = {"version": 1, "original_flag": original, "name": "mine"}
    assert on(api, active=True, **stale).body["code"] == "approval_required"
    assert on(api, **stale).body["code"] == "conflict"


def test_what_each_action_detects_on_a_patch(api):
    """Contract 5.2."""
    for action in (ENABLE, DISABLE, UPDATE):
        api.policy(action)
    off, live = 2, 1

    assert on(api, off, active=True).body["change_request"]["action_key"] == ENABLE
    assert on(api, live, active=False).body["change_request"]["action_key"] == DISABLE
    reply = on(api, live, filters=filters(90))
    assert reply.body["change_request"]["action_key"] == UPDATE


@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"filters": FULL},
        {"filters": {}},
        {"name": "x", "tags": ["a"]},
        {"deleted": True},
        {"archived": True},
    ],
    ids=str,
)
def test_some_writes_are_never_gated(api, change):
    """Contract 5.2."""
    for action in (ENABLE, DISABLE, UPDATE):
        api.policy(action)

    assert on(api, 2, **change).status == 200


def test_an_update_is_detected_although_active_changes(api):
    """Contract 5.2."""
    api.policy(UPDATE)

    reply = on(api, active=True, filters=filters(90))

    assert reply.body["change_request"]["action_key"] == UPDATE
    assert api.get(f"{FLAGS}/2/").body["active"] is False


@pytest.mark.parametrize(
    "sent",
    [
        {"groups": [{"properties": []}]},
        {"groups": [{"properties": [], "rollout_percentage": None}]},
        {"groups": []},
        {"multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}},
        {"holdout": {"exclusion_percentage": 10}},
    ],
    ids=str,
)
def test_any_other_position_or_value_is_an_update(api, sent):
    """Contract 5.2."""
    api.policy(UPDATE)

    assert on(api, filters=sent).status == 409


@pytest.mark.parametrize("generation", ["api", "g2"])
@pytest.mark.parametrize("conditions", [{}, {"type": "any_change", "field": "rollout_percentage"}])
def test_a_missing_percentage_null_and_100_are_three_values(request, generation, conditions):
    """Contract 9.2: they mean the same to the people who get the flag, and not to the gate."""
    api = request.getfixturevalue(generation)
    spellings = [{}, {"rollout_percentage": None}, {"rollout_percentage": 100}]
    for stored, sent in permutations(spellings, 2):
        api.reset()
        groups = [[{"properties": [], **spelling}] for spelling in (stored, sent)]
        assert on(api, filters={"groups": groups[0]}).status == 200
        api.policy(UPDATE, conditions=conditions)

        assert on(api, filters={"groups": groups[0]}).status == 200
        assert on(api, filters={"groups": groups[1]}).status == 409, (stored, sent)


def test_release_conditions_count_when_the_policy_selects_them(api):
    """Contract 5.2."""
    api.policy(UPDATE, conditions={"type": "any_change", "field": "release_conditions"})
    groups = [{"properties": [{"key": "plan", "type": "person", "value": ["pro"]}]}]

    reply = on(api, filters={"groups": [{**groups[0], "rollout_percentage": 50}]})

    intent = reply.body["change_request"]["intent"]
    assert intent["triggered_paths"] == ["groups[0]"]
    assert "release_conditions" in intent["gated_changes"]
    assert on(api, flag=1, filters=FULL).status == 200


@pytest.mark.parametrize(
    ("body", "action"),
    [
        ({"filters": {"groups": [{"properties": []}]}}, ENABLE),
        ({"active": True, "filters": {"groups": [{"properties": []}]}}, ENABLE),
        ({"active": False, "filters": FULL}, UPDATE),
        ({"active": False, "is_remote_configuration": True}, UPDATE),
        ({"active": False, "filters": {"groups": [{"properties": []}]}}, None),
    ],
    ids=str,
)
def test_gated_actions_of_a_create(api, body, action):
    """Contract 5.2."""
    for one in (ENABLE, DISABLE, UPDATE):
        api.policy(one)

    reply = api.post(f"{FLAGS}/", {"key": "new", **body}, who="max")

    if action is None:
        assert reply.status == 201
    else:
        assert reply.body["change_request"]["action_key"] == action
        assert reply.body["resource_id"] is None
        assert api.get(f"{FLAGS}/?key=new").body["count"] == 0


def test_creating_an_active_flag_with_a_rollout_conflicts(api):
    """Contract 5.2."""
    for action in (ENABLE, UPDATE):
        api.policy(action)

    reply = api.post(f"{FLAGS}/", {"key": "new", "filters": FULL}, who="max")

    assert reply.body["code"] == "policy_conflict"


def test_the_actions_of_a_flag_are_gated_too(api):
    """Contract 5.2."""
    for action in (ENABLE, DISABLE):
        api.policy(action)

    for flag, verb, action in ((2, "enable", ENABLE), (1, "disable", DISABLE)):
        reply = api.post(f"{FLAGS}/{flag}/{verb}/", who="max")
        assert reply.status == 409
        assert reply.body["resource_id"] == str(flag)
        assert reply.body["change_request"]["action_key"] == action
    reply = api.post(f"{FLAGS}/1/archive/", who="max")
    assert reply.body["code"] == "change_request_pending"
    assert api.post(f"{FLAGS}/2/archive/", who="max").status == 200


def test_approval_required_has_the_serializer_form(api):
    """Contract 5.3."""
    policy = api.policy(UPDATE, approver_config={"quorum": 2, "users": [12, 13], "roles": []})

    reply = on(api, filters=filters(90), name="held back too")

    body = dict(reply.body)
    request = body.pop("change_request")
    message = "A change request has been created and is pending approval."
    assert reply.status == 409
    assert body == {
        "code": "approval_required",
        "status": "approval_required",
        "detail": message,
        "message": message,
        "resource_type": "feature_flag",
        "resource_id": "2",
        "change_request_id": request["id"],
        "required_approvers": policy["approver_config"],
    }
    assert request["state"] == "pending"
    viewer = {"can_approve", "can_cancel", "is_requester", "user_decision"}
    assert {name: request[name] for name in viewer} == {
        "can_approve": False,
        "can_cancel": False,
        "is_requester": False,
        "user_decision": None,
    }
    flag = api.get(f"{FLAGS}/2/").body
    assert (flag["name"], flag["version"]) == ("", 1)


def test_an_approver_reads_that_others_must_approve(api):
    """Contract 5.3."""
    api.policy()

    reply = on(api, who="ada", active=True)

    expected = "A change request has been created and is pending approval from others."
    assert reply.body["message"] == expected


def test_a_second_attempt_returns_the_open_request(api):
    """Contract 5.4."""
    api.policy(UPDATE)
    first = api.file(filters=filters(90))

    reply = on(api, who="mia", filters=filters(5))

    expected = "A pending approval request already exists for this action"
    assert reply.status == 409
    assert reply.body["code"] == "change_request_pending"
    assert reply.body["status"] == "approval_required"
    assert (reply.body["detail"], reply.body["message"]) == (expected, expected)
    assert reply.body["change_request_id"] == first["id"]
    assert reply.body["change_request"]["intent"] == first["intent"]
    assert reply.body["required_approvers"] == {}
    assert reply.body["resource_id"] == "2"
    assert len(api.results(f"{REQUESTS}/")) == 1


def test_another_action_on_the_same_flag_is_not_blocked(api):
    """Contract 5.4."""
    api.policy(UPDATE)
    api.policy(ENABLE)
    api.file(filters=filters(90))

    assert on(api, active=True).body["code"] == "approval_required"


def test_a_closed_request_does_not_block(api):
    """Contract 5.4."""
    api.policy()
    first = api.file()
    assert api.post(f"{REQUESTS}/{first['id']}/cancel/", who="max").status == 200

    assert api.file()["id"] != first["id"]


def test_gated_creates_are_distinguished_by_key(api):
    """Contract 5.4."""
    api.policy()
    body = {"filters": {"groups": [{"properties": []}]}}

    first = api.post(f"{FLAGS}/", {"key": "one", **body}, who="max")
    again = api.post(f"{FLAGS}/", {"key": "one", **body}, who="mia")
    other = api.post(f"{FLAGS}/", {"key": "two", **body}, who="max")

    assert first.body["code"] == other.body["code"] == "approval_required"
    assert again.body["code"] == "change_request_pending"
    assert again.body["change_request"]["intent"]["flag_key"] == "one"
    assert again.body["resource_id"] is None


def test_policy_conflict_names_the_policies(api):
    """Contract 5.5."""
    one, two = api.policy(ENABLE), api.policy(UPDATE)

    reply = on(api, active=True, filters=filters(90))

    assert (reply.status, reply.body) == (
        400,
        {
            "code": "policy_conflict",
            "error": "This change requires approval under multiple policies",
            "conflicting_policies": [
                {
                    "id": one["id"],
                    "name": "ApprovalPolicy(feature_flag.enable, Team 1)",
                    "action_key": ENABLE,
                },
                {
                    "id": two["id"],
                    "name": "ApprovalPolicy(feature_flag.update, Team 1)",
                    "action_key": UPDATE,
                },
            ],
            "guidance": "Split your changes into separate API calls to address each policy"
            " independently",
        },
    )


def test_a_request_that_cannot_be_filed_is_a_500(api):
    """Contract 5.6."""
    api.policy(expires_after="999999999 00:00:00")

    reply = on(api, active=True)

    assert (reply.status, reply.body["detail"]) == (500, "Failed to create approval request")
    assert api.results(f"{REQUESTS}/") == []


def test_a_rollout_condition_never_gates_enable_and_one_on_active_is_a_500(api):
    """Contract 4."""
    rollout = {"type": "any_change", "field": "rollout_percentage"}
    policy = api.policy(ENABLE, conditions=rollout)
    assert on(api, active=True).status == 200
    on(api, active=False)

    crash = {"conditions": {"type": "any_change", "field": "active"}}
    assert api.patch(f"{POLICIES}/{policy['id']}/", crash).status == 200
    assert on(api, active=True).status == 500


def test_a_gated_attempt_is_not_logged(api):
    """Contract 9.6."""
    api.policy()
    api.file()

    assert api.results("/api/projects/1/advanced_activity_logs/") == []
