"""Decide which target may start: after all that it needs have succeeded. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from reconciler.lazy_dataclass import dataclass
from reconciler.model import ExitCode, FleetMode

_SUCCEEDS_WITH_DIFFERENCES = frozenset({FleetMode.PLAN, FleetMode.DRIFT})


@dataclass(frozen=True, slots=True)
class Skipped:
    """Hold a target that does not run, and why."""

    target: str
    because: str


@dataclass(slots=True)
class Waves:
    """The targets that wait for others.

    What is not in the run holds nothing back: somebody has left it out by --target or --shard.

    Args:
        mode: the command that runs.
        needs: by target, in the order of their start, the targets that it needs.

    """

    mode: FleetMode
    needs: Mapping[str, Sequence[str]]
    _open: dict[str, set[str]] = field(default_factory=dict)  # what a target still waits for
    _dependents: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, needed in self.needs.items():
            self._open[name] = {other for other in needed if other in self.needs}
            for other in self._open[name]:
                self._dependents.setdefault(other, []).append(name)

    def begin(self) -> list[str]:
        """Return the targets that wait for nothing."""
        return [name for name, waits in self._open.items() if not waits]

    def end(self, target: str, exit_code: int) -> tuple[list[str], list[Skipped]]:
        """Return the targets that may start now, and those that will never start.

        Each target is returned once, by `begin` or by this function.
        """
        if not is_success(self.mode, exit_code):
            return [], self._skip_dependents(target, exit_code)
        ready = []
        for name in self._dependents.get(target, ()):
            waits = self._open.get(name)
            if waits is None:
                continue
            waits.discard(target)
            if not waits:
                ready.append(name)
        return ready, []

    def _skip_dependents(self, target: str, exit_code: int) -> list[Skipped]:
        skipped: list[Skipped] = []
        ended: list[tuple[str, int | None]] = [(target, exit_code)]
        while ended:
            needed, code = ended.pop()
            for name in self._dependents.get(needed, ()):
                if self._open.pop(name, None) is not None:
                    skipped.append(Skipped(name, describe_unmet(needed, code)))
                    ended.append((name, None))
        return skipped


def is_success(mode: FleetMode, exit_code: int | None) -> bool:
    """Return whether the targets that need one may start after it has ended so."""
    differs = exit_code == ExitCode.DIFFERENCES and mode in _SUCCEEDS_WITH_DIFFERENCES
    return exit_code == ExitCode.DONE or differs


def describe_unmet(needed: str, exit_code: int | None) -> str:
    """Return why a target does not run: what it needs has failed, or was skipped itself."""
    event = "was skipped" if exit_code is None else f"exited with {exit_code}"
    return f"it needs {needed}, which {event}"
