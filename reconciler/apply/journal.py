"""One line before and one after each write. Advisory: deleting it changes no end state."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from reconciler.errors import JournalError, explain_refusal
from reconciler.operating_system import BINARY, NO_FOLLOW

_encode: Final = json.JSONEncoder(default=str).encode
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | NO_FOLLOW | BINARY


def print_to_stderr(line: str) -> None:
    """Print a record that the disk does not take; a closed stderr does not stop the run."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"journal: {line}")
        sys.stderr.flush()


class Journal:
    """An append-only file of JSON lines, readable by its owner only.

    No value of a resource is ever written to it, only addresses, fields, ids and outcomes.

    An intent is on the disk before `intend` returns, however many threads wait for that: one of
    them syncs for all. Any other line is handed to the system at once, so that killing the
    program loses none. What the disk does not take goes to `spill`, and `broken` is set from
    then on: nothing new is started.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], str], spill: Callable[[str], None] = print_to_stderr
    ) -> None:
        self.path = path
        self.broken: JournalError | None = None  # set once a line could not be written
        self._now = now
        self._spill = spill
        self._file = -1
        self._written = self._synced = 0  # lines
        self._writing, self._syncing = Lock(), Lock()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._file = os.open(self.path, _FLAGS, 0o600)
            except FileExistsError:  # two runs of one instant
                self.path = self.path.with_stem(f"{self.path.stem}-{os.getpid()}")
                self._file = os.open(self.path, _FLAGS, 0o600)
        except OSError as error:
            raise self._make_error(error, "nothing was written") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            os.close(self._file)

    def intend(self, event: str, **facts: Any) -> None:
        """Append one line and see it on the disk before returning; JournalError if it is not."""
        number = self._append(self._format(event, facts))
        with self._syncing:
            if self.broken is None and self._synced < number:
                written = self._written
                try:
                    os.fsync(self._file)
                except OSError as error:
                    self.broken = self._make_error(error, "no further write is sent")
                else:
                    self._synced = written
        if self.broken is not None:
            raise self.broken

    def record(self, event: str, **facts: Any) -> None:
        """Append one line. One that cannot be written is spilled; it changes no answer."""
        text = self._format(event, facts)
        if not self._append(text):
            self._spill(text)

    def _format(self, event: str, facts: Mapping[str, Any]) -> str:
        return _encode({"at": self._now(), "event": event, **facts}) + "\n"

    def _append(self, text: str) -> int:
        """Hand a line to the system; its number, or 0 if it was not taken."""
        with self._writing:
            if self.broken is not None:
                return 0
            data = text.encode()
            try:
                while data:
                    data = data[os.write(self._file, data) :]
            except OSError as error:
                self.broken = self._make_error(error, "no further write is sent")
                return 0
            self._written += 1
            return self._written

    def _make_error(self, error: OSError, state: str) -> JournalError:
        return JournalError(
            f"the journal {self.path} cannot be written",
            why=explain_refusal(error),
            state=state,
        )
