"""Limit how fast a key asks a host: two sliding windows, as the server counts (contract 1.5).

Knows nothing of HTTP. Clock and sleep are parameters.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Final

_MARGIN_S: Final = 0.25  # requests do not arrive as evenly as they leave
_INSTANT_S: Final = 1e-6  # less than this is rounding, not waiting
_SLICE_S: Final = 1.0  # a waiting thread checks this often for a stop, or a suspend


@dataclass(frozen=True, slots=True)
class KeyRateLimit:
    """Hold what the server allows one key (contract 1.5)."""

    per_minute: int = 480
    per_hour: int = 4800

    def estimate_seconds(self, requests: int) -> int:
        """Return the least seconds from the first to the last of so many requests."""
        hours, rest = divmod(max(0, requests - 1), self.per_hour)
        return hours * 3600 + rest // self.per_minute * 60


DEFAULT_RATE_LIMIT: Final = KeyRateLimit()


def _never_stop() -> bool:
    return False


class RateLimiter:
    """Let requests through as fast as both windows allow. All threads of a key share it."""

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
        self._turn = Lock()  # held while waiting: other threads wait for this lock

    def acquire(
        self, *, patience_s: float = math.inf, stopped: Callable[[], bool] = _never_stop
    ) -> float:
        """Wait for a turn and take it.

        Return 0.0, or the seconds that were still to wait if that would take longer than
        `patience_s`, or if `stopped` returned True; then no turn is taken.
        """
        give_up = self._clock() + patience_s
        with self._turn:
            while wait := self._take_turn():
                if stopped() or self._clock() + wait > give_up:
                    return wait
                self._sleep(min(wait, _SLICE_S))
        return 0.0

    def compute_wait_s(self) -> float:
        """Return the seconds until the next turn, without taking it."""
        with self._lock:
            return self._compute_wait_s(self._clock())

    def compute_pause_s(self) -> float:
        """Return the seconds until waiting threads continue; 0.0 if no thread waits."""
        return self.compute_wait_s() if self._turn.locked() else 0.0

    def count_left(self) -> tuple[tuple[int, int], ...]:
        """Return the turns that are left in each window, and of how many."""
        with self._lock:
            now = self._clock()
            return tuple(window.count_left(now) for window in self._windows)

    def pause(self, seconds: float) -> None:
        """Let no request through for so long, because the server responded 429."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def count_used(self) -> tuple[int, int]:
        """Return the turns that were taken within each window: a minute, an hour."""
        minute, hour = (most - left for left, most in self.count_left())
        return minute, hour

    def add_turns(self, minute: int, hour: int) -> None:
        """Count turns that another process has taken with the key, as if they were taken now."""
        with self._lock:
            now = self._clock()
            for window, turns in zip(self._windows, (minute, hour), strict=True):
                for _ in range(turns):
                    window.add(now)

    def restrict(self, limit: KeyRateLimit) -> None:
        """Allow no more than this from now on, in each window. What was taken still counts."""
        with self._lock:
            for window, turns in zip(
                self._windows, (limit.per_minute, limit.per_hour), strict=True
            ):
                window.restrict(turns)

    def _take_turn(self) -> float:
        with self._lock:
            now = self._clock()
            wait = self._compute_wait_s(now)
            if wait <= _INSTANT_S:
                for window in self._windows:
                    window.add(now)
                return 0.0
            return wait

    def _compute_wait_s(self, now: float) -> float:
        waits = (window.compute_wait_s(now) for window in self._windows)
        return max(0.0, self._paused_until - now, *waits)


class _Window:
    """Hold the times of the last turns of one span; the server keeps the same list."""

    def __init__(self, turns: int, span_s: float) -> None:
        self._times: deque[float] = deque(maxlen=max(1, turns))
        self._span_s = span_s + _MARGIN_S

    def compute_wait_s(self, now: float) -> float:
        """Return the seconds until a turn is free."""
        if len(self._times) < (self._times.maxlen or 1):
            return 0.0
        return self._times[0] + self._span_s - now

    def count_left(self, now: float) -> tuple[int, int]:
        """Return the turns that are left, and of how many."""
        most = self._times.maxlen or 1
        return most - sum(1 for time_ in self._times if time_ + self._span_s > now), most

    def restrict(self, turns: int) -> None:
        """Allow no more than so many turns; the last ones stay counted."""
        if turns < (self._times.maxlen or 1):
            self._times = deque(self._times, maxlen=max(1, turns))

    def add(self, now: float) -> None:
        """Count a turn; the oldest one is dropped."""
        self._times.append(now)


_rate_limiters: Final[dict[Hashable, RateLimiter]] = {}
_rate_limiters_lock: Final = Lock()


def share_rate_limiter(
    host: str,
    key_digest: str,
    limit: KeyRateLimit,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> RateLimiter:
    """Return the rate limiter that all connections of a host and key in this process share.

    Where they name different limits, the stricter ones hold for all. What a connection has sent
    counts after its end. Takes a digest of the key, not the key: this registry lives as long as
    the process.
    """
    identity = (host, key_digest, clock, sleep)
    with _rate_limiters_lock:
        rate_limiter = _rate_limiters.get(identity)
        if rate_limiter is None:
            rate_limiter = RateLimiter(limit.per_minute, limit.per_hour, clock=clock, sleep=sleep)
            _rate_limiters[identity] = rate_limiter
    rate_limiter.restrict(limit)
    return rate_limiter
