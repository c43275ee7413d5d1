"""How fast one key may ask one host: two sliding windows, as the server counts (contract 1.5).

Knows nothing of HTTP. Clock and sleep are handed in.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

_MARGIN_S: Final = 0.25  # requests do not arrive as evenly as they leave
_INSTANT_S: Final = 1e-6  # less than this is rounding, not waiting
_SLICE_S: Final = 1.0  # whoever waits looks up this often: for a stop, or after a suspend


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the server allows one key (contract 1.5)."""

    per_minute: int = 480
    per_hour: int = 4800

    def seconds(self, requests: int) -> int:
        """Seconds from the first to the last of so many requests, at the very least."""
        hours, rest = divmod(max(0, requests - 1), self.per_hour)
        return hours * 3600 + rest // self.per_minute * 60


DEFAULT_RATE_LIMIT: Final = RateLimit()


def _never() -> bool:
    return False


class RateLimiter:
    """Lets requests through as fast as both windows allow. All threads of a key share one."""

    def __init__(
        self,
        per_minute: int = DEFAULT_RATE_LIMIT.per_minute,
        per_hour: int = DEFAULT_RATE_LIMIT.per_hour,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._windows = (_Window(per_minute, 60.0), _Window(per_hour, 3600.0))
        self._paused_until = -math.inf
        self._lock = Lock()  # guards the windows
        self._turn = Lock()  # held while waiting: one waits for the clock, the rest for it

    def acquire(
        self, *, patience_s: float = math.inf, stopped: Callable[[], bool] = _never
    ) -> float:
        """Wait for a turn and take it.

        Returns 0.0, or, where that would take longer than `patience_s` or `stopped` said so,
        the seconds that were still to wait; then no turn was taken.
        """
        give_up = self._clock() + patience_s
        with self._turn:
            while wait := self._take():
                if stopped() or self._clock() + wait > give_up:
                    return wait
                self._sleep(min(wait, _SLICE_S))
        return 0.0

    def wait_s(self) -> float:
        """Seconds until the next turn, without taking it."""
        with self._lock:
            return self._wait(self._clock())

    def left(self) -> tuple[tuple[int, int], ...]:
        """Turns that are left in each window, and of how many."""
        with self._lock:
            now = self._clock()
            return tuple(window.left(now) for window in self._windows)

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: the server said 429 to one of us."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _take(self) -> float:
        with self._lock:
            now = self._clock()
            wait = self._wait(now)
            if wait <= _INSTANT_S:
                for window in self._windows:
                    window.add(now)
                return 0.0
            return wait

    def _wait(self, now: float) -> float:
        waits = (window.wait_s(now) for window in self._windows)
        return max(0.0, self._paused_until - now, *waits)


class _Window:
    """The times of the last turns of one span; the server keeps the same list."""

    def __init__(self, turns: int, span_s: float) -> None:
        self._times: deque[float] = deque(maxlen=max(1, turns))
        self._span_s = span_s + _MARGIN_S

    def wait_s(self, now: float) -> float:
        """Seconds until there is room again."""
        if len(self._times) < (self._times.maxlen or 1):
            return 0.0
        return self._times[0] + self._span_s - now

    def left(self, now: float) -> tuple[int, int]:
        """Turns that are left, and of how many."""
        most = self._times.maxlen or 1
        return most - sum(1 for one in self._times if one + self._span_s > now), most

    def add(self, now: float) -> None:
        """Count a turn; the oldest falls out."""
        self._times.append(now)


_pacers: Final[WeakValueDictionary[Hashable, RateLimiter]] = WeakValueDictionary()
_pacers_lock: Final = Lock()


def shared(
    host: str,
    key_digest: str,
    limit: RateLimit,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> RateLimiter:
    """The one pacer of a host and key in this process, as long as somebody holds it.

    Takes a digest of the key, not the key: this registry lives as long as the process.
    """
    identity = (host, key_digest, limit, clock, sleep)
    with _pacers_lock:
        pacer = _pacers.get(identity)
        if pacer is None:
            pacer = RateLimiter(limit.per_minute, limit.per_hour, clock=clock, sleep=sleep)
            _pacers[identity] = pacer
        return pacer
