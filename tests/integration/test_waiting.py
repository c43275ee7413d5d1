"""`--wait`: people decide while the run waits, and it goes on with what they let through.

Time is virtual: a minute of waiting takes no time, and votes come when the clock says so.
"""

import pytest

from reconciler.plan.guardrails.checks import GuardrailLimits
from tests import acme
from tests.factories import gated
from tests.integration.running import Time, apply, created, sent, spoil
from tests.integration.test_concurrent_edits import by, edit, live
from tests.integration.test_past_requests import REQUESTS, requests, vote

BOTH = ("feature_flag.enable", "feature_flag.update")


def approve_all(repo, who="alice"):
    for one in requests(repo):
        if one["state"] == "pending":
            repo.sandbox.call("POST", f"{REQUESTS}{one['id']}/approve/", {}, token=f"phx_{who}")


def deciding(repo, *moments, call=approve_all):
    """A clock by which somebody decides at these seconds."""
    time = Time()
    for moment in moments:
        time.at(moment, lambda: call(repo))
    return time


def test_what_is_approved_in_time_is_done_in_the_same_run(world):
    """0, not 3; and the next run has nothing to do."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))

    ran = apply(repo, wait_s=1800, time=deciding(repo, 600))

    assert (0, "done", 1) == (ran.code, ran.rows["a"].result, ran.rows["a"].attempts)
    assert ["waiting", "done"] == [str(one.result) for one in ran.said]
    assert 600 <= ran.time.now - 1000 <= 640
    assert not apply(repo).made.writes


def test_a_chain_goes_on_from_approval_to_approval(world):
    """Born inactive, rolled out, enabled: each step waits for its own yes, all in one run."""
    repo = world(gated(policies=BOTH))
    repo.write("all.yaml", acme.flag("a", 30, active=True))

    ran = apply(repo, wait_s=3600, time=deciding(repo, 100, 700))

    assert (0, "done") == (ran.code, ran.rows["a"].result), ran.outcomes
    assert ["feature_flag.update", "feature_flag.enable"] == [
        r["action_key"] for r in requests(repo)
    ]
    assert (True, 30) == (
        live(repo, "a")["active"],
        live(repo, "a")["filters"]["groups"][0]["rollout_percentage"],
    )
    assert not apply(repo).made.writes


def test_a_chain_on_a_flag_that_is_there_goes_on_too(world):
    """The name at once, the rollout when approved, then the switch."""
    repo = world(gated(acme.live_flag("a", 10), policies=BOTH))
    repo.write("all.yaml", acme.flag("a", 60, active=True, name="New"))

    ran = apply(repo, wait_s=3600, time=deciding(repo, 50, 300))

    assert (0, "done", 3) == (ran.code, ran.rows["a"].result, ran.rows["a"].attempts)
    assert 2 == created(repo, "ChangeRequest")


def test_time_that_is_up_is_3_and_the_request_stays(world):
    """What was approved is done; what was not waits, and says for whom."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("all.yaml", acme.flag("a", active=True), acme.flag("b", active=True))

    def approve_one(repo):
        vote(
            repo,
            "bob",
            "approve",
            next(r["id"] for r in requests(repo) if r["intent"]["flag_key"] == "b"),
        )

    ran = apply(repo, wait_s=900, time=deciding(repo, 60, call=approve_one))

    assert (3, {"a": "waiting", "b": "done"}) == (ran.code, ran.results())
    assert ("alice@acme.test", "bob@acme.test") == ran.rows["a"].awaits.approvers.users
    assert 900 <= ran.time.now - 1000 <= 931
    assert ["pending", "applied"] == sorted((r["state"] for r in requests(repo)), reverse=True)


def test_a_vote_that_is_not_enough_is_counted_while_the_run_waits(world):
    """Who has voted is not asked any more: on the board, and in the account at the end."""
    seed = gated(acme.live_flag("a"))
    config = seed["organizations"][0]["projects"][0]["approval_policies"][0]["approver_config"]
    config["quorum"] = 2
    repo = world(seed)
    repo.write("all.yaml", acme.flag("a", active=True))

    ran = apply(repo, wait_s=900, time=deciding(repo, 60))

    awaits = ran.rows["a"].awaits
    assert (3, ("alice@acme.test",)) == (ran.code, awaits.approved_by)
    assert ("bob@acme.test",) == awaits.approvers.users


@pytest.mark.parametrize(
    ("how", "code", "result", "words"),
    [
        ("reject", 4, "refused", "rejected by bob@acme.test"),
        ("cancel", 4, "refused", "cancelled by ci@acme.test"),
        ("expire", 1, "failed", "has expired"),
        ("fail", 1, "failed", "could not apply it"),
    ],
)
def test_every_other_end_is_said(world, how, code, result, words):
    """Nobody is asked again in this run; the exit code is that of the end."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))

    def decide(repo):
        id_ = requests(repo)[0]["id"]
        match how:
            case "reject":
                vote(repo, "bob", "reject", id_, reason="not on a Friday")
            case "cancel":
                vote(repo, "ci", "cancel", id_)
            case "expire":
                repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "15d"})
                repo.sandbox.call("POST", "/_sandbox/tasks", {"run": "expire_change_requests"})
            case "fail":
                edit(repo, "a", name="Moved")
                vote(repo, "bob", "approve", id_)

    ran = apply(repo, wait_s=1800, time=deciding(repo, 30, call=decide))

    row = ran.rows["a"]
    assert (code, result) == (ran.code, row.result)
    assert words in row.problem.what
    assert ran.time.now - 1000 < 100, "not to the end of the wait"
    assert 1 == created(repo, "ChangeRequest")
    if how == "reject":
        assert "not on a Friday" in row.problem.why


def test_what_depends_on_an_approval_goes_on_with_it(world):
    """A policy's delete waits for the flags that it covers, and is sent once they are through."""
    repo = world(
        gated(acme.live_flag("a"), policies=("feature_flag.enable", "feature_flag.disable"))
    )
    document = acme.document(
        "ApprovalPolicy",
        {"approvers": {"quorum": 1}},
        project="Web",
        action="feature_flag.disable",
    )
    document["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("all.yaml", acme.flag("a", active=True), document)
    limits = GuardrailLimits(allow_weakening=True)
    waits = apply(repo, limits=limits)
    assert {"a": "waiting", "feature_flag.disable": "skipped"} == waits.results()

    ran = apply(repo, limits=limits, wait_s=900, time=deciding(repo, 60))

    assert {"a": "done", "feature_flag.disable": "done"} == ran.results(), ran.outcomes


def test_a_flag_that_another_person_holds_is_written_once_it_is_free(world):
    """Their proposal is decided, whichever way; ours follows in the same run."""
    repo = world(gated(acme.live_flag("a", 10), policies=("feature_flag.update",)))
    flag = by(repo, "carol", "GET", "/api/projects/1/feature_flags/")["results"][0]["id"]
    body = {"filters": {"groups": [{"properties": [], "rollout_percentage": 99}]}}
    path = f"/api/projects/1/feature_flags/{flag}/"
    assert 409 == repo.sandbox.call("PATCH", path, body, token="phx_carol")[0]
    repo.write("all.yaml", acme.flag("a", 50))
    time = Time()
    time.at(20, lambda: vote(repo, "bob", "reject", requests(repo)[0]["id"]))
    time.at(200, lambda: approve_all(repo))

    ran = apply(repo, wait_s=900, time=time)

    assert (0, "done") == (ran.code, ran.rows["a"].result), ran.outcomes
    assert 50 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]


def test_a_flag_that_moved_while_it_waited_is_not_written_over(world):
    """Approved in two steps, and somebody changed the second field meanwhile: refused, and said."""
    repo = world(gated(acme.live_flag("a", 10), policies=("feature_flag.update",)))
    repo.write("all.yaml", acme.flag("a", 60, active=True))
    time = deciding(repo, 50)
    spoil(
        repo,
        {
            "match": {"method": "POST", "route": "change_requests.approve"},
            "point": "after",
            "effect": {
                "edit": {
                    "as": "alice@acme.test",
                    "flag": "a",
                    "set": {"tags": ["theirs"], "name": "Theirs"},
                }
            },
        },
    )
    repo.write("all.yaml", acme.flag("a", 60, active=True, tags=["mine"]))

    ran = apply(repo, wait_s=900, time=time)

    row = ran.rows["a"]
    assert (4, "refused") == (ran.code, row.result), ran.outcomes
    assert "changed while its change request waited" in row.problem.what
    assert ["theirs"] == live(repo, "a")["tags"]


def test_waiting_costs_one_listing_a_project_a_round_and_ever_fewer_rounds(world):
    """Twenty requests, half an hour: the rate limit is left to others."""
    keys = [f"f{n}" for n in range(20)]
    repo = world(gated(*(acme.live_flag(key) for key in keys)))
    repo.write("all.yaml", *(acme.flag(key, active=True) for key in keys))

    ran = apply(repo, wait_s=1800)

    reads = [r for r in sent(repo, "GET", "change_requests") if "resource_id" not in r["query"]]
    assert {"waiting"} == set(ran.results().values())
    assert len(reads) < 1800 / 30 + 15


def test_a_round_that_fails_does_not_end_the_wait(world):
    """PostHog restarts in between: that is no news."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))
    spoil(repo, "GET:change_requests.list:3-20:before:status(503)")

    ran = apply(repo, wait_s=1800, time=deciding(repo, 600))

    assert (0, "done") == (ran.code, ran.rows["a"].result)


def test_a_key_that_is_revoked_while_it_waits_ends_it(world):
    """It still waits, as far as anybody knows; a dead key asks no more."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))
    spoil(
        repo,
        {
            "match": {"method": "GET", "route": "change_requests.list", "hit": 4},
            "point": "before",
            "effect": "revoke_key",
        },
    )

    ran = apply(repo, wait_s=1800)

    assert (3, "waiting") == (ran.code, ran.rows["a"].result)
    assert ran.time.now - 1000 < 60


def test_a_stale_read_after_an_approval_is_not_taken_for_a_failure(world):
    """A replica that lags behind does not show yet what was applied."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", active=True))
    spoil(
        repo,
        {
            "match": {"method": "GET", "route": "feature_flags.retrieve", "hit": "1-2"},
            "effect": {"stale": {"writes": 1}},
        },
    )

    ran = apply(repo, wait_s=1800, time=deciding(repo, 60))

    assert (0, "done") == (ran.code, ran.rows["a"].result), ran.outcomes
    assert 1 == created(repo, "ChangeRequest")
