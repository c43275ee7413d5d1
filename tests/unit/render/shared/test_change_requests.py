"""Change requests: intent as moves, votes counted, who is left to approve."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import render
from reconciler.model import Approvers
from reconciler.render.shared import change_requests
from reconciler.render.shared.change_requests import ValueChange

PLACE = {
    "organization": "acme",
    "project": "Web",
    "base_url": "http://127.0.0.1:8000/project/1/approvals",
}
PEOPLE = {11: "alice@acme.test", 12: "bob@acme.test", 14: "ci@acme.test"}
ROLES = {"r1": {"name": "Release managers", "members": ["Bob@acme.test", "carol@acme.test"]}}


def user(id_):
    return {"id": id_, "email": PEOPLE[id_]}


def payload(**changes):
    path = "groups[0].rollout_percentage"
    return {
        "id": "0c7b1d8e-5f5e-4d0f-8d9e-1b0f6a0c3e21",
        "action_key": "feature_flag.update",
        "state": "pending",
        "resource_id": "418",
        "intent": {
            "flag_key": "checkout",
            "current_state": {"rollout_percentage": [{"path": path, "value": 20}]},
            "gated_changes": {"rollout_percentage": [{"path": path, "value": 90}]},
            "full_request_data": {"filters": {"groups": [{"rollout_percentage": 90}]}},
            "preconditions": {"version": 3},
        },
        "policy_snapshot": {
            "quorum": 2,
            "users": [11, 12, 14],
            "roles": ["r1"],
            "allow_self_approve": False,
        },
        "validation_status": "stale",
        "validation_errors": {"staleness": "the flag moved"},
        "created_by": user(14),
        "created_at": "2026-01-05T09:00:00Z",
        "expires_at": "2026-01-19T09:00:00.123456Z",
        "approvals": [
            {
                "created_by": user(12),
                "decision": "approved",
                "reason": "looks right",
                "created_at": "2026-01-05T10:00:00Z",
            }
        ],
        "can_approve": True,
        "user_decision": None,
        "apply_error": "",
        **changes,
    }


def test_positions_of_a_list_are_moves_of_their_own():
    before = [{"path": "a", "value": 1}, {"path": "b", "value": 2}]
    after = [{"path": "b", "value": 3}, {"path": "c", "value": 4}]
    intent = {
        "current_state": {"rollout_percentage": before, "active": False},
        "gated_changes": {"rollout_percentage": after, "active": True},
    }

    moves = change_requests.list_value_changes({"intent": intent})

    assert [move.path for move in moves] == ["a", "b", "c", "active"]
    assert ValueChange("b", 2, 3) in moves
    assert ValueChange("active", old=False, new=True) in moves


def test_who_voted_and_who_asked_cannot_approve_any_more():
    """By id and by email, whatever its case."""
    able = change_requests.list_possible_approvers(payload(), people=PEOPLE, roles=ROLES)

    assert Approvers(("alice@acme.test",), {"Release managers": ("carol@acme.test",)}) == able


def test_the_requester_may_where_the_snapshot_lets_it():
    snapshot = {"quorum": 1, "users": [14], "roles": [], "allow_self_approve": True}

    able = change_requests.list_possible_approvers(
        payload(policy_snapshot=snapshot), people=PEOPLE, roles=ROLES
    )

    assert able.users == ("ci@acme.test",)


def test_names_that_could_not_be_read_are_ids():
    able = change_requests.list_possible_approvers(payload(), people={}, roles={})

    assert Approvers(("user 11",), {"role r1": ()}) == able


def test_a_role_may_be_given_by_its_name_alone():
    able = change_requests.list_possible_approvers(
        payload(), people=PEOPLE, roles={"r1": "Release managers"}
    )

    assert able.roles == {"Release managers": ()}


@pytest.mark.parametrize("state", ["applied", "rejected", "expired", "failed", "approved"])
def test_nobody_approves_what_is_decided(state):
    assert Approvers() == change_requests.list_possible_approvers(
        payload(state=state), people=PEOPLE, roles=ROLES
    )


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, True),
        ({"can_approve": False}, False),
        ({"user_decision": "approved"}, False),
        ({"state": "applied"}, False),
    ],
)
def test_what_waits_for_the_caller(changes, waits):
    """Contract 7.1: can_approve alone ignores state and earlier votes."""
    assert waits == change_requests.summarize_request(payload(**changes))["waits_for_you"]


def test_as_json():
    shown = render.change_request(
        payload(), people=PEOPLE, roles=ROLES, format="json", color=False, **PLACE
    )
    document = json.loads(shown)

    assert document["action_key"] == "feature_flag.update"
    assert document["url"] == f"{PLACE['base_url']}/{document['id']}"
    assert document["votes"][0]["decision"] == "approved"
    assert document["can_still_approve"]["users"] == ["alice@acme.test"]
    assert document["changes"][0] == {
        "path": "groups[0].rollout_percentage",
        "before": 20,
        "after": 90,
    }


def test_an_empty_list_says_so():
    assert render.change_requests([], format="text", color=False) == "No change requests."
    assert render.change_requests([], format="json", color=False) == "[]"


def test_an_apply_error_is_shown():
    shown = render.change_request(
        payload(state="failed", apply_error="Precondition failed: \x1b[31m"),
        people=PEOPLE,
        roles=ROLES,
        format="text",
        color=False,
    )

    assert r"Not applied: Precondition failed: \x1b[31m" in shown


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = sorted(payload())


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), st.booleans())
def test_a_payload_of_any_shape_is_shown(odd, color):
    """The server is believed in nothing."""
    for format_ in ("text", "json"):
        shown = render.change_request(
            odd, people=PEOPLE, roles=ROLES, format=format_, color=color, **PLACE
        )
        assert shown
        assert render.change_requests(
            [change_requests.summarize_request(odd)], format=format_, color=color
        )
