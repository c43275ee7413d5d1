"""`reconciler ci run` in a merge request's pipeline: note, code quality report, outputs."""

import json

import pytest

from tests import acme
from tests.code_hosts import TOKEN


@pytest.fixture
def gitlab(code_host, repo):
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_API_V4_URL": code_host.url,
        "CI_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_PROJECT_DIR": str(repo.folder),
        "CI_JOB_URL": "https://gitlab.test/acme/config/-/jobs/1",
        "GITLAB_TOKEN": TOKEN,
    }


def test_one_note_is_kept_up_to_date(repo, code_host, gitlab):
    """Created, kept, updated; a note of somebody else with our marker is left alone."""
    first = repo.run("ci", "run", "--comment", "plan", **gitlab)
    code_host.notes.insert(0, {"id": 50, "author": {"id": 1}, "body": code_host.notes[0]["body"]})
    again = repo.run("ci", "run", "--comment", "plan", **gitlab)
    repo.write("flags.yaml", acme.flag("a", 60), acme.flag("b", 20))
    moved = repo.run("ci", "run", "--comment", "plan", **gitlab)

    assert [0, 0, 0] == [one.code for one in (first, again, moved)], first.err
    assert ["created", "kept", "updated"] == [
        one.err.rpartition("note: ")[2].strip() for one in (first, again, moved)
    ]
    assert 2 == len(code_host.notes)
    assert "60" in code_host.notes[1]["body"]


def test_outputs_and_findings_are_files_that_gitlab_reads(repo, gitlab):
    """A dotenv report and a code quality report."""
    assert 0 == repo.run("ci", "run", "drift", **gitlab).code

    lines = (repo.folder / "reconciler.env").read_text(encoding="utf-8").splitlines()
    rows = json.loads((repo.folder / "gl-code-quality-report.json").read_text(encoding="utf-8"))

    assert "RECONCILER_HAS_DRIFT=true" in lines
    assert "RECONCILER_EXIT_CODE=2" in lines
    drifted = [row for row in rows if row["check_name"].startswith("drift-")]
    assert ["flags.yaml"] == [row["location"]["path"] for row in drifted]


def test_findings_of_validate_are_a_code_quality_report(repo, gitlab):
    """And the job fails."""
    repo.write("flags.yaml", acme.flag("a", 50, activ=True))

    assert 1 == repo.run("ci", "run", "validate", **gitlab).code
    text = (repo.folder / "gl-code-quality-report.json").read_text(encoding="utf-8")
    assert ["flags.yaml"] == [row["location"]["path"] for row in json.loads(text)]


def test_a_pipeline_without_a_merge_request_says_so(repo, code_host, gitlab):
    """A warning; the result stands."""
    bare = {name: value for name, value in gitlab.items() if name != "CI_MERGE_REQUEST_IID"}

    done = repo.run("ci", "run", "--comment", "plan", **bare)

    assert 0 == done.code
    assert "not the pipeline of a merge request" in done.err
    assert [] == code_host.calls


@pytest.mark.parametrize("answer", [None, "a page", [], {"id": None}, {"id": 99}], ids=str)
def test_an_answer_that_is_none_costs_no_result(repo, code_host, gitlab, answer):
    """A proxy that answers 200 with something of its own: a warning; the result stands."""
    code_host.instead = answer

    done = repo.run("ci", "run", "--comment", "plan", **gitlab)

    assert 0 == done.code, done.err
    assert "warning: " in done.err
    assert "RECONCILER_HAS_CHANGES=true" in (repo.folder / "reconciler.env").read_text("utf-8")


def test_a_note_whose_answer_got_lost_is_not_written_twice(repo, code_host, gitlab):
    """Looked up before it is said to have failed."""
    code_host.fail = {("POST", "/notes"): "lost"}

    done = repo.run("ci", "run", "--comment", "plan", **gitlab)

    assert "note: created" in done.err
    assert 1 == len(code_host.notes)
