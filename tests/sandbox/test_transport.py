"""Transport, keys, scopes, errors, limits, pages (contract 1)."""

import http.client
import json
import re
import time
import urllib.parse

import pytest

from .conftest import FLAGS, ORG, REQUESTS, SEED


def envelope(reply):
    return reply.status, reply.body["type"], reply.body["code"]


def raw(api, method, path, *, body=b"", headers=None):
    """A call with every byte and header in hand."""
    host = urllib.parse.urlsplit(api.sandbox.url).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


KEY = {"Authorization": "Bearer phx_olga"}


def test_a_trailing_slash_is_optional_and_never_a_redirect(api):
    """Contract 1.1."""
    assert api.get(FLAGS).status == 200
    assert api.get(f"{FLAGS}/").status == 200
    assert api.get(f"{FLAGS}/1").body == api.get(f"{FLAGS}/1/").body


def test_environments_are_a_deprecated_alias_of_projects(api):
    """Contract 1.1."""
    status, headers, body = raw(api, "GET", "/api/environments/1/feature_flags/", headers=KEY)

    assert status == 200
    assert json.loads(body)["count"] == 2
    assert headers["Deprecation"] == "true"
    assert "/api/projects/1/feature_flags/" in headers["Link"]


def test_at_current_means_the_users_project_and_organization(api):
    """Contract 1.1."""
    assert api.get("/api/projects/@current/").body["id"] == 1
    assert api.get("/api/organizations/@current/").body["name"] == "Acme"
    assert api.get("/api/organizations/@current/", who="otto").body["name"] == "Other"


@pytest.mark.parametrize("ref", ["abc", "99", "-1", "9" * 30, "1.0"])
def test_an_unknown_project_is_404(api, ref):
    """Contract 1.1."""
    reply = api.get(f"/api/projects/{ref}/feature_flags/")

    assert envelope(reply) == (404, "invalid_request", "not_found")
    assert reply.body["detail"] == "Project not found."


@pytest.mark.parametrize("ref", ["acme", "12", "a0000000-0000-4000-8000-00000000ffff"])
def test_an_organization_is_found_only_by_uuid(api, ref):
    """Contract 1.1."""
    assert api.get(f"/api/organizations/{ref}/").status == 404
    assert api.get(f"/api/organizations/{ref}/roles/").status == 404


def test_environments_of_a_project_cannot_be_managed(api):
    """Contract 1.1."""
    assert api.get("/api/projects/1/environments/").status == 403


def test_other_media_types_are_415_and_broken_json_is_400(api):
    """Contract 1.1."""
    form = {**KEY, "Content-Type": "text/plain"}
    status, _, body = raw(api, "PATCH", f"{FLAGS}/1/", body=b"{}", headers=form)
    assert status == 415
    assert json.loads(body)["code"] == "unsupported_media_type"

    sent = {**KEY, "Content-Type": "application/json"}
    for broken in (b"{", b'{"name": NaN}', b'\xff{"a":1}', b'{"name": "\\ud800"}', b"[" * 300_000):
        status, _, body = raw(api, "PATCH", f"{FLAGS}/1/", body=broken, headers=sent)
        assert status == 400
        assert json.loads(body)["type"] == "invalid_request"
        assert json.loads(body)["code"] == "parse_error"


def test_a_body_that_is_not_an_object_is_refused_by_the_serializer(api):
    """Contract 1.1."""
    reply = api.patch(f"{FLAGS}/1/", ["x"])

    assert envelope(reply) == (400, "validation_error", "invalid_input")
    assert reply.body["attr"] is None


def test_no_credentials_are_401_with_a_challenge(api):
    """Contract 1.2."""
    status, headers, body = raw(api, "GET", FLAGS)

    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert json.loads(body) == {
        "type": "authentication_error",
        "code": "not_authenticated",
        "detail": "Authentication credentials were not provided.",
        "attr": None,
    }


def test_an_unknown_key_is_401(api):
    """Contract 1.2."""
    reply = api.get(FLAGS, who="nobody")

    assert envelope(reply) == (401, "authentication_error", "authentication_failed")
    expected = "Personal API key found in request Authorization header is invalid."
    assert reply.body["detail"] == expected


def test_the_key_of_an_inactive_user_is_401(api):
    """Contract 1.2."""
    assert api.get(FLAGS, who="gone").status == 401


def test_a_key_may_be_in_the_query_or_the_body(api):
    """Contract 1.2."""
    assert api.get(f"{FLAGS}/?personal_api_key=phx_olga", who=None).status == 200
    body = {"personal_api_key": "phx_olga", "name": "x"}
    assert api.call("PATCH", f"{FLAGS}/1/", body, who=None).status == 200
    assert api.get(f"{FLAGS}/?personal_api_key=phx_x", who=None).status == 401


def give(name, **token):
    def change(seed):
        user = next(one for one in seed["users"] if one["email"] == f"{name}@acme.test")
        user["tokens"][0].update(token)

    return change


def test_a_missing_scope_is_403_and_write_implies_read(api):
    """Contract 1.2."""
    api.reset(give("ada", scopes=["feature_flag:write", "approvals:read"]))

    assert api.get(FLAGS, who="ada").status == 200
    assert api.get(REQUESTS, who="ada").status == 200
    reply = api.post("/api/projects/1/approval_policies/", {}, who="ada")
    assert envelope(reply) == (403, "authentication_error", "permission_denied")
    assert reply.body["detail"] == "API key missing required scope 'approvals:write'"
    reply = api.get("/api/users/@me/", who="ada")
    assert reply.body["detail"] == "API key missing required scope 'user:read'"


def test_a_method_without_a_route_is_refused_for_keys(api):
    """Contract 1.2."""
    for method, path in (
        ("POST", f"{REQUESTS}/"),
        ("GET", f"{ORG}/members/@me/"),
        ("PATCH", f"{ORG}/roles/x/role_memberships/y/"),
    ):
        reply = api.call(method, path, {} if method != "GET" else None)
        assert envelope(reply) == (403, "authentication_error", "permission_denied")
        assert "does not support personal API key access" in reply.body["detail"]


def test_a_key_scoped_to_projects_accesses_only_those(api):
    """Contract 1.2."""
    api.reset(give("ada", scoped_teams=[2]))

    reply = api.get(FLAGS, who="ada")
    expected = "API key does not have access to the requested project: ID 1."
    assert (reply.status, reply.body["detail"]) == (403, expected)
    assert api.get("/api/projects/2/feature_flags/", who="ada").status == 200
    reply = api.get(f"{ORG}/roles/", who="ada")
    expected = "API keys with scoped projects are only supported on project-based endpoints."
    assert (reply.status, reply.body["detail"]) == (403, expected)
    assert api.get("/api/users/@me/", who="ada").status == 200


def test_a_key_scoped_to_organizations_accesses_only_those(api):
    """Contract 1.2."""

    def change(seed):
        give("ada", scoped_organizations=["other"])(seed)
        seed["organizations"][1]["members"].append({"email": "ada@acme.test", "level": "member"})

    api.reset(change)

    identity = SEED["organizations"][0]["id"]
    reply = api.get(f"{ORG}/", who="ada")
    expected = f"API key does not have access to the requested organization: ID {identity}."
    assert (reply.status, reply.body["detail"]) == (403, expected)
    assert api.get(FLAGS, who="ada").status == 403
    assert [one["slug"] for one in api.results("/api/organizations/", who="ada")] == ["other"]
    assert [one["id"] for one in api.results("/api/projects/", who="ada")] == [3]


def test_users_outside_an_organization_get_403(api):
    """Contract 1.2."""
    for path in (FLAGS, f"{ORG}/roles/"):
        reply = api.get(path, who="otto")
        expected = "You do not have permission to perform this action."
        assert (reply.status, reply.body["detail"]) == (403, expected)


def test_a_private_project_admits_administrators_but_not_members(api):
    """Contract 1.2."""

    def change(seed):
        project = seed["organizations"][0]["projects"][0]
        project.update(access_control=True, members=["mia@acme.test"])

    api.reset(change)

    reply = api.get(FLAGS, who="max")
    assert (reply.status, reply.body["detail"]) == (403, "You don't have access to the project.")
    assert api.get(FLAGS, who="mia").status == 200
    assert api.get(FLAGS, who="ada").status == 200
    assert [one["id"] for one in api.results("/api/projects/", who="max")] == [2]


def test_an_organization_may_forbid_the_keys_of_its_members(api):
    """Contract 1.2."""
    assert api.patch(f"{ORG}/", {"members_can_use_personal_api_keys": False}).status == 200

    assert api.get(FLAGS, who="max").status == 403
    assert api.get(FLAGS, who="ada").status == 200


def test_only_the_first_wrong_field_is_reported(api):
    """Contract 1.3."""
    reply = api.post("/api/projects/1/approval_policies/", {"enabled": "perhaps"})

    assert envelope(reply) == (400, "validation_error", "required")
    assert reply.body["attr"] == "action_key"


def cloud_without_features(seed):
    seed["cloud"] = True
    seed["organizations"][0]["features"] = []


def test_on_cloud_a_missing_feature_is_402(api):
    """Contract 1.4."""
    api.reset(cloud_without_features)

    for path in (REQUESTS, "/api/projects/1/approval_policies"):
        reply = api.get(path)
        assert envelope(reply) == (402, "server_error", "payment_required")
        assert reply.body["detail"] == (
            "Approvals requires a paid PostHog plan. Please upgrade to access this feature."
        )
    reply = api.get(f"{ORG}/advanced_activity_logs/")
    assert reply.status == 402
    assert reply.body["detail"].startswith("Audit logs requires a paid PostHog plan.")


def test_self_hosted_a_policy_without_the_feature_never_gates(api):
    """Contract 1.4."""
    api.reset(lambda seed: seed["organizations"][0].update(features=[]))
    api.policy()

    assert api.patch(f"{FLAGS}/2/", {"active": True}, who="max").status == 200


def test_a_second_organization_needs_the_feature_unless_on_cloud(api):
    """Contract 1.4."""
    reply = api.post("/api/organizations/", {"name": "More"}, who="otto")
    assert (reply.status, reply.body["type"]) == (403, "authentication_error")
    assert "multiple organizations" in reply.body["detail"]

    api.reset(cloud=True)
    assert api.post("/api/organizations/", {"name": "More"}, who="otto").status == 201


def test_the_limit_per_minute_is_per_key_and_resets(api):
    """Contract 1.5."""
    api.reset(rate_limit={"per_minute": 3})

    assert [api.get(FLAGS).status for _ in range(4)] == [200, 200, 200, 429]
    assert api.get(FLAGS, who="ada").status == 200
    status, headers, body = raw(api, "GET", FLAGS, headers=KEY)
    seconds = headers["Retry-After"]
    assert (status, seconds in {"59", "60"}) == (429, True)
    assert json.loads(body) == {
        "type": "throttled_error",
        "code": "throttled",
        "detail": f"Request was throttled. Expected available in {seconds} seconds.",
        "attr": None,
    }
    api.sandbox.advance("57s")
    assert raw(api, "GET", FLAGS, headers=KEY)[1]["Retry-After"] in {"1", "2", "3"}
    api.sandbox.advance("3s")
    assert api.get(FLAGS).status == 200


def test_real_time_counts_for_limits_while_the_clock_is_frozen(api):
    """Contract 1.5."""
    api.reset(rate_limit={"per_minute": 1})
    api.get(FLAGS)
    api.sandbox.advance("59s")
    deadline = time.monotonic() + 10

    while api.get(FLAGS).status == 429 and time.monotonic() < deadline:
        time.sleep(0.1)

    assert api.get(FLAGS).status == 429
    assert [line["status"] for line in api.sandbox.requests()].count(200) == 2


def test_the_limit_per_hour_is_separate(api):
    """Contract 1.5."""
    api.reset(rate_limit={"per_hour": 2, "per_minute": 100})

    assert [api.get(FLAGS).status for _ in range(3)] == [200, 200, 429]
    api.sandbox.advance("2m")
    assert api.get(FLAGS).status == 429
    api.sandbox.advance("58m")
    assert api.get(FLAGS).status == 200


def test_refused_calls_are_not_counted(api):
    """Contract 1.5."""
    api.reset(rate_limit={"per_minute": 2})

    for _ in range(5):
        assert api.get("/api/projects/3/feature_flags/").status == 403
    assert api.get(FLAGS).status == 200


def many_flags(seed):
    seed["organizations"][0]["projects"][1]["feature_flags"] = [
        {"key": f"f{number}", "filters": {"groups": []}} for number in range(7)
    ]


def test_pages_are_linked_by_absolute_urls(api):
    """Contract 1.6."""
    api.reset(many_flags)
    base = "/api/projects/2/feature_flags/"

    first = api.get(f"{base}?limit=3&active=true").body
    assert (first["count"], first["previous"], len(first["results"])) == (7, None, 3)
    assert first["next"] == f"{api.sandbox.url}{base}?active=true&limit=3&offset=3"

    seen, following = [], f"{base}?limit=3"
    while following:
        page = api.get(following).body
        seen += [one["key"] for one in page["results"]]
        following = page["next"] and page["next"].removeprefix(api.sandbox.url)
    assert seen == [f"f{number}" for number in reversed(range(7))]
    last = api.get(f"{base}?limit=3&offset=6").body
    assert re.search(r"limit=3&offset=3$", last["previous"])
    second = api.get(f"{base}?limit=3&offset=3").body
    assert second["previous"] == f"{api.sandbox.url}{base}?limit=3"


@pytest.mark.parametrize("query", ["limit=0", "limit=-5", "limit=x", "offset=-1", "offset=x", ""])
def test_invalid_page_limits_fall_back_to_the_default(api, query):
    """Contract 1.6."""
    body = api.get(f"{FLAGS}/?{query}").body

    assert (body["count"], len(body["results"]), body["next"]) == (2, 2, None)


def test_a_page_beyond_the_end_is_empty(api):
    """Contract 1.6."""
    body = api.get(f"{FLAGS}/?offset=50").body

    assert (body["count"], body["results"], body["next"]) == (2, [], None)


def test_me_is_the_user_of_the_key(api):
    """Contract 1.7."""
    me = api.get("/api/users/@me/", who="max").body

    assert (me["id"], me["email"]) == (14, "max@acme.test")
    assert me["organization"]["slug"] == "acme"
    assert me["organization"]["membership_level"] == 1
    assert me["team"]["id"] == 1


def test_a_user_is_shown_with_its_nine_fields(api):
    """Contract 1.7."""
    author = api.get(f"{FLAGS}/1/").body["created_by"]

    assert author.keys() == {
        "id",
        "uuid",
        "distinct_id",
        "first_name",
        "last_name",
        "email",
        "is_email_verified",
        "hedgehog_config",
        "role_at_organization",
    }
    assert (author["id"], author["hedgehog_config"]) == (12, None)


def test_times_have_microseconds_only_when_there_are_any(api):
    """Contract 1.7."""
    assert api.get(f"{FLAGS}/1/").body["created_at"] == "2026-01-05T09:00:00Z"
    api.sandbox.advance("0.5s")
    assert api.patch(f"{FLAGS}/1/", {}).body["updated_at"] == "2026-01-05T09:00:00.500000Z"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/projects/1/dashboards/"),
        ("POST", "/api/projects/1/cohorts/"),
        ("POST", "/api/projects/"),
        ("PATCH", "/api/users/@me/"),
        ("GET", "/api/projects/1/cohorts/activity/"),
        ("GET", "/api/projects/1/activity_log/"),
        ("GET", "/api/projects/1/feature_flags/1/activity/"),
        ("GET", "/api/projects/1/feature_flags/1/status/"),
        ("GET", "/api/projects/1/feature_flags/1/dependent_flags/"),
        ("GET", "/api/projects/1/feature_flags/activity/"),
        ("GET", "/api/projects/1/feature_flags/local_evaluation/"),
        ("POST", "/api/projects/1/feature_flags/bulk_delete/"),
        ("POST", "/api/projects/1/feature_flags/bulk_keys/"),
        ("POST", "/api/projects/1/feature_flags/bulk_update_tags/"),
        ("POST", "/api/projects/1/feature_flags/user_blast_radius/"),
        ("POST", "/api/environments/1/feature_flags/bulk_keys/"),
        ("GET", "/api/projects/1/experiments/stats/"),
        ("GET", "/api/organizations/@current/invites/"),
        ("GET", "/_health"),
        ("GET", "/moon"),
    ],
)
def test_what_is_not_modelled_says_so(api, method, path):
    """Contract 1.1: a 403 would send people to look for a fault in their key."""
    reply = api.call(method, path)

    assert (reply.status, reply.body) == (404, {"detail": "not modelled by the sandbox"})
