"""`init`: a repository that is valid at once, safe to plan, and left alone the second time."""

import json
import re

import pytest
import yaml

from reconciler.ci import pipelines
from reconciler.cli.main import COMMANDS
from reconciler.kinds import KINDS
from tests import acme

WORKFLOWS = {"github": ".github/workflows/posthog.yml", "gitlab": ".gitlab-ci.yml"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parsed(repo, ci):
    text = (repo.folder / WORKFLOWS[ci]).read_text(encoding="utf-8")
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  safe, and `on` stays text


@pytest.mark.parametrize("ci", ["github", "gitlab", "none", None])
def test_a_new_repository_is_valid_and_stays_as_it_is(world, ci):
    """`validate` ends with 0 at once; a second `init` changes no byte. No workflow unless asked."""
    repo = world(acme.seed())
    options = ("--ci", ci) if ci else ()

    first = repo.run("init", *options)
    before = files(repo.folder)
    again = repo.run("init", *options)

    assert first.code == again.code == 0, first.err
    assert "created  reconciler.yaml" in first.out
    assert "kept     reconciler.yaml" in again.out
    assert {"kept"} == {line.split()[0] for line in again.out.splitlines()}
    assert before == files(repo.folder)
    assert repo.run("validate").code == 0
    assert (repo.folder / ".gitignore").read_text() == ".reconciler/\nplan.json\n"
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
    assert (repo.folder / "new/.gitignore").read_text() == "*.log\n.reconciler/\nplan.json\n"
    assert not (repo.folder / "new/config/examples.yaml").exists()


def test_there_is_one_example_of_each_kind_and_none_is_ever_applied(world):
    """They are documents that the settings ignore; no command spends a line on them."""
    repo = world(acme.seed())
    repo.run("init")
    repo.commit()
    text = (repo.folder / "config/examples.yaml").read_text(encoding="utf-8")

    documents = list(yaml.safe_load_all(text))
    assert sorted(KINDS) == sorted(document["kind"] for document in documents)
    assert f"Valid: {len(KINDS)} resources." in repo.run("validate").out
    for command in (["validate"], ["plan", "--detailed-exitcode"], ["apply", "--yes"], ["drift"]):
        done = repo.run(*command)
        assert done.code == 0, done.out + done.err
        assert "your-organization" not in done.out + done.err
        assert "ignor" not in done.err
    said = f"ignoring {len(KINDS)} declared resources (`ignore` of the target in reconciler.yaml)"
    assert said in repo.run("--verbose", "plan").err
    assert repo.sandbox.writes() == []


def test_without_the_settings_the_examples_cannot_be_created_either(world):
    """From a folder above, where nothing ignores them."""
    repo = world(acme.seed())
    repo.run("init", "inside")
    done = repo.run("apply", "--yes")

    assert done.code == 1
    assert "is not the id of Organization/your-organization" in done.out + done.err
    assert repo.sandbox.writes() == []


def test_an_example_with_another_organization_counts(world):
    """Then it is a document like any other."""
    repo = world(acme.seed())
    repo.run("init")
    file = repo.folder / "config/examples.yaml"
    text = file.read_text(encoding="utf-8").replace("your-organization", "acme")
    file.write_text(text, encoding="utf-8")

    assert "+ FeatureFlag/acme/Web/new-checkout" in repo.run("plan").out


def test_settings_of_a_user_get_no_examples_that_they_would_apply(world):
    """They do not ignore them; settings of a first `init` do."""
    repo = world(acme.seed())
    repo.write("new/reconciler.yaml", "version: 1\ntargets: {mine: {paths: [config]}}\n")

    assert "examples.yaml" not in repo.run("init", "new").out
    repo.run("init", "other")
    (repo.folder / "other/config/examples.yaml").unlink()
    assert "created  other/config/examples.yaml" in repo.run("init", "other").out


def test_schemas_of_another_version_are_written_again(world):
    """After an upgrade the editor must not check by the old ones."""
    repo = world(acme.seed())
    repo.run("init")
    schema = repo.folder / ".schemas/resource.schema.json"
    current = schema.read_bytes()
    schema.write_text("{}", encoding="utf-8")

    done = repo.run("init")

    assert "updated  .schemas/resource.schema.json" in done.out
    assert "kept     .schemas/reconciler.schema.json" in done.out
    assert current == schema.read_bytes()


def test_code_owners_cover_what_decides_who_may_change_what(world):
    """The settings, the workflows, and the files in which `pull` writes people and policies."""
    repo = world(acme.seed())
    repo.run("init")
    lines = (repo.folder / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    rules = {line.split()[0] for line in lines if line and not line.startswith("#")}

    people = {"ApprovalPolicy", "Role", "Member", "Organization"}
    assert {f"{KINDS[kind].plural}.yaml" for kind in people} <= rules
    assert {f"{KINDS[kind].plural}/" for kind in people - {"Organization"}} <= rules
    assert {"/CODEOWNERS", "/reconciler.yaml", "/.gitlab-ci.yml", "/.github/"} <= rules


def test_code_owners_that_exist_are_kept(world):
    """GitHub reads .github/CODEOWNERS first: a second file would have no effect."""
    repo = world(acme.seed())
    repo.write(".github/CODEOWNERS", "* @acme/all\n")

    done = repo.run("init")

    assert "kept     .github/CODEOWNERS" in done.out
    assert not (repo.folder / "CODEOWNERS").exists()


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
    done = repo.run("init", "new", "--ci", "github")

    assert (done.code, done.out) == (1, "")
    assert name in done.err
    assert "nothing was written" in done.err
    assert [path.name for path in place.parent.iterdir()] == [name]


def several_targets(repo):
    eu = {"host": "https://eu.posthog.com", "api_key_env": "POSTHOG_KEY_EU"}
    targets = {"eu": eu, "us": None, "true": {"api_key_env": "POSTHOG_KEY_EU"}}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": targets}))


def test_several_targets_are_a_matrix_of_the_jobs_on_github(world):
    """One environment and one concurrency group for each; every variable that holds a key."""
    repo = world(acme.seed())
    several_targets(repo)
    done = repo.run("init", "--ci", "github")
    assert 0 == done.code, done.err
    assert "set POSTHOG_KEY_EU, then `reconciler pull --target eu` writes" in done.err
    jobs = parsed(repo, "github")["jobs"]
    names = ["eu", "us", "true"]

    assert "strategy" not in jobs["validate"]  # without a target it checks all of them
    for name in ("plan", "drift"):
        assert names == jobs[name]["strategy"]["matrix"]["target"]
    assert (
        "fromJSON(needs.pending.outputs.targets)" in jobs["apply"]["strategy"]["matrix"]["target"]
    )
    assert "eu us true" == jobs["pending"]["steps"][0]["env"]["TARGETS"]
    for name in ("plan", "apply", "drift"):
        job = jobs[name]
        assert "${{ matrix.target }}" in job["environment"]
        assert "${{ matrix.target }}" in job["concurrency"]["group"]
        [step] = [step for step in job["steps"] if "reconciler@" in step.get("uses", "")]
        assert "${{ matrix.target }}" == step["with"]["target"]
        assert {"POSTHOG_KEY_EU", "POSTHOG_API_KEY", "POSTHOG_HOST"} == set(step["env"])


def test_several_targets_are_a_matrix_of_the_jobs_on_gitlab(world):
    """One environment and one resource group for each."""
    repo = world(acme.seed())
    several_targets(repo)
    assert repo.run("init", "--ci", "gitlab").code == 0
    jobs = parsed(repo, "gitlab")

    assert "parallel" not in jobs["validate"]  # without a target it checks all of them
    for name in ("plan", "apply", "drift"):
        assert [{"TARGET": ["eu", "us", "true"]}] == jobs[name]["parallel"]["matrix"]
        assert '--target "$TARGET"' in jobs[name]["script"][-1]
    for name in ("apply", "drift"):
        assert jobs[name]["resource_group"].endswith("-$TARGET")
        assert jobs[name]["environment"]["name"].endswith("-$TARGET")


@pytest.mark.parametrize("ci", list(WORKFLOWS))
def test_a_key_with_a_name_of_its_own_is_allowed_by_the_environment(world, ci):
    """A file cannot allow it; names that begin with POSTHOG_ need no permission."""
    repo = world(acme.seed())
    keys = ("EU_KEY", "POSTHOG_KEY_US", "UK_KEY")
    targets = {key.lower(): {"api_key_env": key} for key in keys}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": targets}))
    assert 0 == repo.run("init", "--ci", ci).code
    assert 0 == repo.run("init", "other", "--ci", ci).code

    text = (repo.folder / WORKFLOWS[ci]).read_text(encoding="utf-8")
    assert "RECONCILER_ALLOWED_KEY_ENVS: EU_KEY,UK_KEY\n" in text
    assert "ALLOWED" not in (repo.folder / "other" / WORKFLOWS[ci]).read_text(encoding="utf-8")


@pytest.mark.parametrize("ci", list(WORKFLOWS))
def test_webhooks_of_a_target_get_reminders(world, ci):
    """The variable that holds the URL is a secret of the jobs; without webhooks there is none."""
    repo = world(acme.seed())
    target = {"notify": ["env:RECONCILER_NOTIFY_URL", "https://hooks.test/x"]}
    repo.write("new/reconciler.yaml", json.dumps({"version": 1, "targets": {"a": target}}))
    assert 0 == repo.run("init", "--ci", ci).code
    assert 0 == repo.run("init", "new", "--ci", ci).code
    without = (repo.folder / WORKFLOWS[ci]).read_text(encoding="utf-8")
    text = (repo.folder / "new" / WORKFLOWS[ci]).read_text(encoding="utf-8")

    assert "remind" not in without
    assert "NOTIFY" not in without
    assert "requests remind --before 24h" in text
    assert "RECONCILER_NOTIFY_URL" in text
    assert "hooks.test" not in text
    if ci == "github":
        line = "RECONCILER_NOTIFY_URL: ${{ secrets.RECONCILER_NOTIFY_URL }}"
        assert 3 == text.count(line)  # apply, its reminder, and drift


def test_settings_that_cannot_be_read_stop_init_with_workflows(world):
    """The jobs depend on the targets: nothing is guessed, and nothing is written."""
    repo = world(acme.seed())
    repo.write("reconciler.yaml", "version: 1\ntargets: [\n")
    before = files(repo.folder)

    done = repo.run("init", "--ci", "github")

    assert (done.code, done.out) == (1, "")
    assert "reconciler.yaml:2:10" in done.err
    assert before == files(repo.folder)


@pytest.mark.parametrize("ci", list(WORKFLOWS))
def test_the_action_is_filled_in(world, ci):
    """With its commit, so that the first run works; without it, the file says what to replace."""
    repo = world(acme.seed())
    assert repo.run("init", "--ci", ci, "--action", f"acme/tools@{COMMIT}").code == 0
    text = (repo.folder / WORKFLOWS[ci]).read_text(encoding="utf-8")
    assert "OWNER" not in text
    assert COMMIT in text
    assert "acme/tools" in text

    done = repo.run("init", "new", "--ci", ci)
    bare = (repo.folder / "new" / WORKFLOWS[ci]).read_text(encoding="utf-8")
    assert "OWNER/" in bare
    assert f"init --ci {ci} --action" in bare
    assert f"follow the first lines of {WORKFLOWS[ci]}" in done.err


@pytest.mark.parametrize(
    "value", ["acme/tools@v1", "acme/tools", f"acme@{COMMIT}", f"a/b@{COMMIT}0"]
)
def test_an_action_that_is_not_pinned_is_refused(world, value):
    """A tag can be moved to other code, which would get the key."""
    repo = world(acme.seed())
    done = repo.run("init", "--ci", "github", "--action", value)

    assert done.code == 64
    assert "does not name a commit" in done.err
    assert files(repo.folder) == {}


def test_an_action_without_workflows_is_refused(world):
    """It would have no effect."""
    done = world(acme.seed()).run("init", "--action", f"acme/tools@{COMMIT}")

    assert done.code == 64
    assert "add --ci" in done.err


def test_the_github_workflow_gives_nothing_away(world):
    """Pinned actions, no permissions by default, no secret for forks, nothing pasted into `run`."""
    repo = world(acme.seed())
    repo.run("init", "--ci", "github")
    text = (repo.folder / WORKFLOWS["github"]).read_text(encoding="utf-8")
    document = parsed(repo, "github")
    jobs = document["jobs"]

    assert set(re.findall(r"- uses:\s*(.+)", text)) == {
        pipelines.format_pin("actions/checkout"),
        f"OWNER/reconciler@{'0' * 40} # v0.1.0",  # its place is for people to fill in
    }
    assert document["permissions"] == {}
    assert set(jobs) == {"validate", "plan", "ready", "pending", "apply", "drift"}
    assert "secrets." not in str([jobs["validate"], jobs["pending"]])
    assert "head.repo.full_name == github.repository" in jobs["plan"]["if"]
    assert jobs["apply"]["environment"] != jobs["plan"]["environment"]
    assert jobs["apply"]["concurrency"]["cancel-in-progress"] == "false"


def test_the_github_workflow_runs_when_it_should(world):
    """Also in a merge queue, every hour, and by hand; apply only on the default branch."""
    repo = world(acme.seed())
    repo.run("init", "--ci", "github")
    document = parsed(repo, "github")
    jobs, events = document["jobs"], document["on"]

    assert set(events) == {
        *("pull_request", "merge_group", "push", "schedule", "workflow_dispatch")
    }
    hourly, daily = (row["cron"] for row in events["schedule"])
    assert re.fullmatch(r"\d+ \* \* \* \*", hourly)
    assert re.fullmatch(r"\d+ \d+ \* \* \*", daily)
    assert hourly in jobs["pending"]["if"]
    assert daily in jobs["drift"]["if"]
    assert "merge_group" in jobs["validate"]["if"]
    assert "github.ref == 'refs/heads/main' && (" in jobs["pending"]["if"]
    assert "pending" == jobs["apply"]["needs"]
    assert ["apply", "drift"] == events["workflow_dispatch"]["inputs"]["job"]["options"]


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
        return [line.split()[1:] for line in lines if line.startswith("reconciler ")]
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
    repo.commit()
    drift = repo.run("drift")
    assert (0, False) == (drift.code, "ignored" in drift.out + drift.err)  # by its examples
