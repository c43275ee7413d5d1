"""Limit how fast a key asks a host: two sliding windows, as the server counts (contract 1.5).

The server counts a request when it arrives, which is some time between its departure and its
response. A turn therefore stays taken while its request is under way, and for the whole window
after the response. Knows nothing of HTTP. Clock and sleep are parameters.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Hashable
from itertools import takewhile
from threading import Condition, Lock
from typing import Final

from reconciler.lazy_dataclass import dataclass

_MARGIN_S: Final = 0.25  # two clocks do not run equally fast
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
        self._in_flight = 0  # turns whose response has not arrived
        self._paused_until = -math.inf
        self._lock = Lock()  # guards the windows and the number of turns in flight
        self._released = Condition(self._lock)
        self._turn = Lock()  # held while waiting: other threads wait for this lock

    def acquire(
        self, *, patience_s: float = math.inf, stopped: Callable[[], bool] = _never_stop
    ) -> float:
        """Wait for a turn and take it; call `release` when the response has arrived.

        Return 0.0, or the seconds that were still to wait if that would take longer than
        `patience_s`, or if `stopped` returned True; then no turn is taken.
        """
        give_up = self._clock() + patience_s
        with self._turn:
            while wait := self._take_turn():
                if stopped() or self._clock() + wait > give_up:
                    return wait
                self._wait(min(wait, _SLICE_S))
        return 0.0

    def release(self) -> None:
        """Count a turn from now on: its response has arrived, or nobody waits for it any more."""
        with self._lock:
            now = self._clock()
            self._in_flight -= 1
            for window in self._windows:
                window.add(now, 1)
            self._released.notify()

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
            return tuple(
                (max(0, window.turns - window.count(now) - self._in_flight), window.turns)
                for window in self._windows
            )

    def pause(self, seconds: float) -> None:
        """Let no request through for so long, because the server responded 429."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def count_used(self, ahead_s: float = 0.0) -> tuple[int, int]:
        """Return the turns that were taken within each window: a minute, an hour.

        Adds an estimate of those of the next `ahead_s` seconds: as many as in the last ones, or
        as the limit of a minute allows on average if that is more.
        """
        with self._lock:
            now, limit = self._clock(), self._windows[0]
            recent = self._in_flight + limit.count_since(now - ahead_s)
            average = math.ceil(limit.turns * ahead_s / 60)
            ahead = max(recent, average) if ahead_s else 0
            minute, hour = (window.count(now) + self._in_flight + ahead for window in self._windows)
            return minute, hour

    def raise_used(self, minute: int, hour: int) -> None:
        """Count what other processes have sent with the key, as if it was sent now.

        The numbers include what this process has sent.
        """
        with self._lock:
            now = self._clock()
            for window, used in zip(self._windows, (minute, hour), strict=True):
                window.add(now, used - window.count(now) - self._in_flight)

    def restrict(self, limit: KeyRateLimit) -> None:
        """Allow no more than this from now on, in each window. What was taken still counts."""
        with self._lock:
            for window, turns in zip(
                self._windows, (limit.per_minute, limit.per_hour), strict=True
            ):
                window.turns = min(window.turns, max(1, turns))

    def _wait(self, seconds: float) -> None:
        """Wait until time may have freed a turn; only a response frees one that is in flight."""
        with self._lock:
            now = self._clock()
            if any(window.awaits_response(now, self._in_flight) for window in self._windows):
                self._released.wait(seconds)
                return
        self._sleep(seconds)

    def _take_turn(self) -> float:
        with self._lock:
            now = self._clock()
            wait = self._compute_wait_s(now)
            if wait <= _INSTANT_S:
                self._in_flight += 1
                return 0.0
            return wait

    def _compute_wait_s(self, now: float) -> float:
        waits = (window.compute_wait_s(now, self._in_flight) for window in self._windows)
        return max(0.0, self._paused_until - now, *waits)


class _Window:
    """Hold when the responses of one span arrived, the oldest first."""

    def __init__(self, turns: int, span_s: float) -> None:
        self.turns = max(1, turns)
        self._times: deque[float] = deque()
        self._span_s = span_s + _MARGIN_S

    def compute_wait_s(self, now: float, in_flight: int) -> float:
        """Return the seconds until a turn is free, if the responses in flight arrive now."""
        excess = self._count_excess(now, in_flight)
        if excess < 0:
            return 0.0
        if excess >= len(self._times):
            return self._span_s
        return self._times[excess] + self._span_s - now

    def awaits_response(self, now: float, in_flight: int) -> bool:
        """Return whether no turn gets free before a response in flight arrives."""
        return self._count_excess(now, in_flight) >= len(self._times)

    def _count_excess(self, now: float, in_flight: int) -> int:
        """Return the turns over the limit if one more were taken, minus one."""
        return self.count(now) + in_flight - self.turns

    def count(self, now: float) -> int:
        """Return the responses within the span."""
        while self._times and self._times[0] + self._span_s - now <= _INSTANT_S:
            self._times.popleft()
        return len(self._times)

    def count_since(self, start: float) -> int:
        """Return the responses since then."""
        return sum(1 for time_ in takewhile(lambda each: each >= start, reversed(self._times)))

    def add(self, now: float, turns: int) -> None:
        """Count responses that arrive now."""
        self._times.extend([now] * turns)


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
