"""The workflows, and those the docs tell people to copy: pinned actions, least permissions."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from reconciler.ci import pipelines
from scripts import pins

TOOLS = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent
KEYS = ("POSTHOG_API_KEY", "US_KEY")
COMMIT = "1234567890" * 4
ACME = pipelines.ProgramSource("acme/it", COMMIT)
WRITTEN = {  # what `init` writes, for one target and for several
    "init": pipelines.Pipeline("github", ("production",), KEYS[:1]),
    "init-matrix": pipelines.Pipeline("github", ("eu", "us"), KEYS),
    "init-notify": pipelines.Pipeline(
        "github", ("eu", "us"), KEYS, notifies=True, webhooks=("RECONCILER_NOTIFY_URL",)
    ),
    "init-shards": pipelines.Pipeline("github", ("eu", "us"), KEYS, shards=3),
    "init-shards-notify": pipelines.Pipeline("github", ("eu",), KEYS, notifies=True, shards=2),
}
SHARDED = ("init-shards", "init-shards-notify")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")
FENCED = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _texts():
    """Yield name and text of every workflow: of the repository, the docs, examples and `init`."""
    for file in sorted((ROOT / ".github" / "workflows").glob("*.y*ml")):
        yield file.name, file.read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        for number, text in enumerate(FENCED.findall(page.read_text(encoding="utf-8")), 1):
            if "\njobs:" in text:
                yield f"docs/{page.name}-{number}", text
    for file in sorted((ROOT / "examples" / "ci").glob("*plan.yml")):
        yield file.name, file.read_text(encoding="utf-8")
    for name, pipeline in WRITTEN.items():
        yield name, pipelines.render(pipeline)


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
    **{(name, "plan"): {"pull-requests": "write"} for name in WRITTEN if name not in SHARDED},
    **{(name, "apply"): {"contents": "write"} for name in (*WRITTEN, "reviewed-plan.yml")},
    **{(name, "drift"): {"issues": "write"} for name in WRITTEN if name not in SHARDED},
    ("init-shards-notify", "drift"): {"contents": "write"},
    **{(name, "report"): {"pull-requests": "write", "issues": "write"} for name in SHARDED},
    ("init-notify", "drift"): {"issues": "write", "contents": "write"},
    ("docs/ci.md-4", "apply"): {"contents": "write"},
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


def test_zizmor_and_the_schema_of_workflows_find_nothing(tmp_path):
    """Injection, excess permissions, unpinned actions, misspelled keys."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    files = [folder / f"{name.replace('/', '-').removesuffix('.yml')}.yml" for name in TEXTS]
    for file, text in zip(files, TEXTS.values(), strict=True):
        file.write_text(text, encoding="utf-8")
    assert len(TEXTS) == len(set(files))
    for command in (
        [TOOLS / "zizmor", "--offline", "--quiet", *files],
        [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files],
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
    scripts = [step for step in _action_steps() if "run" in step]
    assert not [step["run"] for step in scripts if "${{" in step["run"]]
    assert all("bash" == step["shell"] for step in scripts)
    used = re.findall(r"uses:\s*(.+)", file.read_text(encoding="utf-8"))
    assert [use for use in used if not PINNED.fullmatch(use)] == []


def _action_steps():
    document = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return document["runs"]["steps"]


def test_every_pinned_version_is_the_one_of_the_list():
    """`make pins` writes them, and the examples of the docs, from one place."""
    files = {path.relative_to(ROOT).as_posix(): path for path in pins.list_files()}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}

    assert {"action.yml", "Dockerfile", ".github/workflows/ci.yml", "docs/ci.md"} <= set(files)
    assert [name for name, text in texts.items() if pins.rewrite(text) != text] == []
    listed = pipelines.load_pins()["actions"]
    used = {use for text in texts.values() for use in re.findall(r"uses: ([\w./-]+)@", text)}
    assert used - {"OWNER/reconciler"} == set(listed)


def test_a_pin_that_differs_is_found():
    """An action, an image and an example that somebody changed by hand."""
    old = f"- uses: actions/checkout@{COMMIT} # v1\nFROM python:3.13-slim@sha256:0123 AS build\n"
    example = "<!-- from github, validate -->\n```yaml\nold\n```\n"

    fixed = pins.rewrite(old)

    assert f"uses: {pipelines.format_pin('actions/checkout')}\n" in fixed
    assert pipelines.load_pins()["images"]["python:3.13-slim"] in fixed
    assert " AS build\n" in fixed
    assert "```yaml\nvalidate: #" in pins.rewrite(example)
    assert "plan:" not in pins.rewrite(example)


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
                pushes = job == "apply"
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
    step = next(step for step in _action_steps() if step.get("id") == "run")
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


def _bash(script, folder, **environ):
    """Run a step as a runner does."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *"-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  *"-m pip"*) echo "$@" >> "$RUNNER_TEMP/pip.log" ;;
  *) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize("cached", ["true", ""])
def test_the_action_installs_what_the_lock_pins_and_builds_nothing(tmp_path, cached):
    """With the cache it downloads nothing; the program runs from the commit of the action."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON.format(python=tmp_path / "env/bin/python"), encoding="utf-8")
    python.chmod(0o755)
    script = next(step["run"] for step in _action_steps() if step["name"] == "Install")
    environ = {"ACTION": str(ROOT), "PYTHON": str(python), "RUNNER_TEMP": str(tmp_path)}

    done = _bash(script, tmp_path, CACHED=cached, **environ)

    assert 0 == done.returncode, done.stderr
    calls = (tmp_path / "pip.log").read_text(encoding="utf-8").splitlines()
    verbs = ["download", "install"] if not cached else ["install"]
    assert verbs == [
        next(verb for verb in ("download", "install") if verb in call) for call in calls
    ]
    for call in calls:
        assert "--require-hashes --only-binary :all:" in call
        assert f"--requirement {ROOT}/requirements.lock" in call
    assert "--no-index" in calls[-1]
    link = next((tmp_path / "env").rglob("reconciler.pth"))
    assert f"{ROOT}\n" == link.read_text(encoding="utf-8")
    command = tmp_path / "reconciler" / "bin" / "reconciler"
    assert "-I -m reconciler" in command.read_text(encoding="utf-8")


def test_the_cache_of_the_action_depends_on_the_lock(tmp_path):
    """Another lock file, Python, system or processor is another key."""
    steps = {step["name"]: step for step in _action_steps()}
    key = steps["Cache the packages"]["with"]["key"]
    outputs = []
    for text in ("a", "b"):
        (tmp_path / "requirements.lock").write_text(text, encoding="utf-8")
        environ = {"ACTION": str(tmp_path), "PYTHON": sys.executable}
        file = tmp_path / f"out-{text}"
        script = steps["Find the packages"]["run"]
        assert 0 == _bash(script, tmp_path, GITHUB_OUTPUT=str(file), **environ).returncode
        outputs.append(file.read_text(encoding="utf-8"))

    assert all(re.fullmatch(r"lock=[0-9a-f]{64}\n", output) for output in outputs)
    assert outputs[0] != outputs[1]
    for part in ("runner.os", "runner.arch", "python-version", "packages.outputs.lock"):
        assert part in key


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ("success success", 0),
        ("success skipped", 0),  # a fork, the merge queue
        ("failure skipped", 1),
        ("success failure", 1),
        ("success cancelled", 1),
    ],
)
def test_one_check_can_be_required_for_any_number_of_targets(tmp_path, results, code):
    """A matrix that is skipped reports none of its checks."""
    job = _parsed("init-matrix")["jobs"]["ready"]

    assert ["validate", "plan"] == job["needs"]
    assert job["if"].startswith("always() && (")
    assert code == _bash(job["steps"][0]["run"], tmp_path, RESULTS=results).returncode


@pytest.mark.parametrize(
    ("name", "event", "applied", "expected"),
    [
        ("init", "push", [], '["production"]'),
        ("init", "push", ["production"], '["production"]'),
        ("init", "workflow_dispatch", ["production"], '["production"]'),
        ("init", "schedule", [], '["production"]'),
        ("init", "schedule", ["production"], "[]"),
        ("init", "schedule", ["renamed"], "[]"),  # one target, whatever its name is by now
        ("init-matrix", "push", ["eu"], '["eu", "us"]'),
        ("init-matrix", "schedule", ["eu"], '["us"]'),
        ("init-matrix", "schedule", ["us", "eu"], "[]"),
        ("init-matrix", "schedule", ["us", "eu-2"], '["eu"]'),
    ],
)
def test_the_hourly_run_applies_only_what_is_not_applied_yet(
    tmp_path, name, event, applied, expected
):
    """Without a key: the refs of the remote are compared with the commit of the run."""
    remote = tmp_path / "acme" / "config"

    def git(*arguments):
        done = subprocess.run(
            [
                "git",
                "-C",
                str(remote),
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b.test",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    remote.mkdir(parents=True)
    git("init", "--quiet")
    for message in ("before", "now"):
        git("commit", "--quiet", "--allow-empty", "--message", message)
    for target in ("eu", "us", "production"):
        ref = "HEAD" if target in applied else "HEAD~"
        git("update-ref", f"refs/reconciler/applied/{target}", ref)
    for target in set(applied) - {"eu", "us", "production"}:
        git("update-ref", f"refs/reconciler/applied/{target}", "HEAD")
    step = _parsed(name)["jobs"]["pending"]["steps"][0]
    environ = {
        "GITHUB_EVENT_NAME": event,
        "GITHUB_OUTPUT": str(tmp_path / "out"),
        "GITHUB_REPOSITORY": "acme/config",
        "GITHUB_SERVER_URL": f"file://{tmp_path}",
        "GITHUB_SHA": git("rev-parse", "HEAD"),
        "TARGETS": step["env"]["TARGETS"],
    }

    done = _bash(step["run"], tmp_path, **environ)

    assert 0 == done.returncode, done.stderr
    assert f"targets={expected}\n" == (tmp_path / "out").read_text(encoding="utf-8")


def _gitlab(*targets):
    return yaml.safe_load(pipelines.render(pipelines.Pipeline("gitlab", targets, KEYS[:1])))


def _with_reviewed_plan():
    """Return the pipeline of `init` with the job `apply` of the example."""
    example = (ROOT / "examples/ci/reviewed-plan.gitlab-ci.yml").read_text(encoding="utf-8")
    return yaml.safe_dump({**_gitlab("production"), **yaml.safe_load(example)})


@pytest.mark.parametrize(
    "pipeline",
    [
        pipelines.Pipeline("gitlab", ("production",), KEYS[:1]),
        pipelines.Pipeline(
            "gitlab", ("eu", "us"), KEYS, pipelines.ProgramSource("acme/it", COMMIT)
        ),
        pipelines.Pipeline("gitlab", ("eu", "us"), KEYS, notifies=True, shards=3),
    ],
    ids=["one target", "several", "shards"],
)
def test_the_pipeline_of_gitlab_keeps_its_schema(pipeline, tmp_path):
    """As published by GitLab."""
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(pipelines.render(pipeline), encoding="utf-8")
    command = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    done = subprocess.run(
        [*command, "--data-transform", "gitlab-ci", file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_only_plans_of_gitlab_may_be_interrupted():
    """An apply that is cut off leaves work undone; runs for one target wait for each other."""
    document = _gitlab("eu", "us")

    assert document["default"]["interruptible"] is False
    assert [name for name, job in document.items() if "interruptible" in job] == [
        *("default", "validate", "plan")
    ]
    assert "posthog-apply-$TARGET" == document["apply"]["resource_group"]
    assert [{"TARGET": ["eu", "us"]}] == document["apply"]["parallel"]["matrix"]
    assert {"posthog-$TARGET", "posthog-plan-$TARGET"} == {
        document[name]["environment"]["name"] for name in ("plan", "apply", "drift")
    }


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_gitlab_installs_what_the_lock_pins_and_builds_nothing(tmp_path, shell, cached):
    """The program at its commit; packages from the cache, else downloaded, always by hash."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pip").write_text(
        '#!/bin/sh\necho "$@" >> pip.log\n'
        "case $1 in install) ls .reconciler/wheels/*.whl > /dev/null ;;"
        " *) touch .reconciler/wheels/new.whl ;; esac\n"
    )
    (tools / "python").write_text('#!/bin/sh\necho "$@" >> python.log\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    place = tmp_path / "program"
    lines = [line.replace("/opt/reconciler", str(place)) for line in _before_script()]
    if cached:
        (tmp_path / ".reconciler" / "wheels").mkdir(parents=True)
        (tmp_path / ".reconciler" / "wheels" / "a.whl").touch()
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()

    done = subprocess.run(
        [shell, "-e", "-c", "\n".join([*lines, "reconciler validate"])],
        cwd=tmp_path,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "RECONCILER_REPOSITORY": f"file://{ROOT}",
            "RECONCILER_COMMIT": commit,
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    calls = (tmp_path / "pip.log").read_text(encoding="utf-8").splitlines()
    assert ["install"] * cached + ["install", "download", "install"] * (not cached) == [
        call.split()[0] for call in calls
    ]
    for call in calls:
        assert "--require-hashes --only-binary :all:" in call
        assert f"--requirement {place}/requirements.lock" in call
    assert (place / "requirements.lock").is_file()
    assert (tmp_path / "python.log").read_text().splitlines()[-1] == "-I -m reconciler validate"


def _before_script():
    return _gitlab("production")["default"]["before_script"]


@pytest.mark.parametrize(
    ("source", "applied", "runs"),
    [("push", True, True), ("schedule", False, True), ("schedule", True, False)],
)
def test_the_hourly_apply_of_gitlab_has_nothing_to_do_after_a_complete_one(
    tmp_path, source, applied, runs
):
    """The ref of the last complete apply is compared with the commit of the pipeline."""
    script = "\n".join(_gitlab("production")["apply"]["script"])
    remote = tmp_path / "remote"
    setup = f"""
        git init --quiet {remote}
        git -C {remote} -c user.name=a -c user.email=a@b.test commit --quiet --allow-empty -m a
        git -C {remote} -c user.name=a -c user.email=a@b.test commit --quiet --allow-empty -m b
        git -C {remote} update-ref refs/reconciler/applied/production HEAD{"" if applied else "~"}
        git clone --quiet {remote} clone
        cd clone
        CI_COMMIT_SHA=$(git rev-parse HEAD)
        reconciler() {{ echo "$@" > ../called; }}
    """

    done = _bash(f"{setup}\n{script}", tmp_path, CI_PIPELINE_SOURCE=source, CI_PROJECT_URL="x")

    assert 0 == done.returncode, done.stderr
    assert runs == (tmp_path / "called").exists()
