"""Done is what the answer shows, or what is there when it is read back; a status proves nothing."""

import pytest

from reconciler.model import Result
from tests import acme
from tests.integration.running import apply, spoil

ERROR = {
    "type": "server_error",
    "code": "error",
    "detail": "A server error occurred.",
    "attr": None,
}
OTHER = {
    "id": 99, "key": "other", "name": "Other", "action_key": "other", "slug": "other",
    "deleted": False, "active": True, "filters": {"groups": []}, "version": 1, "level": 8,
    "user": {"id": 99, "uuid": "0190-other", "email": "other@acme.test"},
}  # fmt: skip
ODD = {
    "an empty object": {"code": 200, "body": {}},
    "an id alone": {"code": 201, "body": {"id": 1}},
    "an error in a 200": {"code": 200, "body": ERROR},
    "another object": {"code": 200, "body": OTHER},
    "a list": {"code": 200, "body": [OTHER]},
    "text": {"code": 200, "body": "<html>Welcome</html>"},
    "202": {"code": 202, "body": {"status": "queued"}},
    "206": {"code": 206, "body": {}},
    "207": {"code": 207, "body": {"multistatus": []}},
    "an unknown conflict": {"code": 409, "body": {"code": "throttled"}},
    "a conflict without a body": {"code": 409, "body": ""},
    "a redirect": {"code": 302, "body": "", "headers": {"location": "/login"}},
    "a status of a proxy": {"code": 423, "body": {"detail": "Locked."}},
}
NAMES = {
    "acme", "bob@acme.test", "Old role", "Team", "New role", "made", "changed", "gone",
    "new.action", "feature_flag.update", "old.action", "Fresh",
}  # fmt: skip


def absent(document):
    document["metadata"]["lifecycle"] = {"state": "absent"}
    return document


def every_kind_of_write(world):
    """Creates, updates and deletes of every kind, none of which needs another."""
    flags = [acme.live_flag("changed", 10), acme.live_flag("gone", 10)]
    policies = [
        acme.policy("feature_flag.update", enabled=False),
        acme.policy("old.action", enabled=False),
    ]
    web = {"name": "Web", "id": 1, "approval_policies": policies}
    mobile = {"name": "Mobile", "id": 2, "feature_flags": flags}
    roles = [
        {"name": "Team", "members": ["bob@acme.test", "carol@acme.test"]},
        {"name": "Old role", "members": []},
    ]
    repo = world(acme.seed(projects=[web, mobile], roles=roles))
    quorum = {"approvers": {"quorum": 2, "users": ["alice@acme.test"]}}
    repo.write(
        "all.yaml",
        acme.document("Organization", {"members_can_invite": False}),
        acme.document("Member", {"level": "admin"}, email="bob@acme.test"),
        acme.document("Role", {"members": ["alice@acme.test", "bob@acme.test"]}, name="Team"),
        acme.document("Role", {"members": []}, name="New role"),
        absent(acme.document("Role", {}, name="Old role")),
        acme.document(
            "ApprovalPolicy", {**quorum, "enabled": False}, project="Web", action="new.action"
        ),
        acme.document("ApprovalPolicy", quorum, project="Web", action="feature_flag.update"),
        absent(acme.document("ApprovalPolicy", {}, project="Web", action="old.action")),
        acme.flag("made", 10, "Mobile", active=False),
        acme.flag("changed", 20, "Mobile", name="New"),
        absent(acme.flag("gone", project="Mobile")),
        acme.document("Project", {"timezone": "UTC"}, name="Fresh"),
    )  # fmt: skip
    return repo


def answered(repo, point, odd):
    match = {"route": "*", "user": "ci@acme.test", "hit": "every"}
    spoil(
        repo,
        *(
            {"match": {**match, "method": method}, "point": point, "effect": {"status": odd}}
            for method in ("POST", "PATCH", "DELETE")
        ),
    )


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_was_not_carried_out_is_never_done(world, odd):
    """Every write is answered, and nothing happens: unknown, and the next run does it."""
    repo = every_kind_of_write(world)
    answered(repo, "before", odd)

    ran = apply(repo)

    assert NAMES == ran.rows.keys()
    assert {("failed", "unknown")} == {(row.result, row.detail) for row in ran.rows.values()}
    assert (1, len(NAMES)) == (ran.code, ran.document["account"]["unknown"])
    for row in ran.rows.values():
        assert "unknown" in row.problem.state, row
    spoil(repo)
    assert {Result.DONE} == {row.result for row in apply(repo).rows.values()}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_was_carried_out_is_done_whatever_the_answer(world, odd):
    """It is read back, and sent once."""
    repo = every_kind_of_write(world)
    answered(repo, "after", odd)

    ran = apply(repo)

    assert dict.fromkeys(NAMES, "done") == ran.results(), ran.outcomes
    assert 0 == ran.code
    spoil(repo)
    assert not apply(repo).made.writes


def test_an_answer_that_is_silent_on_a_field_does_not_confirm_that_it_is_null(world):
    """Nothing was carried out; what is silent has no value, as what was sent."""
    roles = [{"name": "Team", "members": []}]
    repo = world(acme.seed(roles=roles, settings={"default_role": "Team"}))
    repo.write("all.yaml", acme.document("Organization", {"default_role": None}))
    organization = repo.sandbox.call("GET", "/api/organizations/@current/", token="phx_ci")[1]
    answered(repo, "before", {"code": 200, "body": _without(organization, "default_role_id")})

    ran = apply(repo)

    (row,) = ran.rows.values()
    assert ("failed", "unknown") == (row.result, row.detail)
    spoil(repo)
    assert {Result.DONE} == {row.result for row in apply(repo).rows.values()}


def test_a_soft_delete_is_not_done_if_the_answer_shows_the_flag_as_it_was(world):
    """PostHog answers an update with the flag: with a field that says so if it is deleted."""
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("gone", 10)]}
    repo = world(acme.seed(projects=[web]))
    repo.write("all.yaml", absent(acme.flag("gone")))
    listed = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_ci")[1]
    answered(repo, "before", {"code": 200, "body": listed["results"][0]})

    ran = apply(repo)

    assert ("failed", "unknown") == (ran.rows["gone"].result, ran.rows["gone"].detail)
    spoil(repo)
    assert {"gone": "done"} == apply(repo).results()


def _without(body, name):
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize("status", [404, 410])
def test_a_404_about_what_is_there_is_a_failure(world, status):
    """It was read a moment before, and can be read a moment later: neither gone nor done."""
    repo = every_kind_of_write(world)
    body = {"type": "invalid_request", "code": "not_found", "detail": "Not found.", "attr": None}
    answered(repo, "before", {"code": status, "body": body})

    ran = apply(repo)

    assert {"failed"} == set(ran.results().values())
    assert not any("is gone" in row.problem.what for row in ran.rows.values())


def test_a_404_that_cannot_be_looked_into_is_unknown(world):
    """The delete may have been carried out before the answer."""
    repo = every_kind_of_write(world)
    repo.write("all.yaml", absent(acme.document("Role", {}, name="Old role")))
    gone = {"method": "DELETE", "route": "roles.*"}
    unread = {"method": "GET", "route": "roles.retrieve", "hit": "2-9"}
    spoil(
        repo,
        {"match": gone, "point": "before", "effect": {"status": {"code": 404}}},
        {"match": unread, "point": "before", "effect": {"status": {"code": 503}}},
    )

    row = apply(repo).rows["Old role"]

    assert ("failed", "unknown") == (row.result, row.detail)
