"""One line before and one after each write. Advisory: deleting it changes no end state."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, Any, Self

from reconciler.errors import JournalError


class Journal:
    """An append-only file of JSON lines, readable by its owner only, flushed at every line.

    No value of a resource is ever written to it, only addresses, fields, ids and outcomes.

    Raises JournalError if a line cannot be written, and remembers it in `broken`: nothing new is
    started then.
    """

    def __init__(self, path: Path, *, now: Callable[[], str]) -> None:
        self.path = path
        self._now = now
        self._lock = Lock()
        self._file: IO[str] = io.StringIO()  # until it is opened
        self.broken: JournalError | None = None  # set once a line could not be written

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = (
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            )
            handle = os.open(self.path, flags, 0o600)
            self._file = os.fdopen(handle, "w", encoding="utf-8")
        except OSError as error:
            raise self._failed(error, "nothing was written") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def record(self, event: str, **facts: Any) -> None:
        """Append one line and see it on the disk before returning."""
        line = json.dumps({"at": self._now(), "event": event, **facts}, default=str)
        with self._lock:
            try:
                self._file.write(line + "\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except (OSError, ValueError) as error:
                self.broken = self._failed(error, "no further write is sent")
                raise self.broken from error

    def _failed(self, error: Exception, state: str) -> JournalError:
        return JournalError(
            f"the journal {self.path} cannot be written",
            why=getattr(error, "strerror", None) or str(error),
            state=state,
        )
