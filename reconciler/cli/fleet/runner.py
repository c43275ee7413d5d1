"""Carry out the run of one target: the command itself, with streams and a folder of its own."""

import gc
import io
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Final, cast

from reconciler.cli import main
from reconciler.cli.report import prepare_folder
from reconciler.cli.session import Session
from reconciler.cli.surroundings import Surroundings
from reconciler.config.load_cache import ParsedFiles
from reconciler.config.settings import Settings
from reconciler.files import run_folder
from reconciler.files.result_files import check_place
from reconciler.fleet.target_run import LOG, RunControl, TargetRun
from reconciler.model import FleetMode
from reconciler.operating_system import NO_FOLLOW

_ASKING: Final = frozenset({FleetMode.APPLY})
_FOLDERS: Final = 8  # whose files are kept for further targets
_REVERT: Final = "--revert"
_COLLECT_EVERY: Final = 50  # runs: often enough for flat memory, rarely enough to take no time


class CommandRunner:
    """Run a command for one target, with the global options of the session of the fleet.

    Thread-safe: targets that run in the same folder share what they read of it.
    """

    def __init__(self, session: Session) -> None:
        gc.set_threshold(50_000, 20, 20)  # each target leaves the cycles of its HTTP client
        self._session = session
        self._lock = Lock()
        self._shared: OrderedDict[Path, tuple[ParsedFiles, dict[tuple[str, ...], Settings]]]
        self._shared = OrderedDict({session.cwd: (ParsedFiles(), session.surroundings.settings)})
        self._ended = 0

    def __call__(self, run: TargetRun, control: RunControl) -> int:
        """Return the exit code of the command; nothing is raised for a failed run."""
        prepare_folder(run.report)
        try:
            with self._open_streams(run) as (out, err), run_folder.run_in(run.cwd):
                return main.run(
                    self._list_words(run), self._make_surroundings(run, control, out, err)
                )
        finally:
            self._collect_garbage()

    def _make_surroundings(
        self, run: TargetRun, control: RunControl, out: IO[str], err: IO[str]
    ) -> Surroundings:
        with self._lock:
            parsed, settings = self._shared.setdefault(run.cwd, (ParsedFiles(), {}))
            self._shared.move_to_end(run.cwd)
            if len(self._shared) > _FOLDERS:  # a worker sees a folder for each commit
                self._shared.popitem(last=False)
        return Surroundings(
            out=out,
            err=err,
            environ=dict(self._session.environ),
            control=control,
            notifies=run.notifies,
            parsed=parsed,
            settings=settings,
            sandbox=self._session.surroundings.sandbox,
            warn=lambda message: self._session.warn(f"{run.target}: {message}"),
        )

    def _collect_garbage(self) -> None:
        """Give back what ended runs have left: each load freezes it, as if the process ended."""
        with self._lock:
            self._ended += 1
            if self._ended % _COLLECT_EVERY:
                return
        gc.unfreeze()
        gc.collect()

    def _list_words(self, run: TargetRun) -> list[str]:
        """Return the command line of one target. Nobody is asked: that was done for all."""
        asks = run.mode in _ASKING or _REVERT in run.words
        values = {"--config": self._session.config, "--host": self._session.host}
        if self._session.sandbox:
            del values["--host"]
        given = [part for name, value in values.items() if value for part in (name, str(value))]
        return [
            *given,
            *("--color", "never", "--log-format", self._session.log_format),
            *["--sandbox"] * self._session.sandbox,
            *["--quiet"] * self._session.quiet,
            *["--verbose"] * self._session.verbose,
            *("--target", run.target, run.mode.value, *run.words),
            *["--yes"] * asks,
            *("--report", str(run.report)),
        ]

    @contextmanager
    def _open_streams(self, run: TargetRun) -> Iterator[tuple[IO[str], IO[str]]]:
        """Yield where the command prints results, and the rest; people see that at once with -v."""
        session = self._session
        log = os.fspath(run.report.with_name(f"{run.target}{LOG}"))
        check_place(log)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_FOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:

            def write(line: str) -> None:
                file.write(line)
                if session.verbose:
                    session.write_raw(f"{run.target}: {line}")

            is_json = session.log_format == "json"
            out = _LineStream(file.write)
            err = _LineStream(session.write_raw if is_json else write)
            try:
                yield cast("IO[str]", out), cast("IO[str]", err)
            finally:
                out.finish()
                err.finish()


class _LineStream(io.TextIOBase):
    """A stream that hands on whole lines, whichever thread of the run writes them."""

    def __init__(self, write_line: Callable[[str], object]) -> None:
        super().__init__()
        self._write_line = write_line
        self._lock = Lock()
        self._rest = ""

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = f"{self._rest}{text}".split("\n")
            for line in lines:
                self._write_line(f"{line}\n")
        return len(text)

    def finish(self) -> None:
        """Hand on the last line if nothing has ended it."""
        if self._rest:
            self.write("\n")
