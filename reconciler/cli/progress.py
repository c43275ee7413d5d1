"""What is going on, on stderr: a line for each outcome, and a moving one on a terminal."""

import sys
from types import TracebackType
from typing import IO, Self

CLEAR_LINE = "\r\033[2K"


class Progress:
    """Lines for what has ended; on a terminal also how far the run is, redrawn in place."""

    def __init__(self, total: int, *, quiet: bool, stream: IO[str] | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._total, self._done, self._quiet = total, 0, quiet
        self._moving = not quiet and self._stream.isatty()

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._moving:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()

    def ended(self, line: str) -> None:
        """One change has ended; `line` says how."""
        self._done += 1
        if self._quiet:
            return
        self._stream.write(f"{CLEAR_LINE if self._moving else ''}{line}\n")
        self._draw()
        self._stream.flush()

    def _draw(self) -> None:
        if self._moving and self._done < self._total:
            self._stream.write(f"applying: {self._done} of {self._total} done")
            self._stream.flush()
