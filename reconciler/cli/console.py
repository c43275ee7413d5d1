"""What a run prints: results on one stream; progress, notes, warnings and errors on the other."""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from datetime import UTC, datetime
from threading import Lock
from typing import IO, TYPE_CHECKING

import click

from reconciler.cli import event_log, terminal
from reconciler.cli.surroundings import Surroundings
from reconciler.lazy_dataclass import dataclass
from reconciler.posthog import redaction
from reconciler.render.shared import phrases, sanitize

if TYPE_CHECKING:  # what --help does without, and of the client commands that stay offline
    from reconciler.cli.progress import LiveArea
    from reconciler.posthog.client import Reader


@dataclass(kw_only=True)
class Console:
    """The streams of a run, and how much of what it prints on them."""

    color_choice: str
    quiet: bool
    verbose: int
    log_format: str
    surroundings: Surroundings = field(default_factory=Surroundings)
    log: logging.Logger = field(
        default_factory=lambda: logging.Logger("reconciler")  # noqa: LOG001  each run has its own
    )
    _lock: Lock = field(default_factory=Lock)  # of what several threads write
    _progress: "LiveArea | None" = None  # what is drawn on stderr while PostHog is read

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables of the environment."""
        return self.surroundings.environ

    @property
    def out(self) -> IO[str]:
        """Return the stream for results."""
        return self.surroundings.out

    @property
    def err(self) -> IO[str]:
        """Return the stream for progress, notes, warnings and errors."""
        return self.surroundings.err

    @property
    def color(self) -> bool:
        """Return whether results are coloured."""
        return self.has_color(self.out)

    def has_color(self, stream: IO[str]) -> bool:
        """Return whether to colour what goes to `stream`; NO_COLOR and FORCE_COLOR are honoured."""
        return terminal.colors(self.color_choice, stream, self.environ)

    @property
    def width(self) -> int:
        """Columns of the terminal; a fixed width elsewhere, so that output is stable."""
        if not self.out.isatty():
            return 100
        return max(40, shutil.get_terminal_size().columns)

    @property
    def columns(self) -> int:
        """Columns of the terminal; 0 elsewhere, where a table may be as wide as it is."""
        return self.width if self.out.isatty() else 0

    def note(self, message: str) -> None:
        """Print lines of progress on stderr."""
        if not self.quiet and not event_log.emit_event("note", message=message):
            self._write_line("\n".join(map(sanitize.escape, message.split("\n"))))

    def warn(self, message: str) -> None:
        """Print a warning on stderr, also with --quiet: somebody relies on what did not happen."""
        if not event_log.emit_event("warning", "warning", message=message):
            self._write_line(f"warning: {sanitize.escape(message)}")
            if self.surroundings.warn is not None:
                self.surroundings.warn(message)

    def write_raw(self, text: str) -> None:
        """Write what a run of a fleet writes on stderr, unchanged; a closed one stops nothing."""
        with self._lock, suppress(OSError, ValueError):
            self.err.write(text)
            self.err.flush()

    def _write_line(self, text: str) -> None:
        """Print on stderr, above the progress if it is shown."""
        if self._progress is not None:
            self._progress.ended(text)
        else:
            click.echo(terminal.fit(text, self.err), file=self.err)

    def note_ignored(self, number: int) -> None:
        """Say with --verbose that `ignore` covers declared resources: they are never applied."""
        if number and self.verbose:
            what = phrases.count(number, "declared resource")
            self.note(f"ignoring {what} (`ignore` of the target in reconciler.yaml)")

    def fail(self, sentences: Iterable[str], format: str) -> None:
        """Say on stderr that a plan has errors, where nobody sees stdout, or it is for programs."""
        if format == "text" and not terminal.is_file(self.out):
            return
        for sentence in sentences:
            if event_log.emit_event("error", "error", what=sentence) or self.out.isatty():
                continue
            self._write_line(sanitize.escape(sentence))

    def say(self, text: str, *, wraps: bool = False) -> None:
        """Print a result on stdout. A reader who went away stops nothing that is under way.

        `wraps`: lines that are too long for a terminal are broken at spaces; not for programs.
        """
        self.end_progress()
        if wraps:
            text = terminal.fit(text, self.out)
        try:
            click.echo(text, file=self.out, nl=not text.endswith("\n"), color=self.color)
            self.out.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())

    def complain(self, text: str) -> None:
        """Print what went wrong on stderr, in colour if it has any."""
        self.end_progress()
        shown = terminal.fit(text, self.err)
        click.echo(shown, file=self.err, color=self.has_color(self.err))

    @property
    def draws_progress(self) -> bool:
        """Return whether stderr is a terminal on which progress is redrawn in place."""
        from reconciler.cli import progress  # noqa: PLC0415  offline commands do without

        quiet = self.quiet or self.log_format == "json"
        return progress.can_draw(self.err, self.environ, quiet=quiet)

    @contextmanager
    def show_reading(self, reader: "Reader") -> "Iterator[None]":
        """Show on a terminal what has been read so far, until a result is printed."""
        if self._progress is not None or not self.draws_progress:
            yield
            return
        from reconciler.cli import progress  # noqa: PLC0415  as above

        color = self.has_color(self.err)
        with progress.open_reading_line(reader, self.err, self.log, color=color) as area:
            self._progress = area
            try:
                yield
            finally:
                self._progress = None

    def end_progress(self) -> None:
        """Erase what shows how far reading is; for good, because a result follows."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def start_logging(self) -> None:
        """Log warnings to stderr; `-v` logs what is retried, `-vv` every request. Never a key."""
        handler = build_log_handler(self.log_format, self.err)
        levels = {0: logging.WARNING, 1: logging.INFO}
        level = logging.ERROR if self.quiet else levels.get(self.verbose, logging.DEBUG)
        self.log.handlers[:] = [handler]
        self.log.setLevel(level)


def build_log_handler(log_format: str, stream: IO[str]) -> logging.Handler:
    """Return what writes the records of a log, in either format. Never a key."""
    handler: logging.Handler = _JsonHandler()
    if log_format != "json":
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_LineFormatter())
    handler.addFilter(redaction.RedactionFilter())
    return handler


class _JsonHandler(logging.Handler):
    """Writes records of `logging` as `log` events of the run that has made the handler."""

    def __init__(self) -> None:
        super().__init__()
        self._run = event_log.get_run()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, without the traceback."""
        at = datetime.fromtimestamp(record.created, UTC)
        facts = {"logger": record.name, "message": record.getMessage()}
        self._run.write("log", record.levelname.lower(), at, facts)


class _LineFormatter(logging.Formatter):
    """Format a record as all messages begin: `warning: …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return f"{record.levelname.lower()}: {super().format(record)}"
