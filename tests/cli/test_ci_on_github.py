"""`reconciler ci run` as a workflow step: outputs, summary, annotations, comment, issue."""

import json
import re
from pathlib import Path

import pytest

from tests import acme

OUTPUT = re.compile(r"^(\S+)<<(\w+)\n(.*?)\n\2$", re.DOTALL | re.MULTILINE)


def outputs(github):
    text = Path(github["GITHUB_OUTPUT"]).read_text(encoding="utf-8")
    return {name: value for name, _, value in OUTPUT.findall(text)}


def test_a_plan_with_changes_is_no_failure_and_its_outputs_tell(repo, github):
    """2 becomes success; exit-code, has-changes and plan-file say what happened."""
    done = repo.run("ci", "run", "plan", **github)
    found = outputs(github)

    assert 0 == done.code, done.err
    assert ("2", "true", "false", "0") == (
        found["exit-code"],
        found["has-changes"],
        found["has-drift"],
        found["waiting"],
    )
    plan = json.loads(Path(found["plan-file"]).read_text(encoding="utf-8"))
    assert 1 == plan["summary"]["update"]
    assert "Plan: 0 to create, 1 to update" in done.out
    assert "FeatureFlag/acme/Web/a" in Path(github["GITHUB_STEP_SUMMARY"]).read_text("utf-8")
    assert 2 == repo.run("ci", "run", "--fail-on", "changes", "plan", **github).code


def test_one_comment_is_kept_up_to_date(repo, code_host, github):
    """Created, then kept as it is, then updated; never a second one."""
    first = repo.run("ci", "run", "--comment", "plan", **github)
    again = repo.run("ci", "run", "--comment", "plan", **github)
    repo.write("flags.yaml", acme.flag("a", 60), acme.flag("b", 20))
    moved = repo.run("ci", "run", "--comment", "plan", **github)

    assert "comment: created" in first.err
    assert "comment: kept" in again.err
    assert "comment: updated" in moved.err
    (comment,) = code_host.comments
    assert comment["body"].startswith("<!-- reconciler: plan-")
    assert "60" in comment["body"]
    assert "[this run](https://github.test/acme/config/actions/runs/42)" in comment["body"]


def test_a_comment_of_somebody_else_with_our_marker_is_not_ours(repo, code_host, github):
    """Anybody can write a marker; only what the token's own user wrote is edited."""
    repo.run("ci", "run", "--comment", "plan", **github)
    (ours,) = code_host.comments
    code_host.comments[:] = []
    code_host.comment("mallory", ours["body"])
    for number in range(120):  # and ours stands on the second page
        code_host.comment("alice", f"talk {number}")

    assert "created" in repo.run("ci", "run", "--comment", "plan", **github).err
    assert "kept" in repo.run("ci", "run", "--comment", "plan", **github).err
    assert "mallory" == code_host.comments[0]["user"]["login"]
    assert ours["body"] == code_host.comments[0]["body"]
    assert 122 == len(code_host.comments)


def test_each_target_has_a_comment_of_its_own(repo, code_host, github):
    """Two targets of one repository do not overwrite each other."""
    target = {"host": repo.sandbox.url, "paths": ["flags.yaml"]}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": {"a": target, "b": target}}))

    for name in ("a", "b", "a"):
        assert 0 == repo.run("--target", name, "ci", "run", "--comment", "plan", **github).code

    assert 2 == len(code_host.comments)


def test_a_plan_that_fails_replaces_the_comment_and_fails_the_step(repo, code_host, github):
    """A green comment of yesterday must not stand over today's error."""
    repo.run("ci", "run", "--comment", "plan", **github)
    repo.write("flags.yaml", "kind: FeatureFlag\nmetadata: [")

    done = repo.run("ci", "run", "--comment", "plan", **github)

    assert 1 == done.code
    (comment,) = code_host.comments
    assert "failed." in comment["body"]
    assert "1" == outputs(github)["exit-code"]


@pytest.mark.parametrize(
    "fault",
    [
        {("POST", "/comments"): 403},
        {("GET", "/comments"): 500},
        {("GET", "/comments"): 302},
        {("POST", "/comments"): 422},
    ],
    ids=str,
)
def test_a_comment_that_cannot_be_written_is_a_warning(repo, code_host, github, fault):
    """The result stands, and the reason is named."""
    code_host.fail = fault

    done = repo.run("ci", "run", "--comment", "plan", **github)

    assert 0 == done.code
    assert "warning: " in done.err
    assert "::warning title=reconciler::" in done.out
    assert "true" == outputs(github)["has-changes"]
    assert "ghs_model" not in done.out + done.err


def test_a_comment_whose_answer_got_lost_is_not_written_twice(repo, code_host, github):
    """Looked up before it is said to have failed."""
    code_host.fail = {("POST", "/comments"): "lost"}

    done = repo.run("ci", "run", "--comment", "plan", **github)

    assert "comment: created" in done.err
    assert 1 == len(code_host.comments)


def test_without_a_token_or_a_pull_request_nothing_is_asked(repo, code_host, github, tmp_path):
    """No token: a warning that says how to pass it. A push: no comment to write."""
    bare = {name: value for name, value in github.items() if name != "GITHUB_TOKEN"}
    assert "GITHUB_TOKEN is not set" in repo.run("ci", "run", "--comment", "plan", **bare).err
    (tmp_path / "event.json").write_text("{}", encoding="utf-8")

    assert 0 == repo.run("ci", "run", "--comment", "plan", **github).code
    assert [] == code_host.calls


def test_a_token_goes_to_no_other_host_than_the_build_names(repo, github):
    """Plain http elsewhere is refused before anything is sent."""
    evil = {**github, "GITHUB_API_URL": "http://example.test"}

    done = repo.run("ci", "run", "--comment", "plan", **evil)

    assert 0 == done.code
    assert "not an address that may be called" in done.err


def test_drift_opens_updates_and_closes_one_issue(repo, code_host, github):
    """One issue while there is drift, whatever the number of runs; closed when clean."""
    run = ("ci", "run", "--issue", "drift")
    assert "issue: opened" in repo.run(*run, **github).err
    found = outputs(github)
    assert ("2", "true", "false") == (
        found["exit-code"],
        found["has-drift"],
        found["has-changes"],
    )
    assert "issue: kept" in repo.run(*run, **github).err
    flag = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_alice")[1]
    id_ = next(one["id"] for one in flag["results"] if one["key"] == "b")
    path = f"/api/projects/1/feature_flags/{id_}/"
    repo.sandbox.call("PATCH", path, {"name": "by hand", "active": True}, token="phx_alice")
    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 20, active=False))
    repo.commit()
    assert "issue: updated" in repo.run(*run, **github).err

    assert 0 == repo.run("apply", "--yes").code
    closed = repo.run(*run, **github)

    assert 0 == closed.code
    assert "issue: closed" in closed.err
    assert ["closed"] == [issue["state"] for issue in code_host.issues]
    assert "matches the files" in code_host.comments[-1]["body"]
    assert "issue: none" in repo.run(*run, **github).err


def test_an_issue_survives_a_run_that_could_not_look(repo, code_host, github):
    """An error is neither drift nor clean: the issue stays as it is."""
    repo.run("ci", "run", "--issue", "drift", **github)
    before = json.dumps(code_host.issues)

    done = repo.run("ci", "run", "--issue", "drift", token="phx_nobody", **github)

    assert 1 == done.code
    assert before == json.dumps(code_host.issues)


def test_waiting_is_told_and_fails_only_if_asked(repo, github):
    """3 becomes success; `waiting` counts; a notice stands on the document's line."""
    policy = acme.policy("feature_flag.update")
    project = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a", 10)]}
    repo.sandbox.reset(acme.seed(projects=[{**project, "approval_policies": [policy]}]))
    repo.write("flags.yaml", acme.flag("a", 50))
    repo.commit()

    done = repo.run("ci", "run", "apply", **github)

    assert 0 == done.code, done.err
    assert ("3", "1") == (outputs(github)["exit-code"], outputs(github)["waiting"])
    assert "::notice file=flags.yaml,line=1" in done.out
    assert "waits for approval" in Path(github["GITHUB_STEP_SUMMARY"]).read_text("utf-8")
    assert 3 == repo.run("ci", "run", "--fail-on", "waiting", "apply", **github).code


def test_findings_of_validate_are_annotations(repo, github):
    """On file and line; the step fails."""
    repo.write("flags.yaml", acme.flag("a", 50, activ=True))

    done = repo.run("ci", "run", "validate", **github)

    assert 1 == done.code
    assert "::error file=flags.yaml,line=" in done.out


@pytest.mark.parametrize(
    ("flag", "code", "expected"),
    [
        (acme.flag("a", 50), 0, "**Valid for `default`.** 1 resource\n"),
        (acme.flag("a", 50, activ=True), 1, '`spec` has no field "activ"'),
    ],
)
def test_the_result_of_validate_is_in_the_summary_of_the_job(repo, github, flag, code, expected):
    """A fork has no secret and no comment: its author reads the page of the run."""
    repo.write("flags.yaml", flag)
    bare = {name: value for name, value in github.items() if name != "GITHUB_TOKEN"}

    done = repo.run("ci", "run", "validate", POSTHOG_API_KEY="", **bare)

    assert code == done.code, done.err
    assert expected in Path(github["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")


def test_settings_that_cannot_be_read_are_in_the_summary_too(repo, github):
    """Before a target is known."""
    repo.write("reconciler.yaml", "version: [")

    assert 1 == repo.run("ci", "run", "validate", **github).code
    text = Path(github["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    assert text.startswith("**Not valid.** 1 error\n")
    assert "reconciler.yaml:1:" in text


def test_hostile_names_end_no_output_block_and_no_comment(repo, code_host, github):
    """A flag's text that looks like commands, markers, mentions stays text."""
    name = "x\n::error::pwned\n@everyone <!-- reconciler: plan --> ]]>"
    repo.write("flags.yaml", acme.flag("a", 50, name=name), acme.flag("b", 20))

    done = repo.run("ci", "run", "--comment", "plan", **github)

    assert not [line for line in done.out.splitlines() if line.startswith("::error")]
    outside = re.sub(r"(?sm)^(`{3,}).*?^\1", "", code_host.comments[0]["body"])
    assert "@everyone" not in outside
    assert {"exit-code", "has-changes", "has-drift", "waiting", "plan-file"} == set(outputs(github))


def test_a_summary_over_the_limit_is_left_out_with_a_word(repo, github):
    """GitHub would drop the whole."""
    Path(github["GITHUB_STEP_SUMMARY"]).write_text("x" * (1024 * 1024 - 100), encoding="utf-8")

    assert 0 == repo.run("ci", "run", "plan", **github).code
    text = Path(github["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    assert text.endswith("too long for here; see the build's artifacts.\n")


def two_targets(repo):
    """`a` has the flags, `b` a file that is no YAML."""
    repo.write("broken.yaml", "kind: [")
    files = {"a": "flags.yaml", "b": "broken.yaml"}
    targets = {name: {"host": repo.sandbox.url, "paths": [file]} for name, file in files.items()}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": targets}))


def test_the_plan_of_one_target_is_not_told_as_that_of_another(repo, code_host, github):
    """The second target fails before it has a plan: nothing of the first is in its comment."""
    two_targets(repo)
    repo.run("--target", "a", "ci", "run", "--comment", "plan", **github)
    first = outputs(github)["plan-file"]

    done = repo.run("--target", "b", "ci", "run", "--comment", "plan", **github)

    assert 1 == done.code
    comment = code_host.comments[1]["body"]
    assert "FeatureFlag/acme/Web/a" not in comment
    assert "broken.yaml:1:7" in comment
    assert "::error file=broken.yaml,line=1,col=7" in done.out
    assert "" == outputs(github)["plan-file"]
    assert "FeatureFlag/acme/Web/a" in Path(first).read_text(encoding="utf-8")


def test_a_plan_of_an_earlier_step_is_not_told_again(repo, code_host, github):
    """A command line that is refused has no plan: the comment must not show yesterday's."""
    repo.run("ci", "run", "--comment", "plan", **github)

    done = repo.run("ci", "run", "--comment", "plan", "--nope", **github)

    assert 64 == done.code
    (comment,) = code_host.comments
    assert "`reconciler plan` ended with 64." in comment["body"]
    assert "FeatureFlag" not in comment["body"]


def test_the_comment_of_the_only_target_stays_one_where_a_plan_fails(repo, code_host, github):
    """What the target is called is known before its files are."""
    target = {"host": repo.sandbox.url, "paths": ["flags.yaml"]}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": {"production": target}}))
    repo.run("ci", "run", "--comment", "plan", **github)
    repo.write("flags.yaml", "kind: [")

    assert 1 == repo.run("ci", "run", "--comment", "plan", **github).code
    (comment,) = code_host.comments
    assert "flags.yaml:1:7" in comment["body"]


def test_drift_that_is_held_opens_no_issue_and_closes_one(repo, code_host, github):
    """Held until a day is not to be acted on before."""
    assert "issue: opened" in repo.run("ci", "run", "--issue", "drift", **github).err
    hold = [{"address": "FeatureFlag/*", "until": "2999-01-01", "reason": "INC-42"}]
    target = {"host": repo.sandbox.url, "paths": ["flags.yaml"], "drift": {"hold": hold}}
    repo.write("reconciler.yaml", json.dumps({"version": 1, "targets": {"default": target}}))
    repo.commit()

    assert "issue: closed" in repo.run("ci", "run", "--issue", "drift", **github).err
    assert "is held" in code_host.comments[-1]["body"]
    assert "issue: none" in repo.run("ci", "run", "--issue", "drift", **github).err


def test_an_issue_is_for_drift_alone(repo, code_host, github):
    """A plan that changes something is no drift."""
    done = repo.run("ci", "run", "--issue", "plan", **github)

    assert 64 == done.code
    assert "--issue is for drift" in done.err
    assert [] == code_host.calls


def test_a_report_that_has_no_place_costs_no_result(repo, github, tmp_path):
    """It goes elsewhere, with a warning; outputs and summary are whole."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        done = repo.run("ci", "run", "--report", str(place), "drift", **github)

        assert 0 == done.code, done.err
        assert "warning: no report can be kept in" in done.err
        assert "true" == outputs(github)["has-drift"]


def test_annotations_name_files_from_the_root_of_the_repository(repo, github):
    """GitHub knows them by no other name, wherever the command ran."""
    repo.write("sub/flags.yaml", acme.flag("a", 50))
    repo.git("rm", "-q", "flags.yaml")
    repo.commit()
    below = type(repo)(repo.folder / "sub", repo.sandbox, repo.token)

    assert "::warning file=sub/flags.yaml,line=" in below.run("ci", "run", "drift", **github).out
    found = below.run("drift", "--format", "sarif").json["runs"][0]["results"][0]
    place = found["locations"][0]["physicalLocation"]["artifactLocation"]
    assert "sub/flags.yaml" == place["uri"]


def test_a_run_in_a_build_is_told_as_events_to_its_end(repo, code_host, github):
    """`ci` and the command in it: each begins and ends, and no other line is in between."""
    code_host.fail = {("POST", "/issues"): 403}

    done = repo.run("--log-format", "json", "ci", "run", "--issue", "drift", **github)

    told = [json.loads(line) for line in done.err.splitlines()]
    ends = [(one["event"], one["run_id"]) for one in told if one["event"].startswith("run.")]
    outer, inner = ends[0][1], ends[1][1]
    assert outer != inner
    assert [
        ("run.started", outer),
        ("run.started", inner),
        ("run.ended", inner),
        ("run.ended", outer),
    ] == ends
    assert [outer] == [one["run_id"] for one in told if one["event"] == "warning"]


def test_who_the_token_is_cannot_be_guessed(repo, code_host, github):
    """Under another name our comment would not be found, and a second one be written."""
    code_host.login = "reconciler-app[bot]"
    repo.run("ci", "run", "--comment", "plan", **github)
    code_host.fail = {("POST", "/graphql"): 502}

    done = repo.run("ci", "run", "--comment", "plan", **github)

    assert (0, 1) == (done.code, len(code_host.comments))
    assert "warning: POST" in done.err


def test_a_report_does_not_go_over_the_plan_that_is_applied(repo, github, tmp_path):
    """An apply of the plan of an earlier step, told to report to the same folder."""
    folder = str(tmp_path / "kept")
    assert 0 == repo.run("ci", "run", "--report", folder, "plan", **github).code
    plan = outputs(github)["plan-file"]

    over = repo.run("ci", "run", "--report", folder, "apply", plan, **github)
    beside = repo.run("ci", "run", "apply", plan, **github)

    assert (64, True) == (over.code, "name another folder" in over.err)
    assert 0 == beside.code, beside.err


def test_drift_that_was_not_asked_for_closes_no_issue(repo, code_host, github):
    """Filtered away is not mended: not to the issue, not to a webhook, not in the last line."""
    assert "issue: opened" in repo.run("ci", "run", "--issue", "drift", **github).err
    hook = ("--notify", f"{code_host.url}/hook", "--only", "approved")

    done = repo.run("ci", "run", "--issue", "drift", *hook, **github)
    repo.run("drift", *hook[:2])
    filtered = repo.run("drift", *hook)

    assert "issue: left as it is" in done.err
    assert ["open"] == [issue["state"] for issue in code_host.issues]
    assert ["drift"] == [json.loads(body)["event"] for _, _, body in code_host.hooks]
    last = "No drift of what was asked for. 2 resources match or are left out."
    assert (0, last) == (filtered.code, filtered.out.rstrip().rsplit("\n", 1)[1])


def test_outside_of_a_build_the_comment_is_a_warning_in_one_sentence(repo):
    """The result does not depend on it."""
    done = repo.run("ci", "run", "--comment", "validate")

    assert 0 == done.code
    assert (
        "warning: this is not a build of GitHub or GitLab: neither GITHUB_ACTIONS nor GITLAB_CI is "
        "set; run it in a workflow or pipeline, or leave --comment and --issue out"
    ) in " ".join(done.err.split())
