"""A saved plan and the gates of now: stricter is fine, weaker is another plan."""

from tests import acme
from tests.cli.saved import APPROVED, apply, approve_all, edit, live, outcomes, save, seed

UPDATE = acme.policy("feature_flag.update", conditions=APPROVED)


def gated(world, *policies, **changes):
    """A flag whose rollout goes from 10 to 50, and another that no policy is about."""
    repo = world(seed(acme.live_flag("a"), policies=policies, **changes))
    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("m", 5, project="Mobile"))
    return repo


def policy_path(repo):
    found = edit(repo, "GET", "/api/projects/1/approval_policies/")["results"]
    return f"/api/projects/1/approval_policies/{found[0]['id']}/"


def deleted(repo):
    edit(repo, "DELETE", policy_path(repo))


def changed(**fields):
    return lambda repo: edit(repo, "PATCH", policy_path(repo), fields)


def config(**fields):
    approvers = {"quorum": 1, "users": [11, 12], "roles": [], **fields}
    return changed(approver_config=approvers)


WEAKER = [
    (deleted, "feature_flag.update needed approval and no longer does"),
    (changed(enabled=False), "feature_flag.update is no longer gated"),
    (changed(conditions={**APPROVED, "value": 60}), "no longer gated"),
    (config(users=[11, 12, 13]), "carol@acme.test may approve"),
    (changed(allow_self_approve=True), "approve their own requests"),
    (changed(expires_after="30 00:00:00"), "stay open for 30d instead of 14d"),
    (changed(bypass_org_membership_levels=[8]), "BYPASSED"),
]


def test_a_weaker_gate_stops_what_it_would_have_held_back(world):
    """4 and nothing written; with --continue the flag is refused and the rest is done."""
    repo = gated(world, UPDATE)
    save(repo)
    start = repo.sandbox.state()
    for move, words in WEAKER:
        repo.sandbox.reset(start)
        move(repo)
        done = apply(repo, "--continue")

        assert 4 == done.code, done.err
        assert {"a": "refused", "m": "done"} == outcomes(done), words
        assert words in done.out
        assert 10 == live(repo, "a")["filters"]["groups"][0]["rollout_percentage"]

    repo.sandbox.reset(start)
    deleted(repo)
    assert 4 == apply(repo).code
    assert [] == repo.sandbox.writes()


def test_a_quorum_that_is_lower_stops_too(world):
    two = acme.policy("feature_flag.update")
    two["approver_config"]["quorum"] = 2
    repo = gated(world, two)
    save(repo)
    config(quorum=1)(repo)

    done = apply(repo)

    assert 4 == done.code
    assert "quorum 2 → 1" in done.err


STRICTER = [
    config(quorum=2),
    config(users=[11]),
    changed(conditions={}),
    changed(expires_after="1 00:00:00"),
    changed(conditions={**APPROVED, "value": 19}),
]


def test_a_stricter_gate_is_asked_as_it_is_now(world):
    """More people, fewer of them, more changes: it waits, as was said."""
    repo = gated(world, UPDATE)
    save(repo)
    start = repo.sandbox.state()
    for move in STRICTER:
        repo.sandbox.reset(start)
        move(repo)
        done = apply(repo)

        assert 3 == done.code, done.err
        assert {"a": "waiting", "m": "done"} == outcomes(done)


def test_a_gate_that_is_new_is_asked(world):
    """The plan said that nobody would be asked; now somebody is."""
    repo = gated(world)
    save(repo)
    body = {
        "action_key": "feature_flag.update",
        "conditions": {},
        "approver_config": {"quorum": 1, "users": [12], "roles": []},
    }
    edit(repo, "POST", "/api/projects/1/approval_policies/", body)

    done = apply(repo)

    assert 3 == done.code, done.err
    assert {"a": "waiting", "m": "done"} == outcomes(done)


def test_a_policy_that_would_not_have_held_it_back_may_go(world):
    """The forecast is the same without it."""
    repo = gated(world, acme.policy("feature_flag.update", conditions={**APPROVED, "value": 90}))
    save(repo)
    deleted(repo)

    done = apply(repo)

    assert (0, {"a": "done", "m": "done"}) == (done.code, outcomes(done)), done.err


def test_a_role_that_approves_and_has_grown_stops(world):
    """Whoever looked at the plan saw who may approve."""
    policy = acme.policy("feature_flag.update")
    policy["approver_config"] = {"quorum": 1, "users": [], "roles": ["Release"]}
    repo = gated(world, policy, roles=[{"name": "Release", "members": ["bob@acme.test"]}])
    save(repo)
    roles = edit(repo, "GET", "/api/organizations/@current/roles/")["results"]
    person = edit(repo, "GET", "/api/users/@me/", token="phx_carol")["uuid"]
    path = f"/api/organizations/@current/roles/{roles[0]['id']}/role_memberships/"
    edit(repo, "POST", path, {"user_uuid": person})

    done = apply(repo)

    assert 4 == done.code
    assert "carol@acme.test now holds the role Release" in done.err


def test_another_key_that_is_let_through_is_not_the_plans(world):
    """A plan made with one key says approval; an owner who bypasses it may not carry it out."""
    repo = gated(world, acme.policy("feature_flag.update", bypass_org_membership_levels=[15]))
    save(repo)

    done = apply(repo, token="phx_alice")

    assert 4 == done.code
    assert "BYPASSED" in done.err
    assert [] == repo.sandbox.writes()
    assert 3 == apply(repo).code


def test_a_bypass_that_the_plan_says_is_taken(world):
    repo = gated(world, acme.policy("feature_flag.update", bypass_org_membership_levels=[8]))
    save(repo)

    assert 0 == apply(repo).code


def test_a_call_that_the_plan_says_is_bypassed_follows_one_that_waited(world):
    """Two actions in one change: what is left after the approval is as it was shown."""
    enable = acme.policy("feature_flag.enable", bypass_org_membership_levels=[8])
    repo = gated(world, UPDATE, enable)
    repo.write("flags.yaml", acme.flag("a", 50, active=True))
    save(repo)
    assert 3 == apply(repo).code
    approve_all(repo)

    done = apply(repo)

    assert 0 == done.code, done.err
    assert live(repo, "a")["active"] is True


def test_an_organization_that_lost_approvals_stops(world):
    """PostHog would skip its policies silently."""
    start = seed(acme.live_flag("a"), policies=[UPDATE])
    repo = world(start)
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)
    start = repo.sandbox.state()
    start["organizations"][0]["features"] = ["audit_logs", "organizations_projects"]
    repo.sandbox.reset(start)

    done = apply(repo)

    assert 4 == done.code
    assert "without approval" in done.err


def test_policies_that_cannot_be_read_any_more_stop(world):
    """What cannot be seen holds nothing back, as far as anybody can tell."""
    start = seed(acme.live_flag("a"), policies=[UPDATE])
    scopes = ["organization:read", "organization_member:read", "feature_flag:write", "user:read"]
    start["users"][3]["tokens"].append({"token": "phx_blind", "scopes": scopes})
    repo = world(start)
    repo.write("flags.yaml", acme.flag("a", 50))
    save(repo)

    done = apply(repo, token="phx_blind")

    assert 4 == done.code, done.err
    assert "needed approval and no longer does" in done.err


def test_somebody_elses_request_on_the_flag_is_waited_for(world):
    """It was filed since the plan; a write would make it unappliable."""
    repo = gated(world, acme.policy("feature_flag.update"))
    save(repo)
    flag = live(repo, "a")
    body = {"filters": {"groups": [{"properties": [], "rollout_percentage": 77}]}}
    path = f"/api/projects/1/feature_flags/{flag['id']}/"
    assert 409 == repo.sandbox.call("PATCH", path, body, token="phx_carol")[0]

    done = apply(repo)

    assert 3 == done.code
    assert {"a": "waiting", "m": "done"} == outcomes(done)
    assert 1 == len(repo.run("requests", "list", "--format", "json").json)


def test_what_was_rejected_since_is_not_filed_again(world):
    repo = gated(world, acme.policy("feature_flag.update"))
    save(repo)
    assert 3 == apply(repo).code
    (request,) = repo.run("requests", "list", "--format", "json").json
    path = f"/api/projects/1/change_requests/{request['id']}/reject/"
    edit(repo, "POST", path, {"reason": "no"}, "phx_bob")

    done = apply(repo)

    assert 4 == done.code
    assert "refused" == outcomes(done)["a"]


def test_a_policy_of_the_plan_itself_goes_first_both_times(world):
    """The gate is made stricter by the plan, and the plan applied again finds it so."""
    repo = world(seed(acme.live_flag("a"), policies=[UPDATE]))
    stricter = acme.document(
        "ApprovalPolicy",
        {
            "conditions": {},
            "approvers": {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"]},
        },
        project="Web",
        action="feature_flag.update",
    )
    repo.write("all.yaml", acme.flag("a", 15), stricter)
    save(repo)

    first, again = apply(repo), apply(repo)

    assert [3, 3] == [first.code, again.code], first.err
    assert "waiting" == outcomes(first)["a"] == outcomes(again)["a"]
    assert "unchanged" == outcomes(again)["feature_flag.update"]
