"""`init`: a repository that is valid at once, safe to plan, and left alone the second time."""

import re

import pytest
import yaml

from reconciler.cli.main import COMMANDS
from reconciler.kinds import KINDS
from tests import acme

WORKFLOWS = {"github": ".github/workflows/posthog.yml", "gitlab": ".gitlab-ci.yml"}
PINNED = {
    "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2",
    f"OWNER/reconciler@{'0' * 40} # v0.1.0",  # its place is for people to fill in
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


def test_there_is_one_example_of_each_kind_and_none_is_ever_applied(world):
    """They are read, checked and left alone: `plan` and `apply` see nothing to do, and say why."""
    repo = world(acme.seed())
    repo.run("init")
    text = (repo.folder / "config/examples.yaml").read_text(encoding="utf-8")

    documents = list(yaml.safe_load_all(text))
    assert sorted(KINDS) == sorted(document["kind"] for document in documents)
    assert all(f"\n# {word}" in text for word in ("An organization", "A feature flag", "Which"))
    assert f"Valid: {len(KINDS)} resources." in repo.run("validate").out
    for command in (["plan", "--detailed-exitcode"], ["validate", "--live"], ["apply", "--yes"]):
        done = repo.run(*command)
        assert done.code == 0, done.out + done.err
        assert "7 declared resources not changed: `ignore` of the target covers them" in done.err
    assert repo.sandbox.writes() == []


def test_without_the_settings_the_examples_cannot_be_created_either(world):
    """From a folder above, where nothing says to leave them alone."""
    repo = world(acme.seed())
    repo.run("init", "inside")
    done = repo.run("apply", "--yes")

    assert done.code == 1
    assert "is not the id of Organization/your-organization" in done.out + done.err
    assert repo.sandbox.writes() == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("config", "file"),
        ("config", "link"),
        (".schemas", "link"),
        (".github", "file"),
        (".gitignore", "folder"),
        (".gitignore", "bytes"),
        (".gitignore", "dangling"),
    ],
)
def test_where_something_cannot_be_written_nothing_is(world, name, kind):
    """Said before the first file, with what stands in the way."""
    repo = world(acme.seed())
    place = repo.folder / "new" / name
    place.parent.mkdir()
    if kind == "folder":
        place.mkdir()
    elif kind in {"file", "bytes"}:
        place.write_bytes(b"\xff\xfe" if kind == "bytes" else b"")
    else:
        (repo.folder / "outside").mkdir()
        place.symlink_to("../outside" if kind == "link" else "nowhere")
    done = repo.run("init", "new")

    assert (done.code, done.out) == (1, "")
    assert name in done.err
    assert "nothing was written" in done.err
    assert [path.name for path in place.parent.iterdir()] == [name]


def test_an_example_that_was_made_one_s_own_counts(world):
    """With another organization in it, it is a document like any other."""
    repo = world(acme.seed())
    repo.run("init")
    file = repo.folder / "config/examples.yaml"
    text = file.read_text(encoding="utf-8").replace("your-organization", "acme")
    file.write_text(text, encoding="utf-8")

    plan = repo.run("plan")
    assert "+ FeatureFlag/acme/Web/new-checkout" in plan.out
    assert "left alone: `ignore`" not in plan.err


def test_settings_of_somebody_get_no_examples_that_they_would_apply(world):
    """Nothing leaves them alone there; with the line of a first `init` they come back."""
    repo = world(acme.seed())
    repo.write("new/reconciler.yaml", "version: 1\ntargets: {mine: {paths: [config]}}\n")

    assert "examples.yaml" not in repo.run("init", "new").out
    repo.run("init", "other")
    (repo.folder / "other/config/examples.yaml").unlink()
    assert "created  other/config/examples.yaml" in repo.run("init", "other").out


def test_the_github_workflow_gives_nothing_away(world):
    """Pinned actions, no permissions by default, no secret for forks, nothing pasted into `run`."""
    repo = world(acme.seed())
    repo.run("init")
    text = (repo.folder / WORKFLOWS["github"]).read_text(encoding="utf-8")
    document = parsed(repo, "github")
    jobs = document["jobs"]

    assert set(re.findall(r"- uses:\s*(.+)", text)) == PINNED
    assert document["permissions"] == {}
    assert not {"pull_request_target", "workflow_run"} & set(document["on"])
    assert set(jobs) == {"validate", "plan", "apply", "drift"}
    assert "secrets." not in str(jobs["validate"])
    assert "head.repo.full_name == github.repository" in jobs["plan"]["if"]
    assert jobs["apply"]["environment"] != jobs["plan"]["environment"]
    assert jobs["apply"]["concurrency"]["cancel-in-progress"] == "false"


@pytest.mark.parametrize("ci", list(WORKFLOWS))
def test_the_workflows_use_commands_and_options_that_there_are(world, ci):
    """Each line that calls reconciler is one that a person could type."""
    repo = world(acme.seed())
    repo.run("init", "--ci", ci)
    calls = _calls(parsed(repo, ci), ci)

    assert {"validate", "plan", "apply", "drift"} <= {word for call in calls for word in call}
    for name, *rest in calls:
        assert name in COMMANDS
        commands = [[name], *([[name, "run"]] if name == "ci" else [])]
        commands += [[word] for word in rest if word in COMMANDS]
        shown = "".join(repo.run(*words, "--help").out for words in commands)
        assert [word for word in rest if word.startswith("--") and word not in shown] == []


def _calls(document, ci):
    """Every call of reconciler, as words; the action's inputs are one, too."""
    if ci == "gitlab":
        jobs = (job for job in document.values() if isinstance(job, dict))
        lines = [line for job in jobs for line in job.get("script", ())]
        ours = (line for line in lines if line.startswith("reconciler "))
        return [re.split(r" [|>]", line)[0].split()[1:] for line in ours]
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    asked = [step["with"] for step in steps if "reconciler@" in step.get("uses", "")]
    return [
        ["ci", "run"]
        + [f"--{name}" for name in ("comment", "issue") if one.get(name) == "true"]
        + [one["command"], *one.get("args", "").split()]
        for one in asked
    ]


def test_what_is_pulled_into_a_new_repository_plans_as_nothing(world):
    """`init`, a key, `pull`, `validate`, `plan`: the first steps of everybody, nothing between."""
    repo = world(acme.seed(roles=[{"name": "R", "members": ["bob@acme.test"]}]))
    repo.run("init", "--ci", "none")

    done = repo.run("pull")

    assert done.code == 0, done.err
    assert "not live" not in done.err
    assert repo.run("validate").code == 0
    plan = repo.run("plan", "--detailed-exitcode")
    assert plan.code == 0, plan.out + plan.err
    assert "No changes." in plan.out
    before = files(repo.folder)
    assert repo.run("pull").code == 0
    assert before == files(repo.folder)
