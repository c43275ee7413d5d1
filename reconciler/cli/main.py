"""The command line: name → module, imported when called; errors → exit codes, in one place."""

import errno
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import NoReturn

import click

from reconciler import __version__
from reconciler.cli import event_log, global_options, signals, terminal
from reconciler.cli.parsing import synonyms, usage_errors
from reconciler.cli.surroundings import Surroundings
from reconciler.errors import ConfigError, ReconcilerError, UsageError
from reconciler.lazy_dataclass import dataclass
from reconciler.suggest import closest_match

COMMANDS = {
    "activity": "show the activity log: who changed what, when, through which client",
    "apply": "make the changes; file change requests where approval is needed",
    "ci": "run a command in a build, and report the result to the code host",
    "completion": "print the script for shell completion",
    "conformance": "check that a server behaves as expected, in an empty project",
    "coverage": "show which policies cover which flags, now and after the hand-over",
    "doctor": "check the key, the host and git; say how to fix problems",
    "drift": "show what changed outside git, and who changed it",
    "explain": "describe a kind or a field",
    "fleet": "run a command for many targets at once, with a common report",
    "init": "scaffold a configuration repository",
    "list": "list declared, live or unmanaged resources",
    "plan": "show what apply would do, why, and who will have to approve it",
    "pull": "write the live resources as files, with names instead of IDs",
    "replay": "show which past changes would have waited under other policies",
    "requests": "list, approve, reject and cancel change requests",
    "rules": "list the rules that judge plans, and run their tests",
    "sandbox": "run the embedded PostHog-compatible server",
    "schema": "print the JSON Schema of resource documents, for editors",
    "show": "render a saved plan again",
    "status": "show the last applied commit, newer commits, open change requests",
    "undo": "revert what the run that applied a commit changed",
    "validate": "check the files, offline or against PostHog",
}
CRASHED = 1
LAST_MOMENT_S = 0.2


@cache
def load_command(name: str) -> click.Command:
    """Import the module of a command; its options include those of the program."""
    command: click.Command = import_module(f"reconciler.commands.{name}").command
    return global_options.accept_after_command(command)


class _Commands(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return load_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, list(synonyms.translate_options(args, self)))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if ctx.resilient_parsing:  # a shell asks what could be typed next
            return super().resolve_command(ctx, args)
        if args[0] == "help":  # as in `reconciler help plan`
            args = [*args[1:], "--help"]
            if args == ["--help"]:
                click.echo(ctx.get_help(), color=ctx.color)
                ctx.exit()
        name = synonyms.resolve_command_name(args[0])
        if not name.startswith("-") and name not in COMMANDS:
            similar = closest_match(name, COMMANDS)
            fix = f"did you mean `{similar}`?" if similar else "reconciler --help lists them"
            raise UsageError(f"no such command: {name}", fix=fix)
        _, command, rest = super().resolve_command(ctx, [name, *args[1:]])
        return name, command, list(_translate_words(command, rest))


def _translate_words(command: click.Command | None, words: Sequence[str]) -> Iterator[str]:
    """Yield the words after a command; the options of other tools become those of the command."""
    before: list[str] = []
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        before.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    yield from before
    yield from synonyms.translate_options(words, command) if command is not None else words


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: reconciler plan --target production --detailed-exitcode",
)
@global_options.before_command
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context, /, **options: object) -> None:
    """GitOps for PostHog: organizations, roles, approval policies and feature flags.

    `plan` compares the files with PostHog, and shows what would change and who will have to
    approve it. `apply` makes the changes. `drift` shows what changed outside git, and who changed
    it. The options below are accepted before and after the command.
    """
    from reconciler.cli.session import Session  # noqa: PLC0415  --help does without

    started: _Run = ctx.obj
    started.color, started.has_session = str(options["color"]), True
    ctx.obj = Session.start(started.surroundings, **options)  # type: ignore[arg-type]  # by name


def main(*, meets_interrupts: bool = True) -> None:
    """Run as the console entry: flush, leave with the exit code of docs/exit-codes.md."""
    try:
        _run(meets_interrupts=meets_interrupts)
    except KeyboardInterrupt:  # before the command began, or after it had ended
        signals.exit_interrupted()


def _run(*, meets_interrupts: bool) -> NoReturn:
    if sys.stdout is None or sys.stderr is None:  # closed by the caller: nobody reads
        null = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        sys.stdout, sys.stderr = sys.stdout or null, sys.stderr or null
    signals.install_handlers(interrupts=meets_interrupts)
    gc.set_threshold(1_000_000, 50, 100)  # what a command reads holds no cycles, and is large
    surroundings = Surroundings(lasting=[])
    code = run(sys.argv[1:], surroundings)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away: the exit code is still right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.write(2, f"error: the output cannot be written: {error.strerror}\n".encode())
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 1
    try:
        sys.stderr.flush()
    except OSError:  # else Python itself would end with 120, whatever became of the run
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    _leave(code, surroundings)


def _leave(code: int, surroundings: Surroundings) -> NoReturn:
    """End the process; what is lasting is not given back object by object."""
    if surroundings.has_abandoned:  # Python would wait for their threads
        os._exit(code)
    watched = sys.gettrace() or sys.getprofile()  # by something that wants to have its say
    if surroundings.lasting and not watched and _have_threads_ended():
        os._exit(code)
    sys.exit(code)


def _have_threads_ended() -> bool:
    """Return whether only this thread is left. Idle workers need a moment to end."""
    until = time.monotonic() + LAST_MOMENT_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
    return threading.active_count() == 1


@dataclass(slots=True)
class _Run:
    """What is known of a run, however early it ends."""

    surroundings: Surroundings
    color: str = "auto"
    has_session: bool = False

    @property
    def was_interrupted(self) -> bool:
        """Return whether Ctrl-C has ended the run, or what a fleet does instead."""
        control = self.surroundings.control
        return signals.was_interrupted() if control is None else control.is_stopped

    def mark_ended(self) -> None:
        """Note that the command has ended; that of one target is not the end of the process."""
        if self.surroundings.control is None:
            signals.mark_ended()

    def print(self, text: str, *, color: bool | None = None) -> None:
        """Print on stderr."""
        click.echo(text, file=self.surroundings.err, color=color)


def run(arguments: Sequence[str], surroundings: Surroundings | None = None) -> int:
    """Run one command and return its exit code. Nothing escapes as a traceback."""
    started = _Run(surroundings or Surroundings())
    terminal.accept_any_text(started.surroundings.out)
    terminal.accept_any_text(started.surroundings.err)
    with event_log.open_run():
        try:
            result = group.main(
                list(arguments), prog_name="reconciler", standalone_mode=False, obj=started
            )
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  never a traceback
            started.mark_ended()
            ours = isinstance(error.__cause__, EOFError)  # at a question click raises only Abort
            failure = error.__cause__ if ours and error.__cause__ else error
            if started.surroundings.control is not None:
                started.surroundings.control.note_failure(failure)
            code = _code(_meaning(failure, started), started)
        else:
            started.mark_ended()
            code = result if isinstance(result, int) else 0
        if started.has_session:  # else nothing is logged, and the log is not even imported
            event_log.end_run(code)
    return code


def _meaning(error: BaseException, started: _Run) -> BaseException:
    """Return what an error means for the command as a whole."""
    if started.was_interrupted:
        return click.Abort()  # whatever broke on the way out
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if isinstance(error, OSError | MemoryError) and not full:
        return error if isinstance(error, BrokenPipeError) else _refused_by_system(error)
    return error


def _code(error: BaseException, started: _Run) -> int:
    """Say what there is to say about what ended a command; its exit code."""
    code = CRASHED
    match error:
        case click.exceptions.Exit():
            code = error.exit_code
        case click.Abort():
            if not event_log.emit_event("error", "error", what="interrupted"):
                started.print("interrupted")
            code = signals.INTERRUPTED
        case click.exceptions.NoArgsIsHelpError(ctx=click.Context(parent=None) as context):
            started.print(context.get_help())  # as Terraform, kubectl and decK do
            code = UsageError.exit_code
        case click.ClickException():
            _say(usage_errors.explain_usage_error(error), started)
            code = UsageError.exit_code
        case ReconcilerError():
            _say(error, started)
            code = error.exit_code
        case KeyboardInterrupt():
            code = signals.INTERRUPTED
        case BrokenPipeError():
            code = 0
        case OSError() if error.errno == errno.ENOSPC:
            code = 1  # said once more when stdout is flushed
        case _:
            _crashed(error, started)
    return code


def _refused_by_system(error: OSError | MemoryError) -> ReconcilerError:
    """Return what to say of a call that the operating system refused."""
    state = "what was written, if anything, is in .reconciler/runs"
    if not _has_folder():
        return ReconcilerError(
            "the current directory does not exist any more",
            why="it was removed or renamed after the shell had entered it",
            state=state,
            fix="change to a directory that exists and run the command again",
        )
    if isinstance(error, MemoryError):
        fix = "give the process more memory and run the command again"
        return ReconcilerError("there is not enough memory", state=state, fix=fix)
    place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return ReconcilerError(
        f"{place}{error.strerror or type(error).__name__}",
        why="the operating system refused a call",
        state=state,
        fix="remove the cause and run the command again; it re-reads the live state and continues",
    )


def _has_folder() -> bool:
    """Return whether the current directory exists."""
    try:
        os.getcwd()  # noqa: PTH109  Path.cwd() does the same, and says no more
    except OSError:
        return False
    return True


def _say(error: ReconcilerError, started: _Run) -> None:
    texts: dict[str, object] = {
        name: getattr(error, name) for name in ("what", "why", "state", "fix")
    }
    if isinstance(error, ConfigError):
        texts["findings"] = error.findings[: event_log.MAX_FINDINGS]
    if event_log.emit_event("error", "error", exit_code=error.exit_code, **texts):
        return
    err, environ = started.surroundings.err, started.surroundings.environ
    painted = terminal.colors(started.color, err, environ)
    from reconciler.render import text  # noqa: PLC0415  --help does without

    started.print(terminal.fit(text.error(error, color=painted), err), color=painted)


def _crashed(error: BaseException, started: _Run) -> None:
    if started.surroundings.environ.get("RECONCILER_DEBUG"):
        raise error
    if event_log.emit_event(
        "error", "error", what=f"reconciler has a defect: {type(error).__name__}"
    ):
        return
    started.print(
        f"error: reconciler has a defect: {type(error).__name__}\n"
        "  state: what was written, if anything, is in .reconciler/runs\n"
        "  fix:   run again with RECONCILER_DEBUG=1 and report what it prints"
    )
