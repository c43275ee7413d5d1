"""An approval that gets easier to get is refused, allowed alone, and never used in the same run."""

import pytest

from tests import acme, factories

RISE = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}


def gated(world, **more):
    policy = acme.policy("feature_flag.enable", **more)
    flag = acme.live_flag("a", 10)
    web = factories.project(flag, policies=[policy])
    roles = [{"name": "Approvers", "members": ["alice@acme.test"]}]
    return world(acme.seed(projects=[web, {"name": "Mobile", "id": 2}], roles=roles))


def policy(**spec):
    return acme.document("ApprovalPolicy", spec, project="Web", action="feature_flag.enable")


WEAKER = [
    policy(enabled=False),
    policy(allow_self_approve=True),
    policy(bypass_levels=["owner"]),
    policy(approvers={"quorum": 1, "users": [f"{n}@acme.test" for n in ("alice", "bob", "carol")]}),
    policy(expires_after="30d"),
    acme.document(
        "ApprovalPolicy",
        {},
        project="Web",
        action="feature_flag.enable",
        lifecycle={"state": "absent"},
    ),
]


@pytest.mark.parametrize("document", WEAKER)
def test_a_weaker_policy_is_refused_and_can_be_allowed_alone(world, document):
    """4 with nothing written; with --allow-weakening it is done, and then nothing is left."""
    repo = gated(world)
    repo.write("all.yaml", document)
    repo.sandbox.clear()

    plan = repo.run("plan")
    refused = repo.run("apply", "--yes")

    assert (4, 4) == (plan.code, refused.code)
    assert "weakened" in plan.out
    assert "--allow-weakening" in refused.err
    assert [] == repo.sandbox.writes()
    assert 0 == repo.run("apply", "--yes", "--allow-weakening").code
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_stronger_policy_is_no_matter(world):
    """A higher quorum needs nobody's leave."""
    repo = gated(world)
    users = ["alice@acme.test", "bob@acme.test"]
    repo.write("all.yaml", policy(approvers={"quorum": 2, "users": users}))

    assert 0 == repo.run("apply", "--yes").code


def test_a_weakening_is_never_used_in_the_run_that_makes_it(world):
    """Not even with --allow-weakening: first the one, then the other."""
    repo = gated(world)
    repo.write("all.yaml", policy(enabled=False), acme.flag("a", active=True))
    repo.sandbox.clear()

    together = repo.run("apply", "--yes", "--allow-weakening")

    assert 4 == together.code
    assert "--exclude 'FeatureFlag/acme/Web/a'" in together.err
    assert [] == repo.sandbox.writes()
    alone = ("apply", "--yes", "--allow-weakening", "--exclude", "FeatureFlag/*")
    assert 0 == repo.run(*alone).code
    assert 0 == repo.run("apply", "--yes").code


PLAN = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
OVER = {"type": "before_after", "field": "rollout_percentage", "operator": ">", "value": 50}
ROLLOUTS = {"type": "any_change", "field": "rollout_percentage"}


@pytest.mark.parametrize("profile", ["g2", "g3"])
@pytest.mark.parametrize("conditions", [{}, OVER], ids=["every change", "a target"])
def test_targeting_is_not_freed_and_edited_in_one_run(world, profile, conditions):
    """Only generation 3 gates targeting, nothing shows which it is, and so each counts as it."""
    update = acme.policy("feature_flag.update", conditions=conditions)
    web = factories.project(acme.live_flag("a", 75), policies=[update])
    repo = world({"profile": profile, **acme.seed(projects=[web])})
    groups = [{"properties": [PLAN], "rollout_percentage": 75}]
    flag = acme.flag("a", filters={"groups": groups})
    weaker = acme.document(
        "ApprovalPolicy", {"conditions": ROLLOUTS}, project="Web", action="feature_flag.update"
    )
    repo.write("all.yaml", weaker, flag)
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")
    together = repo.run("apply", "--yes", "--allow-weakening")

    assert (4, 4) == (refused.code, together.code)
    assert "changes of the release conditions" in refused.err
    assert "on PostHog since autumn 2026; nothing shows the version" in refused.err
    assert "--exclude 'FeatureFlag/acme/Web/a'" in together.err
    assert [] == repo.sandbox.writes()
    alone = ("apply", "--yes", "--allow-weakening", "--exclude", "FeatureFlag/*")
    assert 0 == repo.run(*alone).code
    assert 0 == repo.run("apply", "--yes").code


def test_more_people_in_an_approver_role_weaken_the_policies_that_name_it(world):
    """Found through the role, though no policy changes."""
    approvers = {"quorum": 1, "users": [], "roles": ["Approvers"]}
    repo = gated(world, approver_config=approvers)
    repo.write(
        "all.yaml",
        acme.document("Role", {"members": ["alice@acme.test", "bob@acme.test"]}, name="Approvers"),
        acme.flag("a", 10),
    )
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out
    assert "feature_flag.enable" in refused.err
    assert [] == repo.sandbox.writes()
    assert 0 == repo.run("apply", "--yes", "--allow-weakening").code


def test_only_the_role_is_declared_and_still_every_project_is_looked_at(world):
    """Who holds a role may approve in projects that no file speaks of."""
    repo = gated(world, approver_config={"quorum": 1, "users": [], "roles": ["Approvers"]})
    repo.write("all.yaml", acme.document("Role", {"members": ["bob@acme.test"]}, name="Approvers"))
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out
    assert "bob@acme.test may approve under ApprovalPolicy/acme/Web/" in refused.err
    assert [] == repo.sandbox.writes()
    read = {row["path"] for row in repo.sandbox.requests()}
    assert "/api/projects/2/approval_policies/" in read  # of both projects, and no requests
    assert not any("change_requests" in path for path in read)


def test_a_role_that_only_gets_smaller_costs_no_look_at_the_policies(world):
    """Nothing can get weaker by it."""
    repo = gated(world, approver_config={"quorum": 1, "users": [], "roles": ["Approvers"]})
    repo.write("all.yaml", acme.document("Role", {"members": []}, name="Approvers"))

    assert 0 == repo.run("plan").code
    assert not any("approval_policies" in row["path"] for row in repo.sandbox.requests())


def test_a_default_role_that_may_approve_is_a_weakening(world):
    """Everybody who joins would get it."""
    repo = gated(world, approver_config={"quorum": 1, "users": [], "roles": ["Approvers"]})
    repo.write("all.yaml", acme.document("Organization", {"default_role": "Approvers"}))

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code
    assert "every new member gets the role Approvers" in refused.err


def effects(repo):
    """The kinds of objects that were written, in the order in which they were."""
    rows = repo.sandbox.call("GET", "/_sandbox/ledger")[1]
    return [row["object"].split("/")[0] for row in rows]


def test_stricter_gates_come_before_the_flags_and_weaker_ones_after(world):
    """The order of what the server really committed."""
    enable = acme.policy("feature_flag.enable", bypass_roles=["Passers"])
    update = acme.policy("feature_flag.update", conditions=RISE)
    flag = acme.live_flag("a", 10, active=True)
    web = factories.project(flag, policies=[enable, update])
    roles = [{"name": "Passers", "members": ["bob@acme.test"]}, {"name": "Readers", "members": []}]
    repo = world(acme.seed(projects=[web], roles=roles))
    repo.write(
        "all.yaml",
        acme.document("Role", {"members": []}, name="Passers"),
        acme.document("Role", {"members": ["carol@acme.test"]}, name="Readers"),
        policy(allow_self_approve=True),
        acme.document(
            "ApprovalPolicy",
            {"conditions": {**RISE, "value": 15}},
            project="Web",
            action="feature_flag.update",
        ),
        acme.flag("a", 20, name="new"),
    )
    before = len(effects(repo))

    done = repo.run("apply", "--yes", "--allow-weakening")

    assert 0 == done.code, done.err
    places = {}
    for number, kind in enumerate(effects(repo)[before:]):
        places.setdefault(kind, []).append(number)
    flags, (stricter, weaker) = places["FeatureFlag"], places["ApprovalPolicy"]
    assert max(stricter, places["RoleMembership"][0]) < min(flags)
    assert weaker > max(flags)


def test_an_approver_who_is_missing_can_be_brought_while_the_request_waits(world):
    """The flag is pending: nothing is sent for it, so the weaker gate does not wait for it."""
    approvers = {"quorum": 1, "users": ["ci@acme.test"], "roles": ["Approvers"]}
    enable = acme.policy("feature_flag.enable", approver_config=approvers)
    web = {"name": "Web", "id": 1, "approval_policies": [enable]}
    web["feature_flags"] = [acme.live_flag("a", 10)]
    repo = world(acme.seed(projects=[web], roles=[{"name": "Approvers", "members": []}]))
    repo.write("flag.yaml", acme.flag("a", active=True))
    first = repo.run("apply", "--yes", "--format", "json")
    assert 3 == first.code
    members = acme.document("Role", {"members": ["bob@acme.test"]}, name="Approvers")
    repo.write("role.yaml", members)

    done = repo.run("apply", "--yes", "--allow-weakening", "--format", "json")

    outcomes = {row["address"]: row["outcome"] for row in done.json["results"]}
    assert {
        "Role/acme/Approvers": "done",
        "FeatureFlag/acme/Web/a": "waiting",
    } == outcomes
    request = first.json["results"][0]["change_request"]
    assert 0 == repo.run("requests", "approve", request, "--yes", token="phx_bob").code


@pytest.mark.parametrize(("from_", "to"), [("A", "B"), ("B", "A")])
def test_an_approver_who_changes_roles_can_approve_at_every_moment(world, from_, to):
    """The person joins the new role before the old one is left, whatever the names."""
    approvers = {"quorum": 1, "users": [], "roles": ["A", "B"]}
    gate = acme.policy("feature_flag.enable", approver_config=approvers)
    held = {from_: ["alice@acme.test", "bob@acme.test"], to: ["carol@acme.test"]}
    roles = [{"name": name, "members": people} for name, people in held.items()]
    repo = world(acme.seed(projects=[factories.project(policies=[gate])], roles=roles))
    after = {from_: ["alice@acme.test"], to: ["bob@acme.test", "carol@acme.test"]}
    repo.write(
        "all.yaml",
        *(acme.document("Role", {"members": people}, name=name) for name, people in after.items()),
    )
    repo.sandbox.clear()

    done = repo.run("apply", "--yes", "--concurrency", "1")

    assert done.code == 0, done.err
    assert [row["method"] for row in repo.sandbox.writes()] == ["POST", "DELETE"]
