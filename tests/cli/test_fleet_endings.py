"""However a run of a fleet ends, the other targets and the exit code of the process are right."""

import json
import signal
import subprocess
import time

import pytest

from tests import acme, support
from tests.fleets import codes, make_fleet, several_sandboxes, targets
from tests.forked import Program

NAMES = ("staging", "eu-prod", "us-prod")
FLAGS, FEW = 40, 8


@pytest.fixture(scope="module")
def sandboxes(start_sandbox):
    return several_sandboxes(start_sandbox, "--latency", "80")


@pytest.fixture
def fleet(sandboxes, tmp_path):
    fleet = make_fleet(tmp_path, sandboxes)
    fleet.settle(*declare(FLAGS))
    return fleet


def declare(count):
    """Return as many new flags."""
    return [acme.flag(f"f{number:02}", 10) for number in range(count)]


def hang(fleet, name, method="GET", effect="hang"):
    """Let a target's server hang at every request of a kind."""
    faults = {"faults": [{"match": {"method": method, "hit": "every"}, "effect": effect}]}
    status, body = fleet.sandboxes[name].call("POST", "/_sandbox/faults", faults)
    assert status == 200, body


def start(fleet, *words):
    """The command as a process."""
    return Program(
        words,
        cwd=fleet.folder,
        env=fleet.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return support.Done(process.returncode, out, err)


def created(fleet):
    """Name -> flags that are live."""
    return {name: len(sandbox.writes()) for name, sandbox in fleet.sandboxes.items()}


@pytest.mark.parametrize("mode", ["plan", "apply"])
def test_a_target_that_hangs_is_left_behind_and_the_others_are_done(fleet, mode):
    """It is the error of its target, and the process does not wait for its threads."""
    fleet.settle(*declare(FEW))
    hang(fleet, "eu-prod")
    begun = time.monotonic()

    yes = ["--yes"] if mode == "apply" else []
    done = fleet.fleet(mode, *yes, "--target-timeout", "6s", "--out", "out", forked=True)

    assert time.monotonic() - begun < 60
    assert (1, {"staging": 0, "eu-prod": 1, "us-prod": 0}) == (done.code, codes(done))
    error = targets(done)["eu-prod"]["error"]
    assert "it took longer than 6s" == error["what"]
    assert "nothing was written" == error["state"]
    assert "--target-timeout" in error["fix"]
    if mode == "apply":
        assert {"staging": FEW, "eu-prod": 0, "us-prod": FEW} == created(fleet)


def test_an_apply_that_takes_too_long_finishes_what_is_in_flight(fleet):
    """As after Ctrl-C: the journal is complete, nothing more is sent, the next run continues."""
    hang(fleet, "staging", "POST", "hang(3)")
    words = ("--target", "staging", "--target-timeout", "2s", "--out", "out")

    done = fleet.fleet("apply", "--yes", *words, forked=True)

    assert (1, {"staging": 1}) == (done.code, codes(done))
    assert "it was stopped" == targets(done)["staging"]["error"]["why"]
    journal = (fleet.folder / "out" / "staging" / "journal.jsonl").read_text("utf-8")
    assert "end" == json.loads(journal.splitlines()[-1])["event"]
    assert created(fleet)["staging"] < FLAGS


def test_ctrl_c_ends_every_apply_as_it_ends_one(fleet):
    """What is in flight is finished, the rest is not started; the report says so; 130."""
    process = start(fleet, "fleet", "apply", "--yes", "--format", "json", "--out", "out")
    support.awaited(lambda: all(count > 1 for count in created(fleet).values()), process)
    process.send_signal(signal.SIGINT)
    done = finish(process)

    assert (130, 130, dict.fromkeys(NAMES, 130)) == (
        done.code,
        done.json["exit_code"],
        codes(done),
    ), done.err
    live = created(fleet)
    assert all(1 < count < FLAGS for count in live.values()), live
    for name in NAMES:
        outcomes = json.loads((fleet.folder / "out" / name / "outcomes.json").read_text("utf-8"))
        assert outcomes["summary"]["done"] == live[name]

    assert 0 == fleet.fleet("apply", "--yes").code
    assert dict.fromkeys(NAMES, FLAGS) == created(fleet)


def test_targets_that_have_not_started_are_skipped_after_ctrl_c(fleet):
    process = start(fleet, "fleet", "apply", "--yes", "--concurrency", "1", "--format", "json")
    support.awaited(lambda: created(fleet)["staging"] > 1, process)
    process.send_signal(signal.SIGINT)
    done = finish(process)

    assert (130, {"staging": 130, "eu-prod": None, "us-prod": None}) == (done.code, codes(done))
    assert "the fleet was interrupted" == targets(done)["us-prod"]["skipped_because"]
    assert {"eu-prod": 0, "us-prod": 0} == {
        name: count for name, count in created(fleet).items() if name != "staging"
    }


def test_ctrl_c_ends_plans_within_seconds_even_if_they_hang(fleet):
    for name in NAMES:
        hang(fleet, name)
    process = start(fleet, "fleet", "plan", "--format", "json")
    support.awaited(
        lambda: all(sandbox.requests() for sandbox in fleet.sandboxes.values()), process
    )
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process)

    assert time.monotonic() - begun < 10
    assert (130, dict.fromkeys(NAMES, 130)) == (done.code, codes(done)), done.err


def test_a_second_ctrl_c_leaves_at_once(fleet):
    """The document of an earlier run does not stay as if it were that of this one."""
    hang(fleet, "staging", "POST")
    (fleet.folder / "kept").mkdir()
    (fleet.folder / "kept" / "fleet.json").write_text("{}")
    process = start(fleet, "fleet", "apply", "--yes", "--out", "kept")
    support.awaited(lambda: created(fleet)["us-prod"] > 1, process)
    process.send_signal(signal.SIGINT)
    assert "stopping" in next(line for line in process.stderr if "stopping" in line)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert 130 == process.returncode
    assert time.monotonic() - begun < 5
    assert not (fleet.folder / "kept" / "fleet.json").exists()


def link_a_log(folder):
    (folder.parent / "precious").write_text("precious")
    (folder / "staging.log").symlink_to(folder.parent / "precious")


def put_a_file_for_a_folder(folder):
    (folder / "staging").write_text("")


def put_a_file_for_the_whole(folder):
    folder.rmdir()
    folder.write_text("")


def put_a_folder_for_the_document(folder):
    (folder / "fleet.json").mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (link_a_log, "links are not followed"),
        (put_a_file_for_a_folder, "is not a folder"),
        (put_a_file_for_the_whole, "there is a file where a folder is needed"),
        (put_a_folder_for_the_document, "it is a folder"),
    ],
)
def test_a_place_where_no_report_can_be_kept_is_refused_before_the_fleet_writes(fleet, spoil, why):
    """An apply never ends without its report, and a committed link does not name a file."""
    out = fleet.folder / "kept"
    out.mkdir()
    spoil(out)
    for sandbox in fleet.sandboxes.values():
        sandbox.clear()

    done = fleet.run("fleet", "apply", "--yes", "--out", "kept")

    assert (1, "") == (done.code, done.out)
    assert why in done.err
    assert all(not sandbox.requests() for sandbox in fleet.sandboxes.values())
    kept = fleet.folder / "precious"
    assert not kept.exists() or kept.read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--target-timeout", "0s"), 64, "write something from 1s to 365d"),
        (("--out", ".git/kept"), 1, "only git writes to"),
        (("--base", "nowhere"), 1, "git knows no commit 'nowhere'"),
    ],
)
def test_options_with_which_no_target_could_end_well_are_refused(fleet, words, code, why):
    """Nothing is contacted, and the message names the reason."""
    for sandbox in fleet.sandboxes.values():
        sandbox.clear()

    done = fleet.run("fleet", "plan", *words)

    assert (code, "") == (done.code, done.out)
    assert why in done.err
    assert all(not sandbox.requests() for sandbox in fleet.sandboxes.values())
