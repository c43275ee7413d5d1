"""A gated write waits, is found again, and finishes; each of the four 4xx answers has its place."""

import pytest

from tests import acme
from tests.factories import gated


def outcome(done, name):
    rows = {row["address"].split("/")[-1]: row for row in done.json["results"]}
    return rows[name]


def test_a_gated_write_waits_is_found_again_and_ends_clean(world):
    """Waiting (3) → same request, no write (3) → approved by another person → clean (0)."""
    repo = world(gated(acme.live_flag("checkout")))
    repo.write("flags.yaml", acme.flag("checkout", active=True))

    first = repo.run("apply", "--yes", "--format", "json")
    row = outcome(first, "checkout")

    assert (first.code, row["outcome"], row["attempts"]) == (3, "waiting", 1)
    assert row["change_request"] in row["url"]

    repo.sandbox.clear()
    second = repo.run("apply", "--yes", "--format", "json")

    assert (3, row["change_request"]) == (
        second.code,
        outcome(second, "checkout")["change_request"],
    )
    assert repo.sandbox.writes() == []

    voted = repo.run("requests", "approve", row["change_request"], "--yes", token="phx_alice")

    assert voted.code == 0, voted.err
    third = repo.run("apply", "--yes", "--format", "json")
    assert (third.code, outcome(third, "checkout")["outcome"]) == (0, "unchanged")
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_ungated_fields_are_written_before_the_gated_one_files(world):
    """The name changes at once; only `active` waits (contract 0.3, 5.7)."""
    repo = world(gated(acme.live_flag("checkout")))
    repo.write("flags.yaml", acme.flag("checkout", active=True, name="New name", tags=["a"]))

    done = repo.run("apply", "--yes", "--format", "json")

    flag = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_ci")[1]["results"][
        0
    ]
    assert (done.code, outcome(done, "checkout")["attempts"]) == (3, 2)
    assert (flag["name"], flag["tags"], flag["active"]) == ("New name", ["a"], False)


def test_rollout_and_enable_under_two_policies_wait_one_after_the_other(world):
    """Never 400 policy_conflict, never a second request on one flag."""
    policies = ("feature_flag.enable", "feature_flag.update")
    repo = world(gated(acme.live_flag("checkout", 10), policies=policies))
    repo.write("flags.yaml", acme.flag("checkout", 60, active=True))
    seen = []

    for _ in range(2):
        done = repo.run("apply", "--yes", "--format", "json")
        row = outcome(done, "checkout")
        assert (done.code, row["outcome"]) == (3, "waiting"), done.out
        shown = repo.run("requests", "show", row["change_request"], "--format", "json")
        seen.append(shown.json["action_key"])
        vote = repo.run("requests", "approve", row["change_request"], "--yes", token="phx_bob")
        assert vote.code == 0, vote.err

    assert seen == ["feature_flag.update", "feature_flag.enable"]
    assert repo.run("plan", "--detailed-exitcode").code == 0
    assert 400 not in {row["status"] for row in repo.sandbox.requests()}


def test_a_new_flag_under_two_policies_is_created_step_by_step(world):
    """Born inactive, then enabled: each step waits for its own approval."""
    policies = ("feature_flag.enable", "feature_flag.update")
    repo = world(gated(policies=policies))
    repo.write("flags.yaml", acme.flag("fresh", 30, active=True))

    for _ in range(2):
        done = repo.run("apply", "--yes", "--format", "json")
        row = outcome(done, "fresh")
        assert (done.code, row["outcome"]) == (3, "waiting"), done.out
        vote = repo.run("requests", "approve", row["change_request"], "--yes", token="phx_alice")
        assert vote.code == 0, vote.err

    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_request_of_another_person_with_another_intent_is_never_ours(world):
    """It holds the flag; nothing is written to it, and the report says whose it is."""
    repo = world(gated(acme.live_flag("checkout"), policies=("feature_flag.update",)))
    proposal = {"filters": {"groups": [{"properties": [], "rollout_percentage": 99}]}}
    flags = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_carol")[1]
    path = f"/api/projects/1/feature_flags/{flags['results'][0]['id']}/"
    status, _ = repo.sandbox.call("PATCH", path, proposal, token="phx_carol")
    assert status == 409
    repo.write("flags.yaml", acme.flag("checkout", 50, name="Mine"))
    repo.sandbox.clear()

    done = repo.run("apply", "--yes", "--format", "json")

    assert done.code == 3
    assert "carol@acme.test" in done.out
    assert repo.sandbox.writes() == []
    assert 99 not in {row["status"] for row in repo.sandbox.requests()}


def test_a_failure_stops_its_dependants_and_nothing_else(world):
    """PostHog refuses the role: its policy is skipped, the flag is done."""
    repo = world(acme.seed())
    refusal = {"match": {"method": "POST", "route": "roles.create"}, "effect": {"status": 403}}
    assert 200 == repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [refusal]})[0]
    repo.write(
        "all.yaml",
        acme.document("Role", {"members": []}, name="New role"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "roles": ["New role"]}},
            project="Mobile",
            action="feature_flag.update",
        ),
        acme.flag("free", 10),
    )

    done = repo.run("apply", "--yes", "--format", "json")

    by_kind = {row["address"].split("/")[0]: row for row in done.json["results"]}
    assert done.code == 1
    assert by_kind["Role"]["outcome"] == "failed"
    assert by_kind["ApprovalPolicy"]["outcome"] == "skipped"
    assert "Role/acme/New role" in by_kind["ApprovalPolicy"]["error"]["what"]
    assert by_kind["FeatureFlag"]["outcome"] == "done"


def test_a_bypass_is_said_loudly(world):
    """The key's user is admin and admins bypass: the write is live at once, and plan says so."""
    repo = world(gated(acme.live_flag("checkout"), rule={"bypass_org_membership_levels": [8]}))
    repo.write("flags.yaml", acme.flag("checkout", active=True))

    plan = repo.run("plan", "--format", "json")
    text = repo.run("plan")
    done = repo.run("apply", "--yes", "--format", "json")

    assert plan.json["changes"][0]["gate"]["verdict"] == "bypass"
    assert "bypass" in text.out.lower()
    assert (done.code, outcome(done, "checkout")["outcome"]) == (0, "done")


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_vote_needs_a_terminal_or_yes(world, verb):
    """64, and nothing is sent."""
    repo = world(gated(acme.live_flag("checkout")))
    extra = ["--reason", "no"] if verb == "reject" else []

    done = repo.run("requests", verb, "0c7b1d8e-5f5e-4d0f-8d9e-1b0f6a0c3e21", *extra)

    assert done.code == 64
    assert "--yes" in done.err
    assert repo.sandbox.writes() == []


def test_apply_without_a_terminal_and_without_yes_is_refused(world):
    """64 before anything is contacted."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 10))
    repo.sandbox.clear()

    done = repo.run("apply")

    assert done.code == 64
    assert repo.sandbox.requests() == []


def test_reject_cancel_and_wait_tell_the_end_of_a_request(world):
    """Reject needs a reason; a decided request ends `wait` at once; cancel is the requester's."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("flags.yaml", acme.flag("a", active=True), acme.flag("b", active=True))
    done = repo.run("apply", "--yes", "--format", "json")
    first, second = (outcome(done, key)["change_request"] for key in "ab")

    assert repo.run("requests", "reject", first, "--yes", token="phx_alice").code == 64
    reason = ["--reason", "not on a Friday"]
    assert repo.run("requests", "reject", first, "--yes", *reason, token="phx_alice").code == 0
    assert repo.run("requests", "cancel", second, token="phx_bob").code == 1
    assert repo.run("requests", "cancel", second).code == 0
    waited = repo.run("requests", "wait", first, second, "--timeout", "5s")
    listed = repo.run("requests", "list", "--state", "all", "--format", "json").json

    assert waited.code == 0
    assert {"rejected"} == {row["state"] for row in listed}
    assert "not on a Friday" in repo.run("requests", "show", first).out


def test_wait_gives_up_with_3_while_some_are_pending(world):
    """The exit code says that nothing was decided."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", active=True))
    row = outcome(repo.run("apply", "--yes", "--format", "json"), "a")

    assert repo.run("requests", "wait", row["change_request"], "--timeout", "1s").code == 3


def test_wait_tells_of_every_request_that_is_decided_already(world):
    """Four decided ones are four lines and 0, in one round."""
    keys = ["a", "b", "c", "d"]
    repo = world(gated(*(acme.live_flag(key) for key in keys)))
    repo.write("flags.yaml", *(acme.flag(key, active=True) for key in keys))
    done = repo.run("apply", "--yes", "--format", "json")
    ids = [outcome(done, key)["change_request"] for key in keys]
    for id_ in ids:
        assert 0 == repo.run("requests", "approve", id_, "--yes", token="phx_alice").code

    waited = repo.run("requests", "wait", *ids, "--timeout", "1s")

    assert 0 == waited.code, waited.out
    assert sorted(f"{id_}  applied" for id_ in ids) == sorted(waited.out.splitlines())


def test_the_plan_knows_the_votes_of_a_request_its_page_and_who_is_left(world):
    """Filed by ci, agreed to by bob: the document says so, and alice is the one to ask."""
    repo = world(gated(acme.live_flag("checkout"), rule={"approver_config": TWO}))
    repo.write("flags.yaml", acme.flag("checkout", active=True))
    id_ = outcome(repo.run("apply", "--yes", "--format", "json"), "checkout")["change_request"]
    voted = repo.run("requests", "approve", id_, "--yes", "--reason", "fine", token="phx_bob")
    assert voted.code == 0, voted.err

    made = repo.run("plan", "--format", "json").json

    (row,), (asked,) = made["changes"], made["change_requests"]
    host = repo.sandbox.url
    assert row["url"] == f"{host}/project/1/feature_flags/{row['live_id']}"
    assert row["gate"]["cannot_approve"] == {"bob@acme.test": "has approved"}
    assert (asked["id"], asked["state"], asked["requester"]) == (id_, "pending", "ci@acme.test")
    assert asked["url"] == f"{host}/project/1/approvals/{id_}"
    assert asked["created_at"] < asked["expires_at"]
    (vote,) = asked["votes"]
    assert (vote["person"], vote["approved"], vote["reason"]) == ("bob@acme.test", True, "fine")


TWO = {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}


def test_a_user_who_bypasses_two_policies_is_not_an_incident(world):
    """Split for PostHog's sake; nobody is asked, which is said loudly and expected."""
    policies = ("feature_flag.enable", "feature_flag.update")
    levels = {"bypass_org_membership_levels": [8]}
    repo = world(gated(acme.live_flag("checkout", 10), policies=policies, rule=levels))
    repo.write("flags.yaml", acme.flag("checkout", 60, active=True))

    plan = repo.run("plan", "--format", "json").json
    text = repo.run("plan").out
    done = repo.run("apply", "--yes")

    (change,) = plan["changes"]
    assert ("split", None) == (change["gate"]["verdict"], change["gate"]["quorum"])
    assert "1 will BYPASS approval" in text
    assert "will wait" not in text
    assert 0 == done.code, done.err
    assert "INCIDENT" not in done.err + done.out
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_request_that_makes_way_blocks_nothing_and_the_plan_says_what_waits_then(world):
    """Taken back, it holds nothing: what comes instead waits for other people, or for nobody."""
    enable = acme.policy("feature_flag.enable")
    people = {"quorum": 1, "users": ["carol@acme.test"], "roles": []}
    update = acme.policy("feature_flag.update", approver_config=people)
    web = {"name": "Web", "id": 1, "approval_policies": [enable, update]}
    repo = world(acme.seed(projects=[{**web, "feature_flags": [acme.live_flag("a", 10)]}]))
    repo.write("f.yaml", acme.flag("a", 10, active=True))
    assert 3 == repo.run("apply", "--yes").code

    repo.write("f.yaml", acme.flag("a", 20, active=False))
    other = repo.run("plan")
    repo.write("f.yaml", acme.flag("a", 10, active=False, name="New"))
    free = repo.run("plan")
    page = repo.run("plan", "--format", "markdown")

    assert "a new one: feature_flag.update: 1 approval from carol@acme.test" in " ".join(
        other.out.split()
    )
    assert "1 will wait for approval." in other.out
    assert "cancels change request" in free.out
    assert not [said for said in ("a new one", "will wait", "blocked") if said in free.out]
    assert "blocked by" not in page.out
    assert 0 == repo.run("apply", "--yes").code
    assert 0 == repo.run("plan", "--detailed-exitcode").code


@pytest.mark.parametrize(
    ("action", "free"),
    [
        ("feature_flag.update", "name, tags"),
        ("feature_flag.enable", "name, tags, filters"),
    ],
)
def test_what_does_not_wait_beside_what_does_is_said(world, action, free):
    """The plan names the fields that go before the call that is held back; apply writes them."""
    web = {"name": "Web", "id": 1, "approval_policies": [acme.policy(action)]}
    repo = world(acme.seed(projects=[{**web, "feature_flags": [acme.live_flag("a", 10)]}]))
    repo.write("f.yaml", acme.flag("a", 60, active=True, name="New", tags=["t"]))

    plan = repo.run("plan")
    done = repo.run("apply", "--yes")

    assert f"step 1 now: {free}; step 2 after approval: " in plan.out
    assert 3 == done.code
    (live,) = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    moved = "filters" in free
    assert ("New", False) == (live["name"], live.get("active"))
    assert (60 if moved else 10) == live["filters"]["groups"][0]["rollout_percentage"]


@pytest.mark.parametrize("wide", [True, False])
def test_an_approval_is_not_certain_where_the_organization_may_gate_the_rest(world, wide):
    """One write of both meets two policies, of which the project shows one."""
    more = {"approval_policies": [acme.policy("feature_flag.update")]} if wide else {}
    repo = world(gated(acme.live_flag("a"), **more))
    repo.write("flags.yaml", acme.flag("new", 50, active=True), acme.flag("a", active=True))
    gates = {
        row["address"]: row["gate"] for row in repo.run("plan", "--format", "json").json["changes"]
    }
    created = {"key": "new", "active": True, "filters": {"groups": [{"rollout_percentage": 50}]}}

    status, _ = repo.sandbox.call("POST", "/api/projects/1/feature_flags/", created, token="phx_ci")

    assert status == (400 if wide else 409)
    assert gates["FeatureFlag/acme/Web/new"]["verdict"] == "approval"
    assert gates["FeatureFlag/acme/Web/new"]["confidence"] == "likely"
    assert gates["FeatureFlag/acme/Web/a"]["confidence"] == "certain"
