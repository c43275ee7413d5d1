"""What somebody who can only push or open a pull request must not be able to choose."""

import os
import shutil
import stat

import pytest

from tests import acme, factories

APPLIED = "refs/reconciler/applied/default"


def merged(world):
    """Return a repository whose main branch declares one of two live flags; and a side branch."""
    flags = [acme.live_flag("mine"), acme.live_flag("foreign")]
    repo = world(factories.seed(*flags))
    repo.write("flags.yaml", acme.flag("mine", 10))
    repo.commit()
    repo.git("checkout", "-q", "-b", "side")
    repo.write("side.yaml", acme.flag("foreign", 10))
    repo.commit("never merged")
    repo.git("checkout", "-q", "main")
    return repo


def deletes(done, code=0):
    """Return the addresses that a plan would delete."""
    assert code == done.code, done.err
    return [row["address"] for row in done.json["changes"] if row["action"] == "delete"]


@pytest.mark.parametrize("moved_on", [True, False])
def test_a_base_that_main_does_not_contain_deletes_nothing(world, moved_on):
    """Whoever may push can set the ref; also to a descendant that nobody has merged."""
    repo = merged(world)
    if moved_on:
        repo.write("README.md", "more")
        repo.commit()
    repo.git("update-ref", APPLIED, "side")
    done = repo.run("plan", "--format", "json")

    # HEAD before the ref looks like a rollback: apply refuses it, so the plan ends with 4
    assert [] == deletes(done, 0 if moved_on else 4)
    assert None is done.json["base"]
    (finding,) = [row for row in done.json["findings"] if row["code"] == "base-not-merged"]
    assert "warning" == finding["severity"]
    named = ("plan", "--format", "json", "--allow-rollback", "--base", APPLIED)
    assert ["FeatureFlag/acme/Web/foreign"] == deletes(repo.run(*named))
    pushed = repo.run("plan", "--format", "json", CI_COMMIT_BEFORE_SHA="HEAD")
    assert "HEAD" == pushed.json["base"]["ref"]


@pytest.mark.parametrize("place", ["refs/tags/", "refs/heads/", "refs/remotes/", "refs/"])
def test_the_applied_ref_is_looked_up_by_its_exact_name(world, place):
    """Git itself would go on to a tag or a branch of that name."""
    repo = merged(world)
    repo.git("update-ref", f"{place}{APPLIED}", "HEAD")
    done = repo.run("plan", "--format", "json")

    assert None is done.json["base"]


SETTINGS = "version: 1\ntargets:\n  default:\n    paths: [.]\n    {}\n"


@pytest.mark.parametrize(
    ("line", "environ", "words"),
    [
        ("api_key_env: POSTHOG_PROD", {}, "reconciler.yaml:5:18"),
        ("api_key_env: POSTHOG_PROD", {"POSTHOG_PROD": ""}, "POSTHOG_PROD"),
        ("api_key_env: AWS_KEY", {"AWS_KEY": "phx_ci"}, "AWS_KEY may not be used"),
        ("host: http://127.0.0.1:9", {}, "reconciler.yaml:5:11"),
        ("host: https://us.posthog.com", {}, "names another host than POSTHOG_HOST"),
        ("host: https://us.i.posthog.com", {}, "cannot be the host (reconciler.yaml:5:11)"),
    ],
)
def test_a_file_chooses_neither_the_key_nor_where_it_goes(world, line, environ, words):
    """An error with its place, and nothing is contacted; `doctor` says the same."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 10))
    repo.write("reconciler.yaml", SETTINGS.format(line))
    for command in (("plan",), ("apply", "--yes"), ("requests", "list")):
        done = repo.run(*command, **environ)
        assert (1, True) == (done.code, words in done.err), done.err
    assert words in repo.run("doctor", **environ).out
    assert [] == repo.sandbox.requests()


def test_a_key_of_another_name_works_once_the_environment_allows_it(world):
    """The list is in the environment, where no pull request can edit it."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 10))
    repo.write("reconciler.yaml", SETTINGS.format("api_key_env: PH_PROD"))
    allowed = {"PH_PROD": "phx_ci", "RECONCILER_ALLOWED_KEY_ENVS": "OTHER, PH_PROD"}

    assert 0 == repo.run("plan", token="", **allowed).code


@pytest.mark.parametrize("git", [True, False])
@pytest.mark.parametrize(
    ("link", "command"),
    [
        (".reconciler", ("apply", "--yes")),
        ("report", ("plan", "--report", "report")),
        ("report", ("plan", "--report", "report/deeper")),
        ("out", ("plan", "--out", "out/plan.json")),
        ("config", ("pull", "--out", "config")),
        ("config", ("init",)),
        ("new", ("init", "new")),
    ],
)
def test_no_link_of_the_checkout_leads_what_is_written_out_of_it(
    world, tmp_path_factory, git, link, command
):
    """Whoever commits a link must not choose where a run writes."""
    outside = tmp_path_factory.mktemp("outside")
    repo = world(acme.seed(projects=[{"name": "Web", "feature_flags": [acme.live_flag("a")]}]))
    repo.write("flags.yaml", acme.flag("a", 20))
    (repo.folder / link).symlink_to(outside)
    if git:
        repo.commit()
    done = repo.run(*command)

    assert 1 == done.code, done.out
    assert link in done.err
    assert [] == list(outside.iterdir())
    assert [] == repo.sandbox.writes()


def test_outside_git_the_folder_of_the_settings_confines_a_run_from_below_it(
    world, tmp_path_factory
):
    """The journal belongs beside reconciler.yaml, whatever the current folder is."""
    outside = tmp_path_factory.mktemp("outside")
    repo = world(acme.seed(projects=[{"name": "Web", "feature_flags": [acme.live_flag("a")]}]))
    repo.write("reconciler.yaml", "version: 1\ntargets: {default: {paths: [config]}}\n")
    repo.write("config/flags.yaml", acme.flag("a", 20))
    (repo.folder / ".reconciler").symlink_to(outside)
    repo.folder /= "config"
    done = repo.run("apply", "--yes")

    assert 1 == done.code, done.out
    assert [] == list(outside.iterdir())
    assert [] == repo.sandbox.writes()


def test_a_link_into_the_repository_s_own_git_folder_is_refused_too(world):
    """Files written there could become hooks."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 20))
    repo.commit()
    (repo.folder / "report").symlink_to(".git/hooks")

    assert 1 == repo.run("plan", "--report", "report").code


def test_git_does_not_inherit_the_key(world, tmp_path):
    """It may start programs that the configuration of a user names: ssh, credential helpers."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 20))
    repo.commit()
    seen, spy = tmp_path / "seen", tmp_path / "bin" / "git"
    spy.parent.mkdir()
    real = shutil.which("git")
    spy.write_text(f'#!/bin/sh\nenv >> "{seen}"\nexec "{real}" "$@"\n')
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)
    path = f"{spy.parent}{os.pathsep}{os.environ['PATH']}"
    other = {"PH_PROD": "phx_secret", "RECONCILER_ALLOWED_KEY_ENVS": "PH_PROD"}
    done = repo.run("plan", PATH=path, POSTHOG_API_KEY_2="phx_other", **other)

    assert 0 == done.code, done.err
    assert "PATH=" in seen.read_text()
    assert "phx_" not in seen.read_text()
