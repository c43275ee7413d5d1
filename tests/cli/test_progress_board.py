"""The live board, on a real terminal: a pseudo-terminal and a program that plays the screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import pyte
import pytest

from tests import acme, support
from tests.factories import gated
from tests.forked import Program
from tests.integration.running import spoil
from tests.integration.test_past_requests import REQUESTS


class Screen:
    """A command on a terminal of so many columns and rows, and what one sees there."""

    def __init__(self, repo, *arguments, columns=100, rows=24, **environ):
        self.screen = pyte.HistoryScreen(columns, rows, history=2000, ratio=0.5)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.frames = []  # the screen after each frame that was drawn
        self.master, slave = pty.openpty()
        self._resize(columns, rows)
        self.process = Program(
            arguments,
            cwd=repo.folder,
            env={**repo.environment(), "TERM": "xterm-256color", **environ},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def _resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        """Resize when everything drawn for the old size has been played."""
        lost = self.screen.lines - rows
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        while self._play(0.0):
            pass
        self._resize(columns, rows)
        self.screen.resize(rows, columns)
        if lost > 0:  # pyte drops rows at the top and leaves the cursor where it was
            self.screen.cursor.y = max(0, self.screen.cursor.y - lost)
        os.kill(self.process.pid, signal.SIGWINCH)
        os.kill(self.process.pid, signal.SIGCONT)

    def _play(self, seconds):
        """Play what comes next; return False if nothing does."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        try:
            data = os.read(self.master, 65536) if ready else b""
        except OSError:
            data = b""
        self.raw += data
        for frame in data.split(b"\x1b[?2026l") if data else ():
            self.stream.feed(frame)
            self.frames.append(self.lines())
        return bool(data)

    def until(self, wanted, seconds=60):
        """Play what comes until `wanted(screen)`, or the end of the program."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            has_ended = self.process.poll() is not None
            if not self._play(0.1) and has_ended:
                break
            if wanted is not None and wanted(self.lines()):
                return
        assert wanted is None or self.process.poll() is None or wanted(self.lines()), self.lines()

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def everything(self):
        """All lines, also those that have scrolled out of sight."""
        gone = [
            "".join(row[column].data for column in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]
        return [*gone, *self.lines()]

    def end(self):
        self.until(None)
        code = self.process.wait(30)
        os.close(self.master)
        return code


@pytest.fixture(scope="module")
def slow_sandbox(start_sandbox):
    """A server that takes its time, so that there is something to see."""
    return start_sandbox("--latency", "60")


@pytest.fixture
def slow(slow_sandbox, tmp_path):
    def make(seed):
        slow_sandbox.reset(seed)
        return support.Repository(tmp_path, slow_sandbox)

    return make


def flags(count):
    return [acme.flag(f"flag-{n:02}", 10) for n in range(count)]


def has(word):
    return lambda lines: any(word in line for line in lines)


def test_the_board_shows_what_is_in_flight_and_is_gone_at_the_end(slow):
    """Queue, in flight, done, requests left; below the plan, above nothing that stays."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(40))

    shown = Screen(repo, "apply", "--yes", "--concurrency", "3", "flags.yaml")
    shown.until(has("in flight"))
    board = next(line for line in shown.lines() if line.startswith("applying"))
    code = shown.end()

    assert "of 40" in board
    assert "queued" in board
    seen = "\n".join("\n".join(frame) for frame in shown.frames)
    assert "↻ FeatureFlag/acme/Web/flag-" in seen
    assert "requests left:" in seen
    assert 0 == code
    text = shown.everything()
    assert [] == [line for line in text if line.startswith(("applying", "  ↻", "  requests"))]
    assert 40 == sum("✓ FeatureFlag/acme/Web/flag-" in line for line in text)
    assert any("Apply: 40 done" in line for line in text)


def test_no_frame_is_ever_half_drawn(slow):
    """Between two frames the screen holds one whole board, never two heads or a torn line."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(30))

    shown = Screen(repo, "apply", "--yes", "--concurrency", "4", "flags.yaml", columns=80, rows=12)
    code = shown.end()

    heads = [sum(line.startswith("applying") for line in frame) for frame in shown.frames]
    assert 0 == code
    assert 1 == max(heads)
    assert shown.raw.count(b"\x1b[?2026h") == shown.raw.count(b"\x1b[?2026l")
    assert b"\x1b[2J" not in shown.raw, "the screen is never cleared as a whole"
    assert b"\x1b[?25l" not in shown.raw, "nor the cursor hidden, which an end could leave so"


@pytest.mark.parametrize("sizes", [[(60, 20), (140, 40), (40, 10)], [(200, 50), (30, 8)]])
def test_it_survives_every_size(slow, sizes):
    """Wider, narrower, lower: whatever was on its way stays behind once, and nothing piles up."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(99))

    shown = Screen(repo, "apply", "--yes", "--concurrency", "2", "flags.yaml")
    for columns, rows in sizes:
        shown.until(has("in flight"))
        shown.resize(columns, rows)
        left = []
        for _ in range(2):
            start = len(shown.frames)
            shown.until(lambda _, start=start: len(shown.frames) > start + 2)
            left.append(sum(line.startswith("applying") for line in shown.everything()))
        assert left[1] <= left[0]
    code = shown.end()

    assert 0 == code
    assert not any(line.startswith(("applying", "  ↻")) for line in shown.lines()[-4:])


def test_who_is_waited_for_stands_on_the_board_and_the_time_that_is_left(slow):
    """And once it is approved, the run goes on and ends."""
    repo = slow(gated(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", active=True))

    shown = Screen(repo, "apply", "--yes", "--wait", "5m", "flags.yaml", columns=120)
    shown.until(has("waiting for approvals: 4:"))
    board = [line for line in shown.lines() if "⏸ FeatureFlag/acme/Web/a" in line]
    listed = repo.sandbox.call("GET", REQUESTS, token="phx_alice")[1]["results"]
    path = f"{REQUESTS}{listed[0]['id']}/approve/"
    assert 200 == repo.sandbox.call("POST", path, {}, token="phx_alice")[0]
    code = shown.end()

    assert any("1 approval from alice@acme.test or bob@acme.test" in line for line in board)
    assert 0 == code
    assert any("Apply: 1 done" in line for line in shown.everything())


def test_ctrl_c_on_the_board_says_that_it_is_stopping_and_leaves_a_clean_screen(slow):
    """The terminal's own interrupt; 130, the account, and that apply goes on from here."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(60))
    spoil(repo, "POST:feature_flags.create:2-:before:hang(1)")  # there is time to see it

    shown = Screen(repo, "apply", "--yes", "--concurrency", "2", "flags.yaml")
    shown.until(has("✓ FeatureFlag"))
    os.kill(shown.process.pid, signal.SIGINT)
    code = shown.end()

    text = shown.everything()
    assert 130 == code
    assert any("stopping: what is in flight" in line for frame in shown.frames for line in frame)
    assert any("not started" in line for line in text)
    assert any("Next: run apply again" in line for line in text)
    assert not any("fix what failed" in line for line in text)
    assert not any(line.startswith(("applying", "  ↻")) for line in text)


def test_warnings_of_the_log_stand_above_the_board(slow):
    """What waits for the rate limit says so without tearing the board."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(12))
    document = {
        "faults": [
            {
                "match": {"method": "POST", "route": "feature_flags.create", "hit": "3-5"},
                "effect": {"throttle": {"seconds": 1}},
            }
        ]
    }
    assert 200 == repo.sandbox.call("POST", "/_sandbox/faults", document)[0]

    shown = Screen(repo, "-v", "apply", "--yes", "--concurrency", "2", "flags.yaml")
    code = shown.end()

    heads = [sum(line.startswith("applying") for line in frame) for frame in shown.frames]
    assert 0 == code
    assert any("429, all threads wait" in line for line in shown.everything())
    assert 1 == max(heads)


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}])
def test_without_a_terminal_that_can_there_are_plain_lines(slow, environ):
    """A pipe, or a terminal that is dumb: a line for each change, and no control character."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(3))

    if environ:
        shown = Screen(repo, "apply", "--yes", "flags.yaml", **environ)
        code, raw = shown.end(), shown.raw
    else:
        done = repo.run("apply", "--yes", "flags.yaml")
        code, raw = done.code, done.err.encode()

    assert 0 == code
    assert 3 == raw.count("✓ FeatureFlag".encode())
    assert b"\x1b" not in raw


def test_quiet_is_quiet_on_a_terminal_too(slow):
    """Only the account."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(3))

    shown = Screen(repo, "--quiet", "apply", "--yes", "flags.yaml")
    code = shown.end()

    assert 0 == code
    assert b"applying" not in shown.raw


def test_the_time_left_is_shown_at_80_columns(slow):
    """The count of the queue makes room for it."""
    repo = slow(acme.seed())
    repo.write("flags.yaml", *flags(40))

    shown = Screen(repo, "apply", "--yes", "--concurrency", "2", "flags.yaml", columns=80)
    shown.end()

    heads = {line for frame in shown.frames for line in frame if line.startswith("applying")}
    begun = [line for line in heads if " 0 of 40" not in line and " 40 of 40" not in line]
    assert begun
    assert all(line.endswith(" left") for line in begun), begun
    assert all(" of 40" in line and "in flight" in line for line in begun), begun


def test_a_pause_for_the_rate_limit_stands_in_place_of_what_is_in_flight(slow):
    """Nothing is on its way then: all of it waits for the same moment."""
    repo = slow(acme.seed())
    repo.write("config/flags.yaml", *flags(30))
    repo.write(
        "reconciler.yaml",
        "version: 1\ntargets:\n  acme:\n    paths: [config]\n"
        "    rate_limit: {per_minute: 20, per_hour: 1000}\n",
    )

    shown = Screen(repo, "apply", "--yes", columns=80)
    shown.until(has("  paused: rate limit, resumes in 0:"))
    board = shown.lines()
    os.kill(shown.process.pid, signal.SIGINT)
    code = shown.end()

    assert not has("↻")(board)
    assert not has("in flight")(board)
    assert has("about ")(board)
    assert 130 == code
    assert not has("waiting 60 s")(shown.everything()), "said on the board, not in the log as well"


def test_what_an_interrupted_run_says_fits_on_one_screen(slow):
    """A count, the first five, the journal with the others, and one next step."""
    repo = slow(gated(*(acme.live_flag(f"gate-{n}") for n in range(20))))
    on = [acme.flag(f"gate-{n}", active=True) for n in range(20)]
    repo.write("flags.yaml", *on, *flags(180))

    shown = Screen(repo, "apply", "--yes", "--concurrency", "3", "flags.yaml", columns=80)
    shown.until(has("waits for approval"))
    os.kill(shown.process.pid, signal.SIGINT)
    code = shown.end()

    text = shown.everything()
    begin = next(n for n, line in enumerate(text) if line == "Waiting for approval:")
    screen = [line for line in text[begin:] if line]
    (journal,) = (repo.folder / ".reconciler" / "runs").glob("*.jsonl")
    assert 130 == code
    assert len(screen) < 24, screen
    assert 5 == sum(
        line.startswith("  FeatureFlag/") for line in screen[screen.index("Not started:") :]
    )
    assert any(f" more: .reconciler/runs/{journal.name}" in line for line in screen)
    assert any(" not started (200 in all)." in line for line in screen)
    assert ["Next: run apply again; it re-reads the live state and continues."] == [
        line for line in text if line.startswith("Next:")
    ]
    assert not any("skipped: not started" in line for line in text)
    assert 200 == journal.read_text().count('"event": "outcome"')
