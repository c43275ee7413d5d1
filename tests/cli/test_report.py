"""`--report DIR`: plan, journal and summary of a run, kept however it ended."""

import json

import pytest

from tests import acme, factories


@pytest.fixture
def repo(world):
    """One flag that differs."""
    flag = acme.live_flag("a", 10)
    repo = world(factories.seed(flag))
    repo.write("flags.yaml", acme.flag("a", 50))
    return repo


def report(repo, name="kept"):
    folder = repo.folder / name
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_a_plan_is_kept_for_programs_and_for_people(repo):
    """The JSON is that of --format json; the page and the comment are those of show."""
    done = repo.run("plan", "--format", "json", "--report", "kept", "--detailed-exitcode")
    files = report(repo)
    summary = json.loads(files["summary.json"])

    assert 2 == done.code
    assert {"plan.json", "plan.html", "plan.md", "summary.json"} == set(files)
    assert done.json["changes"] == json.loads(files["plan.json"])["changes"]
    assert files["plan.html"].startswith("<!doctype html>")
    assert ("plan", 2, None) == (summary["command"], summary["exit_code"], summary["error"])
    assert done.json["requests"]["reads"] == summary["reads"]
    assert 0 == summary["writes"]
    assert sorted(files) == sorted(summary["files"])
    assert 0o600 == (repo.folder / "kept" / "plan.json").stat().st_mode & 0o777


def test_an_apply_keeps_its_journal_and_what_became_of_each_change(repo):
    """The journal in the report is that of .reconciler/runs."""
    done = repo.run("apply", "--yes", "--format", "json", "--report", "kept")
    files = report(repo)
    (journal,) = (repo.folder / ".reconciler" / "runs").iterdir()

    assert 0 == done.code, done.err
    assert journal.read_text(encoding="utf-8") == files["journal.jsonl"]
    assert done.json["results"] == json.loads(files["outcomes.json"])["results"]
    assert 1 == json.loads(files["summary.json"])["writes"]
    assert done.json["summary"] == json.loads(files["summary.json"])["outcomes"]
    assert files["outcomes.md"].startswith("### reconciler apply")


def test_drift_is_kept_as_drift(repo):
    """The page and the comment say what differs from the commit, not what apply would do."""
    repo.commit()

    done = repo.run("drift", "--report", "kept")
    files = report(repo)

    assert 2 == done.code, done.err
    assert {"plan.json", "plan.html", "plan.md", "summary.json"} == set(files)
    assert "reconciler drift" in files["plan.md"]
    assert "drift" == json.loads(files["summary.json"])["command"]


def test_a_run_that_fails_keeps_its_error(repo):
    """What, why, state and fix, beside the exit code."""
    repo.write("flags.yaml", "kind: FeatureFlag\nmetadata: [")

    done = repo.run("plan", "--report", "kept")
    summary = json.loads(report(repo)["summary.json"])

    assert (1, 1) == (done.code, summary["exit_code"])
    assert {"what", "why", "state", "fix"} == set(summary["error"])


def test_a_report_that_cannot_be_made_stops_before_anything_is_contacted(repo):
    """A file stands where the folder should be."""
    (repo.folder / "kept").write_text("x", encoding="utf-8")

    done = repo.run("apply", "--yes", "--report", "kept")

    assert 1 == done.code
    assert "no folder can be made there" in done.err
    assert "there is a file where a folder is needed" in done.err
    assert [] == repo.sandbox.requests()


def test_a_report_that_cannot_be_written_changes_no_result(repo):
    """The apply is done, and says that its report is not whole."""
    (repo.folder / "kept" / "summary.json").mkdir(parents=True)
    (repo.folder / "kept" / "summary.json" / "x").write_text("", encoding="utf-8")

    done = repo.run("apply", "--yes", "--report", "kept")

    assert 0 == done.code, done.err
    assert "the report is not whole" in done.err


def test_the_summary_says_what_ran_for_which_target_and_what_it_counted(repo):
    """What a fleet's report is made of; the totals are those of the command's own document."""
    planned = repo.run("plan", "--format", "json", "--report", "kept")
    summary = json.loads(report(repo)["summary.json"])

    assert ("default", "plan", 0) == tuple(
        summary[key] for key in ("target", "command", "exit_code")
    )
    assert planned.json["summary"] == summary["summary"]
    assert 0 <= summary["seconds"] < 600

    applied = repo.run("apply", "--yes", "--format", "json", "--report", "applied")

    assert applied.json["summary"] == json.loads(report(repo, "applied")["summary.json"])["summary"]


def test_validate_and_status_keep_a_report(repo):
    """Both have their totals in the summary; status has its document."""
    repo.run("validate", "--report", "checked")
    status = repo.run("status", "--format", "json", "--report", "stood")
    files = report(repo, "stood")

    assert {"resources": 1, "errors": 0, "warnings": 0, "notices": 0} == json.loads(
        report(repo, "checked")["summary.json"]
    )["summary"]
    assert status.json == json.loads(files["status.json"])
    assert {"status.json", "summary.json"} == set(files)
    assert {"commits_since": 0, "dirty": 0, "requests": 0} == json.loads(files["summary.json"])[
        "summary"
    ]


def test_a_run_that_ends_before_it_reads_a_file_still_names_its_target(repo):
    """The name is the one that was typed."""
    repo.write("reconciler.yaml", "version: 1\ntargets: {a: {}, b: {needs: [z]}}\n")

    done = repo.run("plan", "--target", "a", "--report", "kept")

    assert 1 == done.code
    assert "a" == json.loads(report(repo)["summary.json"])["target"]
