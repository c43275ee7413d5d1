"""The status of a run at this moment: what the progress board shows. Safe for two threads."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from threading import Lock

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Outcome, Result


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """A copy of the status: nothing in it changes any more."""

    planned: int
    ended: Mapping[str, int]  # by result
    in_flight: Mapping[Address, float]  # since when, by the run's clock
    parked: Mapping[Address, Outcome]  # what waits, and the run waits with it
    wait_until: float | None = None  # by the run's clock

    @property
    def queued(self) -> int:
        """Return the number of changes whose turn has not come."""
        over = sum(self.ended.values()) + len(self.in_flight) + len(self.parked)
        return max(0, self.planned - over)


@dataclass
class RunStatus:
    """Kept by the executor, read by the progress board."""

    planned: int = 0
    _ended: Counter[str] = field(default_factory=Counter)
    _in_flight: dict[Address, float] = field(default_factory=dict)
    _parked: dict[Address, Outcome] = field(default_factory=dict)
    _wait_until: float | None = None
    _lock: Lock = field(default_factory=Lock)

    def mark_started(self, address: Address, at: float) -> None:
        """Record that a worker has taken the change."""
        with self._lock:
            self._parked.pop(address, None)
            self._in_flight[address] = at

    def mark_paused(self, address: Address) -> None:
        """Record that a worker has returned the change, which has not ended."""
        with self._lock:
            self._in_flight.pop(address, None)

    def mark_waiting(self, outcome: Outcome) -> None:
        """Record that the change waits for approval, and the run waits with it."""
        with self._lock:
            self._in_flight.pop(outcome.address, None)
            self._parked[outcome.address] = outcome

    def mark_ended(self, outcome: Outcome) -> None:
        """Record that the change has ended."""
        with self._lock:
            self._in_flight.pop(outcome.address, None)
            self._parked.pop(outcome.address, None)
            if outcome.action is not Action.NONE:
                self._ended[Result(outcome.result)] += 1

    def set_wait_until(self, at: float) -> None:
        """Record until when the run waits for approvals."""
        with self._lock:
            self._wait_until = at

    def take_snapshot(self) -> StatusSnapshot:
        """Return the status at this moment."""
        with self._lock:
            return StatusSnapshot(
                self.planned,
                dict(self._ended),
                dict(self._in_flight),
                dict(self._parked),
                self._wait_until,
            )
