"""Permissions, one case per row (contract 2)."""

import pytest

from .conftest import FLAGS, LEVELS, ORG, POLICIES, REQUESTS

FILTERS = {"groups": [{"properties": []}]}
POLICY = {"action_key": "feature_flag.update", "approver_config": {"quorum": 1}}
ANYBODY, ADMINS, OWNERS = (
    {"member", "admin", "owner"},
    {"admin", "owner"},
    {"owner"},
)

ROWS = [
    ("GET", f"{POLICIES}/", None, ANYBODY),
    ("POST", f"{POLICIES}/", POLICY, ADMINS),
    ("GET", f"{REQUESTS}/", None, ANYBODY),
    ("POST", f"{FLAGS}/", {"key": "new", "filters": FILTERS}, ANYBODY),
    ("PATCH", f"{FLAGS}/1/", {"name": "x"}, ANYBODY),
    ("GET", "/api/organizations/", None, ANYBODY),
    ("GET", f"{ORG}/", None, ANYBODY),
    ("PATCH", f"{ORG}/", {"name": "Acme 2"}, ADMINS),
    ("DELETE", f"{ORG}/", None, OWNERS),
    ("GET", f"{ORG}/roles/", None, ANYBODY),
    ("POST", f"{ORG}/roles/", {"name": "New"}, ADMINS),
    ("GET", f"{ORG}/members/", None, ANYBODY),
    ("GET", f"{ORG}/advanced_activity_logs/", None, ADMINS),
    ("GET", "/api/projects/1/advanced_activity_logs/", None, ANYBODY),
    ("GET", f"{ORG}/projects/", None, ANYBODY),
    ("POST", f"{ORG}/projects/", {"name": "New"}, ADMINS),
    ("PATCH", "/api/projects/2/", {"name": "New"}, ADMINS),
    ("DELETE", "/api/projects/2/", None, ADMINS),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
@pytest.mark.parametrize("level", LEVELS)
def test_every_row_of_the_permission_matrix(api, row, level):
    """Contract 2."""
    method, path, body, allowed = row

    reply = api.call(method, path, body, who=LEVELS[level])

    if level in allowed:
        assert reply.status in {200, 201, 204}, reply.body
    else:
        assert reply.status == 403
        assert reply.body["code"] == "permission_denied"


def test_an_insufficient_level_has_its_own_message(api):
    """Contract 2."""
    reply = api.post(f"{POLICIES}/", POLICY, who="max")

    assert reply.body["detail"] == "Your organization access level is insufficient."


def test_an_owner_is_not_an_approver_by_level(api):
    """Contract 2."""
    api.policy()
    request = api.file()

    reply = api.post(f"{REQUESTS}/{request['id']}/approve/", who="olga")

    assert reply.status == 403
    assert reply.body["detail"] == "You are not in the approver set for this change request"


def test_a_bypass_level_does_not_allow_approving(api):
    """Contract 2."""
    api.policy(bypass_org_membership_levels=[15])
    request = api.file()

    assert api.post(f"{REQUESTS}/{request['id']}/approve/", who="olga").status == 403
