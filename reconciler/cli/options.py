"""Options that several commands share."""

import sys
import time
from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler import model, suggest
from reconciler.cli import event_log, signals
from reconciler.cli import report as cli_report
from reconciler.errors import ReconcilerError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from reconciler.cli.session import Session

    _Type = click.ParamType[float]
    _Word = click.ParamType[str]
else:
    _Type = _Word = click.ParamType  # generic in newer versions only


class Duration(_Type):
    """`90s`, `30m`, `1h30m`, `2d`: seconds, none of them negative and not for ever."""

    name = "duration"

    def __init__(self, least_s: float = 0.0) -> None:
        self._least_s = least_s

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds, or raise a usage error (64)."""
        if isinstance(value, int | float):
            return float(value)
        try:
            seconds = model.parse_duration(str(value).strip())
        except ValueError:
            self.fail(f"invalid duration: {value!r}; write 30m, 2h, 1d", param, ctx)
        if not self._least_s <= seconds <= _LONGEST_S:
            least = model.format_duration(self._least_s)
            self.fail(f"{value!r}: write something from {least} to 365d", param, ctx)
        return seconds


class KindName(_Word):
    """A kind of resource in any case, as the files write it."""

    name = "kind"

    def __init__(self, names: Collection[str]) -> None:
        """Take the names of the kinds."""
        self.names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as files write it, or raise a usage error (64) with a suggestion."""
        for kind in self.names:
            if kind.casefold() == str(value).casefold():
                return kind
        similar = suggest.closest_match(str(value), self.names)
        known = f"did you mean {similar}?" if similar else f"known: {', '.join(self.names)}"
        raise click.BadParameter(f"no such kind: {value}; {known}", ctx, param)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the kinds that begin with what was typed."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  for a shell only

        typed = incomplete.casefold()
        return [CompletionItem(kind) for kind in self.names if kind.casefold().startswith(typed)]


def kinds(names: Collection[str]) -> Callable[..., Any]:
    """Return a decorator that adds `--kind`, repeatable."""
    return click.option(
        "--kind",
        "kinds",
        multiple=True,
        type=KindName(names),
        metavar="KIND",
        help=f"Only this kind; repeatable: {', '.join(names)}.",
    )


def _parse_since(
    _ctx: click.Context, _parameter: click.Parameter, value: str | None
) -> float | None:
    """Return `7d` in seconds; raise UsageError for what is not a duration in the calendar."""
    if value is None:
        return None
    try:
        seconds = model.parse_duration(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _CALENDAR_S:
        raise UsageError(
            f"invalid duration for --since: {value!r}",
            fix="write a number with a unit, such as 36h, 7d or 2w",
        )
    return seconds


def since(help_text: str, *, default: str | None = None) -> Callable[..., Any]:
    """Return a decorator that adds `--since DURATION`: `since_s` in seconds, or None."""
    return click.option(
        "--since",
        "since_s",
        metavar="DURATION",
        default=default,
        show_default=default is not None,
        callback=_parse_since,
        help=help_text,
    )


_CALENDAR_S = 100 * 365 * 86_400  # so far back there is nothing, and dates stay valid
_LONGEST_S = 365 * 86_400
DURATION = Duration()


def complete(name: str) -> "Callable[..., list[CompletionItem]]":
    """Return a function of `completion` that is imported when a shell asks."""

    def complete_value(*arguments: Any) -> "list[CompletionItem]":
        from reconciler.cli.parsing import completion  # noqa: PLC0415  --help does without

        values: list[CompletionItem] = getattr(completion, f"complete_{name}")(*arguments)
        return values

    return complete_value


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def named(
    _ctx: click.Context, _parameter: click.Parameter, value: str | tuple[str, ...] | None
) -> Any:
    """Refuse an empty path: a variable of a script that is not set, not the current folder."""
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.BadParameter("a path is empty; is a variable not set?")
    return value


def _check_request_ids(
    _ctx: click.Context, _parameter: click.Parameter, value: str | tuple[str, ...]
) -> Any:
    """Refuse what is neither an ID, nor the beginning of one, nor an address."""
    for text in (value,) if isinstance(value, str) else value:
        if "/" in text:
            require_address(text)
        elif not (text.isascii() and text.replace("-", "").replace("_", "").isalnum()):
            raise click.BadParameter(f"{text!r} is not an ID; `requests list` shows them")
    return value


request_id = click.argument(
    "id_",
    metavar="ID",
    callback=_check_request_ids,
    shell_complete=complete("request_ids"),
)
request_ids = click.argument(
    "ids",
    metavar="ID...",
    nargs=-1,
    required=True,
    callback=_check_request_ids,
    shell_complete=complete("request_ids"),
)
paths = click.argument(
    "paths", nargs=-1, metavar="[PATH]...", callback=named, shell_complete=complete("files")
)


def formats(*names: str) -> Decorator:
    """Add `--format`, text unless said otherwise."""
    return click.option(
        "--format", "format_", type=click.Choice(names), default=names[0], show_default=True
    )


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--select` and `--exclude`: addresses with `*`."""
    command = click.option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        shell_complete=complete("addresses"),
        help="Leave these addresses out; repeatable.",
    )(command)
    return click.option(
        "--select",
        multiple=True,
        metavar="PATTERN",
        shell_complete=complete("addresses"),
        help="Only these addresses; repeatable.",
    )(command)


def yes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--yes`: ask no question."""
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(command)


def base(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--base`: the commit that was applied last."""
    return click.option("--base", metavar="REF", help="What was applied last; see docs/base.md.")(
        command
    )


def prune(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--prune`: delete what is live and in no file."""
    return click.option(
        "--prune", is_flag=True, help="Delete what is live and not in any file, of declared kinds."
    )(command)


def require_address(text: str) -> None:
    """Refuse what is not the address of a resource."""
    try:
        is_address = model.Address.parse(text).kind.isalpha()
    except ValueError:
        is_address = False
    if not is_address:
        message = f"{text!r} is not an address such as FeatureFlag/acme/Web/new-checkout"
        raise click.BadParameter(message)


def concurrency(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--concurrency`: writes at once."""
    return click.option(
        "--concurrency", type=click.IntRange(1, 32), default=8, show_default=True, metavar="N"
    )(command)


def zoom(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--zoom`: how much detail the text has. Kept by the session, which shows it."""

    def keep(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if hasattr(ctx.obj, "zoom"):  # not while a shell asks what could be typed next
            ctx.obj.zoom = value

    return click.option(
        "--zoom",
        type=click.Choice(["totals", "resources", "fields"]),
        expose_value=False,
        callback=keep,
        help="Text: one line in all, one a resource, or one a field. Fields, unless there are "
        "more than 100 changes; totals with --quiet.",
    )(command)


def report(command: Callable[..., int]) -> Callable[..., int]:
    """Add `--report DIR`: keep how the command ended, whether it returned or raised."""

    @click.option(
        "--report",
        metavar="DIR",
        callback=named,
        help="Keep plan, journal and summary of the run here.",
    )
    @wraps(command)
    def inner(**options: Any) -> int:
        context = click.get_current_context()
        session: Session = context.obj
        session.report = _make_report(session, options.pop("report"))
        session.report.open()
        started, clock = session.stamp(), time.monotonic()
        code, error = 1, None
        try:
            code = command(**options)
        except ReconcilerError as problem:
            code = problem.exit_code
            error = {name: getattr(problem, name) for name in ("what", "why", "state", "fix")}
            if findings := getattr(problem, "findings", ()):
                session.report.facts["findings"] = findings[: event_log.MAX_FINDINGS]
            raise
        except (click.Abort, KeyboardInterrupt):
            code = signals.INTERRUPTED
            raise
        except click.ClickException:
            code = 64
            raise
        except Exception as crash:
            error = {"what": f"reconciler has a defect: {type(crash).__name__}"}
            raise
        finally:
            if session.is_stopped and sys.exception() is not None:
                code, error = signals.INTERRUPTED, None  # whatever broke on the way out
            session.report.end(
                run_id=session.run_id,
                command=context.info_name,
                exit_code=code,
                started_at=started,
                ended_at=session.stamp(),
                seconds=round(time.monotonic() - clock, 3),
                reads=session.reads,
                writes=session.writes,
                error=error,
            )
        return code

    return inner


def _make_report(session: "Session", folder: str | None) -> cli_report.Report:
    kept = cli_report.Report(Path(folder) if folder else None, session.note, session.identities)
    if (control := session.surroundings.control) is not None:
        kept.is_abandoned = lambda: control.is_abandoned
    kept.facts["target"] = _find_only_name(session.target_names)
    return kept


def _find_only_name(names: tuple[str, ...]) -> str | None:
    """Return the name of the target, if one was typed: a run may fail before it reads the file."""
    (name, *more) = names or ("*",)
    return None if more or "*" in name else name
