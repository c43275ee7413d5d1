"""The jobs of the workflows, step by step: the real scripts, the sandbox, and a remote on disk.

`uses:` of the action runs the action's own script; checkout is a clone, artifacts are a copy.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reconciler.ci import pipelines
from tests import acme
from tests.support import CLEAN, Repository

ROOT = Path(__file__).parent.parent.parent
RUN = next(
    step["run"]
    for step in yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"]
    if step.get("id") == "run"
)
INPUTS = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
OUTPUT = re.compile(r"^([\w-]+)(?:<<(\w+)\n(.*?)\n\2|=([^\n]*))$", re.DOTALL | re.MULTILINE)
APPLIED = "refs/reconciler/applied/production"
ADDRESS = "FeatureFlag/acme/Web/a"


class Forge:
    """A remote, and a runner for the jobs of one workflow."""

    def __init__(self, folder, repo, workflow, program):
        self.folder, self.repo, self.program = folder, repo, program
        self.jobs = yaml.safe_load(workflow)["jobs"]
        self.remote = folder / "acme" / "config"
        self.artifacts = {}
        self.runs = 0
        self.git("init", "-q", "--bare", "-b", "main", str(self.remote))
        repo.git("remote", "add", "origin", str(self.remote))

    def git(self, *arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=CLEAN, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def push(self):
        self.repo.commit()
        self.repo.git("push", "-q", "origin", "main")

    def applied(self):
        """Return whether the remote knows that the newest commit is applied."""
        ref = self.git("-C", str(self.remote), "for-each-ref", "--points-at", "main", APPLIED)
        return bool(ref)

    def run(self, name, event="push", token="phx_ci", expressions=None, **variables):
        """Run a job in a clone; return the exit code, the outputs of its steps, and the log.

        `expressions` has the values of `${{ … }}` by their text.
        """
        self.runs += 1
        temp = self.folder / f"run-{self.runs}.temp"
        self.expressions = {"runner.temp": str(temp), **(expressions or {})}
        clone = self.folder / f"run-{self.runs}"
        self.git("clone", "-q", str(self.remote), str(clone))
        (temp / "reconciler" / "bin").mkdir(parents=True)
        (temp / "reconciler" / "bin" / "python").symlink_to(sys.executable)
        (temp / "reconciler" / "bin" / "reconciler").symlink_to(self.program)
        (temp / "event.json").write_text("{}", encoding="utf-8")
        environ = {
            **Repository(clone, self.repo.sandbox, token).environment(),
            "PATH": os.environ["PATH"],
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(temp / "event.json"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REPOSITORY": "acme/config",
            "GITHUB_SERVER_URL": f"file://{self.folder}",
            "GITHUB_SHA": self.git("-C", str(clone), "rev-parse", "HEAD"),
            "GITHUB_STEP_SUMMARY": str(temp / "summary"),
            "RUNNER_TEMP": str(temp),
            **variables,
        }
        self.summary = temp / "summary"
        outputs, log = {}, ""
        for number, step in enumerate(self.jobs[name]["steps"]):
            file = temp / f"output-{number}"
            code, text = self.run_step(
                step, clone, {**environ, "GITHUB_OUTPUT": str(file)}, outputs
            )
            log += text
            if file.exists():
                found = OUTPUT.findall(file.read_text(encoding="utf-8"))
                outputs |= {key: block or line for key, _, block, line in found}
            if code:
                return code, outputs, log
        return 0, outputs, log

    def run_step(self, step, clone, environ, outputs):
        uses, given = step.get("uses", ""), step.get("with", {})
        given = {key: self.fill_in(value) for key, value in given.items()}
        if "artifact@" in uses:
            self.move_artifact(uses, given, clone, outputs)
            return 0, ""
        if given.get("command") == "install":
            return 0, ""
        if "checkout@" in uses:
            return 0, ""
        if "waiting" in step.get("if", "") and outputs["waiting"] in {"", "0"}:
            return 0, ""
        if "schedule" in step.get("if", "") and environ["GITHUB_EVENT_NAME"] != "schedule":
            return 0, ""
        script, variables = step.get("run", ""), {}
        if "reconciler@" in uses:
            script = RUN
            variables = {name: about.get("default", "") for name, about in INPUTS.items()}
            variables = {**variables, "github-token": "", **given}
            variables = {name.upper().replace("-", "_"): text for name, text in variables.items()}
        for name, given_value in step.get("env", {}).items():
            value = self.fill_in(given_value)
            if "${{" not in value:
                variables[name] = value
            elif "outputs.waiting" in value:
                variables[name] = outputs["waiting"]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=clone,
            env={**environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def fill_in(self, value):
        """Return a value with the expressions that are known."""
        for text, known in self.expressions.items():
            value = value.replace(f"${{{{ {text} }}}}", known) if isinstance(value, str) else value
        return value

    def move_artifact(self, uses, given, clone, outputs):
        """Keep a plan or a folder as an artifact, or bring a plan, or the folders of a pattern."""
        kept = self.folder / "artifacts"
        place = clone / given["path"]
        match "upload" in uses, given:
            case True, {"path": path, "name": name} if "${{" in path:
                self.artifacts[name] = Path(outputs["plan-file"]).read_bytes()
            case True, {"name": name}:
                if place.exists():
                    shutil.copytree(place, kept / name, dirs_exist_ok=True)
            case False, {"pattern": pattern}:
                for folder in sorted(kept.glob(pattern)):
                    shutil.copytree(folder, place / folder.name)
            case False, {"name": name}:
                place.mkdir(parents=True)
                (place / "plan.json").write_bytes(self.artifacts[name])


@pytest.fixture
def forge(world, tmp_path_factory, program):
    """make(workflow) -> a forge whose repository declares a flag that needs an approval."""

    def make(workflow, *policies):
        project = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a", 10)]}
        seed = acme.seed(projects=[{**project, "approval_policies": list(policies)}])
        repo = world(seed)
        target = {"host": repo.sandbox.url, "paths": ["flags.yaml"]}
        settings = {"version": 1, "targets": {"production": target}}
        repo.write("reconciler.yaml", json.dumps(settings))
        repo.write(".gitignore", ".reconciler/\n")
        repo.write("flags.yaml", acme.flag("a", 50))
        repo.commit()
        return Forge(tmp_path_factory.mktemp("forge"), repo, workflow, program)

    return make


def written_by_init():
    return pipelines.render(pipelines.Pipeline("github", ("production",), ("POSTHOG_API_KEY",)))


def rollout(repo):
    path = "/api/projects/1/feature_flags/"
    [flag] = repo.sandbox.call("GET", path, token="phx_alice")[1]["results"]
    return flag["filters"]["groups"][0]["rollout_percentage"]


def test_a_merged_change_is_finished_by_the_hourly_run(forge):
    """Push: the change waits. Every hour: apply continues, until the commit is applied."""
    forge = forge(written_by_init(), acme.policy("feature_flag.update"))
    forge.push()

    assert '["production"]' == forge.run("pending")[1]["targets"]
    code, outputs, log = forge.run("apply")
    assert (0, "1") == (code, outputs["waiting"]), log
    assert "::notice::1 waiting for approval" in log
    assert not forge.applied()

    assert '["production"]' == forge.run("pending", "schedule")[1]["targets"]
    code, outputs, log = forge.run("apply", "schedule")
    assert (0, "1", 10) == (code, outputs["waiting"], rollout(forge.repo)), log

    assert 0 == forge.repo.run("requests", "approve", ADDRESS, "--yes", token="phx_alice").code
    code, outputs, log = forge.run("apply", "schedule")
    assert (0, "0", 50) == (code, outputs["waiting"], rollout(forge.repo)), log
    assert forge.applied()
    assert "[]" == forge.run("pending", "schedule")[1]["targets"]


def test_a_change_outside_git_is_not_reverted_by_the_hourly_run(forge):
    """After a complete apply there is nothing to apply: that is a report of drift."""
    forge = forge(written_by_init())
    forge.push()
    assert 0 == forge.run("apply")[0]
    path = "/api/projects/1/feature_flags/"
    id_ = forge.repo.sandbox.call("GET", path, token="phx_alice")[1]["results"][0]["id"]
    forge.repo.sandbox.call("PATCH", f"{path}{id_}/", {"name": "changed"}, token="phx_alice")

    assert "[]" == forge.run("pending", "schedule")[1]["targets"]
    assert '["production"]' == forge.run("pending", "push")[1]["targets"]


def with_webhooks(repo, url):
    target = {"host": repo.sandbox.url, "paths": ["flags.yaml"], "notify": [url]}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": {"production": target}}))


def test_the_hourly_run_reminds_each_approver_once(forge, code_host):
    """What was sent is kept in a ref of the remote, which the next run fetches."""
    pipeline = pipelines.Pipeline("github", ("production",), ("POSTHOG_API_KEY",), notifies=True)
    forge = forge(
        pipelines.render(pipeline), acme.policy("feature_flag.update", expires_after="12:00:00")
    )
    with_webhooks(forge.repo, f"{code_host.url}/hook")
    forge.push()

    codes = [forge.run("apply", event)[0] for event in ("push", "schedule", "schedule")]

    assert [0, 0, 0] == codes
    events = [json.loads(body)["event"] for _, _, body in code_host.hooks]
    assert ["approval-requested", "approval-expires"] == events


def test_drift_is_sent_once_by_the_daily_runs(forge, code_host):
    """The job that may only read PostHog pushes one ref."""
    pipeline = pipelines.Pipeline("github", ("production",), ("POSTHOG_API_KEY",), notifies=True)
    forge = forge(pipelines.render(pipeline))
    with_webhooks(forge.repo, f"{code_host.url}/hook")
    forge.push()
    assert 0 == forge.run("apply")[0]
    path = "/api/projects/1/feature_flags/"
    id_ = forge.repo.sandbox.call("GET", path, token="phx_alice")[1]["results"][0]["id"]
    groups = {"groups": [{"properties": [], "rollout_percentage": 20}]}
    forge.repo.sandbox.call("PATCH", f"{path}{id_}/", {"filters": groups}, token="phx_alice")

    runs = [forge.run("drift", "schedule") for _ in range(2)]

    assert ["true", "true"] == [outputs["has-drift"] for _, outputs, _ in runs], runs
    assert ["drift"] == [json.loads(body)["event"] for _, _, body in code_host.hooks]


@pytest.fixture
def reviewed(forge):
    return forge((ROOT / "examples/ci/reviewed-plan.yml").read_text(encoding="utf-8"))


def test_the_job_applies_the_plan_that_was_reviewed(reviewed):
    """The artifact of the first job is what the second one applies, and the base is recorded."""
    reviewed.push()
    code, outputs, log = reviewed.run("plan")
    assert (0, "true") == (code, outputs["has-changes"]), log
    assert [] == reviewed.repo.sandbox.writes()

    code, _, log = reviewed.run("apply")

    assert (0, 50) == (code, rollout(reviewed.repo)), log
    assert json.loads(reviewed.artifacts["plan"])["digest"] in log
    assert reviewed.applied()


def test_what_changed_after_the_review_is_refused(reviewed):
    """Nobody has looked at this value."""
    reviewed.push()
    assert 0 == reviewed.run("plan")[0]
    path = "/api/projects/1/feature_flags/"
    id_ = reviewed.repo.sandbox.call("GET", path, token="phx_alice")[1]["results"][0]["id"]
    groups = {"groups": [{"properties": [], "rollout_percentage": 20}]}
    reviewed.repo.sandbox.call("PATCH", f"{path}{id_}/", {"filters": groups}, token="phx_alice")

    code, _, log = reviewed.run("apply")

    assert (4, 20) == (code, rollout(reviewed.repo)), log
    assert not reviewed.applied()
