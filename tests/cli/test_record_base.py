"""`--record-base push`: the remote is told what was applied, and an apply never fails for it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import acme
from tests.cli.test_base_git import APPLIED, head
from tests.cli.test_guardrails import committed, flags
from tests.support import CLEAN, Repository

PRODUCTION = "refs/reconciler/applied/production"  # the target that `init` writes
EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "ci"
PUSH = ("apply", "--yes", "--record-base", "push")


def git(folder, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=CLEAN, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def shared(world, tmp_path_factory):
    """(a repository with a remote, the remote, a function that makes another clone)."""
    folder = tmp_path_factory.mktemp("remotes")
    bare = folder / "bare.git"
    git(folder, "init", "-q", "--bare", "-b", "main", str(bare))
    repo = world(acme.seed(projects=[{"name": "Web", "id": 1}]))
    repo.write("a.yaml", *flags("a", "b"))
    repo.commit()
    repo.git("remote", "add", "origin", str(bare))
    repo.git("push", "-q", "-u", "origin", "main")

    def clone(name):
        git(folder, "clone", "-q", str(bare), name)
        return Repository(folder / name, repo.sandbox)

    return repo, bare, clone


def told(bare, ref=APPLIED):
    """What the remote has as applied last; None if nothing."""
    rows = git(bare, "for-each-ref", "--format=%(objectname)", ref)
    return rows or None


def fetch(repo):
    repo.git("fetch", "-q", "origin", "+refs/reconciler/*:refs/reconciler/*")


def test_a_clean_apply_tells_the_remote_and_the_next_clone_has_a_base(shared):
    """One job applies, the next, in a fresh clone, knows what left the files."""
    repo, bare, clone = shared

    first = repo.run(*PUSH)

    assert 0 == first.code
    assert "warning" not in first.err
    assert head(repo) == told(bare) == head(repo, APPLIED)
    other = clone("second")
    assert other.run("plan", "--format", "json").json["base"] is None
    fetch(other)
    committed(other, "a.yaml", *flags("a"))
    plan = other.run("plan", "--format", "json").json
    assert APPLIED == plan["base"]["ref"]
    assert ["delete"] == [change["action"] for change in plan["changes"]]
    assert 0 == other.run(*PUSH).code
    assert head(other) == told(bare)


def test_local_and_no_tell_nobody(shared):
    """The default moves the ref of this repository alone."""
    repo, bare, _ = shared

    assert 0 == repo.run("apply", "--yes").code
    assert (head(repo), None) == (head(repo, APPLIED), told(bare))
    committed(repo, "a.yaml", *flags("a", "b", "c"))
    assert 0 == repo.run("apply", "--yes", "--record-base", "no").code
    assert head(repo, "HEAD~1") == head(repo, APPLIED)


def test_what_another_apply_recorded_meanwhile_is_not_overwritten(shared):
    """Compare and swap: the second of two says so, and its own apply stands."""
    repo, bare, clone = shared
    assert 0 == repo.run(*PUSH).code
    other = clone("other")
    fetch(other)
    committed(other, "a.yaml", *flags("a", "b", "theirs"))
    assert 0 == other.run(*PUSH).code
    theirs = told(bare)
    committed(repo, "a.yaml", *flags("a", "b", "ours"))

    done = repo.run(*PUSH, "--format", "json")

    assert 0 == done.code
    assert 1 == done.json["summary"]["done"]
    assert "another apply recorded a commit meanwhile" in done.err
    assert f"git fetch origin '+{APPLIED}:{APPLIED}'" in done.err
    assert (theirs, head(repo)) == (told(bare), head(repo, APPLIED))


def test_a_ref_that_was_never_fetched_is_not_overwritten_either(shared):
    """A fresh clone that knows nothing of it, and whose commit is not newer."""
    repo, bare, clone = shared
    other = clone("other")
    committed(repo, "a.yaml", *flags("a", "b", "c"))
    repo.git("push", "-q", "origin", "main")
    assert 0 == repo.run(*PUSH).code

    done = other.run(*PUSH)

    assert 0 == done.code
    assert "according to origin" in done.err
    assert head(repo) == told(bare)
    other.git("pull", "-q")
    assert 0 == other.run(*PUSH).code
    assert head(repo) == told(bare)


def test_a_push_that_failed_is_made_up_for_by_the_next(shared):
    """The remote is a commit behind, and that commit is in the history of the new one."""
    repo, bare, _ = shared
    assert 0 == repo.run(*PUSH).code
    committed(repo, "a.yaml", *flags("a", "b", "c"))
    assert 0 == repo.run("apply", "--yes").code
    committed(repo, "a.yaml", *flags("a", "b", "c", "d"))

    assert "warning" not in repo.run(*PUSH).err
    assert head(repo) == told(bare)


def test_going_back_on_purpose_moves_the_remote_back(shared):
    """From the commit that the remote was known to be at."""
    repo, bare, _ = shared
    first = head(repo)
    committed(repo, "a.yaml", *flags("a", "b", "c"))
    repo.git("push", "-q", "origin", "main")
    assert 0 == repo.run(*PUSH).code
    repo.git("checkout", "-q", first)

    done = repo.run(*PUSH, "--allow-rollback")

    assert 0 == done.code, done.err
    assert first == told(bare)


def broken_remote(repo, bare, how, folder):
    """A remote that does not take it."""
    if how == "none":
        repo.git("remote", "remove", "origin")
    elif how == "gone":
        bare.rename(folder / "elsewhere")
    elif how == "refused":
        hook = bare / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\nprintf 'no \\033[31mway\\n' >&2\nexit 1\n")
        hook.chmod(0o755)
    elif how == "hangs":
        script = folder / "hang"
        script.write_text("#!/bin/sh\nread x < /dev/tty && echo got it\nexit 255\n")
        script.chmod(0o755)
        repo.git("remote", "set-url", "origin", "ssh://key@example.invalid/x.git")
        return {"GIT_SSH_COMMAND": str(script)}
    elif how == "secret":
        repo.git("remote", "set-url", "origin", "http://me:s3cr3t-t0ken@127.0.0.1:9/x.git")
    return {}


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("none", "no remote"),
        ("gone", "cannot reach origin"),
        ("refused", "could not push to origin"),
        ("hangs", "cannot reach origin"),
        ("secret", "cannot reach origin"),
    ],
)
def test_a_remote_that_takes_nothing_is_a_warning_and_the_apply_stands(
    shared, tmp_path_factory, how, why
):
    """0, what was done is told, and what to do; nobody is asked, no secret is shown."""
    repo, bare, _ = shared
    environ = broken_remote(repo, bare, how, tmp_path_factory.mktemp("broken"))

    done = repo.run(*PUSH, "--format", "json", **environ)

    assert 0 == done.code
    assert 2 == done.json["summary"]["done"]
    assert "everything was applied, but the base was recorded only in this clone" in done.err
    assert why in done.err
    assert "to fix it:" in done.err
    assert not {"s3cr3t-t0ken", "\033"} & {
        word for word in ("s3cr3t-t0ken", "\033") if word in done.err
    }
    assert head(repo) == head(repo, APPLIED)


def test_nothing_of_the_checkout_runs_while_pushing(shared, tmp_path_factory):
    """Hooks of the repository and its monitor; credentials are asked of git's own helper."""
    repo, bare, _ = shared
    canary = tmp_path_factory.mktemp("canary") / "ran"
    for hook in ("pre-push", "reference-transaction", "post-index-change"):
        path = repo.folder / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {canary}\n")
        path.chmod(0o755)
    repo.git("config", "core.fsmonitor", f"touch {canary}")

    done = repo.run(*PUSH)

    assert 0 == done.code
    assert head(repo) == told(bare)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["-x", "upstream"])
def test_the_remote_is_that_of_the_branch(shared, name):
    """Whatever it is called; else origin."""
    repo, bare, _ = shared
    for key in ("url", "fetch"):
        value = str(bare) if key == "url" else f"+refs/heads/*:refs/remotes/{name}/*"
        repo.git("config", f"remote.{name}.{key}", value)
    repo.git("remote", "set-url", "origin", os.devnull)
    repo.git("config", "branch.main.remote", name)

    done = repo.run(*PUSH)

    assert "warning" not in done.err
    assert head(repo) == told(bare)


@pytest.mark.parametrize(
    "option", ["--select=FeatureFlag/acme/Web/a", "--exclude=Role/*", "a.yaml"]
)
def test_a_part_records_nothing(shared, option):
    """Neither here nor there."""
    repo, bare, _ = shared

    assert 0 == repo.run(*PUSH, option).code
    assert told(bare) is None


def test_an_apply_that_waits_or_fails_records_nothing(shared):
    """The base moves when the apply ends with 0, and only then."""
    repo, bare, _ = shared
    web = {"name": "Web", "id": 1, "approval_policies": [acme.policy("feature_flag.enable")]}
    repo.sandbox.reset(acme.seed(projects=[web]))
    committed(repo, "a.yaml", acme.flag("a", 10, active=True))

    done = repo.run(*PUSH)

    assert 3 == done.code, done.out + done.err
    assert told(bare) is None


def test_a_target_whose_paths_are_single_files_is_recorded_too(world):
    """reconciler.yaml says that they are all there is: what leaves them is a delete."""
    repo = world(acme.seed(projects=[{"name": "Web", "id": 1}]))
    repo.write("a.yaml", *flags("a", "b"))
    repo.write("reconciler.yaml", {"version": 1, "targets": {"default": {"paths": ["a.yaml"]}}})
    repo.commit()

    assert 0 == repo.run("apply", "--yes").code
    assert head(repo) == head(repo, APPLIED)
    repo.write("a.yaml", *flags("a"))
    repo.commit()
    assert 1 == repo.run("plan", "--format", "json").json["summary"]["delete"]


def scripts(repo, ci):
    """What the generated apply and drift jobs run in a shell of their own."""
    assert 0 == repo.run("init", "--ci", ci).code
    if ci == "gitlab":
        document = yaml.safe_load((repo.folder / ".gitlab-ci.yml").read_text(encoding="utf-8"))
        return {job: document[job]["script"] for job in ("apply", "drift")}
    text = (repo.folder / ".github" / "workflows" / "posthog.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    return {
        job: [step["run"] for step in jobs[job]["steps"] if "fetch" in step.get("run", "")]
        for job in ("apply", "drift")
    }


def in_a_shell(repo, program, lines, **variables):
    path = f"{program.parent}:{CLEAN['PATH']}"
    environ = {**repo.environment(), "PATH": path, "GITLAB_CI": "true", **variables}
    return subprocess.run(
        ["bash", "-euc", "\n".join(lines)],
        cwd=repo.folder,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_jobs_of_gitlab_hand_the_base_on(shared, program):
    """Apply pushes the ref to the project itself, and the drift job of a fresh clone has it."""
    repo, bare, clone = shared
    jobs = scripts(repo, "gitlab")
    repo.commit()
    repo.git("push", "-q")
    project = {"CI_PROJECT_URL": str(bare).removesuffix(".git"), "CI_PIPELINE_SOURCE": "push"}

    applied = in_a_shell(repo, program, jobs["apply"], **project)
    fresh = clone("fresh")
    looked = in_a_shell(fresh, program, jobs["drift"], **project)

    assert 0 == applied.returncode, applied.stderr
    assert head(repo) == told(bare, PRODUCTION), applied.stderr
    assert 0 == looked.returncode, looked.stderr
    assert head(repo) == head(fresh, PRODUCTION)


def test_the_job_of_gitlab_applies_the_plan_that_was_reviewed(shared, program):
    """The second job of a pipeline gets the plan of the first as an artifact."""
    repo, bare, clone = shared
    assert 0 == repo.run("init", "--ci", "gitlab").code
    text = (EXAMPLES / "reviewed-plan.gitlab-ci.yml").read_text(encoding="utf-8")
    jobs = {name: job["script"] for name, job in yaml.safe_load(text).items()}
    repo.write("config/flags.yaml", *flags("a"))
    repo.commit()
    repo.git("push", "-q")
    project = {"CI_PROJECT_URL": str(bare).removesuffix(".git"), "CI_PIPELINE_SOURCE": "push"}

    first, second = clone("first"), clone("second")
    planned = in_a_shell(
        first, program, jobs["plan-to-review"], CI_PROJECT_DIR=str(first.folder), **project
    )
    assert 0 == planned.returncode, planned.stderr
    assert repo.sandbox.writes() == []
    plan = ".reconciler/report/plan"
    shutil.copytree(first.folder / plan, second.folder / plan)
    applied = in_a_shell(
        second, program, jobs["apply"], CI_PROJECT_DIR=str(second.folder), **project
    )

    assert 0 == applied.returncode, applied.stderr
    assert len(repo.sandbox.writes()) > 0
    assert head(repo) == told(bare, PRODUCTION)


def test_the_jobs_of_github_fetch_what_was_applied(shared, program):
    """Apply and drift, in a clone that has no ref yet."""
    repo, _, clone = shared
    assert 0 == repo.run(*PUSH).code

    for job, lines in scripts(repo, "github").items():
        fresh = clone(job)
        done = in_a_shell(fresh, program, lines, GITHUB_TOKEN="t")

        assert 0 == done.returncode, done.stderr
        assert head(repo) == head(fresh, APPLIED)
