"""Define one target's run: what runs where, how it is stopped, and what it has sent so far.

Threads of this process, the jobs of a build and the workers of an engine run targets in the
same way: as a `TargetRun` that a `TargetRunner` carries out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from reconciler.errors import ServerError, ThrottledError, UnreachableError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import FleetMode, RequestCounts

LOG: Final = ".log"  # beside the folder of a report: all that the command prints
_THROTTLED_S: Final = 60.0  # the shorter of the windows in which PostHog counts
_UNAVAILABLE_S: Final = 5.0
READING_GRACE_S: Final = 1.0  # for a run that has written nothing, which a read would delay


@dataclass(frozen=True, slots=True)
class TargetRun:
    """Hold which command runs for which target.

    Attributes:
        mode: the command.
        target: its name in reconciler.yaml.
        words: the options of the command as they were typed; the same for each target.
        cwd: the folder that the command runs in; absolute.
        report: the folder for the run's report; absolute.
        notifies: whether the run sends messages to webhooks itself, because nobody sends them for
            the fleet.

    """

    mode: FleetMode
    target: str
    words: tuple[str, ...]
    cwd: Path
    report: Path
    notifies: bool = False


Stop = Callable[[], None]


class RunControl:
    """Let one thread stop the run of another, and see what it has sent. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stops: list[tuple[Stop, float]] = []  # the last one is what Ctrl-C would do now
        self._is_stopped = self._is_abandoned = False
        self._count: Callable[[], RequestCounts] = RequestCounts
        self._failure: BaseException | None = None

    @property
    def retry_s(self) -> float | None:
        """Return after how long a run that the server turned away may succeed; None for others."""
        if self._is_stopped:
            return None
        match self._failure:
            case ThrottledError(retry_after_s=seconds):
                return _THROTTLED_S if seconds is None else seconds
            case UnreachableError() | ServerError():
                return _UNAVAILABLE_S
            case _:
                return None

    def note_failure(self, error: BaseException) -> None:
        """Keep why the run as a whole has failed."""
        self._failure = error

    @property
    def is_stopped(self) -> bool:
        """Return whether the run was asked to stop."""
        return self._is_stopped

    @property
    def is_abandoned(self) -> bool:
        """Return whether nobody waits for the run any longer: its report is written already."""
        return self._is_abandoned

    @property
    def requests(self) -> RequestCounts:
        """Return how many requests the run has sent so far."""
        return self._count()

    @property
    def grace_s(self) -> float:
        """Return how long the run may take to end once it is stopped."""
        with self._lock:
            return self._stops[-1][1] if self._stops else READING_GRACE_S

    def stop(self) -> None:
        """Do what Ctrl-C does: start nothing more, and finish what is in flight."""
        with self._lock:
            self._is_stopped = True
            stop, _ = self._stops[-1] if self._stops else (None, 0.0)
        if stop is not None:
            stop()

    def abandon(self) -> None:
        """Note that the run was stopped, did not end, and is not waited for."""
        self._is_abandoned = True

    @contextmanager
    def handle_stop(self, stop: Stop, *, grace_s: float = READING_GRACE_S) -> Iterator[None]:
        """Call `stop` instead of what was called before; at once if the run has been stopped.

        `grace_s` is how long the run may then take to end.
        """
        handler = (stop, grace_s)
        with self._lock:
            self._stops.append(handler)
            is_late = self._is_stopped
        try:
            if is_late:
                stop()
            yield
        finally:
            with self._lock:
                self._stops.remove(handler)

    def count_requests(self, count: Callable[[], RequestCounts]) -> None:
        """Set the function that counts the requests of the run."""
        self._count = count


class TargetRunner(Protocol):
    """Carry out the run of one target, in any thread; the report stays in its folder."""

    def __call__(self, run: TargetRun, control: RunControl) -> int:
        """Return the exit code of the command. Nothing is raised for a failed run."""
