"""Which commit is the base, in every sort of clone and build; what git may not do meanwhile."""

import json
import os
import shutil
import subprocess

import pytest

from tests import acme
from tests.support import CLEAN

APPLIED = "refs/reconciler/applied/default"
CONFIG = "version: 1\ntargets:\n  default:\n    paths: [{}]\n"


def applied(world, name, *documents, config=None):
    """A repository that was committed and applied cleanly: its base is this commit."""
    repo = world(acme.seed(projects=[{"name": "Web", "id": 1}]))
    if config is not None:
        repo.write("reconciler.yaml", config)
    repo.write(name, *documents)
    repo.commit()
    done = repo.run("apply", "--yes")
    assert 0 == done.code, done.err
    return repo


def head(repo, ref="HEAD"):
    command = ["git", "rev-parse", ref]
    done = subprocess.run(command, cwd=repo.folder, env=CLEAN, capture_output=True, check=True)
    return done.stdout.decode().strip()


def clone(repo, folder, *options):
    """Go on in a clone of the repository."""
    subprocess.run(
        ["git", "clone", "-q", *options, f"file://{repo.folder}", str(folder)],
        env=CLEAN,
        check=True,
        capture_output=True,
    )
    repo.folder = folder


def planned(repo, *arguments, **environ):
    done = repo.run("plan", "--format", "json", *arguments, **environ)
    assert done.code in {0, 2, 4}, done.err  # 4: apply would refuse the deletes
    return done.json


def actions(plan):
    return {change["address"].split("/")[-1]: change["action"] for change in plan["changes"]}


def causes(plan):
    return {
        change["address"].split("/")[-1]: {field["cause"] for field in change["fields"]}
        for change in plan["changes"]
    }


def codes(plan):
    return [finding["code"] for finding in plan["findings"]]


def test_the_base_is_read_with_the_settings_that_it_had(world):
    """Folders that moved, and paths that reconciler.yaml named then and does not name now."""
    repo = applied(world, "old/a.yaml", acme.flag("a", 10), config=CONFIG.format("old"))
    repo.write("reconciler.yaml", CONFIG.format("old, extra"))
    repo.write("extra/b.yaml", acme.flag("b", 10), acme.flag("c", 10), acme.flag("d", 10))
    repo.write("extra/keep.yaml", acme.flag("keep", 10))
    repo.commit("more")
    assert 0 == repo.run("apply", "--yes").code
    repo.git("mv", "old", "new")
    repo.git("mv", "extra/keep.yaml", "new/keep.yaml")
    repo.write("new/a.yaml", acme.flag("a", 20))
    repo.write("extra/b.yaml", acme.flag("b", 10))
    repo.write("reconciler.yaml", CONFIG.format("new, extra"))
    repo.commit("moved")

    plan = planned(repo)

    assert {"a": "update", "c": "delete", "d": "delete"} == actions(plan)
    assert {"intent"} == causes(plan)["a"]
    repo.write("reconciler.yaml", CONFIG.format("new"))
    repo.commit("one folder less")
    assert "delete" == actions(planned(repo))["b"]


def test_overlays_and_selectors_are_those_of_the_base(world):
    """A value of an overlay is not drift, and a project that is left out now loses its flag."""
    config = (
        "version: 1\ntargets:\n  production: {paths: [config], overlays: [over]}\n"
        "  other: {paths: [config]}\n"
    )
    everywhere = acme.flag("everywhere", 10)
    del everywhere["metadata"]["project"]
    everywhere["metadata"]["projects"] = ["*"]
    repo = world(acme.seed())
    repo.write("reconciler.yaml", config)
    repo.write("config/a.yaml", acme.flag("a", 10, name="a"), everywhere)
    repo.write("over/a.yaml", acme.flag("a", 30))
    repo.write("config/more.yaml", acme.flag("m", 10, project="Mobile"))
    repo.commit()
    production = ("--target", "production")
    assert 0 == repo.run(*production, "apply", "--yes").code
    everywhere["metadata"]["projects"] = ["*", "!Mobile"]
    repo.write("config/a.yaml", acme.flag("a", 10, name="b"), everywhere)
    repo.commit("left out")

    plan = repo.run(*production, "plan", "--format", "json").json

    assert {
        "FeatureFlag/acme/Mobile/everywhere": "delete",
        "FeatureFlag/acme/Web/a": "update",
    } == {change["address"]: change["action"] for change in plan["changes"]}
    assert [("name", "intent")] == [
        (field["path"], field["cause"]) for c in plan["changes"] for field in c["fields"]
    ]
    other = repo.run("--target", "other", "plan", "--format", "json").json
    assert other["base"] is None


def test_a_target_that_the_base_did_not_have_has_no_base(world):
    """Nothing was ever applied to it: causes are unknown, and it is said."""
    repo = applied(world, "config/a.yaml", acme.flag("a", 10), config=CONFIG.format("config"))
    two = CONFIG.format("config") + "  staging:\n    paths: [config]\n"
    repo.write("reconciler.yaml", two)
    repo.write("config/a.yaml", acme.flag("a", 20))
    repo.commit("a second target")

    done = repo.run("--target", "staging", "plan", "--base", "HEAD~1", "--format", "json")

    assert done.json["base"] is None
    assert ["base-unreadable"] == codes(done.json)
    assert {"a": {"unknown"}} == causes(done.json)


def test_files_that_are_in_no_commit_are_a_notice_and_move_no_base(world):
    """A dirty tree, reconciler.yaml included; a clean one says nothing."""
    repo = applied(world, "config/a.yaml", acme.flag("a", 10), config=CONFIG.format("config"))
    assert [] == codes(planned(repo))
    repo.write("config/a.yaml", acme.flag("a", 20))
    repo.write("config/b.yaml", acme.flag("b", 20))
    repo.write("notes/x.yaml", "anything: else\n")

    plan = planned(repo)

    assert ["dirty-tree"] == codes(plan)
    message = plan["findings"][0]["message"]
    assert f"2 files differ from commit {head(repo)[:10]}: config/a.yaml, config/b.yaml" == message
    before = head(repo, APPLIED)
    assert 0 == repo.run("apply", "--yes").code
    assert before == head(repo, APPLIED)
    repo.commit("as applied")
    repo.write("reconciler.yaml", CONFIG.format("config") + "    ignore: ['Role/*']\n")
    assert 0 == repo.run("apply", "--yes").code
    assert before == head(repo, APPLIED)


def test_a_merge_request_of_gitlab_compares_with_its_diff_base(world):
    """By the commit that GitLab names, else by the branch."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    first = head(repo)
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("a.yaml", acme.flag("a", 20))
    repo.commit()

    by_commit = planned(repo, CI_MERGE_REQUEST_DIFF_BASE_SHA=first)
    by_branch = planned(repo, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")

    assert first == by_commit["base"]["commit"] == by_branch["base"]["commit"]
    assert {"a": {"intent"}} == causes(by_commit) == causes(by_branch)


def event(folder, **about):
    """What GitHub tells a build of a push."""
    path = folder / "event.json"
    path.write_text(json.dumps(about))
    return {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(path)}


def test_a_build_of_a_push_compares_with_the_commit_before_it(world, tmp_path_factory):
    """On GitHub by the event, on GitLab by a variable; what was applied last comes first."""
    repo = applied(world, "a.yaml", acme.flag("a", 10), acme.flag("b", 10))
    first = head(repo)
    repo.git("update-ref", "-d", APPLIED)
    repo.write("a.yaml", acme.flag("a", 20))
    repo.commit()
    pushed = event(tmp_path_factory.mktemp("event"), before=first)

    github = planned(repo, **pushed)
    gitlab = planned(repo, CI_COMMIT_BEFORE_SHA=first)

    assert {"ref": first, "commit": first} == github["base"] == gitlab["base"]
    assert {"a": "update", "b": "delete"} == actions(github)
    assert planned(repo, CI_COMMIT_BEFORE_SHA="0" * 40)["base"] is None
    repo.git("update-ref", APPLIED, "HEAD")
    assert APPLIED == planned(repo, **pushed)["base"]["ref"]


@pytest.mark.parametrize("about", ["not json", "[]", '{"before": 7}', '{"before": ""}', None])
def test_an_odd_event_is_no_base_and_no_crash(world, tmp_path_factory, about):
    """Causes are unknown then, and nothing is deleted."""
    repo = applied(world, "a.yaml", acme.flag("a", 10), acme.flag("b", 10))
    repo.git("update-ref", "-d", APPLIED)
    repo.write("a.yaml", acme.flag("a", 20))
    repo.commit()
    path = tmp_path_factory.mktemp("event") / "event.json"
    if about is not None:
        path.write_text(about)

    plan = planned(repo, GITHUB_EVENT_NAME="push", GITHUB_EVENT_PATH=str(path))

    assert plan["base"] is None
    assert {"a": "update"} == actions(plan)
    assert {"a": {"unknown"}} == causes(plan)


def test_a_push_in_a_shallow_clone_names_the_fetch_depth(world, tmp_path):
    """The commit before is not there: an error, not an empty base."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    first = head(repo)
    repo.write("a.yaml", acme.flag("a", 20))
    repo.commit()
    clone(repo, tmp_path / "clone", "--depth", "1")

    done = repo.run("apply", "--yes", CI_COMMIT_BEFORE_SHA=first)

    assert 1 == done.code
    assert "fetch-depth: 0" in done.err
    assert "GIT_DEPTH: 0" in done.err


def test_a_forced_push_says_to_name_the_base(world, tmp_path_factory):
    """The commit before it is in no history any more."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    repo.git("update-ref", "-d", APPLIED)
    pushed = event(tmp_path_factory.mktemp("event"), before="1" * 40, forced=True)

    done = repo.run("plan", **pushed)

    assert 1 == done.code
    assert "rewrote the history" in done.err
    assert "--base" in done.err


def test_a_recorded_base_whose_commit_is_not_here_is_an_error(world, tmp_path):
    """It was fetched without its commit: nothing else is taken instead."""
    repo = applied(world, "a.yaml", acme.flag("a", 10), acme.flag("b", 10))
    repo.write("a.yaml", acme.flag("a", 10))
    repo.commit()
    clone(repo, tmp_path / "clone", "--depth", "1")
    ref = repo.folder / ".git" / APPLIED
    ref.parent.mkdir(parents=True)
    ref.write_text("1" * 40 + "\n")

    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert "fetch-depth: 0" in done.err


@pytest.mark.parametrize(
    "ref", ["--output=x", "-x", "--upload-pack=touch x", "HEAD:a.yaml", "", "\n"]
)
@pytest.mark.parametrize("command", ["plan", "drift"])
def test_a_ref_is_never_an_option(world, ref, command):
    """Whatever it looks like, it is a name: of no commit, here."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))

    done = repo.run(command, f"--base={ref}")

    assert 1 == done.code
    assert "commit" in done.err
    assert not (repo.folder / "x").exists()


def test_a_branch_that_looks_like_an_option_is_a_branch(world):
    """Names that git itself allows, and a target branch of that name."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    repo.git("update-ref", "refs/heads/--quiet", "HEAD")
    repo.write("a.yaml", acme.flag("a", 20))
    repo.commit()

    by_name = planned(repo, "--base=refs/heads/--quiet")
    by_build = planned(repo, GITHUB_BASE_REF="--quiet")

    assert head(repo, "HEAD~1") == by_name["base"]["commit"] == by_build["base"]["commit"]


def test_the_repository_of_the_files_counts_not_the_current_folder(world, tmp_path_factory):
    """Run from elsewhere, with the settings named outright."""
    repo = applied(world, "config/a.yaml", acme.flag("a", 10), config=CONFIG.format("config"))
    repo.write("config/a.yaml", acme.flag("a", 20))
    repo.commit()
    settings, repo.folder = repo.folder / "reconciler.yaml", tmp_path_factory.mktemp("elsewhere")

    done = repo.run("--config", str(settings), "plan", "--format", "json")

    assert APPLIED == done.json["base"]["ref"]
    assert {"a": {"intent"}} == causes(done.json)


def test_without_git_the_repository_cannot_be_used(world, tmp_path_factory):
    """An image without git: an error that says so, not a plan without a base."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    repo.sandbox.clear()

    for command in (("plan",), ("apply", "--yes")):
        done = repo.run(*command, PATH=str(tmp_path_factory.mktemp("bin")))

        assert 1 == done.code
        assert "git is not installed" in done.err
    assert [] == repo.sandbox.requests()


def test_a_base_that_cannot_be_read_is_said_and_deletes_nothing(world):
    """Broken files, an LFS pointer, a link: a warning, causes unknown."""
    repo = applied(world, "a.yaml", acme.flag("a", 10), acme.flag("b", 10))
    good = repo.folder / "a.yaml"
    text = good.read_text()
    for broken in (
        "kind: [",
        "",
        "# nothing\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    ):
        good.write_text(broken)
        repo.commit("broken")
        repo.git("update-ref", APPLIED, "HEAD")
        repo.write("a.yaml", acme.flag("a", 10))

        plan = planned(repo)

        assert plan["base"] is None
        assert "base-unreadable" in codes(plan)
        assert {} == actions(plan)
        good.write_text(text)


def test_what_was_not_declared_at_the_base_is_intent(world):
    """A document for what is live already: the files moved."""
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a")]}
    repo = world(acme.seed(projects=[web]))
    repo.write("README.md", "nothing yet\n")
    repo.commit()
    repo.write("a.yaml", acme.flag("a", 50))
    repo.commit()

    plan = planned(repo, "--base", "HEAD~1")

    assert head(repo, "HEAD~1") == plan["base"]["commit"]
    assert {"a": {"intent"}} == causes(plan)
    assert "base-empty" in codes(plan)


def test_nothing_of_the_checkout_runs(world, tmp_path_factory):
    """Hooks, monitors, filters, pagers, remotes; modules in the current folder; `.env`."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    canary = tmp_path_factory.mktemp("canary") / "ran"
    script = repo.folder / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    script.chmod(0o755)
    for hook in ("post-index-change", "reference-transaction", "pre-push", "post-checkout"):
        shutil.copy(script, repo.folder / ".git" / "hooks" / hook)
    repo.write(".gitattributes", "*.yaml filter=x diff=x ident working-tree-encoding=UTF-16\n")
    for name in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "diff.external",
                 "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.x.textconv",
                 "core.askPass", "credential.helper", "core.alternateRefsCommand"):  # fmt: skip
        repo.git("config", name, str(script))
    code = f"from pathlib import Path\nPath({str(canary)!r}).touch()\n"
    for module in ("yaml", "httpx", "click", "reconciler", "sitecustomize", "json"):
        repo.write(f"{module}.py", code)
    repo.write(".env", "POSTHOG_HOST=http://127.0.0.1:9\n")
    repo.write("b.yaml", acme.flag("b", 10))

    plan = planned(repo)
    done = repo.run("apply", "--yes")
    drift = repo.run("drift")

    assert {"b": "create"} == actions(plan)
    assert (0, 0) == (done.code, drift.code), done.err + drift.err
    assert not canary.exists()


def test_variables_of_git_point_nowhere(world, tmp_path_factory):
    """A hook or a caller sets them for another repository."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    other = str(tmp_path_factory.mktemp("other"))
    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
             "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES")  # fmt: skip

    plan = planned(repo, **dict.fromkeys(names, other))

    assert head(repo) == plan["base"]["commit"]


def test_a_partial_clone_fetches_nothing(world, tmp_path):
    """Files of the base that are not here: an error that says how to clone."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    first = head(repo)
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.write("a.yaml", acme.flag("a", 20))
    repo.commit()
    clone(repo, tmp_path / "clone", "--filter=blob:none")

    done = repo.run("plan", "--base", first)

    assert 1 == done.code
    assert "partial clone" in done.err
    lacking = subprocess.run(
        ["git", "rev-list", "--objects", "--all", "--missing=print"],
        cwd=repo.folder,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "?" in lacking


def test_a_sparse_checkout_that_hides_files_deletes_nothing(world):
    """They have not left the files: nobody asked for them."""
    repo = applied(world, "x/a.yaml", acme.flag("a", 10), config=CONFIG.format("x"))
    repo.write("reconciler.yaml", CONFIG.format("x, y"))
    repo.write("y/b.yaml", acme.flag("b", 10))
    repo.write("y/c.yaml", acme.flag("c", 10))
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    repo.git("sparse-checkout", "set", "--no-cone", "/x/", "/y/b.yaml", "/reconciler.yaml")
    assert not (repo.folder / "y/c.yaml").exists()
    repo.sandbox.clear()

    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert "sparse checkout leaves y/c.yaml out" in done.err
    assert [] == repo.sandbox.writes()


def test_a_submodule_that_is_not_checked_out_is_told(world, tmp_path_factory):
    """What it declares is not known: a warning, and nothing is deleted."""
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    shared = tmp_path_factory.mktemp("shared")
    other = type(repo)(shared, repo.sandbox)
    other.write("s.yaml", acme.flag("s", 10))
    other.commit()
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(shared), "shared")
    repo.commit("with a submodule")
    assert 0 == repo.run("apply", "--yes").code
    repo.git("submodule", "deinit", "-q", "-f", "shared")

    plan = planned(repo)

    assert {} == actions(plan)
    assert ["submodule-missing"] == codes(plan)


def test_outside_git_drift_is_an_error_and_a_named_base_too(world):
    """There is nothing to compare with."""
    repo = world(acme.seed())
    repo.write("a.yaml", acme.flag("a", 10))

    for command in (("drift",), ("plan", "--base", "main")):
        done = repo.run(*command)

        assert 1 == done.code
        assert "not in a git repository" in done.err


def test_a_repository_of_somebody_else_says_how_to_trust_it(world, tmp_path):
    """As in a container that runs as root over files of the runner."""
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    repo = applied(world, "a.yaml", acme.flag("a", 10))
    for path in (repo.folder, *repo.folder.rglob("*")):
        os.chown(path, 65534, 65534)

    done = repo.run("plan", HOME=str(tmp_path / "home"))

    assert 1 == done.code
    assert "safe.directory" in done.err
