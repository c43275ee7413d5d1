"""What every command shares: settings, keys, clocks, streams. Made once a run."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import click

from reconciler import __version__, model
from reconciler.ci import environment
from reconciler.cli import event_log, terminal, throwaway_sandbox
from reconciler.cli import report as cli_report
from reconciler.config import settings as config_settings
from reconciler.errors import UsageError
from reconciler.files import repo_paths
from reconciler.posthog import credentials as posthog_credentials
from reconciler.posthog import redaction
from reconciler.render import text
from reconciler.render.shared import options, phrases, sanitize

if TYPE_CHECKING:  # what --help does without, and of the client commands that stay offline
    from reconciler.ci.build import Build
    from reconciler.cli.progress import LiveArea
    from reconciler.cli.report import Report
    from reconciler.config.settings import RunFacts, Settings
    from reconciler.config.targets import Target
    from reconciler.model import Plan
    from reconciler.posthog.client import Reader, Runtime, Writer
    from reconciler.posthog.credentials import Credentials


@dataclass
class Session:
    """One run of the program."""

    config: Path | None
    target_names: tuple[str, ...]  # as they were typed; most commands take one
    host: str | None
    sandbox: bool
    color_choice: str
    quiet: bool
    verbose: int
    log_format: str
    chdir: str | None = None
    zoom: str | None = None  # how near the text of a plan goes, if it was said
    environ: dict[str, str] = field(
        default_factory=lambda: dict(os.environ)  # noqa: TID251  read here, and handed on
    )
    cleanup: ExitStack = field(default_factory=ExitStack)
    run_id: str = field(default_factory=lambda: uuid4().hex)
    report: "Report" = field(default_factory=lambda: cli_report.Report(None, lambda _: None))
    _progress: "LiveArea | None" = None  # what is drawn on stderr while PostHog is read
    _clients: "list[Reader]" = field(default_factory=list)
    _settings: "dict[tuple[str, ...], Settings]" = field(default_factory=dict)
    surroundings: ClassVar["Runtime"] = {}  # clock, sleep, chance; empty: the real ones

    @classmethod
    def start(
        cls,
        *,
        chdir: str | None,
        config: str | None,
        target: tuple[str, ...],
        host: str | None,
        sandbox: bool,
        color: str,
        quiet: bool,
        verbose: int,
        log_format: str,
    ) -> "Session":
        """Make the session of the options before the command; `begin` follows those after it."""
        path = Path(config) if config else None
        session = cls(path, tuple(target), host, sandbox, color, quiet, verbose, log_format, chdir)
        click.get_current_context().call_on_close(session.cleanup.close)
        session._start_logging()
        session._start_events()
        return session

    def override(self, name: str, value: Any) -> None:
        """Take the value of a global option that stands after the command."""
        match name:
            case "config":
                self.config = Path(value)
            case "target":
                self.target_names = tuple(value)
            case "color":
                self.color_choice = value
            case "verbose":
                self.verbose += value
            case _:
                setattr(self, name, value)
        if name in {"quiet", "verbose", "log_format"}:
            self._start_logging()
        if name == "log_format":
            self._start_events()

    def begin(self) -> None:
        """Change the directory and start the sandbox, if the options say so.

        Raises UsageError if the directory cannot be used.
        """
        if self.chdir:
            try:
                os.chdir(self.chdir)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                fix = "name a directory that exists"
                raise UsageError(f"cannot run in {self.chdir}", why=why, fix=fix) from error
        if self.sandbox:
            self._start_sandbox()

    @cached_property
    def build(self) -> "Build | None":
        """Return the CI build that this run is a part of; None outside of CI."""
        return environment.detect(self.environ)

    @property
    def color(self) -> bool:
        """Return whether results are coloured."""
        return self.has_color(sys.stdout)

    def has_color(self, stream: IO[str]) -> bool:
        """Return whether to colour what goes to `stream`; NO_COLOR and FORCE_COLOR are honoured."""
        return terminal.colors(self.color_choice, stream, self.environ)

    @property
    def width(self) -> int:
        """Columns of the terminal; a fixed width elsewhere, so that output is stable."""
        if not sys.stdout.isatty():
            return 100
        return max(40, shutil.get_terminal_size().columns)

    @property
    def columns(self) -> int:
        """Columns of the terminal; 0 elsewhere, where a table may be as wide as it is."""
        return self.width if sys.stdout.isatty() else 0

    def now(self) -> datetime:
        """Return the wall clock, which is read here and nowhere else."""
        return datetime.now(UTC)  # noqa: TID251  the one place

    def stamp(self) -> str:
        """Return the wall clock as ISO 8601 text."""
        return model.format_timestamp(self.now())

    def note(self, message: str) -> None:
        """Print lines of progress on stderr."""
        if not self.quiet and not event_log.emit_event("note", message=message):
            self._write_line("\n".join(map(sanitize.escape, message.split("\n"))))

    def warn(self, message: str) -> None:
        """Print a warning on stderr, also with --quiet: somebody relies on what did not happen."""
        if not event_log.emit_event("warning", "warning", message=message):
            self._write_line(f"warning: {sanitize.escape(message)}")

    def _write_line(self, text: str) -> None:
        """Print on stderr, above the progress if it is shown."""
        if self._progress is not None:
            self._progress.ended(text)
        else:
            click.echo(terminal.fit(text, sys.stderr), err=True)

    def note_ignored(self, number: int) -> None:
        """Say with --verbose that `ignore` covers declared resources: they are never applied."""
        if number and self.verbose:
            what = phrases.count(number, "declared resource")
            self.note(f"ignoring {what} (`ignore` of the target in reconciler.yaml)")

    def fail(self, sentences: Iterable[str], format: str) -> None:
        """Say on stderr that a plan has errors, where nobody sees stdout, or it is for programs."""
        if format == "text" and not terminal.is_file(sys.stdout):
            return
        for sentence in sentences:
            if event_log.emit_event("error", "error", what=sentence) or sys.stdout.isatty():
                continue
            self._write_line(sanitize.escape(sentence))

    def settings(self, paths: Sequence[str] = ()) -> "Settings":
        """Return reconciler.yaml, or what stands in for it; each is read once."""
        if tuple(paths) not in self._settings:
            self._settings[tuple(paths)] = config_settings.load_settings(
                Path.cwd(),
                file=self.config,
                paths=tuple(Path(path) for path in paths),
                environ=self.environ,
            )
        return self._settings[tuple(paths)]

    def target(self, paths: Sequence[str] = ()) -> "Target":
        """Return the target of this run."""
        return self.settings(paths).select_target(self.target_name)

    def targets(self, paths: Sequence[str] = ()) -> "tuple[Target, ...]":
        """Return the target that was named, else all targets."""
        if self.target_name is not None:
            return (self.target(paths),)
        return tuple(self.settings(paths).targets.values())

    @property
    def target_name(self) -> str | None:
        """Return the name of the target that was typed. UsageError for several or a pattern."""
        names = tuple(dict.fromkeys(self.target_names))
        if len(names) > 1 or any("*" in name for name in names):
            words = " ".join(f"--target {shlex.quote(name)}" for name in names)
            raise UsageError(
                f"this command runs for one target, not for {', '.join(names)}",
                fix=f"name one target; `reconciler fleet` runs for several: {words}",
            )
        return names[0] if names else None

    @property
    def target_words(self) -> str:
        """Return ` --target NAME` for commands that somebody copies, where it is needed."""
        settings = self.settings()
        if len(settings.targets) == 1:
            return ""
        return f" --target {shlex.quote(settings.select_target(self.target_name).name)}"

    @property
    def identities(self) -> str:
        """Return how people are named: by initials where everybody can read what a build says."""
        return "initials" if self.build is not None and self.build.is_public else "full"

    def folder(self) -> Path:
        """Return the folder below which runs are journalled."""
        return self.settings().folder or Path.cwd()

    def facts(self) -> "RunFacts":
        """Return the facts about this run that use cases need."""
        return config_settings.RunFacts(Path.cwd(), self.now(), self.build, self.config)

    def say(self, text: str, *, wraps: bool = False) -> None:
        """Print a result on stdout. A reader who went away stops nothing that is under way.

        `wraps`: lines that are too long for a terminal are broken at spaces; not for programs.
        """
        self.end_progress()
        if wraps:
            text = terminal.fit(text, sys.stdout)
        try:
            click.echo(text, nl=not text.endswith("\n"), color=self.color)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def show_plan(
        self,
        render: Callable[..., str],
        plan: "Plan",
        form: str = "text",
        *,
        saved: str = "",
        command: str = "plan",
    ) -> None:
        """Print a plan as the terminal allows; `saved` is the file that holds all of it."""
        brief = self.quiet and form == "text" and self.zoom is None
        look = options.RenderOptions(
            color=self.color,
            links=self.color and terminal.opens_links(sys.stdout, self.environ),
            width=self.width,
            verbose=self.verbose,
            zoom=options.Zoom.TOTALS if brief else options.Zoom(self.zoom) if self.zoom else None,
            command=command,
            whole=saved,
            run=self.build.run_url if self.build is not None else "",
            identities=self.identities,
            folder=repo_paths.find_current_folder() if form == "sarif" else "",
        )
        self.say(render(plan, format=form, options=look), wraps=form == "text" and not brief)
        if brief and plan.errors:
            self.complain(text.findings(plan.errors, color=self.has_color(sys.stderr)))

    def complain(self, text: str) -> None:
        """Print what went wrong on stderr, in colour if it has any."""
        self.end_progress()
        click.echo(terminal.fit(text, sys.stderr), err=True, color=self.has_color(sys.stderr))

    def credentials(self, target: "Target") -> "Credentials":
        """Return key and host, checked against each other."""
        return posthog_credentials.resolve(
            environ=self.environ,
            host_option=self.host,
            target_host=None if self.sandbox else target.host,
            api_key_env=None if self.sandbox else target.api_key_env,
            where=target.describe_source,
        )

    @contextmanager
    def reader(self, target: "Target") -> "Iterator[Reader]":
        """Open a client that can only read."""
        from reconciler.posthog import client, rate_limit  # noqa: PLC0415  offline commands do without

        limit = rate_limit.KeyRateLimit(target.rate_limit.per_minute, target.rate_limit.per_hour)
        with client.open_reader(
            self.credentials(target), rate_limit=limit, **self.surroundings
        ) as reader:
            self._clients.append(reader)
            with self._show_reading(reader):
                yield reader

    @contextmanager
    def writer(self, target: "Target") -> "Iterator[Writer]":
        """Open a client that can also write."""
        from reconciler.posthog import client, rate_limit  # noqa: PLC0415  offline commands do without

        limit = rate_limit.KeyRateLimit(target.rate_limit.per_minute, target.rate_limit.per_hour)
        with client.open_writer(
            self.credentials(target), rate_limit=limit, **self.surroundings
        ) as writer:
            self._clients.append(writer)
            with self._show_reading(writer):
                yield writer

    @property
    def draws_progress(self) -> bool:
        """Return whether stderr is a terminal on which progress is redrawn in place."""
        from reconciler.cli import progress  # noqa: PLC0415  offline commands do without

        quiet = self.quiet or self.log_format == "json"
        return progress.can_draw(sys.stderr, self.environ, quiet=quiet)

    @contextmanager
    def _show_reading(self, reader: "Reader") -> "Iterator[None]":
        """Show on a terminal what has been read so far, until a result is printed."""
        if self._progress is not None or not self.draws_progress:
            yield
            return
        from reconciler.cli import progress  # noqa: PLC0415  as above

        color = self.has_color(sys.stderr)
        with progress.open_reading_line(reader, sys.stderr, color=color) as area:
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

    @property
    def reads(self) -> int:
        """GET requests of this run so far."""
        return sum(api_client.reads for api_client in self._clients)

    @property
    def writes(self) -> int:
        """Other requests of this run so far."""
        return sum(getattr(api_client, "writes", 0) for api_client in self._clients)

    def _start_logging(self) -> None:
        """Log warnings to stderr; `-v` logs what is retried, `-vv` every request. Never a key."""
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(event_log.LineFormatter())
        if self.log_format == "json":
            handler = event_log.JsonHandler()
        handler.addFilter(redaction.RedactionFilter())
        levels = {0: logging.WARNING, 1: logging.INFO}
        level = logging.ERROR if self.quiet else levels.get(self.verbose, logging.DEBUG)
        log = logging.getLogger("reconciler")
        log.handlers[:] = [handler]
        log.setLevel(level)

    def _start_events(self) -> None:
        """Say that the run has started, where the log is JSON."""
        event_log.begin_run(
            on=self.log_format == "json",
            run_id=self.run_id,
            requests=lambda: {"reads": self.reads, "writes": self.writes},
            command=click.get_current_context().find_root().invoked_subcommand,
            version=__version__,
        )

    def _start_sandbox(self) -> None:
        if self.host:
            raise UsageError("--sandbox and --host exclude each other")
        running = self.cleanup.enter_context(
            throwaway_sandbox.run_sandbox(throwaway_sandbox.find_default_seed())
        )
        self.environ["POSTHOG_HOST"] = self.host = running.url
        self.environ["POSTHOG_API_KEY"] = running.token  # never a key of the real world
        self.note(f"sandbox: {running.url}")
