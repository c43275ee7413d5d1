"""What the command line makes of a terminal: zoom, colour, links, width, signs beyond ASCII."""

import fcntl
import pty
import re
import struct
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from reconciler.model import Plan
from reconciler.planfile import codec
from reconciler.render.shared.options import LARGE
from tests.support import CLEAN, SCRIPT, run_in_process, run_with_streams
from tests.unit.render import samples

LINK = re.compile(r"\x1b\]8;;([^\x1b]*)\x1b\\")
ABLE = {"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}


@pytest.fixture
def saved(tmp_path):
    """A function that makes a plan the file that `show` renders."""

    def save(plan=samples.EVERYTHING):
        path = tmp_path / "plan.json"
        path.write_text(codec.dump_plan(plan), encoding="utf-8")
        return str(path)

    return save


def piped(*arguments, **environ):
    """The command as a pipeline runs it."""
    return run_in_process(arguments, ".", {**CLEAN, **environ})


def started(*arguments, **environ):
    """The same in a process of its own."""
    return subprocess.run(
        [SCRIPT, *arguments], env={**CLEAN, **environ}, capture_output=True, text=True, check=False
    )


def on_terminal(*arguments, width=100, **environ):
    """What the command prints on a terminal of so many columns."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with ThreadPoolExecutor(1) as pool:
        shown = pool.submit(read_to_the_end, mine)
        with open(theirs, "w", encoding="utf-8") as screen:  # noqa: PTH123  a descriptor, no path
            assert run_with_streams(arguments, {**CLEAN, **environ}, screen, screen, screen) == 0
        return shown.result().decode().replace("\r\n", "\n")


def read_to_the_end(descriptor):
    """Return what is written to the other end until that is closed."""
    shown = b""
    with open(descriptor, "rb", buffering=0) as stream, suppress(OSError):  # noqa: PTH123  as above
        while block := stream.read(65_536):  # Linux raises when the other end is closed
            shown += block
    return shown


def test_quiet_is_one_line_in_all(saved):
    """The totals, however long; what is wrong is on the other stream, and nothing else is."""
    done = piped("--quiet", "show", saved())

    assert done.out.count("\n") == 1
    assert done.out.startswith("Plan: 2 to create, 7 to update, 1 to delete")
    assert "BYPASS" in done.out
    assert done.err.startswith('error: config/policies.yaml:14:15: no role is called "Release')


@pytest.mark.parametrize(("zoom", "lines"), [("totals", 1), ("resources", 10), ("fields", 50)])
def test_each_zoom_says_more_than_the_one_before(saved, zoom, lines):
    """And each ends with the same totals."""
    done = piped("show", saved(), "--zoom", zoom)
    counted = done.out.split("\n")

    assert len(counted) > lines
    assert "Plan: 2 to create, 7 to update, 1 to delete" in done.out
    assert ("rollout_percentage" in done.out) == (zoom == "fields")
    assert (len(counted) == 2) == (zoom == "totals")


def test_a_large_plan_is_a_line_a_resource_unless_more_is_asked_for(saved):
    """And it says how to see the fields."""
    many = Plan(tuple(samples.update(f"flag-{n}", samples.rollout(n, 1)) for n in range(LARGE + 1)))
    path = saved(many)

    brief, full = piped("show", path).out, piped("show", path, "--zoom", "fields").out

    assert brief.count("\n") < LARGE + 10
    assert "--zoom fields" in brief
    assert "0 → 1" not in brief
    assert "0 → 1" in full
    assert "0 → 1" in piped("-v", "show", path).out


def test_a_pipe_gets_neither_colours_nor_links(saved):
    assert "\x1b" not in piped("show", saved(), **ABLE).out


def test_a_terminal_gets_colours_and_links_to_the_pages_of_posthog(saved):
    shown = on_terminal("show", saved(), **ABLE)

    assert "\x1b[32m" in shown
    pages = [url for url in LINK.findall(shown) if url]
    assert pages == ["http://127.0.0.1:8000/project/1/feature_flags/42"]


@pytest.mark.parametrize(
    "environ",
    [{"TERM": "xterm"}, {**ABLE, "CI": "true"}, {**ABLE, "TMUX": "x"}, {**ABLE, "NO_COLOR": "1"}],
)
def test_no_links_where_a_terminal_may_not_know_them(saved, environ):
    assert "\x1b]8" not in on_terminal("show", saved(), **environ)


def test_no_link_leads_anywhere_but_to_the_host_of_the_plan(saved):
    """A saved plan is somebody's file: what it calls a page of PostHog's may be another's."""
    for url in ("http://127.0.0.1:8000.evil.example/x", "http://evil.example/", "javascript:1"):
        plan = Plan((samples.update("a", url=url),), host="http://127.0.0.1:8000")

        assert "\x1b]8" not in on_terminal("show", saved(plan), **ABLE, FORCE_HYPERLINK="1")


@pytest.mark.parametrize(
    ("options", "environ", "coloured"),
    [
        ((), {"TERM": "xterm"}, True),
        ((), {"TERM": "dumb"}, False),
        ((), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ((), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (("--color", "never"), {"TERM": "xterm"}, False),
        (("--color", "always"), {"TERM": "xterm", "NO_COLOR": "1"}, True),
    ],
)
def test_who_decides_about_colour(saved, options, environ, coloured):
    """The option, then NO_COLOR, then the terminal."""
    assert ("\x1b[" in on_terminal(*options, "show", saved(), **environ)) == coloured


@pytest.mark.parametrize(("forced", "coloured"), [("1", True), ("0", False)])
def test_colour_can_be_forced_into_a_pipe(saved, forced, coloured):
    assert ("\x1b[" in piped("show", saved(), FORCE_COLOR=forced).out) == coloured


@pytest.mark.parametrize("color", ["always", "never"])
def test_the_option_holds_for_errors_too(color):
    done = piped("--color", color, "show", "nowhere.json")

    assert done.code == 1
    assert ("\x1b[" in done.err) == (color == "always")


@pytest.mark.parametrize("width", [0, 60, 72, 140])
def test_lines_fit_the_terminal(saved, width):
    """Sentences wrap, values are cut; words that cannot be broken stay whole."""
    plan = Plan((samples.CREATED_ROLE, samples.GATED, samples.REJECTED, samples.BLOCKED))
    shown = on_terminal("--color", "never", "show", saved(plan), width=width, TERM="xterm")
    width = width or 80  # a terminal that does not know its width
    broken = [line for line in shown.split("\n") if line.startswith("      ")]

    assert len(broken) > 20
    for line in broken:
        assert len(line) <= width or len(line.split()) == 1, line


@pytest.mark.parametrize("encoding", ["latin-1", "iso-8859-15"])
def test_a_terminal_that_is_not_unicode_gets_signs_it_has(saved, encoding):
    """Ours in ASCII, foreign ones as escapes; never an error."""
    plan = Plan((samples.update("日本", samples.rollout(1, 2), gate=samples.GATED.gate),))
    done = started("show", saved(plan), PYTHONIOENCODING=encoding)

    assert done.returncode == 0, done.stderr
    assert "1 -> 2" in done.stdout
    assert "(wait) feature_flag.update: needs" in done.stdout
    assert r"\u65e5\u672c" in done.stdout


def test_the_same_plan_is_drawn_the_same_every_time(saved):
    """Whatever the hash seed: what is kept with a build is compared with what was kept before."""
    code = (
        "import sys\nfrom reconciler.cli.main import run\n"
        "for format_ in ('text', 'markdown', 'html', 'json'):\n"
        "    assert run(['show', sys.argv[1], '--format', format_]) == 0\n"
    )
    command = [sys.executable, "-c", code, saved()]
    drawn = {
        subprocess.run(
            command, env={**CLEAN, "PYTHONHASHSEED": number}, capture_output=True, check=True
        ).stdout
        for number in "123"
    }

    assert len(drawn) == 1


def test_a_reader_who_goes_away_is_no_error(saved):
    """As with `| head`: the exit code still tells the truth, and there is no traceback."""
    many = Plan(tuple(samples.update(f"flag-{n}", samples.rollout(n, 1)) for n in range(3000)))
    command = [SCRIPT, "show", saved(many), "--zoom", "fields"]
    with subprocess.Popen(
        command, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert process.returncode == 0
    assert said == b""


def test_a_closed_stdout_is_no_error(saved):
    """As with `>&-`: nobody reads."""
    command = ["sh", "-c", '"$@" >&-', "sh", SCRIPT, "show", saved()]
    done = subprocess.run(command, env=CLEAN, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
