"""Scopes: each operation needs one, and it is checked first (contract 1.2, 2)."""

import pytest

from .conftest import FLAGS, MANAGERS, ORG, POLICIES, REQUESTS

ROLE = f"{ORG}/roles/{MANAGERS}"
NOBODY = "00000000-0000-4000-8000-000000000000"
FILTERS = {"groups": [{"properties": []}]}
POLICY = {"action_key": "a", "approver_config": {"quorum": 1}}

ROWS = [
    ("GET", f"{POLICIES}/", None, "approvals:read", 200),
    ("POST", f"{POLICIES}/", POLICY, "approvals:write", 201),
    ("GET", f"{POLICIES}/{NOBODY}/", None, "approvals:read", 404),
    ("PATCH", f"{POLICIES}/{NOBODY}/", {}, "approvals:write", 404),
    ("PUT", f"{POLICIES}/{NOBODY}/", POLICY, "approvals:write", 404),
    ("DELETE", f"{POLICIES}/{NOBODY}/", None, "approvals:write", 404),
    ("GET", f"{REQUESTS}/", None, "approvals:read", 200),
    ("GET", f"{REQUESTS}/{NOBODY}/", None, "approvals:read", 404),
    ("POST", f"{REQUESTS}/{NOBODY}/approve/", {}, "approvals:write", 404),
    ("POST", f"{REQUESTS}/{NOBODY}/reject/", {}, "approvals:write", 404),
    ("POST", f"{REQUESTS}/{NOBODY}/cancel/", {}, "approvals:write", 404),
    ("GET", f"{FLAGS}/", None, "feature_flag:read", 200),
    ("GET", f"{FLAGS}/1/", None, "feature_flag:read", 200),
    ("POST", f"{FLAGS}/", {"key": "n", "filters": FILTERS}, "feature_flag:write", 201),
    ("PATCH", f"{FLAGS}/1/", {}, "feature_flag:write", 200),
    ("DELETE", f"{FLAGS}/1/", None, "feature_flag:write", 405),
    ("POST", f"{FLAGS}/1/disable/", None, "feature_flag:write", 200),
    ("GET", "/api/projects/1/cohorts/", None, "cohort:read", 200),
    ("GET", "/api/organizations/", None, "organization:read", 200),
    ("POST", "/api/organizations/", {"name": "N"}, "organization:write", 201),
    ("GET", f"{ORG}/", None, "organization:read", 200),
    ("PATCH", f"{ORG}/", {}, "organization:write", 200),
    ("DELETE", f"{ORG}/", None, "organization:write", 204),
    ("GET", f"{ORG}/roles/", None, "organization:read", 200),
    ("POST", f"{ORG}/roles/", {"name": "N"}, "organization:write", 201),
    ("PATCH", f"{ROLE}/", {}, "organization:write", 200),
    ("DELETE", f"{ROLE}/", None, "organization:write", 204),
    ("GET", f"{ROLE}/role_memberships/", None, "organization:read", 200),
    ("POST", f"{ROLE}/role_memberships/", {}, "organization:write", 400),
    ("DELETE", f"{ROLE}/role_memberships/{NOBODY}/", None, "organization:write", 404),
    ("GET", f"{ORG}/members/", None, "organization_member:read", 200),
    ("PATCH", f"{ORG}/members/@me/", {}, "organization_member:write", 200),
    ("DELETE", f"{ORG}/members/@me/", None, "organization_member:write", 204),
    ("GET", f"{ORG}/advanced_activity_logs/", None, "activity_log:read", 200),
    (
        "GET",
        f"{ORG}/advanced_activity_logs/available_filters/",
        None,
        "activity_log:read",
        200,
    ),
    ("GET", "/api/projects/", None, "project:read", 200),
    ("GET", f"{ORG}/projects/", None, "project:read", 200),
    ("GET", "/api/projects/1/", None, "project:read", 200),
    ("GET", "/api/users/@me/", None, "user:read", 200),
]
OTHERS = ("approvals", "feature_flag", "organization", "organization_member", "activity_log")


def give(api, who, *scopes):
    def change(seed):
        (user,) = [one for one in seed["users"] if one["first_name"] == who.title()]
        user["tokens"] = [{"token": f"phx_{who}", "scopes": list(scopes)}]

    api.reset(change)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_operation_needs_exactly_its_scope(api, row):
    """Contract 2."""
    method, path, body, scope, status = row
    give(api, "olga", scope)
    assert api.call(method, path, body).status == status

    resource = scope.split(":")[0]
    lacking = [f"{one}:write" for one in (*OTHERS, "project", "user") if one != resource]
    if scope.endswith(":write"):
        lacking.append(f"{resource}:read")
    give(api, "olga", *lacking)
    reply = api.call(method, path, body)
    assert reply.status == 403
    assert reply.body == {
        "type": "authentication_error",
        "code": "permission_denied",
        "detail": f"API key missing required scope '{scope}'",
        "attr": None,
    }


@pytest.mark.parametrize("path", [f"{POLICIES}/", f"{FLAGS}/1/", f"{ORG}/", f"{ORG}/members/"])
def test_write_implies_read_everywhere(api, path):
    """Contract 1.2."""
    give(api, "olga", *[f"{one}:write" for one in OTHERS])

    assert api.get(path).status == 200


def test_the_scope_is_checked_before_level_body_and_object(api):
    """Contract 1.2."""
    give(api, "max", "approvals:read")

    for path in (f"{POLICIES}/", "/api/projects/1/approval_policies/"):
        reply = api.post(path, {"nonsense": 1}, who="max")
        assert reply.body["detail"] == "API key missing required scope 'approvals:write'"
    reply = api.patch(f"{POLICIES}/{NOBODY}/", {}, who="max")
    assert reply.body["detail"] == "API key missing required scope 'approvals:write'"


CLOSED = [
    ("POST", f"{REQUESTS}/"),
    ("PUT", f"{REQUESTS}/{NOBODY}/"),
    ("PATCH", f"{REQUESTS}/{NOBODY}/"),
    ("DELETE", f"{REQUESTS}/{NOBODY}/"),
    ("GET", f"{REQUESTS}/{NOBODY}/approve/"),
    ("PATCH", f"{ROLE}/role_memberships/{NOBODY}/"),
    ("PUT", f"{ROLE}/role_memberships/{NOBODY}/"),
    ("POST", f"{ORG}/members/"),
    ("GET", f"{ORG}/members/{NOBODY}/"),
    ("POST", f"{ORG}/advanced_activity_logs/export/"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_methods_without_a_route_are_refused_for_keys(api, method, path):
    """Contract 1.2."""
    reply = api.call(method, path, {} if method != "GET" else None)

    assert (reply.status, reply.body["code"]) == (403, "permission_denied")
    assert "does not support personal api key access" in reply.body["detail"].lower()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", "1/"), ("PATCH", "1/"), ("PUT", "1"), ("DELETE", "1/")],
)
def test_environments_cannot_be_managed_with_any_method(api, method, path):
    """Contract 1.1."""
    reply = api.call(method, f"/api/projects/1/environments/{path}", None)

    assert reply.status == 403


def test_a_key_in_the_body_counts_without_a_bearer_header(api):
    """Contract 1.2."""
    path = "/api/projects/1/feature_flags/1/"
    body = {"personal_api_key": "phx_olga", "name": "by body"}
    reply = api.call("PATCH", path, body, who=None)

    assert (reply.status, reply.body["name"]) == (200, "by body")


def test_every_key_may_read_its_own_scopes(api):
    """`/api/personal_api_keys/@current/` needs no scope, and never answers the key (contract 2)."""
    give(api, "olga", "feature_flag:read")
    answer = api.get("/api/personal_api_keys/@current/", who="olga")

    assert answer.status == 200
    assert answer.body["scopes"] == ["feature_flag:read"]
    assert answer.body["scoped_teams"] == answer.body["scoped_organizations"] == []
    assert "phx_olga" not in str(answer.body)
