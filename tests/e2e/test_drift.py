"""Drift with a name: who, when, through what, past which gate. Real edits by real people."""

import datetime as dt

import pytest

from tests.e2e import acme

FLAGS = "/api/projects/1/feature_flags/"
UPDATE = "feature_flag.update"
ENABLE = "feature_flag.enable"


def seed(*flags, policies=(), **organization):
    projects = [
        {
            "name": "Web",
            "id": 1,
            "approval_policies": list(policies),
            "feature_flags": list(flags) or [acme.live_flag("a", id=101)],
        }
    ]
    return acme.seed(projects=projects, **organization)


def a(**spec):
    """The flag `a` as the files have it."""
    return acme.flag("a", 10, active=False, **spec)


def edit(repo, path, body, by, method="PATCH", *, client=None):
    """Somebody changes something in PostHog; what the server answered."""
    status, answer = repo.sandbox.call(method, path, body, token=f"phx_{by}", client=client)
    assert status < 300, answer
    return answer


def asked(repo, path, body, by, approver):
    """Somebody asks for a gated change, and somebody else approves it; the request's id."""
    status, answer = repo.sandbox.call("PATCH", path, body, token=f"phx_{by}")
    assert status == 409, answer
    id_ = answer["change_request_id"]
    edit(repo, f"/api/projects/1/change_requests/{id_}/approve/", {}, approver, "POST")
    return id_


def organization(repo):
    answer = repo.sandbox.call("GET", "/api/organizations/", token="phx_alice")[1]
    return f"/api/organizations/{answer['results'][0]['id']}/"


def drift(repo, *options, **extra):
    done = repo.run("drift", "--format", "json", *options, **extra)
    assert done.code in {0, 2}, done.err + done.out
    return done


def fields(done):
    return {
        f"{change['address'].split('/')[-1]}.{field['path']}": field
        for change in done.json["changes"]
        for field in change["fields"]
    }


def attributions(done):
    return {name: field["attribution"] for name, field in fields(done).items()}


def log_reads(repo):
    return [row for row in repo.sandbox.requests() if "activity_logs" in row["path"]]


@pytest.fixture
def committed(world):
    """(documents, seed) -> a repository whose HEAD declares them."""

    def make(documents, its_seed):
        repo = world(its_seed)
        repo.write("config.yaml", *documents)
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make


def test_a_clean_repository_costs_no_look_into_the_log(committed):
    repo = committed([a()], seed())

    assert (0, []) == (drift(repo).code, log_reads(repo))


def test_a_change_by_hand_has_its_person_time_and_client(committed):
    """Nothing gates a flag's name: unapproved. The keys are those of the interface, no others."""
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol", client="web")

    done = drift(repo)

    found = attributions(done)["a.name"]
    at = dt.datetime.fromisoformat(found.pop("at"))
    assert done.code == 2
    assert abs(at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert found == {
        "person": "carol@acme.test",
        "client": "web",
        "impersonated": False,
        "class": "unapproved",
        "change_request": None,
    }
    assert {"before": "a", "after": "by hand"} == fields(done)["a.name"]["evidence"]["moved"]


def test_what_people_approved_is_named_after_who_asked(committed):
    repo = committed([a()], seed(policies=[acme.policy(ENABLE)]))
    id_ = asked(repo, f"{FLAGS}101/", {"active": True}, by="carol", approver="alice")

    found = attributions(drift(repo))["a.active"]

    assert ("carol@acme.test", "approved", id_) == (
        found["person"],
        found["class"],
        found["change_request"],
    )


def test_who_is_let_through_by_a_policy_is_told_from_who_never_met_one(committed):
    """Alice is an owner, whom the policy lets by; what it does not cover needs no gate."""
    policy = acme.policy(
        UPDATE,
        conditions={
            "type": "change_amount",
            "field": "rollout_percentage",
            "operator": ">",
            "value": 20,
        },
        bypass_org_membership_levels=[15],
    )
    flags = [acme.live_flag("a", 10, id=101), acme.live_flag("b", 10, id=102)]
    documents = [a(), acme.flag("b", 10, active=False)]
    repo = committed(documents, seed(*flags, policies=[policy]))
    wide = {"filters": {"groups": [{"properties": [], "rollout_percentage": 90}]}}
    narrow = {"filters": {"groups": [{"properties": [], "rollout_percentage": 15}]}}
    edit(repo, f"{FLAGS}101/", wide, "alice")
    edit(repo, f"{FLAGS}102/", narrow, "bob")

    done = drift(repo)

    path = "filters.groups[0].rollout_percentage"
    told = {name: (one["person"], one["class"]) for name, one in attributions(done).items()}
    assert told == {
        f"a.{path}": ("alice@acme.test", "bypass"),
        f"b.{path}": ("bob@acme.test", "unapproved"),
    }
    policy = "ApprovalPolicy/acme/Web/feature_flag.update"
    assert policy == fields(done)[f"a.{path}"]["evidence"]["policy"]


def test_each_field_is_named_after_who_moved_it_last(committed):
    """Two people edit one flag; a later edit of another field does not take the blame."""
    repo = committed([a(name="a", tags=[])], seed())
    edit(repo, f"{FLAGS}101/", {"name": "first"}, "bob")
    edit(repo, f"{FLAGS}101/", {"name": "second"}, "carol")
    edit(repo, f"{FLAGS}101/", {"tags": ["hot"]}, "bob")
    edit(repo, f"{FLAGS}101/", {"evaluation_runtime": "server"}, "alice")

    told = {name: one["person"] for name, one in attributions(drift(repo)).items()}

    assert told == {"a.name": "carol@acme.test", "a.tags": "bob@acme.test"}


def test_inside_of_filters_only_who_moved_this_very_part_counts(committed):
    """The log has filters as a whole; alice moved the rollout, bob only a payload after her."""
    repo = committed([a()], seed())
    groups = [{"properties": [], "rollout_percentage": 60}]
    edit(repo, f"{FLAGS}101/", {"filters": {"groups": groups}}, "alice")
    edit(repo, f"{FLAGS}101/", {"filters": {"groups": groups, "payloads": {"true": "1"}}}, "bob")

    found = attributions(drift(repo))

    assert {"a.filters.groups[0].rollout_percentage": "alice@acme.test"} == {
        name: one["person"] for name, one in found.items()
    }


def test_what_was_deleted_and_what_came_back_have_a_name_too(committed):
    flags = [acme.live_flag("a", id=101)]
    gone = {**a(), "metadata": {"organization": "acme", "project": "Web", "key": "back"}}
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    repo = committed([a(), gone], seed(*flags))
    edit(repo, f"{FLAGS}101/", {"deleted": True}, "bob")
    groups = [{"properties": [], "rollout_percentage": 5}]
    edit(repo, FLAGS, {"key": "back", "filters": {"groups": groups}}, "carol", "POST")

    done = drift(repo)

    rows = {row["address"].split("/")[-1]: row for row in done.json["changes"]}
    told = {
        name: (row["action"], row["attribution"]["person"], row["evidence"]["deed"])
        for name, row in rows.items()
    }
    assert done.code == 2
    assert told == {
        "a": ("create", "bob@acme.test", "deleted"),
        "back": ("delete", "carol@acme.test", "created"),
    }
    assert {"bob@acme.test"} == {one["person"] for one in attributions(done).values()}


def test_people_and_settings_are_named_as_far_as_the_log_goes(committed):
    """Members and the organization are in the log; who holds a role, and policies, never are."""
    documents = [
        acme.document("Organization", {"enforce_2fa": False}),
        acme.document("Member", {"level": "member"}, email="bob@acme.test"),
        acme.document("Role", {"members": []}, name="Managers"),
        acme.document("ApprovalPolicy", {"enabled": True}, project="Web", action=ENABLE),
    ]
    roles = [{"name": "Managers", "members": []}]
    settings = {"enforce_2fa": False}
    repo = committed(
        documents, seed(policies=[acme.policy(ENABLE)], roles=roles, settings=settings)
    )
    root = organization(repo)
    people = repo.sandbox.call("GET", f"{root}members/", token="phx_alice")[1]["results"]
    bob = next(one["user"]["uuid"] for one in people if one["user"]["email"] == "bob@acme.test")
    role = repo.sandbox.call("GET", f"{root}roles/", token="phx_alice")[1]["results"][0]["id"]
    policies = "/api/projects/1/approval_policies/"
    policy = repo.sandbox.call("GET", policies, token="phx_alice")[1]["results"][0]["id"]
    edit(repo, root, {"enforce_2fa": True}, "alice")
    edit(repo, f"{root}members/{bob}/", {"level": 8}, "alice")
    edit(repo, f"{root}roles/{role}/role_memberships/", {"user_uuid": bob}, "carol", "POST")
    edit(repo, f"{policies}{policy}/", {"enabled": False}, "carol")

    done = drift(repo)

    told = {name: (one["person"], one["class"]) for name, one in attributions(done).items()}
    notes = {name: field["evidence"]["note"] for name, field in fields(done).items()}
    assert told == {
        "acme.enforce_2fa": ("alice@acme.test", "unapproved"),
        "bob@acme.test.level": ("alice@acme.test", "unapproved"),
        "Managers.members": (None, "unknown"),
        f"{ENABLE}.enabled": (None, "unknown"),
    }
    assert "no entries for approval policies; it was last written on" in notes[f"{ENABLE}.enabled"]
    assert "does not show members of a Role" in notes["Managers.members"]


def test_the_log_is_asked_once_for_many_objects(committed):
    """One listing an organization for whatever has drifted, one more for what is gone by name."""
    flags = [acme.live_flag(f"f{n}", id=200 + n) for n in range(12)]
    documents = [acme.flag(f"f{n}", 10, name=f"f{n}") for n in range(12)]
    repo = committed(documents, seed(*flags))
    for n in range(10):
        edit(repo, f"{FLAGS}{200 + n}/", {"name": "x"}, "carol")
    edit(repo, f"{FLAGS}210/", {"deleted": True}, "carol")
    edit(repo, f"{FLAGS}211/", {"deleted": True}, "bob")
    repo.sandbox.clear()

    found = attributions(drift(repo))

    assert {"carol@acme.test", "bob@acme.test"} == {one["person"] for one in found.values()}
    assert len(log_reads(repo)) == 2
    assert [] == repo.sandbox.writes()


def entry(minutes, field, before, after, **more):
    """An update of the flag 101 by bob, as the log has it."""
    return {
        "user": "bob@acme.test",
        "scope": "FeatureFlag",
        "activity": "updated",
        "item_id": "101",
        "team_id": 1,
        "created_at": f"2026-01-02T{minutes // 60:02}:{minutes % 60:02}:00Z",
        "detail": {"name": "a", "changes": [{"field": field, "before": before, "after": after}]},
        **more,
    }


def test_pages_of_the_log_are_followed_and_no_further_than_needed(committed):
    """The name was changed before 450 other edits of the flag: three pages of two hundred."""
    entries = [entry(n, "tags", [str(n - 1)], [str(n)]) for n in range(450)]
    entries[0] = entry(0, "name", "a", "renamed")
    flag = acme.live_flag("a", id=101, name="renamed", tags=["449"])
    repo = committed([a(name="a")], seed(flag, activity=entries))

    assert "bob@acme.test" == attributions(drift(repo))["a.name"]["person"]
    assert len(log_reads(repo)) == 3

    repo.sandbox.clear()
    repo.write("config.yaml", a(tags=[]))
    repo.commit()

    assert "bob@acme.test" == attributions(drift(repo))["a.tags"]["person"]
    assert len(log_reads(repo)) == 1
