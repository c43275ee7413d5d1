"""Make the commands of `fleet` from those of one target: the same options, without a second list.

An option that makes no sense for many targets is refused with the reason (64).
"""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, Final

import click

from reconciler.cli import options
from reconciler.cli.notifications import delivery
from reconciler.cli.session import Session
from reconciler.errors import UsageError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import FleetMode

FORMATS: Final = ("text", "json", "markdown", "html")
TIMEOUT: Final = "30m"
ENGINE_MODES: Final = (FleetMode.PLAN, FleetMode.APPLY, FleetMode.DRIFT)
_OWN: Final = frozenset(
    {"format_", "out", "concurrency", "yes", "shard", "target_timeout", "engine", "detach"}
)
_REFUSED: Final[Mapping[str, tuple[str, str]]] = {  # why, and what to do
    "--adopt": ("two targets could write the same file", "run `reconciler drift --adopt` for each"),
    "--patch": (
        "two targets could change the same file",
        "run `reconciler drift --patch` for each",
    ),
    "--report": (
        "the report of each target needs its own folder",
        "write --out DIR, which keeps the report of each target in DIR/TARGET",
    ),
    "--zoom": (
        "the report of a fleet does not list the changes of a target",
        "write --out DIR, which keeps the whole text of each target in DIR/TARGET.log",
    ),
}
_WORDS: Final = "reconciler.fleet.words"


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """Hold what the command line of a fleet says.

    Attributes:
        mode: the command that runs for each target.
        words: the options of that command as they were typed.
        values: the same options as values, by the name of the parameter.
        shard: `I/N`; None for all targets.
        concurrency: targets at once.
        out: the folder for reports; None for a temporary one.
        format: of the report that is printed.
        timeout_s: for one target, with the time that `--wait` allows for approvals.
        yes: whether nobody is asked.
        engine: `local` or `temporal`; None for that of reconciler.yaml.
        detach: whether to leave the runs to the engine.

    """

    mode: FleetMode
    words: tuple[str, ...]
    values: Mapping[str, Any]
    shard: str | None
    concurrency: int
    out: str | None
    format: str
    timeout_s: float
    yes: bool
    engine: str | None = None
    detach: bool = False


Body = Callable[[Session, FleetOptions], int]


def make_command(mode: FleetMode, single: click.Command, body: Body) -> click.Command:
    """Return the command that runs `single` for many targets, with its options and its help."""

    def run(**values: Any) -> int:
        context = click.get_current_context()
        own = {name: values.pop(name) for name in ("shard", "out", "format_", "target_timeout")}
        workers, yes = values.pop("concurrency"), values.pop("yes", False)
        if "notify" in values:  # the messages are about all targets
            names = ("notify", "notify_format", "notify_marker")
            delivery.keep_options(*(values[name] for name in names if name in values))
        given = FleetOptions(
            mode,
            context.meta[_WORDS],
            values,
            own["shard"],
            workers,
            own["out"],
            own["format_"],
            own["target_timeout"] + values.get("wait_s", 0.0),
            yes,
            values.pop("engine", None),
            values.pop("detach", False),
        )
        return body(context.obj, given)

    taken = [each for each in single.params if isinstance(each, click.Option) and not each.hidden]
    names = {each.name for each in taken}
    passed = [each for each in taken if each.name not in _OWN and not _find_reason(each)]
    summary = single.get_short_help_str(limit=1000).rstrip(".")
    return _FleetCommand(
        mode.value,
        callback=run,
        params=[
            *_list_own_options(asks="yes" in names, waits="wait_s" in names),
            *(_list_engine_options() if mode in ENGINE_MODES else ()),
            *passed,
        ]
        + [_make_refused(each) for each in taken if _find_reason(each)],
        help=f"For each target: {summary[:1].lower()}{summary[1:]}.\n\n"
        f"Each target runs as `reconciler {mode}` runs it, with the options given here.",
        epilog=f"Example: reconciler fleet {mode} --target 'eu-*' --out report",
        context_settings={"allow_extra_args": True},
    )


class _FleetCommand(click.Command):
    """Keeps the words of the options that each target gets."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        raw, _, _ = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[_WORDS] = tuple(self._list_words(raw))
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise UsageError(
                f"`fleet {self.name}` takes no {rest[0]}",
                why="a fleet reads the `paths` of each target, not a path or a saved plan",
                fix=f"choose with --target PATTERN; for a path or a plan: reconciler {self.name}",
            )
        return rest

    def _list_words(self, raw: Mapping[str, Any]) -> Iterator[str]:
        """Yield the options of the single command that were typed, with their values."""
        for option in self.params:
            name = option.name or ""
            if not isinstance(option, click.Option) or option.hidden:
                continue  # an argument, or a global option, which the runner hands on
            if name not in raw or name in _OWN:
                continue
            values = raw[name] if isinstance(raw[name], list) else [raw[name]]
            for value in values:
                if not option.is_flag:
                    yield from (option.opts[0], str(value))
                elif value is True or value == option.flag_value:
                    yield option.opts[0]


def _list_own_options(*, asks: bool, waits: bool) -> Iterator[click.Parameter]:
    """Yield the options of a fleet: `asks` if the command can write, `waits` if it has --wait."""
    yield click.Option(
        ("--shard",),
        metavar="I/N",
        help="Only the targets of shard I of N; together the shards cover all targets.",
    )
    yield click.Option(
        ("--concurrency",),
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        metavar="N",
        help="Targets at once.",
    )
    yield click.Option(
        ("--target-timeout",),
        type=options.Duration(least_s=1.0),
        default=TIMEOUT,
        show_default=True,
        metavar="DURATION",
        help="Stop a target that takes longer, apart from --wait; the other targets continue."
        if waits
        else "Stop a target that takes longer; the other targets continue.",
    )
    yield click.Option(
        ("--out",),
        metavar="DIR",
        callback=options.named,
        help="Keep the report of each target in DIR/TARGET, and that of the fleet in "
        "DIR/fleet.json.",
    )
    yield click.Option(
        ("--format", "format_"), type=click.Choice(FORMATS), default=FORMATS[0], show_default=True
    )
    if asks:
        yield click.Option(("--yes",), is_flag=True, help="Do not ask for confirmation.")


def _list_engine_options() -> Iterator[click.Parameter]:
    """Yield the options of a fleet that may run on the engine."""
    yield click.Option(
        ("--engine",),
        type=click.Choice(["local", "temporal"]),
        help="Run in this process, or on the workers of a Temporal server. Default: `fleet.engine` "
        "of reconciler.yaml, else local.",
    )
    yield click.Option(
        ("--detach",),
        is_flag=True,
        help="Print the IDs of the workflows, and do not wait for the runs.",
    )


def _find_reason(option: click.Option) -> tuple[str, str] | None:
    """Return why an option is not for many targets, and what to do; None if it is."""
    return next((_REFUSED[name] for name in option.opts if name in _REFUSED), None)


def _make_refused(option: click.Option) -> click.Option:
    """Return an option that is accepted only to say why it is refused, and what to do."""
    refused = copy(option)
    refused.hidden, refused.expose_value, refused.required = True, False, False
    refused.name, refused.multiple, refused.callback = f"refused_{option.opts[0]}", True, _refuse
    return refused


def _refuse(ctx: click.Context, option: click.Parameter, value: tuple[Any, ...]) -> None:
    if value and not ctx.resilient_parsing:
        name = option.opts[0]
        why, fix = _REFUSED[name]
        raise UsageError(f"a fleet does not accept {name}", why=why, fix=fix)
