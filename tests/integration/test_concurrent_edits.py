"""Somebody else wrote between the plan and the apply: nothing of theirs is overwritten, ever."""

import pytest

from tests import acme
from tests.integration.running import apply, created, sent, spoil


def web(*flags, policies=(), **more):
    project = {
        "name": "Web",
        "id": 1,
        "feature_flags": list(flags),
        "approval_policies": list(policies),
    }
    return acme.seed(projects=[project], **more)


def by(repo, who, method, path, body=None):
    status, answer = repo.sandbox.call(method, path, body, token=f"phx_{who}")
    assert status < 300, (status, answer)
    return answer


def flag_id(repo, key):
    found = by(repo, "alice", "GET", f"/api/projects/1/feature_flags/?search={key}")["results"]
    return next(flag["id"] for flag in found if flag["key"] == key)


def edit(repo, key, **body):
    """Somebody changes a flag at the browser."""
    by(repo, "carol", "PATCH", f"/api/projects/1/feature_flags/{flag_id(repo, key)}/", body)


def group(percentage):
    return {"groups": [{"properties": [], "rollout_percentage": percentage}]}


def live(repo, key):
    flags = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    return next(flag for flag in flags if flag["key"] == key)


def test_a_field_that_moved_is_not_overwritten(world):
    """409 conflict: planned anew, and what people would see then is not what they agreed to."""
    repo = world(web(acme.live_flag("a", 10)))
    repo.write("all.yaml", acme.flag("a", 50))

    ran = apply(repo, between=lambda: edit(repo, "a", filters=group(30)))

    assert ("refused", 4) == (ran.rows["a"].result, ran.code)
    assert "was 10, is 30" in ran.rows["a"].problem.what
    assert 30 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_a_flag_that_moved_elsewhere_is_planned_anew_once_and_written(world):
    """The payload beside the rollout is somebody else's: it stays, and ours is written."""
    repo = world(web(acme.live_flag("a", 10)))
    repo.write("all.yaml", acme.flag("a", 50))
    moved = {**group(10), "payloads": {"true": '"on"'}}

    ran = apply(repo, between=lambda: edit(repo, "a", filters=moved))

    filters = live(repo, "a")["filters"]
    assert ({"a": "done"}, 0) == (ran.results(), ran.code), ran.outcomes
    assert (50, {"true": '"on"'}) == (
        filters["groups"][0]["rollout_percentage"],
        filters["payloads"],
    )
    assert 2 == ran.rows["a"].attempts


def test_a_flag_that_keeps_moving_is_left_alone(world):
    """Planned anew once; the second conflict is an answer."""
    repo = world(web(acme.live_flag("a", 10)))
    repo.write("all.yaml", acme.flag("a", 50))
    edits = [
        {
            "edit": {
                "as": "carol@acme.test",
                "flag": "a",
                "set": {"filters": {**group(10), "payloads": {"true": text}}},
            }
        }
        for text in ('"1"', '"2"')
    ]
    spoil(
        repo,
        *(
            {
                "match": {"method": "PATCH", "route": "feature_flags.update", "hit": hit},
                "point": "before",
                "effect": one,
            }
            for hit, one in enumerate(edits, 1)
        ),
    )

    ran = apply(repo)

    assert ("refused", 2) == (ran.rows["a"].result, ran.rows["a"].attempts), ran.outcomes
    assert 10 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_what_somebody_else_has_done_meanwhile_is_no_failure(world):
    """The same value by another hand: unchanged, and nothing of it is written again."""
    repo = world(web(acme.live_flag("a", 10)))
    repo.write(
        "all.yaml",
        acme.document("Organization", {"name": "Acme", "members_can_invite": False}),
    )
    organization = by(repo, "alice", "GET", "/api/organizations/")["results"][0]["id"]

    def between():
        body = {"members_can_invite": False}
        by(repo, "alice", "PATCH", f"/api/organizations/{organization}/", body)
        repo.sandbox.clear()

    ran = apply(repo, between=between)

    assert {"acme": "unchanged"} == ran.results()
    assert [] == repo.sandbox.writes()


def test_a_field_that_no_file_writes_may_move(world):
    """Only what is managed counts."""
    repo = world(acme.seed())
    repo.write(
        "all.yaml",
        acme.document("Organization", {"name": "Acme", "members_can_invite": False}),
    )
    organization = by(repo, "alice", "GET", "/api/organizations/")["results"][0]["id"]
    path = f"/api/organizations/{organization}/"

    ran = apply(repo, between=lambda: by(repo, "alice", "PATCH", path, {"enforce_2fa": True}))

    assert {"acme": "done"} == ran.results()


def test_a_managed_field_that_moved_is_refused_with_both_values(world):
    """Kinds without a version are read again just before."""
    repo = world(web(policies=[acme.policy("feature_flag.update", enabled=False)]))
    repo.write(
        "all.yaml",
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "users": ["alice@acme.test"]}, "expires_after": "7d"},
            project="Web",
            action="feature_flag.update",
        ),
    )
    policy = by(repo, "alice", "GET", "/api/projects/1/approval_policies/")["results"][0]["id"]
    path = f"/api/projects/1/approval_policies/{policy}/"

    ran = apply(
        repo, between=lambda: by(repo, "alice", "PATCH", path, {"expires_after": "3 00:00:00"})
    )

    row = ran.rows["feature_flag.update"]
    assert ("refused", 0) == (row.result, row.attempts)
    assert "expires_after (was 14d, is 3d)" in row.problem.what


@pytest.mark.parametrize("change", ["name", "delete"])
def test_an_object_that_is_gone_is_neither_written_nor_made_again(world, change):
    """A flag that was deleted takes no writes, and is not created in the same run."""
    repo = world(web(acme.live_flag("a", 10)))
    document = acme.flag("a", 10, name="New")
    if change == "delete":
        document["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("all.yaml", document)

    ran = apply(repo, between=lambda: edit(repo, "a", deleted=True))

    expected = {"name": ("refused", 4), "delete": ("unchanged", 0)}[change]
    assert expected == (ran.rows["a"].result, ran.code)
    assert 0 == created(repo, "FeatureFlag")
    if change == "delete":
        assert 1 == len(sent(repo, "PATCH", "feature_flags")), "theirs"


def test_an_object_that_goes_after_the_last_look_is_refused_too(world):
    """404 to the write itself, and to the read after it: the plan is of yesterday."""
    repo = world(web(policies=[acme.policy("feature_flag.update")]))
    spec = {"approvers": {"quorum": 2, "users": ["alice@acme.test"]}}
    about = {"project": "Web", "action": "feature_flag.update"}
    repo.write("all.yaml", acme.document("ApprovalPolicy", spec, **about))
    gone = {"as": "alice@acme.test", "project": 1, "policy": "feature_flag.update", "delete": True}
    match = {"method": "PATCH", "route": "approval_policies.update"}
    spoil(repo, {"match": match, "point": "before", "effect": {"edit": gone}})

    ran = apply(repo)

    row = ran.rows["feature_flag.update"]
    assert ("refused", 4) == (row.result, ran.code)
    assert "is gone" in row.problem.what


def test_a_delete_of_something_that_moved_needs_a_new_look(world):
    """Nobody agreed to delete what is there now."""
    repo = world(web(acme.live_flag("a", 10)))
    document = acme.flag("a", 10)
    document["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("all.yaml", document)

    ran = apply(repo, between=lambda: edit(repo, "a", filters=group(100)))

    assert ("refused", 4) == (ran.rows["a"].result, ran.code)


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("flag", "/api/projects/1/feature_flags/", {"key": "a", "filters": group(10)}),
        ("role", "/api/organizations/{org}/roles/", {"name": "a"}),
        (
            "policy",
            "/api/projects/1/approval_policies/",
            {"action_key": "a", "approver_config": {"quorum": 1, "users": [], "roles": []}},
        ),
    ],
)
def test_a_create_that_comes_second_adopts_what_is_as_wanted(world, kind, path, body):
    """PostHog's refusal of a second one is the point read: it costs no request more."""
    repo = world(web())
    documents = {
        "flag": acme.flag("a", 10),
        "role": acme.document("Role", {"members": []}, name="a"),
        "policy": acme.document(
            "ApprovalPolicy", {"approvers": {"quorum": 1}}, project="Web", action="a"
        ),
    }
    repo.write("all.yaml", documents[kind])
    organization = by(repo, "alice", "GET", "/api/organizations/")["results"][0]["id"]

    ran = apply(
        repo, between=lambda: by(repo, "alice", "POST", path.format(org=organization), body)
    )

    assert ({"a": "unchanged"}, 0) == (ran.results(), ran.code), ran.outcomes
    assert not apply(repo).made.writes


def test_a_create_that_comes_second_and_wants_something_else_is_refused(world):
    """What another person has made is not changed without a plan that shows it."""
    repo = world(web())
    repo.write("all.yaml", acme.flag("a", 50))
    body = {"key": "a", "filters": group(10)}

    ran = apply(
        repo, between=lambda: by(repo, "carol", "POST", "/api/projects/1/feature_flags/", body)
    )

    assert ("refused", 4) == (ran.rows["a"].result, ran.code)
    assert 10 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_a_create_that_meets_another_spelling_of_its_name_is_refused(world):
    """Roles are one whatever the case; which spelling is right is not for a create to say."""
    repo = world(web())
    repo.write("all.yaml", acme.document("Role", {"members": []}, name="a"))
    organization = by(repo, "alice", "GET", "/api/organizations/")["results"][0]["id"]
    path = f"/api/organizations/{organization}/roles/"

    ran = apply(repo, between=lambda: by(repo, "alice", "POST", path, {"name": "A"}))

    assert ("refused", 4) == (ran.rows["a"].result, ran.code)


@pytest.mark.parametrize(
    ("theirs", "result"), [([], "done"), (["bob"], "done"), (["bob", "carol"], "refused")]
)
def test_a_role_that_somebody_made_meanwhile_is_only_added_to(world, theirs, result):
    """Its missing members join; nobody whom another person put there is thrown out."""
    repo = world(web())
    members = ["alice@acme.test", "bob@acme.test"]
    repo.write("all.yaml", acme.document("Role", {"members": members}, name="a"))
    organization = by(repo, "alice", "GET", "/api/organizations/")["results"][0]["id"]
    path = f"/api/organizations/{organization}"
    uuids = {
        one["user"]["email"].split("@")[0]: one["user"]["uuid"]
        for one in by(repo, "alice", "GET", f"{path}/members/")["results"]
    }

    def between():
        role = by(repo, "alice", "POST", f"{path}/roles/", {"name": "a"})["id"]
        for name in theirs:
            body = {"user_uuid": uuids[name]}
            by(repo, "alice", "POST", f"{path}/roles/{role}/role_memberships/", body)

    ran = apply(repo, between=between)

    held = repo.sandbox.state()["organizations"][0]["roles"][0]["members"]
    expected = members if result == "done" else ["bob@acme.test", "carol@acme.test"]
    assert result == ran.rows["a"].result, ran.outcomes
    assert sorted(expected) == sorted(one["email"] for one in held)


def test_a_kind_whose_names_posthog_does_not_keep_apart_is_looked_for_first(world):
    """An organization of this slug came meanwhile: no second one is made."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.document("Organization", {"name": "Other"}, organization="other"))

    ran = apply(
        repo, between=lambda: by(repo, "ci", "POST", "/api/organizations/", {"name": "Other"})
    )

    assert ({"other": "unchanged"}, 0) == (ran.results(), ran.code), ran.outcomes
    assert 1 == created(repo, "Organization/")


def test_a_thousand_creates_would_cost_lists_and_writes_and_no_more(world):
    """Fifty of them: what was listed, fifty POSTs, and nothing is read before or after (6.7)."""
    repo = world(web())
    repo.write("all.yaml", *(acme.flag(f"f{n}", 10) for n in range(50)))
    counted = {}

    ran = apply(repo, between=lambda: counted.update(before=len(repo.sandbox.requests())))

    assert {"done"} == set(ran.results().values())
    assert 50 == len(repo.sandbox.requests()) - counted["before"]
    assert not apply(repo).made.writes
