"""A targeting edit that meets a newer version: PostHog refuses to file it (contract 5.9).

Somebody else writes between our read and our write: read again, plan again, write again.
"""

import pytest

from tests import acme
from tests.factories import gated
from tests.integration.running import apply, created, sent, spoil
from tests.integration.test_concurrent_edits import by, group, live

PLAN = {"key": "plan", "type": "person", "value": ["pro"]}
UPDATE, ENABLE = "feature_flag.update", "feature_flag.enable"


def edits(*bodies):
    """Faults: carol writes to the flag just before each of our first writes."""
    return [
        {
            "match": {"method": "PATCH", "route": "feature_flags.update", "hit": hit},
            "point": "before",
            "effect": {"edit": {"as": "carol@acme.test", "project": 1, "flag": "a", "set": body}},
        }
        for hit, body in enumerate(bodies, 1)
    ]


def targeting(percentage=10):
    return {"groups": [{"properties": [PLAN], "rollout_percentage": percentage}]}


@pytest.fixture
def repo(world):
    """A flag whose targeting is to change, which waits for approval."""
    levels = {"bypass_org_membership_levels": []}
    repo = world({"profile": "g3", **gated(acme.live_flag("a"), policies=(UPDATE,), rule=levels)})
    repo.write("all.yaml", acme.flag("a", filters=targeting()))
    return repo


def requests(repo):
    return by(repo, "alice", "GET", "/api/projects/1/change_requests/")["results"]


def test_what_is_refused_as_stale_is_filed_for_the_flag_as_it_is(repo):
    """One request, based on the version that carol left; approved, it can be applied."""
    spoil(repo, *edits({"name": "By carol"}))

    ran = apply(repo)

    row = ran.rows["a"]
    assert (3, "waiting", 2) == (ran.code, row.result, row.attempts), row
    assert [409, 409] == [answer["status"] for answer in sent(repo, "PATCH", "feature_flags")]
    (request,) = requests(repo)
    assert (row.change_request, 1) == (request["id"], created(repo, "ChangeRequest"))
    assert live(repo, "a")["version"] == request["intent"]["preconditions"]["version"]
    by(repo, "alice", "POST", f"/api/projects/1/change_requests/{request['id']}/approve/", {})
    now = live(repo, "a")
    assert ("By carol", [PLAN]) == (now["name"], now["filters"]["groups"][0]["properties"])
    assert not apply(repo).made.writes


def test_an_edit_of_the_same_targeting_needs_another_look(world, repo):
    """Nothing is filed, nothing is written, and the plan is refused with both values."""
    seed = gated(
        acme.live_flag("a"), policies=(UPDATE,), rule={"bypass_org_membership_levels": [8]}
    )
    repo = world({"profile": "g3", **seed})
    repo.write("all.yaml", acme.flag("a", filters=targeting(50)))
    spoil(repo, *edits({"filters": group(30)}))

    ran = apply(repo)

    assert ("refused", 4) == (ran.rows["a"].result, ran.code)
    assert 0 == created(repo, "ChangeRequest")
    (condition_set,) = live(repo, "a")["filters"]["groups"]
    assert ([], 30) == (condition_set["properties"], condition_set["rollout_percentage"])


def test_a_flag_that_keeps_changing_is_left_alone(repo):
    """Planned again once; nothing is filed."""
    spoil(repo, *edits({"name": "1"}, {"name": "2"}))

    ran = apply(repo)

    assert ("refused", 4, 2) == (ran.rows["a"].result, ran.code, ran.rows["a"].attempts)
    assert 0 == created(repo, "ChangeRequest")


def test_a_flag_that_somebody_deleted_is_refused(repo):
    """The read after the conflict finds nothing."""
    spoil(repo, *edits({"deleted": True}))

    ran = apply(repo)

    assert ("refused", 4) == (ran.rows["a"].result, ran.code)
    assert "is gone" in ran.rows["a"].problem.what
    assert 0 == created(repo, "ChangeRequest")


def test_fields_that_need_no_approval_are_written_once(repo):
    """The name goes first and stays; only the targeting is sent a second time."""
    repo.write("all.yaml", acme.flag("a", filters=targeting(), name="Ours"))
    spoil(repo, *edits({"tags": ["x"]}, {"tags": ["y"]}))

    ran = apply(repo)

    assert (3, "waiting") == (ran.code, ran.rows["a"].result), ran.rows["a"]
    assert ("name",) == ran.rows["a"].written
    assert ("Ours", ["y"]) == (live(repo, "a")["name"], live(repo, "a")["tags"])
    assert 1 == created(repo, "ChangeRequest")
    assert ran.rows["a"].awaits.unappliable is None, "it is based on what our own call has left"


def test_a_replaced_request_makes_way_once(repo):
    """Our own older request is cancelled, and the new one is filed after the conflict."""
    old = {"filters": group(30)}
    flag = by(repo, "ci", "GET", "/api/projects/1/feature_flags/")["results"][0]["id"]
    path = f"/api/projects/1/feature_flags/{flag}/"
    assert 409 == repo.sandbox.call("PATCH", path, old, token="phx_ci")[0]
    spoil(repo, *edits({"name": "By carol"}))

    ran = apply(repo)

    assert (3, "waiting") == (ran.code, ran.rows["a"].result), ran.rows["a"]
    assert ["pending", "rejected"] == [request["state"] for request in requests(repo)]


@pytest.mark.parametrize("action", [UPDATE, ENABLE])
def test_an_edit_that_bypasses_the_gate_meets_the_usual_check(world, action):
    """PostHog compares versions of a user who bypasses, too: no edit is overwritten."""
    rule = {"bypass_org_membership_levels": [8]}
    repo = world({"profile": "g3", **gated(acme.live_flag("a"), policies=(action,), rule=rule)})
    repo.write("all.yaml", acme.flag("a", filters=targeting(), active=True))
    spoil(repo, *edits({"name": "By carol"}))

    ran = apply(repo)

    now = live(repo, "a")
    assert (0, "done") == (ran.code, ran.rows["a"].result), ran.rows["a"]
    assert ("By carol", True) == (now["name"], now["active"])
    assert [PLAN] == now["filters"]["groups"][0]["properties"]
