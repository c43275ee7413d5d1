"""A commit that is not the newest, or from before the last apply, is not applied by accident."""

import subprocess

import pytest

from tests import acme
from tests.cli.test_base import keys
from tests.cli.test_base_git import APPLIED, clone, head
from tests.cli.test_guardrails import applied, committed, flags
from tests.support import CLEAN


def rollout(repo):
    path = "/api/projects/1/feature_flags/?limit=100"
    flag = repo.sandbox.call("GET", path, token="phx_ci")[1]["results"][0]
    return flag["filters"]["groups"][0]["rollout_percentage"]


def refused(repo, *options, **environ):
    """Refused before anything was read. What was said."""
    repo.sandbox.clear()
    done = repo.run("apply", "--yes", *options, **environ)
    assert 4 == done.code, done.out + done.err
    assert [] == repo.sandbox.requests()
    return done.err


def two_commits(world):
    """Both were applied, the second last."""
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)]})
    first = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 20))
    assert 0 == repo.run("apply", "--yes").code
    return repo, first, head(repo)


def test_a_commit_from_before_the_last_apply_is_refused(world):
    """Both commits are named; --allow-rollback goes back, and the base goes with it."""
    repo, first, second = two_commits(world)
    repo.git("checkout", "-q", first)

    said = refused(repo)

    assert f"commit {first[:10]} is older than {second[:10]}, which was applied last" in said
    assert "nothing was contacted" in said
    assert "--allow-rollback" in said
    assert 20 == rollout(repo)
    refused(repo, "--continue")
    assert 0 == repo.run("apply", "--yes", "--allow-rollback").code
    assert (10, first) == (rollout(repo), head(repo, APPLIED))
    assert 0 == repo.run("apply", "--yes").code


def test_a_plan_of_it_is_made_and_says_so(world):
    """It ends as `apply` would: with 4, and with the option that goes back on purpose."""
    repo, first, _ = two_commits(world)
    repo.git("checkout", "-q", first)

    plan = repo.run("plan", "--format", "json")

    assert 4 == plan.code
    (found,) = [one for one in plan.json["findings"] if one["code"] == "rollback"]
    assert ("error", True) == (found["severity"], "older than" in found["message"])
    assert 0 == repo.run("plan", "--allow-rollback").code


def test_what_was_applied_last_may_be_applied_again(world):
    """Also where newer commits are known."""
    repo, _, second = two_commits(world)
    committed(repo, "a.yaml", acme.flag("a", 30))
    repo.git("checkout", "-q", second)

    assert 0 == repo.run("apply", "--yes").code
    assert 20 == rollout(repo)


def pushed(repo, folder):
    """The repository with a remote that has all of it; the second clone is ahead by a commit."""
    bare = folder / "bare.git"
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(repo.folder), str(bare)],
        env=CLEAN,
        check=True,
        capture_output=True,
    )
    repo.git("remote", "add", "origin", str(bare))
    repo.git("fetch", "-q", "origin")
    return bare


def test_a_branch_that_is_behind_its_remote_is_refused_and_one_ahead_is_not(
    world, tmp_path_factory
):
    """By the remote-tracking ref, which is all that is known here: nothing is fetched."""
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)]})
    pushed(repo, tmp_path_factory.mktemp("remote"))
    repo.git("branch", "-q", "--set-upstream-to=origin/main")
    old = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 20))
    assert 0 == repo.run("apply", "--yes").code
    committed(repo, "a.yaml", acme.flag("a", 30))
    newest = head(repo)
    repo.git("push", "-q", "origin", "main")
    repo.git("reset", "-q", "--hard", "HEAD~1")
    committed(repo, "a.yaml", acme.flag("a", 25))

    said = refused(repo)

    here = head(repo)
    assert f"commit {here[:10]} is not the newest of origin/main: that is {newest[:10]}" in said
    assert 20 == rollout(repo)
    assert 0 == repo.run("apply", "--yes", "--allow-rollback").code
    assert 25 == rollout(repo)
    assert old != here


@pytest.mark.parametrize(
    "about",
    [
        {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "main"},
        {"CI_COMMIT_BRANCH": "main"},
        {},
    ],
)
def test_a_detached_commit_of_a_build_is_held_against_its_branch(world, tmp_path, about):
    """An old job that runs again: GitHub and GitLab name the branch, else it is looked for."""
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)]})
    old = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 20))
    newest = head(repo)
    clone(repo, tmp_path / "clone")
    repo.git("checkout", "-q", "--detach", old)

    said = refused(repo, **about)

    assert f"commit {old[:10]} is not the newest of origin/main: that is {newest[:10]}" in said
    repo.git("checkout", "-q", "--detach", newest)
    assert 0 == repo.run("apply", "--yes", **about).code
    assert 20 == rollout(repo)


@pytest.mark.parametrize(
    "about",
    [{"GITHUB_REF_TYPE": "tag", "GITHUB_REF": "refs/tags/v1"}, {"CI_COMMIT_TAG": "v1"}],
)
def test_a_tag_has_no_newest_commit_but_still_an_order(world, tmp_path, about):
    """Releases are applied from tags that main has passed; not from before the last one."""
    repo = applied(world, {"a.yaml": [acme.flag("a", 10)]})
    first = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 20))
    second = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 30))
    clone(repo, tmp_path / "clone")
    repo.git("checkout", "-q", "--detach", second)

    assert 0 == repo.run("apply", "--yes", **about).code
    assert 20 == rollout(repo)
    repo.git("checkout", "-q", "--detach", first)
    assert "older than" in refused(repo, **about)


def test_a_shallow_clone_that_cannot_tell_is_an_error(world, tmp_path):
    """Both commits are here, what lies between is not: neither yes nor no."""
    repo, _, second = two_commits(world)
    repo.git("checkout", "-q", "-b", "topic")
    committed(repo, "b.yaml", acme.flag("b", 10))
    committed(repo, "b.yaml", acme.flag("b", 20))
    clone(repo, tmp_path / "clone", "--depth", "1", "-b", "topic")
    repo.git("fetch", "-q", "--depth", "1", "origin", f"{APPLIED}:{APPLIED}")
    repo.sandbox.clear()

    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert f"cannot find out whether {second[:10]}, which was applied last, was merged" in done.err
    assert "fetch-depth: 0" in done.err
    assert [] == repo.sandbox.requests()
    named = ("--allow-rollback", "--base", APPLIED)
    assert 0 == repo.run("apply", "--yes", *named).code
    assert ["a", "b"] == keys(repo)


def test_outside_git_and_before_the_first_commit_there_is_nothing_to_go_back_to(world):
    """No repository, no commits: applied."""
    repo = world(acme.seed(projects=[{"name": "Web", "id": 1}]))
    repo.write("a.yaml", *flags("a"))

    assert 0 == repo.run("apply", "--yes").code
    repo.git("init", "-q", "-b", "main")
    assert 0 == repo.run("apply", "--yes").code


def test_each_target_has_an_order_of_its_own(world):
    """Staging is ahead of production: that is what it is for."""
    config = "version: 1\ntargets:\n  staging: {paths: [config]}\n  production: {paths: [config]}\n"
    repo = world(acme.seed(projects=[{"name": "Web", "id": 1}]))
    repo.write("reconciler.yaml", config)
    repo.write("config/a.yaml", *flags("a"))
    repo.commit()
    first = head(repo)
    committed(repo, "config/a.yaml", acme.flag("a", 20))
    assert 0 == repo.run("--target", "staging", "apply", "--yes").code
    repo.git("checkout", "-q", "-b", "release", first)

    assert 0 == repo.run("--target", "production", "apply", "--yes").code
    assert 4 == repo.run("--target", "staging", "apply", "--yes").code


def test_reverting_drift_from_an_old_commit_is_refused_too(world):
    """What is newer than the files would be taken for drift."""
    repo, first, _ = two_commits(world)
    repo.git("checkout", "-q", first)

    done = repo.run("drift", "--revert", "--yes")

    assert 4 == done.code
    assert "older than" in done.err
    assert 20 == rollout(repo)


def test_a_saved_plan_of_an_old_commit_is_refused_too(world):
    """It was good when it was made; another was applied since."""
    repo = applied(world, {"a.yaml": [acme.flag("a", 10), acme.flag("b", 10)]})
    first = head(repo)
    committed(repo, "a.yaml", acme.flag("a", 20), acme.flag("b", 10))
    assert 0 == repo.run("apply", "--yes").code
    repo.git("checkout", "-q", first)
    assert 4 == repo.run("plan", "--out", "old.json").code  # it is saved, and says so

    assert 4 == repo.run("apply", "old.json", "--yes").code
    assert 0 == repo.run("apply", "old.json", "--yes", "--allow-rollback").code
