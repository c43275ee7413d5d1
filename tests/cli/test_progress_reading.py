"""Progress while PostHog is read, on a real terminal; nothing of it anywhere else."""

import os
import signal

import pytest

from tests import acme, factories, support
from tests.cli.test_progress_board import Screen, has

READING = "reading PostHog: "


@pytest.fixture(scope="module")
def slow_sandbox(start_sandbox):
    """A server so slow that each command reads for longer than it does without progress."""
    return start_sandbox("--latency", "300")


@pytest.fixture
def repo(slow_sandbox, tmp_path):
    slow_sandbox.reset(factories.seed(*(acme.live_flag(f"flag-{n}") for n in range(30))))
    repo = support.Repository(tmp_path, slow_sandbox)
    repo.write("config/flags.yaml", acme.flag("flag-1", 50))
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  acme:\n    paths: [config]\n")
    repo.commit()
    return repo


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("drift",),
        ("pull", "--dry-run"),
        ("status",),
        ("doctor",),
        ("requests", "list"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_reads_says_how_far_it_is_and_leaves_no_trace(repo, arguments):
    """Requests and rows so far, on one line that is gone when the result is there."""
    shown = Screen(repo, *arguments, columns=80)
    shown.end()

    seen = {line for frame in shown.frames for line in frame if READING in line}
    assert seen
    assert all(line.startswith(READING) and " request" in line for line in seen)
    assert not has(READING)(shown.everything())
    assert shown.raw.count(b"\x1b[?2026h") == shown.raw.count(b"\x1b[?2026l")


def test_the_line_counts_what_has_come(repo):
    """Flags are what there is most of."""
    shown = Screen(repo, "plan", columns=80)
    shown.end()

    assert any(has(" requests, 30 flags")(frame) for frame in shown.frames)
    assert has("Plan: 0 to create, 1 to update")(shown.everything())


def test_apply_shows_it_before_the_question(repo):
    """The plan is printed where the line was; the question stands alone below it."""
    shown = Screen(repo, "apply", columns=80)
    shown.until(has("[y/N]"))
    os.write(shown.master, b"n\n")
    code = shown.end()

    seen = [line for frame in shown.frames for line in frame]
    assert any(line.startswith(READING) for line in seen)
    assert not has(READING)(shown.everything())
    assert 1 == code


@pytest.mark.parametrize(
    ("options", "environ"),
    [(("--quiet",), {}), (("--log-format", "json"), {}), ((), {"TERM": "dumb"})],
    ids=["quiet", "json", "dumb"],
)
def test_it_is_not_drawn_where_nobody_wants_it(repo, options, environ):
    """No control character reaches a log, or a terminal that cannot move its cursor."""
    shown = Screen(repo, *options, "plan", **environ)
    shown.end()

    assert READING.encode() not in shown.raw
    assert b"\x1b[?2026h" not in shown.raw


def test_a_pipe_gets_no_progress(repo):
    """As in CI."""
    done = repo.run("plan", forked=True)

    assert 0 == done.code
    assert "" == done.err


def test_a_wait_for_the_rate_limit_is_shown_with_its_end(repo):
    """Once, as a clock; the warning of the log says nothing more, and is left out."""
    repo.write(
        "reconciler.yaml",
        "version: 1\ntargets:\n  acme:\n    paths: [config]\n"
        "    rate_limit: {per_minute: 2, per_hour: 100}\n",
    )

    shown = Screen(repo, "plan", columns=80)
    shown.until(has("paused: rate limit, resumes in 0:"))
    line = next(line for line in shown.lines() if "paused" in line)
    os.kill(shown.process.pid, signal.SIGINT)
    code = shown.end()

    assert "(2 requests" in line
    assert 130 == code
    assert ["interrupted"] == [line for line in shown.everything() if line]


def test_without_a_terminal_the_wait_is_one_line_of_the_log(repo):
    """Spelled as every other warning."""
    repo.write(
        "reconciler.yaml",
        "version: 1\ntargets:\n  acme:\n    paths: [config]\n"
        "    rate_limit: {per_minute: 2, per_hour: 100}\n",
    )

    done = repo.run("plan")

    assert 0 == done.code
    assert "warning: waiting 60 s for the rate limit of the key" in done.err
