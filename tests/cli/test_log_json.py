"""`--log-format json`: every line on stderr is an event of the run, and stdout stays the result."""

import json

import pytest

from tests import acme, factories


@pytest.fixture
def repo(world):
    flags = [acme.live_flag("a", 10)]
    repo = world(factories.seed(*flags))
    repo.write("flags.yaml", acme.flag("a", 50))
    return repo


def events(done):
    return [json.loads(line) for line in done.err.splitlines()]


def test_an_apply_is_told_as_events(repo):
    """Begin, plan, each change, end; one run id, time that moves on, requests counted."""
    done = repo.run("--log-format", "json", "apply", "--yes", "--format", "json")
    told = events(done)

    assert 0 == done.code
    assert ["run.started", "plan.made", "change.ended", "run.ended"] == [
        one["event"] for one in told if one["event"] != "note"
    ]
    assert 1 == len({one["run_id"] for one in told})
    assert sorted(one["elapsed_s"] for one in told) == [one["elapsed_s"] for one in told]
    assert ("apply", 1) == (told[0]["command"], next(o for o in told if "update" in o)["update"])
    ended = next(one for one in told if one["event"] == "change.ended")
    assert ("FeatureFlag/acme/Web/a", "done", 1) == (
        ended["address"],
        ended["outcome"],
        ended["attempts"],
    )
    sent = repo.sandbox.requests()
    writes = [row for row in sent if row["method"] != "GET"]
    assert (0, len(sent) - len(writes), 1) == (
        told[-1]["exit_code"],
        told[-1]["reads"],
        told[-1]["writes"],
    )
    assert 1 == done.json["summary"]["done"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "--nope"], 64),
        (["plan", "--select", "Role/nobody"], 1),
        (["apply"], 64),
        (["drift"], 1),
    ],
)
def test_an_error_is_an_event_too(repo, arguments, code):
    """What, why, state and fix; nothing on stderr is anything but JSON."""
    done = repo.run("--log-format", "json", *arguments)
    told = events(done)

    assert code == done.code
    assert ["error"] == [one["event"] for one in told if one["level"] == "error"]
    assert ("run.ended", code) == (told[-1]["event"], told[-1]["exit_code"])


def test_findings_of_the_files_are_in_the_event(repo):
    """With code, place and fix, for who collects logs."""
    repo.write("flags.yaml", acme.flag("a", 50, activ=True))

    (error,) = (
        one for one in events(repo.run("--log-format", "json", "plan")) if one["event"] == "error"
    )
    assert ("R004", "flags.yaml") == (
        error["findings"][0]["code"],
        error["findings"][0]["source"]["file"],
    )


def test_every_request_is_a_log_event_with_vv(repo):
    """Method and path, never a key."""
    done = repo.run("--log-format", "json", "-vv", "plan")
    lines = [one["message"] for one in events(done) if one["event"] == "log"]

    assert any("GET /api/organizations/ -> 200" in line for line in lines)
    assert "phx_" not in done.err


def test_the_report_and_the_log_have_the_same_run_id(repo):
    """So that an artifact can be found from a line of the log."""
    done = repo.run("--log-format", "json", "plan", "--report", "kept")
    summary = json.loads((repo.folder / "kept" / "summary.json").read_text(encoding="utf-8"))

    assert {summary["run_id"]} == {one["run_id"] for one in events(done)}
