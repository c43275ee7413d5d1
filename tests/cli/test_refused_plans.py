"""A plan that `apply` would refuse ends with 4, and one that it would carry out does not."""

import json

import pytest

from tests import acme
from tests.cli.test_base_git import head
from tests.cli.test_guardrails import applied, committed, flags


def weakened(world):
    policy = {"approvers": {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"]}}
    document = acme.document("ApprovalPolicy", policy, project="Web", action="feature_flag.delete")
    repo = applied(world, {"a.yaml": [document], "b.yaml": [acme.flag("a", 10)]})
    less = acme.document(
        "ApprovalPolicy",
        {"approvers": {**policy["approvers"], "quorum": 1}},
        project="Web",
        action="feature_flag.delete",
    )
    repo.write("b.yaml", acme.flag("a", 20))
    committed(repo, "a.yaml", less)
    return repo


def in_conflict(world):
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)], "b.yaml": [acme.flag("b", 10)]})
    moved = {"filters": {"groups": [{"properties": [], "rollout_percentage": 77}]}}
    _, listed = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_ci")
    (flag,) = [one for one in listed["results"] if one["key"] == "a"]
    path = f"/api/projects/1/feature_flags/{flag['id']}/"
    assert 200 == repo.sandbox.call("PATCH", path, moved, token="phx_alice")[0]
    repo.write("b.yaml", acme.flag("b", 20))
    committed(repo, "a.yaml", acme.flag("a", 50))
    return repo


def too_many(world):
    repo = applied(world, {"a.yaml": flags("a", "b", "c"), "b.yaml": flags("d")})
    repo.write("b.yaml", *flags("d", active=False))
    committed(repo, "a.yaml")
    return repo


def protected(world):
    keep = acme.flag("a", 10)
    keep["metadata"]["lifecycle"] = {"prevent_destroy": True}
    repo = applied(world, {"a.yaml": [keep, acme.flag("b", 10)]})
    committed(repo, "a.yaml", acme.flag("b", 20))
    return repo


def older(world):
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)]})
    first = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 20))
    assert 0 == repo.run("apply", "--yes").code
    repo.git("checkout", "-q", first)
    return repo


def rejected(world):
    policy = acme.policy("feature_flag.enable")
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a", 10)]}
    repo = world(acme.seed(projects=[{**web, "approval_policies": [policy]}]))
    repo.write("a.yaml", acme.flag("a", active=True))
    repo.commit()
    filed = repo.run("apply", "--yes", "--format", "json").json["results"][0]["change_request"]
    assert (
        0
        == repo.run("requests", "reject", filed, "--reason", "no", "--yes", token="phx_alice").code
    )
    return repo


def unknown(world):
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)]})
    role = acme.document("Role", {"members": ["nobody@acme.test"]}, name="Empty")
    committed(repo, "a.yaml", acme.flag("a", 20), role)
    return repo


CONTINUE = ("--continue",)
WORLDS = [  # what is refused, and what lifts it
    (weakened, ("--allow-weakening",)),
    (in_conflict, ("--prefer", "git")),
    (in_conflict, ("--prefer", "live")),
    (too_many, ("--confirm-deletes", "3")),
    (protected, ("--allow-destroy", "FeatureFlag/acme/Web/a")),
    (older, ("--allow-rollback",)),
    (rejected, ()),
    (unknown, ()),
]


@pytest.mark.parametrize(("made", "lift"), WORLDS)
def test_plan_and_apply_agree_on_what_is_refused(world, made, lift):
    """With the same options, in whichever order: 4 in both or in neither; 1 likewise."""
    repo = made(world)
    repo.sandbox.clear()
    for options in dict.fromkeys(((), CONTINUE, lift)):
        plan = repo.run("plan", *options)
        detailed = repo.run("plan", "--detailed-exitcode", "--format", "json", *options)
        assert [] == repo.sandbox.writes()
        done = repo.run("apply", "--yes", *options)

        refuses = done.code == 4
        if refuses:
            assert (4, 4) == (plan.code, detailed.code)
            assert "will refuse" in plan.out.rstrip().split("\n")[-1]
            assert "will refuse" in detailed.err
            assert repo.sandbox.writes() == [] or not detailed.json["refusal"]["whole"]
        else:
            assert plan.code == (1 if done.code == 1 else 0), done.err
            assert "will refuse" not in plan.out + plan.err
            assert "refusal" not in detailed.json
        if options == lift and lift:
            assert 0 == done.code, done.err
        repo.sandbox.clear()


@pytest.mark.parametrize("side", ["git", "live"])
def test_a_saved_plan_knows_which_side_won(world, side):
    """And says which options have to be repeated; another side is a plan of its own."""
    repo = in_conflict(world)
    repo.sandbox.clear()

    saved = repo.run("plan", "--prefer", side, "--continue", "--out", "p.json")
    other = repo.run("apply", "p.json", "--yes", "--prefer", {"git": "live", "live": "git"}[side])
    done = repo.run("apply", "p.json", "--yes")

    assert 0 == saved.code, saved.out
    assert "to apply it: reconciler apply p.json --continue" in saved.err
    assert 64 == other.code
    assert 0 == done.code, done.err
    rollouts = {
        flag["key"]: flag["filters"]["groups"][0]["rollout_percentage"]
        for flag in repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    }
    assert {"a": {"git": 50, "live": 77}[side], "b": 20} == rollouts


def test_what_lifts_a_guardrail_is_not_kept_in_a_plan(world):
    """A plan is a file that others may have written: permission is given where it is applied."""
    repo = weakened(world)
    repo.sandbox.clear()

    saved = repo.run("plan", "--allow-weakening", "--out", "p.json")
    shown = repo.run("show", "p.json")
    bare = repo.run("apply", "p.json", "--yes")

    assert 0 == saved.code
    assert "reconciler apply p.json --allow-weakening" in saved.err
    assert "will refuse" not in shown.out
    assert 4 == bare.code
    assert "--allow-weakening" in bare.err
    assert [] == repo.sandbox.writes()
    assert 0 == repo.run("apply", "p.json", "--yes", "--allow-weakening").code


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_each_format_says_that_apply_will_refuse(world, form):
    """And a build fails, with or without --fail-on; the numbers are in its summary."""
    repo = weakened(world)

    plan = repo.run("plan", "--format", form)
    built = repo.run("ci", "run", "--report", "report", "plan")

    assert (4, 4) == (plan.code, built.code)
    assert "apply will refuse this plan" in plan.out
    assert 4 == json.loads((repo.folder / "report/summary.json").read_text())["exit_code"]
    assert "apply will refuse this plan" in (repo.folder / "report/plan.md").read_text()
