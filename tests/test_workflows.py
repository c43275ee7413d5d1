"""The workflows, and those the docs tell people to copy: pinned actions, least permissions."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TOOLS = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")
FENCED = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _texts():
    """Name -> text of every workflow, of those in the docs and of what `init` writes, too."""
    for file in sorted((ROOT / ".github" / "workflows").glob("*.y*ml")):
        yield file.name, file.read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        for number, text in enumerate(FENCED.findall(page.read_text(encoding="utf-8")), 1):
            if "\njobs:" in text:
                yield f"docs/{page.name}-{number}", text
    template = ROOT / "reconciler" / "commands" / "templates" / "github.yml"
    yield "template/github.yml", template.read_text(encoding="utf-8")


TEXTS = dict(_texts())
every = pytest.mark.parametrize("name", TEXTS)


def _parsed(name):
    document = yaml.load(TEXTS[name], Loader=yaml.BaseLoader)  # noqa: S506  safe, and `on` stays text
    assert isinstance(document, dict)
    return document


def _steps(name):
    return [step for job in _parsed(name)["jobs"].values() for step in job.get("steps", ())]


def test_there_are_workflows_to_look_at():
    """Of the repository, and in the docs."""
    assert "ci.yml" in TEXTS
    assert any(name.startswith("docs/ci.md") for name in TEXTS)


@every
def test_every_action_is_pinned_to_a_commit_and_says_its_version(name):
    """A tag can be moved under us; 40 hex digits cannot."""
    used = re.findall(r"^\s*-?\s*uses:\s*(.+?)\s*$", TEXTS[name], re.MULTILINE)

    assert used
    assert [use for use in used if not PINNED.fullmatch(use)] == []


MAY_WRITE = {  # why stands beside each in the file
    ("template/github.yml", "plan"): {"pull-requests": "write"},
    ("template/github.yml", "apply"): {"contents": "write"},
    ("template/github.yml", "drift"): {"issues": "write"},
    ("docs/ci.md-1", "plan"): {"pull-requests": "write"},
    ("release.yml", "publish"): {"id-token": "write"},
    ("release.yml", "release"): {"contents": "write"},
}


@every
def test_permissions_are_none_by_default_and_the_least_for_a_job(name):
    """Reading the repository; what writes more is listed here, and says why where it stands."""
    document = _parsed(name)

    assert document["permissions"] == {}
    for job, about in document["jobs"].items():
        assert about["permissions"] == {"contents": "read"} | MAY_WRITE.get((name, job), {})


@every
def test_zizmor_and_the_schema_of_workflows_find_nothing(name, tmp_path):
    """Injection, excess permissions, unpinned actions, misspelled keys."""
    file = tmp_path / ".github" / "workflows" / "one.yml"
    file.parent.mkdir(parents=True)
    file.write_text(TEXTS[name], encoding="utf-8")
    for command in (
        [TOOLS / "zizmor", "--offline", "--quiet", file],
        [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", file],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_passes_the_same_linters():
    """No input is pasted into a script; the lock file that it installs from has hashes."""
    file = ROOT / "action.yml"
    for command in (
        [TOOLS / "zizmor", "--offline", "--quiet", file],
        [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-actions", file],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    scripts = [step["run"] for step in document["runs"]["steps"]]
    assert not [script for script in scripts if "${{" in script]
    assert all("bash" == step["shell"] for step in document["runs"]["steps"])


@every
def test_no_event_gives_secrets_to_strangers(name):
    """No `pull_request_target`, no `workflow_run`."""
    events = _parsed(name)["on"]

    assert not {"pull_request_target", "workflow_run"} & set(events)


@every
def test_checkout_leaves_no_credentials_behind(name):
    """The token would lie in .git/config for every later step; one job needs it to push a ref."""
    for job, about in _parsed(name)["jobs"].items():
        for step in about.get("steps", ()):
            if "actions/checkout@" in step.get("uses", ""):
                pushes = MAY_WRITE.get((name, job), {}).get("contents") == "write"
                expected = "true" if pushes else "false"
                assert step["with"]["persist-credentials"] == expected


@every
def test_no_text_of_strangers_is_pasted_into_a_script(name):
    """`${{ github.event… }}` inside `run` is a shell injection; by env it is a value."""
    scripts = [step["run"] for step in _steps(name) if "run" in step]

    assert not [script for script in scripts if "${{" in script]


def test_ci_runs_the_commands_that_a_person_runs():
    """`make test` and `make demo`, on every Python that pyproject.toml names, with an end."""
    scripts = " ; ".join(step["run"] for step in _steps("ci.yml") if "run" in step)
    job = _parsed("ci.yml")["jobs"]["test"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    versions = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)

    assert "make test" in scripts
    assert "make demo" in scripts
    assert versions == job["strategy"]["matrix"]["python"]
    assert int(job["timeout-minutes"]) <= 30
    assert "concurrency" in _parsed("ci.yml")


def test_clients_by_other_people_run_every_week():
    """Nobody waits for them: they are not part of a pull request."""
    events = _parsed("clients.yml")["on"]
    [schedule] = events["schedule"]
    [script] = [step["run"] for step in _steps("clients.yml") if "run" in step]

    assert "make clients PYTHON=python" == script
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    assert {"schedule", "workflow_dispatch"} == set(events)


def test_updates_wait_a_week():
    """A poisoned release is usually found within days."""
    document = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    ecosystems = {update["package-ecosystem"]: update for update in document["updates"]}

    assert {"github-actions", "pip"} <= set(ecosystems)
    for update in ecosystems.values():
        assert update["cooldown"]["default-days"] >= 7


def _run_of_the_action(tmp_path, **inputs):
    """The action's own script, as a runner calls it; what reconciler was called with."""
    bin_ = tmp_path / "reconciler" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").symlink_to(sys.executable)
    (bin_ / "reconciler").write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" > "$RUNNER_TEMP/called"\n')
    (bin_ / "reconciler").chmod(0o755)
    document = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    step = next(step for step in document["runs"]["steps"] if step.get("id") == "run")
    none = {name.upper().replace("-", "_"): "" for name in document["inputs"]}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), **none, **inputs},
        capture_output=True,
        text=True,
        check=False,
    )
    called = tmp_path / "called"
    return done, called.read_text(encoding="utf-8").splitlines() if called.exists() else None


def test_the_action_hands_its_inputs_on_as_words_and_executes_none(tmp_path):
    """Quotes as in a shell; `$(…)` stays text; a target that looks like an option is a name."""
    done, called = _run_of_the_action(
        tmp_path,
        COMMAND="plan",
        TARGET="-x",
        COMMENT="true",
        FAIL_ON="drift, changes",
        ARGS="--select 'a b' $(touch,owned) `id`",
    )

    assert 0 == done.returncode, done.stderr
    options = ["--comment", "--fail-on=drift", "--fail-on=changes", "--", "plan"]
    words = ["--select", "a b", "$(touch,owned)", "`id`"]
    assert ["--target=-x", "ci", "run", *options, *words] == called


def test_arguments_that_cannot_be_read_stop_the_action(tmp_path):
    """`apply` without the --select that was meant would apply everything."""
    done, called = _run_of_the_action(tmp_path, COMMAND="apply", ARGS="--select 'FeatureFlag/a")

    assert 1 == done.returncode
    assert called is None
    assert "::error title=reconciler::the input args is no list of words" in done.stderr
