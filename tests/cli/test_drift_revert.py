"""`drift --revert`: what was changed by hand is written back, past no gate and no guardrail."""

import pytest

from tests import acme
from tests.cli.test_drift import ENABLE, FLAGS, SETTINGS, a, asked, drift, edit, seed


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


def revert(repo, *options, **extra):
    return repo.run("drift", "--revert", "--yes", "--format", "json", *options, **extra)


def outcomes(done):
    rows = {row["address"].split("/")[-1]: row["outcome"] for row in done.json["results"]}
    return {name: outcome for name, outcome in rows.items() if outcome != "unchanged"}


def flag(repo, id_=101):
    return repo.sandbox.call("GET", f"{FLAGS}{id_}/", token="phx_ci")[1]


def test_a_field_is_written_back_and_the_others_stay(committed):
    """What nobody manages is not touched. Then drift is clean; a second revert writes nothing."""
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand", "tags": ["mine"]}, "carol")

    done = revert(repo)

    assert (0, {"a": "done"}) == (done.code, outcomes(done)), done.err
    assert ("a", ["mine"]) == (flag(repo)["name"], flag(repo)["tags"])
    assert drift(repo).code == 0
    repo.sandbox.clear()
    assert revert(repo).code == 0
    assert [] == repo.sandbox.writes()


def test_what_a_policy_holds_back_waits_as_with_apply(committed):
    """Exit 3, a change request; once it is approved drift is clean."""
    repo = committed([a()], seed(policies=[acme.policy("feature_flag.disable")]))
    edit(repo, f"{FLAGS}101/", {"active": True}, "carol")

    done = revert(repo)

    row = done.json["results"][0]
    assert (3, "waiting") == (done.code, row["outcome"])
    path = f"/api/projects/1/change_requests/{row['change_request']}/approve/"
    edit(repo, path, {}, "bob", "POST")
    assert drift(repo).code == 0


def test_the_working_tree_does_not_count(committed):
    """What is written back is what HEAD says."""
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    repo.write("config.yaml", a(name="not committed"))

    assert revert(repo).code == 0
    assert "a" == flag(repo)["name"]


def test_what_was_deleted_is_made_again_and_what_came_back_goes(committed):
    gone = acme.flag("back", 10)
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    repo = committed([a(name="a"), gone], seed(acme.live_flag("a", id=101)))
    edit(repo, f"{FLAGS}101/", {"deleted": True}, "bob")
    groups = [{"properties": [], "rollout_percentage": 5}]
    edit(repo, FLAGS, {"key": "back", "filters": {"groups": groups}}, "carol", "POST")

    done = revert(repo)

    assert (0, {"a": "done", "back": "done"}) == (done.code, outcomes(done)), done.err
    flags = repo.sandbox.call("GET", FLAGS, token="phx_ci")[1]["results"]
    assert [("a", False)] == [(one["key"], one["active"]) for one in flags]


def test_what_is_held_is_left_alone_and_said(committed):
    flags = [acme.live_flag("a", id=101), acme.live_flag("b", id=102)]
    repo = committed([a(name="a"), acme.flag("b", 10, name="b")], seed(*flags))
    for id_ in (101, 102):
        edit(repo, f"{FLAGS}{id_}/", {"name": "by hand"}, "carol")
    repo.write("reconciler.yaml", SETTINGS.replace("Web/*", "Web/a") % "2999-01-01")

    done = revert(repo)

    assert (0, {"b": "done"}) == (done.code, outcomes(done)), done.err
    assert "held until 2999-01-01, not changed: FeatureFlag/acme/Web/a" in done.err
    assert ("by hand", "b") == (flag(repo)["name"], flag(repo, 102)["name"])


def test_only_what_went_past_the_gate_is_reverted(committed):
    """Approved drift is git's to follow; `--only` tells the two apart inside of one flag."""
    policy = acme.policy(ENABLE, bypass_org_membership_levels=[15])
    repo = committed([a(name="a")], seed(policies=[policy]))
    asked(repo, f"{FLAGS}101/", {"active": True}, by="carol", approver="bob")
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "alice")

    done = revert(repo, "--only", "unapproved")

    assert (0, {"a": "done"}) == (done.code, outcomes(done)), done.err
    assert ("a", True) == (flag(repo)["name"], flag(repo)["active"])
    left = drift(repo)
    assert ["active"] == [field["path"] for field in left.json["changes"][0]["fields"]]
    assert drift(repo, "--only", "bypass").code == 0


def test_parts_of_one_object_that_are_left_out_are_sent_as_they_are(committed):
    """PostHog replaces `filters` as a whole; only the part within the window goes back."""
    groups = [{"properties": [], "rollout_percentage": 10}]
    payloads = {"true": '"a"'}
    document = a(filters={"groups": groups, "payloads": payloads})
    live = acme.live_flag("a", id=101, filters={"groups": groups, "payloads": payloads})
    its_seed = {**seed(live), "now": "2026-01-05T09:00:00Z"}
    repo = committed([document], its_seed)
    edit(repo, f"{FLAGS}101/", {"filters": {"payloads": {"true": '"old"'}}}, "carol")
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "10d"})
    wide = [{"properties": [], "rollout_percentage": 90}]
    edit(repo, f"{FLAGS}101/", {"filters": {"groups": wide}}, "carol")

    done = revert(repo, "--since", "1d")

    filters = flag(repo)["filters"]
    assert done.code == 0, done.err
    assert (10, {"true": '"old"'}) == (
        filters["groups"][0]["rollout_percentage"],
        filters["payloads"],
    )


def test_to_revert_may_weaken_and_is_refused_then(committed):
    """4 and nothing written; `--allow-weakening` for who means it."""
    users = ["alice@acme.test", "bob@acme.test"]
    document = acme.document(
        "ApprovalPolicy",
        {"approvers": {"quorum": 1, "users": users, "roles": []}},
        project="Web",
        action=ENABLE,
    )
    repo = committed([document], seed(policies=[acme.policy(ENABLE)]))
    policies = "/api/projects/1/approval_policies/"
    policy = repo.sandbox.call("GET", policies, token="phx_alice")[1]["results"][0]
    config = {**policy["approver_config"], "quorum": 2}
    edit(repo, f"{policies}{policy['id']}/", {"approver_config": config}, "carol")
    repo.sandbox.clear()

    refused = revert(repo)

    assert (4, True) == (refused.code, "--allow-weakening" in refused.err)
    assert [] == repo.sandbox.writes()
    assert revert(repo, "--allow-weakening").code == 0
    assert drift(repo).code == 0


def test_it_asks_and_without_a_terminal_it_wants_yes(committed):
    repo = committed([a(name="a")], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    repo.sandbox.clear()

    done = repo.run("drift", "--revert")

    assert (64, True) == (done.code, "--yes" in done.err)
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize(
    "options",
    [["--yes"], ["--allow-weakening"], ["--concurrency", "2"], ["--revert", "--format", "html"]],
)
def test_options_of_a_revert_without_one_are_slips(committed, options):
    done = committed([a()], seed()).run("drift", *options)

    assert (64, True) == (done.code, "fix:" in done.err), done.err


def test_a_member_who_left_cannot_be_brought_back(committed):
    """1, with the reason; the rest is reverted."""
    member = acme.document("Member", {"level": "member"}, email="bob@acme.test")
    repo = committed([member, a(name="a")], seed())
    answer = repo.sandbox.call("GET", "/api/organizations/", token="phx_alice")[1]
    root = f"/api/organizations/{answer['results'][0]['id']}/"
    people = repo.sandbox.call("GET", f"{root}members/", token="phx_alice")[1]["results"]
    bob = next(one["user"]["uuid"] for one in people if one["user"]["email"] == "bob@acme.test")
    edit(repo, f"{root}members/{bob}/", None, "alice", "DELETE")
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    done = revert(repo)

    assert (1, {"a": "done"}) == (done.code, outcomes(done))
    assert "cannot-create" in {finding["code"] for finding in done.json["findings"]}


def test_the_heading_names_the_command_and_drift_counts_resources(committed):
    """It is not the plan of `apply`. Two fields of one flag are one resource that was changed."""
    repo = committed([a(name="a", tags=["mine"])], seed())
    edit(repo, f"{FLAGS}101/", {"name": "by hand", "tags": ["yours"]}, "carol")

    reported = repo.run("drift")
    done = repo.run("drift", "--revert", "--yes")

    assert 2 == reported.code
    assert "Drift: 1 changed. 1 without approval." in reported.out
    assert 0 == done.code
    assert done.out.startswith("reconciler drift --revert: target ")
