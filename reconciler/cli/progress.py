"""Progress on stderr, while PostHog is read and while a plan is carried out.

On a terminal an area that is redrawn in place, below the lines of what has ended; elsewhere only
those lines. If stderr is closed, full or gone, nothing is drawn, and the command continues.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Final, Self

from reconciler.cli import signals
from reconciler.cli.terminal import read_size
from reconciler.posthog.client import Reader
from reconciler.render.text.reading_line import ReadingState, format_reading
from reconciler.render.text.terminal import count_rows, fit_lines

EVERY_S: Final = 0.2
READING_AFTER_S: Final = 0.5  # what is faster needs no progress
Draw = Callable[[int, int], list[str]]  # of columns and rows, the lines that fit
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # one frame, for terminals that know how to
_TO_LINE_END, _TO_SCREEN_END = "\x1b[K", "\x1b[J"


class Lines:
    """A line for each change that has ended."""

    def __init__(self, stream: IO[str], *, quiet: bool) -> None:
        self._stream: IO[str] | None = None if quiet else stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def ended(self, line: str) -> None:
        """Print how a change has ended, or that it waits."""
        self._write(f"{line}\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more
            self._stream = None


def can_draw(stream: IO[str], environ: Mapping[str, str], *, quiet: bool) -> bool:
    """Return whether to draw on `stream`: it is a terminal that can move its cursor."""
    return not quiet and stream.isatty() and environ.get("TERM") != "dumb"


class _Above:
    """Where the log writes while an area is drawn: above it, line by line."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def write(self, text: str) -> None:
        """Write a record and its newline; handlers write both at once."""
        if line := text.rstrip("\n"):
            self._show(line)

    def flush(self) -> None:
        """Do nothing: the text is shown already."""


class LiveArea(Lines):
    """The same lines, and below them an area that a thread redraws in place.

    Args:
        stream: a terminal.
        draw: returns the lines of the area.
        log: what is written to the same stream goes above the area.
        after_s: the area appears only if it is still open after so many seconds.

    """

    def __init__(
        self, stream: IO[str], draw: Draw, log: logging.Logger, *, after_s: float = 0.0
    ) -> None:
        super().__init__(stream, quiet=False)
        self._handed_in = stream
        self._logger = log
        self._log: list[logging.StreamHandler[Any]] = []
        self._draw, self._after_s = draw, after_s
        self._is_shown = False
        self._drawn: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._log = [
            handler
            for handler in self._logger.handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._stream
        ]
        for handler in self._log:
            handler.setStream(_Above(self.ended))
            handler.addFilter(_is_lasting)
        if not self._after_s:
            self._show()
        with suppress(RuntimeError):  # no thread can be started: it is redrawn when a change ends
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Erase the area. What is printed from now on is not drawn over."""
        if self._over.is_set():
            return
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        with self._lock:
            if self._is_shown:
                self._write(f"{self._move_to_top()}{_TO_SCREEN_END}")
        for handler in self._log:
            handler.setStream(self._handed_in)
            handler.removeFilter(_is_lasting)

    def ended(self, line: str) -> None:
        """Print a line above the area: a change has ended, or waits; a warning."""
        self._frame(line)

    def _keep(self) -> None:
        if self._over.wait(self._after_s or EVERY_S):
            return
        self._show()
        while not self._over.wait(EVERY_S):
            self._frame()

    def _show(self) -> None:
        self._is_shown = True
        self._frame()

    def _frame(self, line: str | None = None) -> None:
        """Draw everything again, in one write, so that no terminal shows half of it."""
        with self._lock:
            if self._stream is None or self._over.is_set():
                return
            width, height = read_size(self._stream)
            text = "" if line is None else f"{fit_lines(line, width)}\n"
            if not self._is_shown:
                self._write(text)
                return
            above = text.replace("\n", f"{_TO_LINE_END}\n")
            start = self._move_to_top(width)
            shown = self._draw(width - 1, height - 1)
            body = f"{_TO_LINE_END}\n".join(shown)
            self._write(f"{_BEGIN}{start}{above}{body}{_TO_LINE_END}{_TO_SCREEN_END}{_END}")
            self._drawn = shown

    def _move_to_top(self, width: int | None = None) -> str:
        """Return the codes that move to the first column of the first row of the area."""
        up = count_rows(self._drawn, width or read_size(self._handed_in)[0]) - 1
        return f"\r\x1b[{up}A" if up > 0 else "\r"


def open_reading_line(
    reader: Reader, stream: IO[str], log: logging.Logger, *, color: bool
) -> LiveArea:
    """Return an area with one line that says how much a reader has read."""
    started = reader.clock()

    def draw(width: int, _height: int) -> list[str]:
        if signals.was_interrupted():  # what ends the command may take a moment
            return []
        now = ReadingState(reader.reads, reader.rows, reader.clock() - started, reader.pause_s)
        return [format_reading(now, color=color, width=width)]

    return LiveArea(stream, draw, log, after_s=READING_AFTER_S)


def _is_lasting(record: logging.LogRecord) -> bool:
    """Return whether a record says more than the area shows at the same moment."""
    return not getattr(record, "is_progress", False)
