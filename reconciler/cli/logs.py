"""`--log-format json`: what a run has to say on stderr, as one JSON object a line.

Event names and their facts are stable (docs/ci.md). Results are on stdout, in any format.
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

TOLD = 100  # findings of one error


@dataclass
class Run:
    """The run whose events are told; `on` only with `--log-format json`."""

    on: bool = False
    id: str = ""
    started: float = 0.0  # seconds of the monotonic clock
    requests: Callable[[], dict[str, int]] = field(default=dict)


_run = Run()


def begin(*, on: bool, run_id: str, requests: Callable[[], dict[str, int]], **facts: Any) -> None:
    """The run that events belong to from now on; `requests` counts those sent so far."""
    _run.on, _run.id, _run.requests = on, run_id, requests
    _run.started = time.monotonic()
    emit("run.started", **facts)


def emit(event: str, level: str = "info", /, **facts: Any) -> bool:
    """Tell an event; False, and nothing told, where the log is text."""
    if _run.on:
        _write(event, level, datetime.now(UTC), facts)  # noqa: TID251  a log line has a time
    return _run.on


def end(exit_code: int) -> None:
    """The last event of a run."""
    emit("run.ended", exit_code=exit_code, **_run.requests())
    _run.on = False


@contextmanager
def within() -> Iterator[None]:
    """Room for a run inside of this one, which has events and an id of its own."""
    outer = replace(_run)
    try:
        yield
    finally:
        vars(_run).update(vars(outer))


def _write(event: str, level: str, at: datetime, facts: dict[str, Any]) -> None:
    from reconciler import planfile

    row = {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "event": event,
        "run_id": _run.id,
        "elapsed_s": round(time.monotonic() - _run.started, 3),
        **planfile.plain(facts),
    }
    with suppress(OSError, ValueError):  # a log that nobody reads stops nothing
        sys.stderr.write(json.dumps(row) + "\n")
        sys.stderr.flush()


class JsonHandler(logging.Handler):
    """Records of the library as `log` events."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record, without the traceback's locals."""
        at = datetime.fromtimestamp(record.created, UTC)
        facts = {"logger": record.name, "message": record.getMessage()}
        _write("log", record.levelname.lower(), at, facts)
