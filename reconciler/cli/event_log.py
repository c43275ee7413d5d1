"""`--log-format json`: messages and events of a run on stderr, one JSON object a line.

Event names and their fields are stable (docs/ci.md). Results are on stdout, in any format.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

MAX_FINDINGS = 100  # of one error


@dataclass
class Run:
    """The run whose events are written; `on` only with `--log-format json`."""

    on: bool = False
    id: str = ""
    started: float = 0.0  # seconds of the monotonic clock
    requests: Callable[[], dict[str, int]] = field(default=dict)


_run = Run()


def begin_run(
    *, on: bool, run_id: str, requests: Callable[[], dict[str, int]], **facts: Any
) -> None:
    """Set the run that events belong to from now on; `requests` counts those sent so far."""
    _run.on, _run.id, _run.requests = on, run_id, requests
    _run.started = time.monotonic()
    emit_event("run.started", **facts)


def emit_event(event: str, level: str = "info", /, **facts: Any) -> bool:
    """Write an event; return False, and write nothing, if the log is text."""
    if _run.on:
        _write(event, level, datetime.now(UTC), facts)  # noqa: TID251  a log line has a time
    return _run.on


def end_run(exit_code: int) -> None:
    """Write the last event of a run."""
    emit_event("run.ended", exit_code=exit_code, **_run.requests())
    _run.on = False


@contextmanager
def nest_run() -> Iterator[None]:
    """Allow a run inside of this one, with its own events and id."""
    outer = replace(_run)
    try:
        yield
    finally:
        vars(_run).update(vars(outer))


def _write(event: str, level: str, at: datetime, facts: dict[str, Any]) -> None:
    from reconciler.planfile import codec  # noqa: PLC0415  --help does without

    row = {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "event": event,
        "run_id": _run.id,
        "elapsed_s": round(time.monotonic() - _run.started, 3),
        **codec.make_plain(facts),
    }
    with suppress(OSError, ValueError):  # a log that cannot be written stops nothing
        sys.stderr.write(json.dumps(row) + "\n")
        sys.stderr.flush()


class JsonHandler(logging.Handler):
    """Writes records of `logging` as `log` events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, without the traceback."""
        at = datetime.fromtimestamp(record.created, UTC)
        facts = {"logger": record.name, "message": record.getMessage()}
        _write("log", record.levelname.lower(), at, facts)


class LineFormatter(logging.Formatter):
    """Format a record as all messages begin: `warning: …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return f"{record.levelname.lower()}: {super().format(record)}"
