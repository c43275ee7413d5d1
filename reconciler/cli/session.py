"""What every command shares: settings, keys, clocks, streams. Made once a run."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import uuid4

import click

from reconciler import __version__, model
from reconciler.ci import environment
from reconciler.cli import event_log, terminal
from reconciler.cli import report as cli_report
from reconciler.cli.console import Console
from reconciler.cli.surroundings import Surroundings
from reconciler.config import settings as config_settings
from reconciler.errors import UsageError, explain_refusal
from reconciler.files import repo_paths
from reconciler.files.run_folder import find_run_folder
from reconciler.lazy_dataclass import dataclass
from reconciler.model import RequestCounts
from reconciler.posthog import credentials as posthog_credentials
from reconciler.render import text
from reconciler.render.shared import options

if TYPE_CHECKING:  # what --help does without, and of the client commands that stay offline
    from reconciler.ci.build import Build
    from reconciler.cli.report import Report
    from reconciler.config.settings import RunFacts, Settings
    from reconciler.config.targets import Target
    from reconciler.model import Plan
    from reconciler.posthog.client import Reader, Runtime, Writer
    from reconciler.posthog.credentials import Credentials
    from reconciler.posthog.rate_limit import KeyRateLimit

    _AnyClient = TypeVar("_AnyClient", bound=Reader)


@dataclass(kw_only=True)
class Session(Console):
    """One run of the program."""

    config: Path | None
    target_names: tuple[str, ...]  # as they were typed; most commands take one
    host: str | None
    sandbox: bool
    chdir: str | None = None
    zoom: str | None = None  # how near the text of a plan goes, if it was said
    cleanup: ExitStack = field(default_factory=ExitStack)
    run_id: str = field(default_factory=lambda: uuid4().hex)
    report: "Report" = field(default_factory=lambda: cli_report.Report(None, lambda _: None))
    _clients: "list[Reader]" = field(default_factory=list)
    runtime: ClassVar["Runtime"] = {}  # clock, sleep, chance; empty: the real ones

    @classmethod
    def start(
        cls,
        surroundings: Surroundings,
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
        session = cls(
            config=path,
            target_names=target,
            host=host,
            sandbox=sandbox,
            color_choice=color,
            quiet=quiet,
            verbose=verbose,
            log_format=log_format,
            chdir=chdir,
            surroundings=surroundings,
        )
        if surroundings.control is not None:
            surroundings.control.count_requests(
                lambda: RequestCounts(session.reads, session.writes)
            )
        click.get_current_context().call_on_close(session.cleanup.close)
        session.start_logging()
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
            self.start_logging()
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
                why = explain_refusal(error)
                fix = "name a directory that exists"
                raise UsageError(f"cannot run in {self.chdir}", why=why, fix=fix) from error
        if self.sandbox:
            self._start_sandbox()

    @cached_property
    def build(self) -> "Build | None":
        """Return the CI build that this run is a part of; None outside of CI."""
        return environment.detect(self.environ)

    @property
    def is_in_fleet(self) -> bool:
        """Return whether this is the run of one target of a fleet, which sends the messages."""
        return not self.surroundings.notifies

    @property
    def is_stopped(self) -> bool:
        """Return whether the run is a part of a fleet that has stopped it."""
        control = self.surroundings.control
        return control is not None and control.is_stopped

    @property
    def cwd(self) -> Path:
        """Return the current folder of this run."""
        return find_run_folder()

    def keep(self, *objects: object) -> None:
        """Keep what is large until the process ends, if nothing runs in it afterwards."""
        if self.surroundings.lasting is not None:
            self.surroundings.lasting.extend(objects)

    def now(self) -> datetime:
        """Return the wall clock, which is read here and nowhere else."""
        return datetime.now(UTC)  # noqa: TID251  the one place

    def stamp(self) -> str:
        """Return the wall clock as ISO 8601 text."""
        return model.format_timestamp(self.now())

    def settings(self, paths: Sequence[str] = ()) -> "Settings":
        """Return reconciler.yaml, or what stands in for it; each is read once."""
        known = self.surroundings.settings
        if tuple(paths) not in known:
            known[tuple(paths)] = config_settings.load_settings(
                self.cwd,
                file=self.config,
                paths=tuple(Path(path) for path in paths),
                environ=self.environ,
            )
        return known[tuple(paths)]

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
        return self.settings().folder or self.cwd

    def facts(self) -> "RunFacts":
        """Return the facts about this run that use cases need."""
        return config_settings.RunFacts(self.cwd, self.now(), self.build, self.config)

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
            links=self.color and terminal.opens_links(self.out, self.environ),
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
            self.complain(text.findings(plan.errors, color=self.has_color(self.err)))

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
        from reconciler.posthog import client  # noqa: PLC0415  offline commands do without

        key = self.credentials(target)
        with self._use(
            client.open_reader(key, rate_limit=_read_limit(target), **self.client_runtime)
        ) as reader:
            yield reader

    @contextmanager
    def writer(self, target: "Target") -> "Iterator[Writer]":
        """Open a client that can also write."""
        from reconciler.posthog import client  # noqa: PLC0415  offline commands do without

        key = self.credentials(target)
        with self._use(
            client.open_writer(key, rate_limit=_read_limit(target), **self.client_runtime)
        ) as writer:
            yield writer

    def reserve_budget(self, target: "Target") -> None:
        """Note the limits of a target before others with the same key begin to send."""
        from reconciler.posthog import client  # noqa: PLC0415  offline commands do without

        key = self.credentials(target)
        client.reserve_budget(key, _read_limit(target), self.client_runtime)

    @property
    def client_runtime(self) -> "Runtime":
        """Return what each client takes from this run."""
        return {"log": self.log, **self.runtime}

    @contextmanager
    def _use(self, opened: "_AnyClient") -> "Iterator[_AnyClient]":
        """Count what a client sends, show what it reads, and stop it with the run."""
        self._clients.append(opened)
        control = self.surroundings.control
        with (
            opened,
            control.handle_stop(opened.stop) if control is not None else nullcontext(),
            self.show_reading(opened),
        ):
            yield opened

    @property
    def reads(self) -> int:
        """GET requests of this run so far."""
        return sum(api_client.reads for api_client in self._clients)

    @property
    def writes(self) -> int:
        """Other requests of this run so far."""
        return sum(getattr(api_client, "writes", 0) for api_client in self._clients)

    def _start_events(self) -> None:
        """Say that the run has started, where the log is JSON."""
        event_log.begin_run(
            self.err if self.log_format == "json" else None,
            run_id=self.run_id,
            requests=lambda: {"reads": self.reads, "writes": self.writes},
            command=click.get_current_context().find_root().invoked_subcommand,
            version=__version__,
        )

    def _start_sandbox(self) -> None:
        from reconciler.cli import throwaway_sandbox  # noqa: PLC0415  only for --sandbox

        if self.host:
            raise UsageError("--sandbox and --host exclude each other")
        running = self.surroundings.sandbox
        if running is None:
            running = self.cleanup.enter_context(
                throwaway_sandbox.run_sandbox(throwaway_sandbox.find_default_seed())
            )
            self.surroundings.sandbox = running
            self.note(f"sandbox: {running.url}")
        self.environ["POSTHOG_HOST"] = self.host = running.url
        self.environ["POSTHOG_API_KEY"] = running.token  # never a key of the real world


def _read_limit(target: "Target") -> "KeyRateLimit":
    from reconciler.posthog import rate_limit  # noqa: PLC0415  offline commands do without

    return rate_limit.KeyRateLimit(target.rate_limit.per_minute, target.rate_limit.per_hour)
