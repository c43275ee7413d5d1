"""`init`: a repository that is valid at once, safe to plan, and left alone the second time."""

import re
import subprocess

import pytest
import yaml

from reconciler.cli import COMMANDS
from reconciler.kinds import KINDS
from tests.e2e import acme
from tests.support import SCRIPT

WORKFLOWS = {"github": ".github/workflows/posthog.yml", "gitlab": ".gitlab-ci.yml"}
PINNED = {
    "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2",
    "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0",
}


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parsed(repo, ci):
    text = (repo.folder / WORKFLOWS[ci]).read_text(encoding="utf-8")
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  safe, and `on` stays text


@pytest.mark.parametrize("ci", ["github", "gitlab", "none"])
def test_a_new_repository_is_valid_and_stays_as_it_is(world, ci):
    """`validate` ends with 0 at once; a second `init` changes no byte and says so."""
    repo = world(acme.seed())

    first = repo.run("init", "--ci", ci)
    before = files(repo.folder)
    again = repo.run("init", "--ci", ci)

    assert first.code == again.code == 0, first.err
    assert "created  reconciler.yaml" in first.out
    assert "kept     reconciler.yaml" in again.out
    assert "created" not in again.out
    assert before == files(repo.folder)
    assert repo.run("validate").code == 0
    assert ".reconciler/" in (repo.folder / ".gitignore").read_text()
    assert {path for name, path in WORKFLOWS.items() if (repo.folder / path).exists()} == (
        {WORKFLOWS[ci]} if ci in WORKFLOWS else set()
    )


def test_what_is_there_is_never_overwritten(world):
    """Files of somebody stay, `.gitignore` gains one line, and no example joins real documents."""
    repo = world(acme.seed())
    repo.write("new/.gitignore", "*.log")
    repo.write("new/reconciler.yaml", "version: 1\ntargets: {mine: {}}\n")
    repo.write("new/config/flags.yaml", acme.flag("a", 10))

    done = repo.run("init", "new")

    assert done.code == 0, done.err
    assert (repo.folder / "new/reconciler.yaml").read_text().endswith("{mine: {}}\n")
    assert (repo.folder / "new/.gitignore").read_text() == "*.log\n.reconciler/\n"
    assert not (repo.folder / "new/config/examples.yaml").exists()


def test_the_examples_are_of_every_kind_and_valid_without_their_comment_signs(world):
    """As they are they manage nothing: `plan` stops until somebody has replaced the last one."""
    repo = world(acme.seed())
    repo.run("init")
    file = repo.folder / "config/examples.yaml"
    text = file.read_text(encoding="utf-8")

    assert repo.run("plan").code == 1
    assert repo.run("apply", "--yes").code == 1
    assert repo.sandbox.writes() == []
    examples, end, last = text[text.index("# # An organization") :].partition("\n---\n# Replace")
    shown = re.sub(r"(?m)^# ?", "", examples)
    file.write_text(shown + end + last, encoding="utf-8")
    valid = repo.run("validate")
    assert valid.code == 0, valid.err
    assert f"Valid: {len(KINDS) + 1} resources" in valid.out
    assert {f"kind: {kind}" for kind in KINDS} <= set(file.read_text().splitlines())


def test_the_github_workflow_gives_nothing_away(world):
    """Pinned actions, no permissions by default, no secret for forks, nothing pasted into `run`."""
    repo = world(acme.seed())
    repo.run("init")
    text = (repo.folder / WORKFLOWS["github"]).read_text(encoding="utf-8")
    document = parsed(repo, "github")
    jobs = document["jobs"]

    assert set(re.findall(r"uses:\s*(.+)", text)) == PINNED
    assert document["permissions"] == {}
    assert not {"pull_request_target", "workflow_run"} & set(document["on"])
    assert set(jobs) == {"validate", "plan", "apply", "drift"}
    for job in jobs.values():
        assert job["permissions"] == {"contents": "read"}
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] == "false"
    assert "secrets." not in str(jobs["validate"])
    assert "head.repo.full_name == github.repository" in jobs["plan"]["if"]
    assert jobs["apply"]["environment"] != jobs["plan"]["environment"]
    assert jobs["apply"]["concurrency"]["cancel-in-progress"] == "false"


@pytest.mark.parametrize("ci", list(WORKFLOWS))
def test_the_workflows_use_commands_and_options_that_there_are(world, ci):
    """Each line that calls reconciler is one that a person could type."""
    repo = world(acme.seed())
    repo.run("init", "--ci", ci)
    calls = re.findall(r"(?m)\breconciler (.+?)(?: \||$)", str(_scripts(parsed(repo, ci), ci)))

    assert {"validate", "plan", "apply", "drift"} <= {call.split()[0] for call in calls}
    for call in calls:
        name, *rest = call.split()
        assert name in COMMANDS
        shown = subprocess.run(
            [SCRIPT, name, "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert [word for word in rest if word.startswith("--") and word not in shown] == []


def _scripts(document, ci):
    if ci == "gitlab":
        jobs = (job for job in document.values() if isinstance(job, dict))
        return "\n".join(line for job in jobs for line in job.get("script", ()))
    steps = (step for job in document["jobs"].values() for step in job["steps"])
    lines = "\n".join(step["run"] for step in steps if "run" in step).splitlines()
    return "\n".join(line for line in lines if line.strip().startswith("reconciler"))


def test_what_is_pulled_into_a_new_repository_plans_as_nothing(world):
    """`init`, `pull`, remove the example, `plan`: the first steps of everybody."""
    repo = world(acme.seed(roles=[{"name": "R", "members": ["bob@acme.test"]}]))
    repo.run("init", "--ci", "none")

    done = repo.run("pull")

    assert done.code == 0, done.err
    assert "not live: Member/your-organization/you@example.com" in done.err
    (repo.folder / "config/examples.yaml").unlink()
    assert repo.run("validate").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0
