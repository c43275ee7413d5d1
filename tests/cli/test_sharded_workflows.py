"""The jobs that `init --ci … --shards N` writes: each shard once, one report of all of them."""

import json
import shutil
import subprocess

import pytest
import yaml

from tests import acme
from tests.cli.test_workflow_jobs import Forge
from tests.project_fleet import KEYS, TARGETS
from tests.support import CLEAN

FILES = {"github": ".github/workflows/posthog.yml", "gitlab": ".gitlab-ci.yml"}
HOURLY = "github.event.schedule == '23 * * * *'"
GATED = [acme.policy("feature_flag.update")]


def write(fleet, ci):
    """Let `init` write the workflow, and return its text."""
    assert fleet.run("init", "--ci", ci, "--shards", "3").code == 0
    return (fleet.folder / FILES[ci]).read_text(encoding="utf-8")


class Jobs:
    """The workflow of GitHub, and a runner for its matrix."""

    def __init__(self, fleet, folder, program):
        self.forge = Forge(folder, fleet.repo, write(fleet, "github"), program)
        self.forge.push()

    def divide(self, *, hourly=False):
        """Run the job `shards`; return its outputs."""
        code, outputs, log = self.forge.run(
            "shards", expressions={HOURLY: str(hourly).lower()}, **KEYS
        )
        assert code == 0, log
        return outputs

    def run(self, name, outputs, event="push"):
        """Run a job once for each shard of the matrix; return the codes and what was printed."""
        shutil.rmtree(self.forge.folder / "artifacts", ignore_errors=True)
        codes, logs = [], []
        for row in json.loads(outputs["matrix"])["include"]:
            expressions = {
                "matrix.shard": row["shard"],
                "matrix.index": str(row["index"]),
                "join(matrix.targets, ' ')": " ".join(row["targets"]),
                "needs.shards.outputs.options": outputs["options"],
            }
            code, _, log = self.forge.run(name, event, expressions=expressions, **KEYS)
            codes.append(code)
            logs.append(log)
        return codes, "\n".join(logs)

    def merge(self, option="--issue"):
        """Run the job `report`; return its code and the summary of the build."""
        choice = "github.event_name == 'pull_request' && '--comment' || '--issue'"
        code, _, log = self.forge.run("report", expressions={choice: option})
        return code, self.forge.summary.read_text(encoding="utf-8"), log


@pytest.fixture
def jobs(fleet, tmp_path_factory, program):
    """make(…) -> the jobs for a fleet of four targets."""
    return lambda **more: Jobs(fleet(**more), tmp_path_factory.mktemp("forge"), program)


def test_each_target_is_planned_by_one_shard_and_the_report_has_all(jobs):
    """Two of the four targets differ from the files."""
    jobs = jobs()
    outputs = jobs.divide()
    shards = [row["targets"] for row in json.loads(outputs["matrix"])["include"]]
    codes, log = jobs.run("plan", outputs)

    assert (codes, len(shards)) == ([0, 0, 0], 3), log
    assert sorted(TARGETS) == sorted(name for names in shards for name in names)
    code, summary, log = jobs.merge("--comment")
    assert code == 0, log
    assert all(name in summary for name in TARGETS)


def test_a_change_that_waits_is_finished_by_the_hourly_run(jobs):
    """The hourly run starts jobs only for targets to which the commit is not applied."""
    jobs = jobs(policies=GATED)
    fleet = jobs.forge.repo
    outputs = jobs.divide()
    codes, log = jobs.run("apply", outputs)
    assert codes == [0, 0, 0], log
    assert "::notice::1 waiting for approval" in log
    assert jobs.merge()[0] == 0

    hourly = jobs.divide(hourly=True)
    assert hourly["options"].split() == ["--target=us-1", "--target=us-2"]
    for name in ("us-1", "us-2"):
        number = TARGETS.index(name) + 1
        listed = fleet.sandbox.call(
            "GET", f"/api/projects/{number}/change_requests/", token="phx_alice"
        )
        for request in listed[1]["results"]:
            path = f"/api/projects/{number}/change_requests/{request['id']}/approve/"
            assert fleet.sandbox.call("POST", path, {}, token="phx_alice")[0] == 200
    codes, log = jobs.run("apply", hourly)
    assert set(codes) == {0}, log
    assert jobs.divide(hourly=True) == {}


def test_drift_is_in_the_report_and_a_shard_that_is_missing_fails_it(jobs):
    """The report knows which shards there have to be."""
    jobs = jobs(rollouts=(50, 50, 50, 50))
    outputs = jobs.divide()
    jobs.run("apply", outputs)
    path = "/api/projects/3/feature_flags/"
    sandbox = jobs.forge.repo.sandbox
    (flag,) = sandbox.call("GET", path, token="phx_ci")[1]["results"]
    sandbox.call("PATCH", f"{path}{flag['id']}/", {"name": "By hand"}, token="phx_alice")
    filters = {"groups": [{"properties": [], "rollout_percentage": 70}]}
    sandbox.call("PATCH", f"{path}{flag['id']}/", {"filters": filters}, token="phx_alice")
    codes, log = jobs.run("drift", outputs, "schedule")

    assert codes == [0, 0, 0], log
    code, summary, log = jobs.merge()
    assert code == 0, log
    assert "rollout_percentage" in summary
    shutil.rmtree(next((jobs.forge.folder / "artifacts").iterdir()))
    code, summary, _ = jobs.merge()
    assert code == 1
    assert "shard" in summary


def test_each_shard_has_its_own_queue(fleet):
    """And every job knows every key; of the targets, the file names none."""
    document = yaml.safe_load(write(fleet(), "github"))["jobs"]

    for name in ("plan", "apply", "drift"):
        assert "matrix.index" in document[name]["concurrency"]["group"]
        (step,) = [each for each in document[name]["steps"] if "args" in each.get("with", {})]
        assert {f"POSTHOG_KEY_{number}" for number in range(1, 5)} <= step["env"].keys()
    assert document["ready"]["needs"] == ["validate", "shards", "plan", "report"]
    assert "eu-1" not in str(document)


def in_a_shell(clone, script, environ, program, **variables):
    """Run the lines of a job as GitLab does."""
    path = f"{program.parent}:{CLEAN['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
        cwd=clone,
        env={**environ, "PATH": path, "GITLAB_CI": "true", **KEYS, **variables},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_jobs_of_gitlab_apply_each_shard_and_merge_the_reports(
    fleet, tmp_path_factory, program
):
    """A shard without targets to apply ends at once; the next push applies all of them."""
    fleet = fleet()
    document = yaml.safe_load(write(fleet, "gitlab"))
    folder = tmp_path_factory.mktemp("gitlab")
    forge = Forge(folder, fleet.repo, "jobs: {}", program)
    forge.push()
    project = {"CI_PROJECT_URL": str(forge.remote).removesuffix(".git")}
    (folder / "acme" / "config.git").symlink_to(forge.remote)

    def run(job, source):
        results = []
        clone = folder / f"{job}-{source}"
        forge.git("clone", "-q", str(forge.remote), str(clone))
        for row in document[".shard"]["parallel"]["matrix"]:
            done = in_a_shell(
                clone,
                document[job]["script"],
                fleet.repo.environment(),
                program,
                CI_PIPELINE_SOURCE=source,
                **project,
                **row,
            )
            results.append((done.returncode, done.stdout + done.stderr))
        merged = in_a_shell(
            clone,
            document["report"]["script"],
            fleet.repo.environment(),
            program,
            CI_PIPELINE_SOURCE=source,
        )
        return results, merged

    assert [row["SHARD"] for row in document[".shard"]["parallel"]["matrix"]] == [
        *("1/3", "2/3", "3/3")
    ]
    results, merged = run("apply", "push")
    assert [code for code, _ in results] == [0, 0, 0], results
    assert merged.returncode == 0, merged.stderr
    assert all(name in merged.stdout for name in TARGETS)
    again, nothing = run("apply", "schedule")
    assert all("Nothing to do" in text for _, text in again), again
    assert nothing.returncode == 0
    for job in ("plan", "drift"):
        results, merged = run(job, "merge_request_event")
        assert [code for code, _ in results] == [0, 0, 0], results
        assert merged.returncode == 0, merged.stdout + merged.stderr


def test_shards_need_a_code_host(fleet):
    """They would have no effect."""
    done = fleet().run("init", "--shards", "2")

    assert done.code == 64
    assert "--shards needs --ci" in done.err
