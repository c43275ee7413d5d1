"""Record the README's terminal session as an animated SVG: `make recording`.

The commands run for real, in a terminal emulator, against the sandbox with the files of
examples/acme. The clock and the IDs of the sandbox are fixed, so that the same program gives the
same picture.
"""

import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, Final

import pyte

ROOT: Final = Path(__file__).resolve().parent.parent
RECONCILER: Final = Path(sys.executable).parent / "reconciler"
TARGET: Final = ROOT / "docs" / "images" / "session.svg"
COLUMNS, ROWS = 100, 24
CELL_X, CELL_Y, MARGIN = 8.4, 18, 14  # pixels
FLAG: Final = "new-checkout"
SESSION: Final = (  # who types, the command, and for how many seconds its result is shown
    ("ci", ("plan", "--select", FLAG), 7),
    ("ci", ("apply", "--yes", "--select", FLAG), 6),
    ("alice", ("requests", "approve", f"FeatureFlag/acme/Web/{FLAG}", "--yes"), 3),
    ("bob", ("requests", "approve", f"FeatureFlag/acme/Web/{FLAG}", "--yes"), 4),
    ("ci", ("apply", "--yes", "--select", FLAG), 4),
    ("ci", ("plan", "--select", FLAG), 5),
)
TYPING_S: Final = 1.2  # how long a command is shown before its result
COLORS: Final = {
    "default": "#d8dee9", "black": "#3b4252", "red": "#f0717b", "green": "#a3d977",
    "brown": "#f2c97d", "blue": "#7aa2f7", "magenta": "#c4a7e7", "cyan": "#7dcfff",
    "white": "#e5e9f0",
}  # fmt: skip
BACKGROUND: Final = "#1b1e28"
FONT: Final = "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
LABEL: Final = (
    "A terminal: plan shows which changes need approval, apply files the request, two people "
    "approve, apply finishes, and the last plan has no changes."
)
BOLD: Final = ' font-weight="bold"'


def record() -> str:
    """Return the SVG of the session."""
    frames: list[tuple[list[str], float]] = []
    with start_sandbox() as url, tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "acme"
        shutil.copytree(ROOT / "examples" / "acme", repository)
        for person, words, seconds in SESSION:
            screen = pyte.Screen(COLUMNS, 400)
            stream = pyte.ByteStream(screen)
            key = f"POSTHOG_API_KEY=$({person}) " if person != "ci" else ""
            typed = f"{key}reconciler {' '.join(words)}"
            stream.feed(f"\x1b[32m$\x1b[0m \x1b[1m{typed}\x1b[0m\r\n".encode())
            frames.append((draw_rows(screen), TYPING_S))
            for piece in run(words, repository, url, f"phx_acme_{person}"):
                stream.feed(piece)
            frames.append((draw_rows(screen), seconds))
    return draw(frames)


@contextmanager
def start_sandbox() -> Iterator[str]:
    """Run a sandbox with the example's world; yield its address."""
    seed = ROOT / "examples" / "acme" / "seed.yaml"
    process = subprocess.Popen(
        [RECONCILER, "sandbox", "--port", "0", "--seed", seed, "--rng-seed", "1",
         "--now", "2026-01-05T09:00:00Z"],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process.stdout.readline().split()[-1] if process.stdout else ""
    finally:
        process.terminate()
        process.wait()


def run(words: tuple[str, ...], folder: Path, url: str, key: str) -> Iterator[bytes]:
    """Run a command in a terminal of its own, and yield what it prints."""
    leader, follower = pty.openpty()
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(folder.parent), "LANG": "C.UTF-8",
        "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS),
        "POSTHOG_HOST": url, "POSTHOG_API_KEY": key, "FORCE_HYPERLINK": "0",
    }  # fmt: skip
    process = subprocess.Popen(
        [RECONCILER, *words], cwd=folder, env=environ, stdin=follower, stdout=follower,
        stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    while select.select([leader], [], [], 60)[0]:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the command has closed its terminal
            break
        yield piece.replace(url.encode(), b"https://eu.posthog.com")
    process.wait()
    os.close(leader)


def draw_rows(screen: Any) -> list[str]:
    """Return the last rows of a screen that fit into the picture, as SVG."""
    last = max((y for y, text in enumerate(screen.display) if text.strip()), default=0)
    shown = range(max(0, last + 1 - ROWS), last + 1)
    return [draw_row(screen.buffer[y], place) for place, y in enumerate(shown)]


def draw_row(cells: Any, place: int) -> str:
    """Return one row: a text with a span for each run of equal style."""
    runs: list[tuple[tuple[str, bool], int, str]] = []
    for x in range(COLUMNS):
        cell = cells[x]
        style = (COLORS.get(cell.fg, COLORS["default"]), cell.bold)
        if runs and runs[-1][0] == style:
            runs[-1] = (style, runs[-1][1], runs[-1][2] + cell.data)
        else:
            runs.append((style, x, cell.data))
    y = MARGIN + 30 + place * CELL_Y
    spans = [
        f'<tspan x="{MARGIN + x * CELL_X:.1f}" fill="{color}"{BOLD if bold else ""}>'
        f"{escape(text.rstrip())}</tspan>"
        for (color, bold), x, text in runs
        if text.strip()
    ]
    return f'<text y="{y}" xml:space="preserve">{"".join(spans)}</text>' if spans else ""


def draw(frames: list[tuple[list[str], float]]) -> str:
    """Return the picture: every frame, of which the animation shows one after the other."""
    width, height = COLUMNS * CELL_X + 2 * MARGIN, ROWS * CELL_Y + 2 * MARGIN + 24
    total, begin, rules, groups = sum(seconds for _, seconds in frames), 0.0, [], []
    for number, (rows, seconds) in enumerate(frames):
        start, end = 100 * begin / total, 100 * (begin + seconds) / total
        rules.append(
            f"@keyframes f{number}{{0%{{opacity:{int(not number)}}}{start:.2f}%{{opacity:1}}"
            f"{end:.2f}%,100%{{opacity:0}}}}"
            f"#f{number}{{animation:f{number} {total:.1f}s step-end infinite;opacity:0}}"
        )
        groups.append(f'<g id="f{number}">{"".join(rows)}</g>')
        begin += seconds
    still = "@media (prefers-reduced-motion:reduce){g{animation:none!important}#f1{opacity:1}}"
    dots = "".join(
        f'<circle cx="{MARGIN + 6 + 18 * n}" cy="{MARGIN + 4}" r="5" fill="{color}"/>'
        for n, color in enumerate(("#f0717b", "#f2c97d", "#a3d977"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{LABEL}"><style>{FONT}{"".join(rules)}{still}</style>'
        f'<rect width="100%" height="100%" rx="10" fill="{BACKGROUND}"/>{dots}{"".join(groups)}'
        "</svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).write_text(record(), encoding="utf-8")
