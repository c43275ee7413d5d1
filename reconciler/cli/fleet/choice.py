"""Which targets a fleet runs for, and whether somebody agrees that it writes to them."""

from collections.abc import Mapping

from reconciler.cli import terminal
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.session import Session
from reconciler.config.targets import Target
from reconciler.errors import UsageError
from reconciler.fleet import selection, shards
from reconciler.git import repository
from reconciler.lazy_dataclass import dataclass
from reconciler.model import FleetMode, Shard
from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import escape


@dataclass(frozen=True, slots=True)
class FleetChoice:
    """The targets of a run by name, in the order of reconciler.yaml, and their shard."""

    targets: Mapping[str, Target]
    shard: Shard | None = None

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """Return which targets each one needs."""
        return {name: target.needs for name, target in self.targets.items()}


def choose_targets(session: Session, options: FleetOptions) -> FleetChoice:
    """Return the targets that --target and --shard name.

    Raises UsageError for what matches nothing, and GitError for a --base that does not exist.
    """
    known = session.settings().targets
    names = selection.select_targets(known, session.target_names)
    chosen = {name: known[name] for name in names}
    _check_base(options, chosen)
    if options.shard is None:
        return FleetChoice(chosen)
    shard, part = shards.select_shard(tuple(chosen.values()), options.shard)
    inside = {target.name for target in part}
    return FleetChoice({name: chosen[name] for name in names if name in inside}, shard)


def _check_base(options: FleetOptions, targets: Mapping[str, Target]) -> None:
    """Raise GitError once, and not for each target, if there is no commit that --base names."""
    base, first = options.values.get("base"), next(iter(targets.values()), None)
    if base is not None and first is not None:
        repository.resolve_commit(base, first.paths[0])


def writes(options: FleetOptions) -> bool:
    """Return whether the command writes to PostHog."""
    return options.mode is FleetMode.APPLY or "revert" in options.values.get("actions", ())


def confirm(options: FleetOptions, targets: Mapping[str, Target]) -> None:
    """Ask once before a fleet writes. UsageError where nobody can answer, and without need."""
    if not writes(options):
        if options.yes:
            raise UsageError(
                f"--yes has no effect on fleet {options.mode} without --revert",
                why="nothing is written, so there is nothing to confirm",
                fix="leave it out",
            )
        return
    verb = "Apply" if options.mode is FleetMode.APPLY else "Revert drift"
    command = "fleet apply" if options.mode is FleetMode.APPLY else "fleet drift --revert"
    terminal.require_answer(command, yes=options.yes)
    if options.yes or not targets:
        return
    names = ", ".join(targets)
    terminal.confirm(escape(f"{verb} in {count(len(targets), 'target')}: {names}?"))
    for name, target in targets.items():
        if target.confirms_by_name:
            terminal.confirm(escape(f"{verb} in {name}?"), name=name)
