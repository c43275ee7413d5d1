"""An approval that gets easier to get is refused, allowed alone, and never used in the same run."""

import pytest

from tests.e2e import acme


def gated(world, **more):
    policy = acme.policy("feature_flag.enable", **more)
    flag = acme.live_flag("a", 10)
    web = {"name": "Web", "id": 1, "approval_policies": [policy], "feature_flags": [flag]}
    roles = [{"name": "Approvers", "members": ["alice@acme.test"]}]
    return world(acme.seed(projects=[web], roles=roles))


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

    assert (0, 4) == (plan.code, refused.code)
    assert "policy-weakened" in plan.out or "weakened" in plan.out
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
