"""What is going on while a plan is carried out, on stderr.

On a terminal a board that is redrawn in place, below the lines of what has ended; elsewhere those
lines alone. A stderr that is closed, full or gone is no reason to stop: nothing is drawn then.
"""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

from reconciler.render.text import progress_board
from reconciler.render.text.progress_board import BoardState

EVERY_S = 0.2
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


class _Above:
    """Where the log writes while there is a board: above it, line by line."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def write(self, text: str) -> None:
        """Write a record and its newline; handlers write both at once."""
        if line := text.rstrip("\n"):
            self._show(line)

    def flush(self) -> None:
        """Do nothing: the text is shown already."""


class LiveBoard(Lines):
    """The same lines, and below them how the run stands, redrawn in place by a thread."""

    def __init__(
        self,
        stream: IO[str],
        look: Callable[[], BoardState],
        *,
        color: bool,
        every_s: float = EVERY_S,
    ) -> None:
        super().__init__(stream, quiet=False)
        self._handed_in = stream
        self._log: list[logging.StreamHandler[Any]] = []
        self._look, self._color, self._every_s = look, color, every_s
        self._drawn: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="board", daemon=True)

    def __enter__(self) -> Self:
        self._log = [
            handler
            for handler in logging.getLogger("reconciler").handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._stream
        ]
        for handler in self._log:
            handler.setStream(_Above(self.ended))
        self._frame()
        with suppress(RuntimeError):  # no thread to be had: the board moves when a change ends
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        with self._lock:
            self._write(f"{self._move_to_top()}{_TO_SCREEN_END}")
        for handler in self._log:
            handler.setStream(self._handed_in)

    def ended(self, line: str) -> None:
        """Print the line of a change that has ended, or waits, above the board."""
        self._frame(f"{line}{_TO_LINE_END}\n")

    def _keep(self) -> None:
        while not self._over.wait(self._every_s):
            self._frame()

    def _frame(self, above: str = "") -> None:
        """Draw everything again, in one write: no terminal ever shows half of it."""
        with self._lock:
            if self._stream is None or self._over.is_set():
                return
            width, height = self._read_size()
            start = self._move_to_top(width)
            shown = progress_board.draw_board(
                self._look(), color=self._color, width=width - 1, height=height - 1
            )
            body = f"{_TO_LINE_END}\n".join(shown)
            self._write(f"{_BEGIN}{start}{above}{body}{_TO_LINE_END}{_TO_SCREEN_END}{_END}")
            self._drawn = shown

    def _move_to_top(self, width: int | None = None) -> str:
        """Return the codes that move to the first column of the first row of the board."""
        up = progress_board.count_rows(self._drawn, width or self._read_size()[0]) - 1
        return f"\r\x1b[{up}A" if up > 0 else "\r"

    def _read_size(self) -> tuple[int, int]:
        """Return columns and rows of the terminal at this moment."""
        size = os.terminal_size((80, 24))
        with suppress(OSError, ValueError, AttributeError):
            size = os.get_terminal_size(self._stream.fileno())  # type: ignore[union-attr]  # a board has one
        return max(20, size.columns), max(3, size.lines)
