"""Marks of requests and failures of applying, in generation 3 (contract 7.5)."""

import pytest

from .conftest import FLAGS, FULL, REQUESTS

ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"


@pytest.fixture
def request_of_max(api):
    api.policy(ENABLE)
    return api.file(who="max")["id"]


def read(api, request):
    return api.get(f"{REQUESTS}/{request}/").body


def mark(api, request):
    api.sandbox.run_task("check_staleness")
    shown = read(api, request)
    return shown["validation_status"], shown["validation_errors"]


def change(api, edit):
    """Load the state of the sandbox after a change of the first organization and the people."""
    state = api.sandbox.state()
    edit(state["organizations"][0], state["users"])
    api.sandbox.reset(state)


def remove_member(organization, _users):
    organization["members"] = [
        one for one in organization["members"] if one["email"] != "max@acme.test"
    ]


def close_project(organization, _users):
    organization["projects"][0]["access_control"] = True


def deactivate(_organization, users):
    next(one for one in users if one["email"] == "max@acme.test")["is_active"] = False


@pytest.mark.parametrize("edit", [remove_member, close_project, deactivate])
def test_a_requester_who_lost_access_makes_the_request_invalid_and_fail(api, request_of_max, edit):
    change(api, edit)

    status, errors = mark(api, request_of_max)
    done = api.post(f"{REQUESTS}/{request_of_max}/approve/", who="ada").body

    assert status == "invalid"
    assert errors["access"].startswith("The person who requested")
    shown = done["change_request"]
    assert (done["status"], shown["state"]) == ("failed", "failed")
    assert shown["apply_error"] == f"Precondition failed: {errors['access']}"
    assert done["message"] == f"Quorum reached but application failed: {errors['access']}"
    assert (shown["validation_status"], shown["validation_errors"]) == ("invalid", errors)
    assert len(shown["approvals"]) == 1
    assert api.get(f"{FLAGS}/2/").body["active"] is False


ROLE = {"role": "Release managers"}
MAX = {"member": "max@acme.test"}
FLAGS_OF = {"resource": "feature_flag"}
ACCESS = [  # rules, whether the most specific decides, and whether Max may still change flag 2
    ([{**FLAGS_OF, "access_level": "none"}], False, False),
    ([{**FLAGS_OF, "access_level": "viewer"}], False, False),
    ([{**FLAGS_OF, "access_level": "editor"}], False, True),
    ([{**FLAGS_OF, **ROLE, "access_level": "none"}], False, True),
    ([{**FLAGS_OF, **MAX, "access_level": "viewer"}], True, False),
    ([{**FLAGS_OF, "access_level": "manager"}, {**FLAGS_OF, **MAX, "access_level": "none"}], 0, 1),
    ([{**FLAGS_OF, "access_level": "manager"}, {**FLAGS_OF, **MAX, "access_level": "none"}], 1, 0),
    ([{**FLAGS_OF, "resource_id": "2", "access_level": "viewer"}], False, False),
    ([{**FLAGS_OF, "resource_id": "1", "access_level": "none"}], False, True),
    ([{"resource": "project", "access_level": "none"}], False, False),
    ([{"resource": "project", "access_level": "member"}], False, True),
    ([{"resource": "survey", "access_level": "none"}], False, True),
]


@pytest.mark.parametrize(("rules", "narrow", "may"), ACCESS, ids=str)
def test_access_rules_decide_about_the_requester(api, request_of_max, rules, narrow, may):
    def edit(organization, _users):
        organization["uses_most_specific_access_resolution"] = bool(narrow)
        organization["projects"][0]["access_controls"] = rules

    change(api, edit)
    assert mark(api, request_of_max)[0] == ("valid" if may else "invalid")

    done = api.post(f"{REQUESTS}/{request_of_max}/approve/", who="ada").body
    assert done["status"] == ("applied" if may else "failed")


def test_access_rules_do_not_bind_administrators_nor_the_author_of_a_flag(api):
    """The author is above rules for the flag, not above those for all flags."""
    rule = {**FLAGS_OF, "resource_id": "2", "access_level": "none"}
    api.policy(ENABLE)
    request = api.file(who="max")["id"]

    def make_author(organization, _users):
        organization["projects"][0]["feature_flags"][1]["created_by"] = "max@acme.test"
        organization["projects"][0]["access_controls"] = [rule]

    change(api, make_author)
    assert mark(api, request)[0] == "valid"

    def promote(organization, _users):
        del rule["resource_id"]
        organization["projects"][0]["access_controls"] = [rule]

    change(api, promote)
    assert mark(api, request)[0] == "invalid"

    def make_admin(organization, _users):
        row = next(one for one in organization["members"] if one["email"] == "max@acme.test")
        row["level"] = "admin"

    change(api, make_admin)
    assert mark(api, request) == ("valid", None)


def test_a_lost_access_is_noticed_when_applying_without_the_task(api, request_of_max):
    change(api, close_project)

    done = api.post(f"{REQUESTS}/{request_of_max}/approve/", who="ada").body

    assert done["change_request"]["validation_errors"].keys() == {"access"}


def test_a_request_is_valid_again_when_the_requester_is_back(api, request_of_max):
    change(api, close_project)
    assert mark(api, request_of_max)[0] == "invalid"

    def reopen(organization, _users):
        organization["projects"][0]["members"] = ["max@acme.test"]

    change(api, reopen)
    assert mark(api, request_of_max) == ("valid", None)
    done = api.post(f"{REQUESTS}/{request_of_max}/approve/", who="ada").body
    assert done["status"] == "applied"


@pytest.mark.parametrize("state", ["pending", "approved"])
def test_marks_are_derived_again_for_open_requests(api, request_of_max, state):
    def spoil(organization, _users):
        request = organization["projects"][0]["change_requests"][0]
        request |= {"state": state, "validation_status": "stale", "validation_errors": {"a": 1}}

    change(api, spoil)
    assert mark(api, request_of_max) == ("valid", None)

    api.patch(f"{FLAGS}/2/", {"name": "moved"})
    text = "Flag version mismatch: expected 1, got 2"
    assert mark(api, request_of_max) == ("stale", {"staleness": text})
    assert read(api, request_of_max)["state"] == state


@pytest.mark.parametrize("state", ["rejected", "failed", "expired"])
def test_closed_requests_keep_their_mark(api, request_of_max, state):
    def close(organization, _users):
        request = organization["projects"][0]["change_requests"][0]
        request |= {"state": state, "validation_status": "stale"}

    change(api, close)

    assert mark(api, request_of_max) == ("stale", None)


def test_a_moved_version_fails_and_leaves_the_mark(api, request_of_max):
    api.patch(f"{FLAGS}/2/", {"name": "moved"})

    done = api.post(f"{REQUESTS}/{request_of_max}/approve/", who="ada").body

    text = "Flag version mismatch: expected 1, got 2"
    assert done["message"] == f"Quorum reached but application failed: {text}"
    assert done["change_request"]["apply_error"] == f"Precondition failed: {text}"
    assert done["change_request"]["validation_status"] == "valid"


def test_an_invalid_payload_fails_and_leaves_the_mark(api):
    api.policy(UPDATE)
    cohort = {"key": "id", "type": "cohort", "value": 5, "operator": "in"}
    filters = {"groups": [{"properties": [cohort], "rollout_percentage": 60}]}
    request = api.file(flag=1, filters=filters)["id"]

    def remove_cohort(organization, _users):
        organization["projects"][0]["cohorts"] = []

    change(api, remove_cohort)
    done = api.post(f"{REQUESTS}/{request}/approve/", who="ada").body

    assert done["message"].startswith(
        "Quorum reached but application failed: Apply failed: Intent no longer valid: "
    )
    assert done["change_request"]["apply_error"].startswith("Validation failed: ")
    assert done["change_request"]["validation_status"] == "valid"


def test_requests_of_a_deleted_flag_are_stale_and_fail(api, request_of_max):
    api.patch(f"{FLAGS}/2/", {"deleted": True})

    assert mark(api, request_of_max)[0] == "stale"
    done = api.post(f"{REQUESTS}/{request_of_max}/approve/", who="ada").body
    assert done["status"] == "failed"


def test_an_action_that_does_not_exist_fails(api):
    def survey(seed):
        seed["organizations"][0]["projects"][0]["change_requests"] = [
            {
                "id": "d0000000-0000-4000-8000-000000000001",
                "action_key": "survey.launch",
                "resource_type": "survey",
                "created_by": "max@acme.test",
                "policy_snapshot": {"quorum": 1, "users": ["ada@acme.test"]},
                "intent": {"survey_id": "1", "gated_changes": {"start_date": "2026-01-01"}},
            }
        ]

    api.reset(survey)
    request = api.results(f"{REQUESTS}/")[0]
    assert request["resource_id"] is None

    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body

    text = "Action survey.launch not found in registry"
    assert done["message"] == f"Quorum reached but application failed: Apply failed: {text}"
    assert done["change_request"]["apply_error"] == text


def test_survey_launch_gates_nothing(api):
    api.policy("survey.launch")

    body = {"key": "s", "filters": FULL, "creation_context": "surveys"}
    assert api.post(f"{FLAGS}/", body, who="max").status == 201
