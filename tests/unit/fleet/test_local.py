"""Threads of one process: what one target does is no matter of the others."""

import threading
from unittest import mock

import pytest

from reconciler.fleet import target_folder
from reconciler.fleet.local import LocalFleet, LocalLimits
from reconciler.fleet.target_run import RunControl, TargetRun
from reconciler.fleet.waves import Skipped, Waves
from reconciler.model import FleetMode, RequestCounts, TargetResult

MODE = FleetMode.APPLY


def run_fleet(folder, runner, names, needs=None, *, concurrency=4, timeout_s=60.0):
    """Run targets that need nothing, unless `needs` says so; the fleet and its results."""
    runs = {name: TargetRun(MODE, name, (), folder, folder / name) for name in names}
    needs = {name: (needs or {}).get(name, ()) for name in names}
    fleet = LocalFleet(runs, Waves(MODE, needs), runner, LocalLimits(concurrency, timeout_s))
    return fleet, {result.target: result for result in fleet.run()}


def succeed(run, code=0):
    """Leave the report that a command leaves."""
    target_folder.write_result(run.report, run.mode, TargetResult(run.target, code))
    return code


def test_a_crash_is_the_error_of_its_target(tmp_path):
    """Also of what ends a thread: the others are done, and what needs it is skipped."""

    def runner(run, _control):
        if run.target == "bad":
            raise SystemExit(7)
        return succeed(run)

    _, results = run_fleet(tmp_path, runner, ["bad", "good", "next"], {"next": ["bad"]})

    assert {"bad": 1, "good": 0, "next": None} == {
        name: result.exit_code for name, result in results.items()
    }
    kept = target_folder.read_result(tmp_path / "bad", "bad", MODE)
    assert "reconciler has a defect: SystemExit" == kept.error.what
    assert "it needs bad, which exited with 1" == results["next"].skipped_because


def test_a_run_without_a_report_is_an_error(tmp_path):
    """A target must not look well because nothing is known of it."""
    _, results = run_fleet(tmp_path, lambda _run, _control: 64, ["a"])

    assert (64, "it ended with 64, and without a report") == (
        results["a"].exit_code,
        target_folder.read_result(tmp_path / "a", "a", MODE).error.what,
    )


def test_no_more_run_at_once_than_allowed(tmp_path):
    most, now, lock = [0], [0], threading.Lock()
    barrier = threading.Barrier(2)

    def runner(run, _control):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        barrier.wait(10)  # two are needed, so that two run at once
        with lock:
            now[0] -= 1
        return succeed(run)

    _, results = run_fleet(tmp_path, runner, [f"t{n}" for n in range(6)], concurrency=2)

    assert (6, 2) == (len(results), most[0])


def test_a_system_without_threads_is_the_error_of_the_target(tmp_path):
    with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("no thread")):
        _, results = run_fleet(tmp_path, lambda run, _control: succeed(run), ["a"])

    assert 1 == results["a"].exit_code


def test_an_abandoned_run_counts_what_it_has_sent(tmp_path):
    """It can no longer say so itself, and writes nothing over what the fleet has written."""
    over = threading.Event()

    def runner(_run, control):
        control.count_requests(lambda: RequestCounts(7, 1))
        over.wait(30)
        return 0

    fleet, results = run_fleet(tmp_path, runner, ["a"], timeout_s=0.1)
    over.set()

    assert (["a"], 1, RequestCounts(7, 1)) == (
        fleet.abandoned,
        results["a"].exit_code,
        results["a"].requests,
    )


def test_the_innermost_handler_of_a_stop_is_called_also_if_it_comes_late():
    """As Ctrl-C means the innermost of what runs."""
    control, called = RunControl(), []

    with control.handle_stop(lambda: called.append("outer")):
        with control.handle_stop(lambda: called.append("inner"), grace_s=60):
            assert 60 == control.grace_s
            control.stop()
        with control.handle_stop(lambda: called.append("late")):
            pass

    assert ["inner", "late"] == called
    assert control.is_stopped


@pytest.mark.parametrize(
    ("mode", "code", "ready"),
    [
        (FleetMode.PLAN, 2, ["b"]),
        (FleetMode.DRIFT, 2, ["b"]),
        (FleetMode.APPLY, 2, []),
        (FleetMode.APPLY, 3, []),
        (FleetMode.APPLY, 0, ["b"]),
        (FleetMode.VALIDATE, 130, []),
    ],
)
def test_success_is_0_and_differences_where_nothing_is_written(mode, code, ready):
    waves = Waves(mode, {"a": (), "b": ("a",)})

    assert ["a"] == waves.begin()
    assert ready == waves.end("a", code)[0]


def test_each_target_starts_once_after_all_that_it_needs():
    waves = Waves(MODE, {"a": (), "b": (), "c": ("a", "b"), "d": ("c", "elsewhere")})

    assert ["a", "b"] == waves.begin()
    assert ([], []) == waves.end("a", 0)
    assert (["c"], []) == waves.end("b", 0)
    assert (["d"], []) == waves.end("c", 0)


def test_two_failures_skip_a_target_once():
    waves = Waves(MODE, {"a": (), "b": (), "c": ("a", "b")})
    waves.begin()

    assert [Skipped("c", "it needs b, which exited with 1")] == waves.end("b", 1)[1]
    assert ([], []) == waves.end("a", 1)
