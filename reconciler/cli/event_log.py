"""`--log-format json`: messages and events of a run on stderr, one JSON object a line.

Event names and their fields are stable (docs/ci.md). Results are on stdout, in any format.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import field
from datetime import UTC, datetime
from typing import IO, Any, Final

from reconciler.lazy_dataclass import dataclass

MAX_FINDINGS = 100  # of one error


@dataclass
class Run:
    """The run whose events are written to `stream`; None unless the log is JSON."""

    stream: IO[str] | None = None
    id: str = ""
    started: float = 0.0  # seconds of the monotonic clock
    requests: Callable[[], dict[str, int]] = field(default=dict)

    def write(self, event: str, level: str, at: datetime, facts: dict[str, Any]) -> None:
        """Write one line; a log that cannot be written stops nothing."""
        if self.stream is None:
            return
        import json  # noqa: PLC0415  --help does without

        from reconciler.planfile import codec  # noqa: PLC0415  as above

        row = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
            "run_id": self.id,
            "elapsed_s": round(time.monotonic() - self.started, 3),
            **codec.make_plain(facts),
        }
        with suppress(OSError, ValueError):
            self.stream.write(json.dumps(row) + "\n")
            self.stream.flush()


_current: Final[ContextVar[Run]] = ContextVar("run")  # each run has its own, also side by side


@contextmanager
def open_run() -> Iterator[None]:
    """Give the block a run of its own: its events belong to no other run."""
    token = _current.set(Run())
    try:
        yield
    finally:
        _current.reset(token)


def get_run() -> Run:
    """Return the run that the caller belongs to."""
    return _current.get()


def begin_run(
    stream: IO[str] | None,
    *,
    run_id: str,
    requests: Callable[[], dict[str, int]],
    **facts: Any,
) -> None:
    """Begin the events of this run; `requests` counts those sent so far."""
    run = _current.get()
    run.stream, run.id, run.requests = stream, run_id, requests
    run.started = time.monotonic()
    emit_event("run.started", **facts)


def emit_event(event: str, level: str = "info", /, **facts: Any) -> bool:
    """Write an event; return False, and write nothing, if the log is text."""
    run = _current.get()
    if run.stream is not None:
        run.write(event, level, datetime.now(UTC), facts)  # noqa: TID251  a log line has a time
    return run.stream is not None


def end_run(exit_code: int) -> None:
    """Write the last event of a run."""
    run = _current.get()
    emit_event("run.ended", exit_code=exit_code, **run.requests())
    run.stream = None
