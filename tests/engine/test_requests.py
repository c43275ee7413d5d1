"""What is asked of the engine: joined, refused, or run later; and what it is never asked."""

import subprocess
import sys

import pytest

from tests import acme
from tests.engine.fleets import gated_world
from tests.support import CLEAN, awaited


def one_target(repo, poll="1s", **spec):
    repo.configure({"one": {}}, poll)
    repo.write("one/flags.yaml", acme.flag("a", **spec))
    repo.commit()
    return repo


def run(repo, *words, **extra):
    return repo.run("fleet", *words, **extra)


def test_an_apply_is_not_started_twice_and_a_newer_commit_wakes_one_that_waits(fleet):
    """Two requests for the same commit are one run; the next commit does not wait for approval."""
    repo = one_target(fleet(gated_world("a")), "1h", active=True)
    for _ in range(2):
        done = run(repo, "apply", "--yes", "--detach")
        assert (0, "reconciler/apply/one\n") == (done.code, done.out)
    with repo.worker():
        done = run(repo, "apply", "--yes", "--format", "json")
        assert 3 == done.code, done.err
        history = repo.history("reconciler/apply/one")
        runs = [
            event
            for event in history
            if event["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"
            and "run-target" in str(event)
        ]
        assert 1 == len(runs)

        repo.write("one/flags.yaml", acme.flag("a", name="newer"))
        repo.commit()
        assert 0 == run(repo, "apply", "--yes").code
    (flag,) = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert ("newer", False) == (flag["name"], flag["active"])
    filed = [
        row
        for row in repo.sandbox.call("GET", "/_sandbox/ledger")[1]
        if row["object"].startswith("ChangeRequest/") and row["effect"] == "create"
    ]
    assert 1 == len(filed)


def test_a_rejection_ends_the_apply(fleet):
    """The last run reports it, and files nothing again."""
    repo = one_target(fleet(gated_world("a")), active=True)
    with repo.worker():
        assert 3 == run(repo, "apply", "--yes").code
        (row,) = repo.run("requests", "list", "--format", "json").json
        reject = ("requests", "reject", row["id"], "--reason", "no", "--yes")
        assert 0 == repo.run(*reject, token="phx_alice").code
        repo.await_runs(lambda: repo.workflows()["reconciler/apply/one"] == "COMPLETED")
    states = repo.run("requests", "list", "--state", "all", "--format", "json").json
    assert ["rejected"] == [each["state"] for each in states]


def test_the_report_says_where_the_rest_is_if_the_folder_cannot_be_read(fleet, tmp_path):
    """Exit codes and counts come from the engine."""
    repo = one_target(fleet(gated_world("a")), name="renamed")
    with repo.worker("--out", str(tmp_path / "store")):
        assert 2 == run(repo, "plan", "--detailed-exitcode").code
        (summary,) = (tmp_path / "store").rglob("summary.json")
        assert '"exit_code": 2' in summary.read_text(encoding="utf-8")
        run(repo, "plan", "--detailed-exitcode", "--detach")
        awaited(lambda: len(list((tmp_path / "store").rglob("summary.json"))) == 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "--host", "http://127.0.0.1:1"), "runs on the engine do not accept --host"),
        (("plan", "--sandbox"), "runs on the engine do not accept --sandbox"),
        (("plan", "--engine", "local", "--detach"), "add --engine temporal"),
        (("apply",), "--yes"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(fleet, words, said):
    """Before anything is contacted."""
    repo = one_target(fleet(gated_world("a")), name="renamed")

    done = run(repo, *words)

    assert 64 == done.code
    assert said in done.err


def test_a_server_that_is_not_there_is_an_error(fleet):
    """It says where it looked, what it found, and what to do: not in the words of the SDK."""
    repo = one_target(fleet(gated_world("a")), name="renamed")

    done = run(repo, "plan", TEMPORAL_ADDRESS="127.0.0.1:1")

    assert 1 == done.code
    assert "cannot connect to the Temporal server at 127.0.0.1:1" in done.err
    assert "why:   no connection: Connection refused" in done.err
    assert "fix:   start the server, or set TEMPORAL_ADDRESS" in done.err


def test_a_file_does_not_decide_who_gets_the_api_key(fleet):
    """The address has to be in the environment."""
    repo = one_target(fleet(gated_world("a")), name="renamed")
    text = (repo.folder / "reconciler.yaml").read_text(encoding="utf-8")
    repo.write("reconciler.yaml", text.replace("poll: 1s", "address: temporal.acme.test:7233"))
    environ = {"TEMPORAL_ADDRESS": "", "TEMPORAL_API_KEY": "a-secret-of-temporal"}

    done = run(repo, "plan", **environ)

    assert 1 == done.code
    assert "TEMPORAL_API_KEY may not be sent to temporal.acme.test:7233" in done.err
    assert "a-secret-of-temporal" not in done.err


def test_other_commands_do_not_load_the_sdk(tmp_path):
    """It takes half a second."""
    code = (
        "import sys; from reconciler.cli.main import run; "
        "run(['fleet', 'plan', '--help']); run(['plan', '--help']); "
        "sys.exit('temporalio' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    assert (
        0
        == subprocess.run(
            command, cwd=tmp_path, env=CLEAN, stdout=subprocess.DEVNULL, check=False
        ).returncode
    )
