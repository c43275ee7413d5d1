"""The server is the ledger: what became of a request decides what is done about it.

Nobody is asked twice for the same, nothing of another person is touched, no vote is undone.
"""

import pytest
import yaml

from tests import acme
from tests.factories import gated
from tests.integration.running import apply, created, sent, spoil
from tests.integration.test_concurrent_edits import by, edit, flag_id, group, live
from tests.integration.test_gate import policy_id

REQUESTS = "/api/projects/1/change_requests/"


@pytest.fixture
def office(world, monkeypatch):
    """A repository whose one document wants a flag at 50 that is at 10, under one policy."""

    def make(rollout=50, quorum=1, **more):
        seed = gated(acme.live_flag("a", 10), policies=("feature_flag.update",), **more)
        config = seed["organizations"][0]["projects"][0]["approval_policies"][0]
        config["approver_config"]["quorum"] = quorum
        repo = world(seed)
        repo.write("all.yaml", acme.flag("a", rollout))
        repo.commit("files", GIT_COMMITTER_DATE="2026-01-01T00:00:00Z")
        monkeypatch.chdir(repo.folder)
        return repo

    return make


def requests(repo):
    """All requests, oldest first."""
    return by(repo, "alice", "GET", REQUESTS)["results"][::-1]


def vote(repo, who, verb, id_, reason="because"):
    return by(repo, who, "POST", f"{REQUESTS}{id_}/{verb}/", {"reason": reason})


def propose(repo, who, percentage):
    """Somebody proposes something for the flag, by hand."""
    path = f"/api/projects/1/feature_flags/{flag_id(repo, 'a')}/"
    status, body = repo.sandbox.call(
        "PATCH", path, {"filters": group(percentage)}, token=f"phx_{who}"
    )
    assert 409 == status
    return body["change_request_id"]


def clock(repo, span):
    assert 200 == repo.sandbox.call("POST", "/_sandbox/clock", {"advance": span})[0]


def test_the_same_intent_is_waited_for_and_nothing_is_sent(office):
    """Pending, ours or another's: whoever proposed it, it is what the files want."""
    repo = office()
    id_ = propose(repo, "carol", 50)
    repo.sandbox.clear()

    ran = apply(repo)

    assert (3, id_) == (ran.code, ran.rows["a"].change_request)
    assert [] == repo.sandbox.writes()
    assert ("alice@acme.test", "bob@acme.test") == ran.rows["a"].awaits.approvers.users


def test_an_own_request_for_something_else_makes_way(office):
    """Nobody has voted: it is taken back, and what the files say now is filed; said in a note."""
    repo = office()
    old = propose(repo, "ci", 30)

    ran = apply(repo)

    first, second = requests(repo)
    row = ran.rows["a"]
    assert (3, "waiting", second["id"]) == (ran.code, row.result, row.change_request)
    assert (old, "rejected", "pending") == (first["id"], first["state"], second["state"])
    assert old in row.note
    assert 1 == row.attempts
    assert "apply cancels it" in ran.made.changes[0].gate.note


@pytest.mark.parametrize("why", ["voted", "another person's"])
def test_a_request_for_something_else_that_is_not_ours_alone_stops_us(office, why):
    """One vote, or one other person, and it is theirs to decide: nothing is written, and said."""
    repo = office(quorum=2)
    id_ = propose(repo, "ci" if why == "voted" else "carol", 30)
    if why == "voted":
        vote(repo, "alice", "approve", id_)
    repo.sandbox.clear()

    ran = apply(repo)

    row = ran.rows["a"]
    assert (3, "waiting", id_) == (ran.code, row.result, row.change_request)
    assert "held by an open change request" in row.problem.what
    assert [] == repo.sandbox.writes()
    voted_by = ("alice@acme.test",) if why == "voted" else ()
    assert voted_by == row.awaits.approved_by


def test_an_own_request_that_can_no_longer_be_applied_makes_way(office):
    """The flag moved after it was filed: taken back, planned anew, filed against what is there."""
    repo = office()
    apply(repo)
    edit(repo, "a", name="Another name")
    old = requests(repo)[0]

    ran = apply(repo)

    first, second = requests(repo)
    assert (3, second["id"]) == (ran.code, ran.rows["a"].change_request)
    assert (old["id"], "rejected") == (first["id"], first["state"])
    assert live(repo, "a")["version"] == second["intent"]["preconditions"]["version"]
    assert (
        200
        == repo.sandbox.call("POST", f"{REQUESTS}{second['id']}/approve/", {}, token="phx_alice")[0]
    )
    assert not apply(repo).made.writes


def test_an_own_stale_request_with_a_vote_is_left_to_people(office):
    """A vote is not undone, even one for what can no longer be applied."""
    repo = office(quorum=2)
    apply(repo)
    vote(repo, "alice", "approve", requests(repo)[0]["id"])
    edit(repo, "a", name="Another name")
    repo.sandbox.clear()

    ran = apply(repo)

    assert (3, "waiting") == (ran.code, ran.rows["a"].result)
    assert [] == repo.sandbox.writes()


def test_a_vote_that_comes_while_it_is_being_taken_back_wins(office):
    """PostHog refuses to cancel it then: it stays, nothing is written, and it is said."""
    repo = office(quorum=2)
    id_ = propose(repo, "ci", 30)

    ran = apply(repo, between=lambda: vote(repo, "bob", "approve", id_))

    assert (3, "waiting", id_) == (ran.code, ran.rows["a"].result, ran.rows["a"].change_request)
    assert ["pending"] == [one["state"] for one in requests(repo)]
    assert ("bob@acme.test",) == ran.rows["a"].awaits.approved_by


@pytest.mark.parametrize("effect", ["after:reset", "before:reset", "after:status(500)"])
def test_a_taking_back_whose_answer_is_lost_is_looked_up(office, effect):
    """Either it is taken back and the new one filed, or nothing is written: never both open."""
    repo = office()
    old = propose(repo, "ci", 30)
    spoil(repo, f"POST:change_requests.cancel:1:{effect}")

    ran = apply(repo)
    states = [one["state"] for one in requests(repo)]

    assert (3, "waiting") == (ran.code, ran.rows["a"].result)
    assert ["rejected", "pending"] == states or (
        ["pending"] == states and old == ran.rows["a"].change_request
    )
    spoil(repo)
    again = apply(repo)
    assert ["rejected", "pending"] == [one["state"] for one in requests(repo)]
    assert requests(repo)[-1]["id"] == again.rows["a"].change_request


def test_what_was_rejected_is_not_filed_again_until_the_document_moves(office):
    """Nobody is nagged: 4, with who said no and why; a commit of the document asks anew."""
    repo = office()
    apply(repo)
    vote(repo, "bob", "reject", requests(repo)[0]["id"], reason="not before the holidays")

    for _ in range(3):
        ran = apply(repo)
        assert (4, "refused") == (ran.code, ran.rows["a"].result)
        assert "bob@acme.test rejected it: not before the holidays" in ran.rows["a"].problem.why
    assert 1 == created(repo, "ChangeRequest")

    files = repo.folder / "all.yaml"
    files.write_text(files.read_text() + "# asked again, see the ticket\n")
    repo.commit("ask again", GIT_COMMITTER_DATE="2027-01-01T00:00:00Z")
    assert (3, "waiting") == ((ran := apply(repo)).code, ran.rows["a"].result)
    assert 2 == created(repo, "ChangeRequest")


def test_a_commit_of_another_document_of_the_file_asks_nobody_again(office):
    """The document counts, not its file: who keeps all flags in one file nags nobody."""
    repo = office()
    apply(repo)
    vote(repo, "bob", "reject", requests(repo)[0]["id"])
    files = repo.folder / "all.yaml"
    asked = files.read_text()
    files.write_text(
        "# ours\n---\n" + asked + "---\n" + yaml.safe_dump(acme.flag("b", active=False))
    )
    repo.commit("another flag", GIT_COMMITTER_DATE="2027-01-01T00:00:00Z")

    assert "refused" == apply(repo).rows["a"].result

    files.write_text(files.read_text().replace("rollout_percentage: 50", "rollout_percentage: 50 "))
    repo.commit("ask again", GIT_COMMITTER_DATE="2027-01-02T00:00:00Z")
    assert "waiting" == apply(repo).rows["a"].result


def test_what_was_taken_back_by_its_own_requester_may_be_filed_again(office):
    """It is stored as a rejection, and is none (7.3)."""
    repo = office()
    apply(repo)
    vote(repo, "ci", "cancel", requests(repo)[0]["id"])

    ran = apply(repo)

    assert (3, "waiting") == (ran.code, ran.rows["a"].result)
    assert 2 == created(repo, "ChangeRequest")


@pytest.mark.parametrize("time", [None, "yesterday", "2026-01-05T09:00:00"])
def test_a_rejection_whose_time_cannot_be_read_stands(office, time):
    """Nobody knows that the document moved later; a time without a zone is UTC."""
    repo = office()
    apply(repo)
    vote(repo, "bob", "reject", requests(repo)[0]["id"])
    odd = {"results.*.approvals.*.created_at": time, "results.*.updated_at": time}
    match = {"method": "GET", "route": "change_requests.list"}
    spoil(repo, {"match": match, "effect": {"mutate": {"set": odd}}})

    ran = apply(repo)

    assert (4, "refused") == (ran.code, ran.rows["a"].result)
    assert 1 == created(repo, "ChangeRequest")


def test_what_expired_is_filed_once_more_and_then_not_again(office):
    """Fourteen days of hourly runs: one request, then one more that says so, then silence."""
    repo = office()
    seen = []
    for _ in range(6):
        ran = apply(repo)
        seen.append((ran.code, str(ran.rows["a"].result), created(repo, "ChangeRequest")))
        if len(seen) == 2:
            assert "expired" in ran.made.changes[0].gate.note or len(requests(repo)) == 1
        if len(seen) == 3:
            assert ran.rows["a"].note.startswith("filed once more: change request ")
        clock(repo, "8d")
        repo.sandbox.call("POST", "/_sandbox/tasks", {"run": "expire_change_requests"})

    assert [
        (3, "waiting", 1),
        (3, "waiting", 1),
        (3, "waiting", 2),
        (3, "waiting", 2),
        (4, "refused", 2),
        (4, "refused", 2),
    ] == seen
    assert "expired" in ran.rows["a"].problem.why
    assert "requested twice" in ran.made.changes[0].gate.note  # nobody has rejected it


def test_what_failed_is_tried_once_more_with_the_reason_shown(office):
    """Approved, and PostHog could not apply it: once more as long as nothing else moved."""
    repo = office()

    def fail():
        ran = apply(repo)
        edit(repo, "a", name=f"Name {len(requests(repo))}")
        vote(repo, "alice", "approve", requests(repo)[-1]["id"])
        return ran

    assert 3 == fail().code
    assert "failed" == requests(repo)[0]["state"]
    second = apply(repo)
    assert "Flag version mismatch" in second.made.changes[0].gate.note
    assert 2 == created(repo, "ChangeRequest")
    fail()
    third = apply(repo)

    assert (4, "refused") == (third.code, third.rows["a"].result)
    assert "Flag version mismatch" in third.rows["a"].problem.why
    assert 2 == created(repo, "ChangeRequest")


def test_a_state_that_is_not_known_is_waited_for_and_said(office):
    """A newer server: never filed again, never taken for applied."""
    repo = office()
    propose(repo, "ci", 50)
    match = {"route": "change_requests.list", "hit": "every"}
    spoil(
        repo,
        {"match": match, "effect": {"mutate": {"set": {"results.*.state": "frozen"}}}},
    )

    ran = apply(repo)

    assert (3, "waiting") == (ran.code, ran.rows["a"].result)
    assert "'frozen' is unknown" in ran.made.changes[0].gate.note
    assert 1 == created(repo, "ChangeRequest")
    assert [] == [r for r in repo.sandbox.writes() if r["status"] != 409]


def test_what_was_applied_is_looked_at_not_believed(office):
    """Approved and live: nothing to do. Approved and changed since: planned anew, as drift."""
    repo = office()
    apply(repo)
    vote(repo, "alice", "approve", requests(repo)[0]["id"])

    assert not apply(repo).made.writes

    path = f"/api/projects/1/approval_policies/{policy_id(repo)}/"
    by(repo, "alice", "PATCH", path, {"bypass_org_membership_levels": [8]})
    edit(repo, "a", filters=group(20))
    again = apply(repo)
    assert 1 == len(again.made.writes)


def test_an_hourly_run_sends_nothing_while_people_think(office):
    """Two weeks: one request, and not one write after it."""
    repo = office()
    apply(repo)
    repo.sandbox.clear()

    for _ in range(13 * 24 // 6):
        assert 3 == apply(repo).code
        clock(repo, "6h")

    assert [] == repo.sandbox.writes()
    assert 1 == created(repo, "ChangeRequest")
    assert [] == sent(repo, "POST", "change_requests")
