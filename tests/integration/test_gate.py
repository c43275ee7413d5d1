"""The gate in fact, against its forecast: what should wait and does not is an incident."""

from itertools import pairwise

import pytest

from tests import acme
from tests.factories import gated
from tests.integration.running import apply, created, sent, spoil
from tests.integration.test_concurrent_edits import by, live


def policy_id(repo, number=0):
    return by(repo, "alice", "GET", "/api/projects/1/approval_policies/")["results"][number]["id"]


def disable_policy(repo):
    path = f"/api/projects/1/approval_policies/{policy_id(repo)}/"
    by(repo, "alice", "PATCH", path, {"enabled": False})


def test_a_gate_that_does_not_hold_stops_every_other_gated_write(world):
    """One flag is live without approval: said first, exit 1, and no other one follows it."""
    keys = [f"f{n}" for n in range(8)]
    repo = world(gated(*(acme.live_flag(key) for key in keys), acme.live_flag("free", 10)))
    repo.write("all.yaml", *(acme.flag(key, active=True) for key in keys), acme.flag("free", 20))

    ran = apply(repo, between=lambda: disable_policy(repo), workers=8)

    results = ran.results()
    assert 1 == ran.code
    assert "done" == results.pop("free")
    assert ["done"] + ["refused"] * 7 == sorted(results.values())
    assert 1 == sum(live(repo, key)["active"] for key in keys)
    missed = next(row for row in ran.outcomes if row.detail == "gate_missed")
    assert "no further gated write" in missed.problem.state


def test_an_incident_is_the_first_thing_that_is_said(world):
    """On the terminal it stands above everything else, and the exit code is 1."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b", 10)))
    repo.write("all.yaml", acme.flag("a", active=True), acme.flag("b", 20))
    off = {"policy": "feature_flag.enable", "set": {"enabled": False}}
    edit = {"edit": {"as": "alice@acme.test", **off}}
    match = {"method": "PATCH", "route": "feature_flags.update", "hit": "1-2"}
    spoil(repo, {"match": match, "point": "before", "effect": edit})

    done = repo.run("--color", "never", "apply", "--yes")

    summary = done.out[done.out.index("INCIDENT") - 2 :]
    assert 1 == done.code
    assert summary.startswith("‼ INCIDENT: the gate did not hold")
    assert "FeatureFlag/acme/Web/a" in summary.splitlines()[1]
    assert "Apply: 2 done" in summary


@pytest.mark.parametrize("reason", ["feature", "bypass"])
def test_whatever_lets_it_through_it_is_the_same_incident(world, reason):
    """A bypass role given meanwhile, a plan that lost the feature: 200 is 200."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))

    def between():
        if reason == "bypass":
            path = f"/api/projects/1/approval_policies/{policy_id(repo)}/"
            by(repo, "alice", "PATCH", path, {"bypass_org_membership_levels": [8]})
        else:
            by(repo, "alice", "DELETE", f"/api/projects/1/approval_policies/{policy_id(repo)}/")

    ran = apply(repo, between=between)

    assert (1, "done", "gate_missed") == (ran.code, ran.rows["a"].result, ran.rows["a"].detail)


def test_what_another_person_has_enabled_meanwhile_is_no_incident(world):
    """The gate had nothing to hold: somebody who may bypass was quicker."""
    repo = world(gated(acme.live_flag("a")))
    path = f"/api/projects/1/approval_policies/{policy_id(repo)}/"
    by(repo, "alice", "PATCH", path, {"bypass_org_membership_levels": [15]})
    repo.write("all.yaml", acme.flag("a", active=True))
    flag = by(repo, "alice", "GET", "/api/projects/1/feature_flags/")["results"][0]["id"]
    body = {"active": True}

    ran = apply(
        repo,
        between=lambda: by(repo, "alice", "PATCH", f"/api/projects/1/feature_flags/{flag}/", body),
    )

    assert (0, None) == (ran.code, ran.rows["a"].detail), ran.outcomes


def test_a_gate_that_nobody_foresaw_is_fine_and_said(world):
    """409 though none was forecast: it waits, with who decides, and the forecast was wrong."""
    repo = world(gated(acme.live_flag("a"), policies=()))
    repo.write("all.yaml", acme.flag("a", active=True))
    body = {
        "action_key": "feature_flag.enable",
        "approver_config": {"quorum": 1, "users": [11], "roles": []},
    }

    ran = apply(
        repo, between=lambda: by(repo, "alice", "POST", "/api/projects/1/approval_policies/", body)
    )

    row = ran.rows["a"]
    assert (3, "waiting", "gate_unforeseen") == (ran.code, row.result, row.detail)
    assert "forecast was wrong" in row.note
    assert (1, ("alice@acme.test",)) == (row.awaits.quorum, row.awaits.approvers.users)


def test_the_first_write_under_a_policy_goes_alone(world):
    """Until one was held back, no second one is in flight: an incident is one flag wide."""
    keys = [f"f{n}" for n in range(6)]
    repo = world(gated(*(acme.live_flag(key) for key in keys)))
    repo.write("all.yaml", *(acme.flag(key, active=True) for key in keys))
    spoil(repo, "PATCH:feature_flags.update:1:after:hang(1)")

    ran = apply(repo, workers=6)

    patches = [row["n"] for row in sent(repo, "PATCH", "feature_flags/")]
    looked = [row["n"] for row in sent(repo, "GET", "change_requests")]
    assert ({"waiting"}, 3) == (set(ran.results().values()), ran.code)
    assert min(n for n in looked if n > patches[0]) < patches[1]
    assert 6 == created(repo, "ChangeRequest")


def test_gated_creates_go_one_at_a_time_in_each_project(world):
    """Each is answered before the next one is sent."""
    keys = [f"f{n}" for n in range(4)]
    repo = world(gated(policies=("feature_flag.update",)))
    repo.write("all.yaml", *(acme.flag(key, 30, active=False) for key in keys))

    ran = apply(repo, workers=4)

    rows = [row for row in repo.sandbox.requests() if row["user"] == "ci@acme.test"]
    posts = [row["n"] for row in rows if row["method"] == "POST"]
    reads = [row["n"] for row in rows if "change_requests" in row["path"]]
    assert {"waiting"} == set(ran.results().values())
    assert all(any(one < n < other for n in reads) for one, other in pairwise(posts))


def test_an_answer_about_another_flags_create_is_no_waiting_of_ours(world):
    """Older servers take one create at a time: the others wait for their turn, unsent (5.4)."""
    repo = world(gated(policies=("feature_flag.update",)))
    theirs = {"key": "theirs", "active": False, "filters": {"groups": [{"rollout_percentage": 5}]}}
    status, body = repo.sandbox.call(
        "POST", "/api/projects/1/feature_flags/", theirs, token="phx_carol"
    )
    assert 409 == status
    repo.write("all.yaml", *(acme.flag(key, 30, active=False) for key in "abc"))
    answer = {**body, "code": "change_request_pending"}
    match = {"method": "POST", "route": "feature_flags.create", "hit": "every"}
    spoil(repo, {"match": match, "effect": {"status": {"code": 409, "body": answer}}})

    ran = apply(repo)

    assert ({"waiting"}, 3) == (set(ran.results().values()), ran.code)
    assert {"turn"} == {row.detail for row in ran.outcomes}
    assert {"'theirs'"} == {row.problem.why.split()[-1] for row in ran.outcomes}
    assert 1 == len([r for r in sent(repo, "POST", "feature_flags") if r["user"] == "ci@acme.test"])
    assert 1 == created(repo, "ChangeRequest")


def test_a_request_that_does_not_exist_is_no_waiting(world):
    """409 with an id that was rolled back: failed, not waiting for nothing."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))
    spoil(repo, "PATCH:feature_flags.update:1:before:forget")

    ran = apply(repo)

    assert (1, "failed") == (ran.code, ran.rows["a"].result)
    assert "does not exist" in ran.rows["a"].problem.what


def test_a_request_filed_twice_is_noticed(world):
    """Two runs at a time: the oldest counts, both are named, none is cancelled."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))
    flag = by(repo, "ci", "GET", "/api/projects/1/feature_flags/")["results"][0]["id"]

    def between():
        path = f"/api/projects/1/feature_flags/{flag}/"
        assert 409 == repo.sandbox.call("PATCH", path, {"active": True}, token="phx_ci")[0]
        spoil(repo, "PATCH:feature_flags.update:1:before:race")

    ran = apply(repo, between=between)
    again = apply(repo)

    requests = by(repo, "ci", "GET", "/api/projects/1/change_requests/")["results"]
    oldest = requests[-1]["id"]
    assert 2 == len(requests)
    assert {"pending"} == {one["state"] for one in requests}
    for one in (ran, again):
        assert ("waiting", oldest) == (one.rows["a"].result, one.rows["a"].change_request)
    assert all(one["id"] in ran.rows["a"].note for one in requests)
    assert requests[0]["id"] in again.made.changes[0].gate.note


def test_an_open_request_with_another_wish_is_not_taken_for_ours(world):
    """Filed by the same user since the plan: waiting on its end would wait for the wrong thing."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))
    flag = by(repo, "ci", "GET", "/api/projects/1/feature_flags/")["results"][0]["id"]
    path, other = f"/api/projects/1/feature_flags/{flag}/", {"active": True, "name": "Other"}

    ran = apply(repo, between=lambda: repo.sandbox.call("PATCH", path, other, token="phx_ci"))

    row = ran.rows["a"]
    assert ("waiting", 3) == (row.result, ran.code)
    assert "proposes something else" in row.problem.what
    assert 1 == by(repo, "ci", "GET", "/api/projects/1/change_requests/")["count"]


def test_a_key_that_may_not_read_requests_believes_the_answer(world):
    """It is filed; who decides cannot be read, and it still waits, not fails."""
    seed = gated(acme.live_flag("a"))
    scopes = ["organization:read", "feature_flag:write", "project:read"]
    seed["users"][3]["tokens"] = [{"token": "phx_ci", "scopes": scopes}]
    repo = world(seed)
    repo.write("all.yaml", acme.flag("a", active=True))

    ran = apply(repo)

    assert "waiting" == ran.rows["a"].result
    assert ran.rows["a"].change_request
    assert 1 == created(repo, "ChangeRequest")


def test_a_likely_approval_that_is_not_needed_is_a_note_and_no_incident(world):
    """An older PostHog does not gate targeting, and no answer shows how old it is."""
    update = acme.policy("feature_flag.update")
    projects = [{"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a")]}]
    projects[0]["approval_policies"] = [update]
    repo = world({"profile": "g2", **acme.seed(projects=projects)})
    plan_property = {"key": "plan", "type": "person", "value": ["pro"]}
    groups = [{"properties": [plan_property], "rollout_percentage": 10}]
    repo.write("all.yaml", acme.flag("a", filters={"groups": groups}))

    ran = apply(repo)

    (row,) = ran.outcomes
    (gate,) = (change.gate for change in ran.made.changes)
    assert ("approval", "likely") == (gate.verdict, gate.confidence)
    assert (0, "done", None) == (ran.code, row.result, row.detail)
    assert "written at once" in row.note
    assert groups[0]["properties"] == live(repo, "a")["filters"]["groups"][0]["properties"]
