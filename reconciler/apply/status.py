"""How a run stands at this moment: what the board on a terminal shows. For two threads."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from reconciler.model import Action, Address, Outcome, Result


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """A copy of the standing: nothing in it changes any more."""

    planned: int
    ended: Mapping[str, int]  # by result
    in_flight: Mapping[Address, float]  # since when, by the run's clock
    parked: Mapping[Address, Outcome]  # what waits, and the run waits with it
    wait_until: float | None = None  # by the run's clock

    @property
    def queued(self) -> int:
        """Changes whose turn has not come."""
        over = sum(self.ended.values()) + len(self.in_flight) + len(self.parked)
        return max(0, self.planned - over)


@dataclass
class RunStatus:
    """Kept by the executor, read by whoever draws."""

    planned: int = 0
    _ended: Counter[str] = field(default_factory=Counter)
    _in_flight: dict[Address, float] = field(default_factory=dict)
    _parked: dict[Address, Outcome] = field(default_factory=dict)
    _wait_until: float | None = None
    _lock: Lock = field(default_factory=Lock)

    def started(self, address: Address, at: float) -> None:
        """A worker has it."""
        with self._lock:
            self._parked.pop(address, None)
            self._in_flight[address] = at

    def paused(self, address: Address) -> None:
        """A worker has handed it back, and it is not over."""
        with self._lock:
            self._in_flight.pop(address, None)

    def waits(self, outcome: Outcome) -> None:
        """It waits for people, and the run waits with it."""
        with self._lock:
            self._in_flight.pop(outcome.address, None)
            self._parked[outcome.address] = outcome

    def over(self, outcome: Outcome) -> None:
        """It has ended."""
        with self._lock:
            self._in_flight.pop(outcome.address, None)
            self._parked.pop(outcome.address, None)
            if outcome.action is not Action.NONE:
                self._ended[Result(outcome.result)] += 1

    def waits_until(self, at: float) -> None:
        """How long people are waited for."""
        with self._lock:
            self._wait_until = at

    def moment(self) -> StatusSnapshot:
        """How it stands now."""
        with self._lock:
            return StatusSnapshot(
                self.planned,
                dict(self._ended),
                dict(self._in_flight),
                dict(self._parked),
                self._wait_until,
            )
