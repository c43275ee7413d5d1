"""Decide how long and how often to retry. Knows nothing of HTTP but its numbers and dates."""

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from random import Random
from threading import Lock
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Limit what one call, and all calls together, may cost.

    Attributes:
        connect_s, deadline_s: seconds for the connection, and for one whole exchange.
        max_bytes: of one response, decoded.
        tries: sends of one call that fails.
        throttled_tries: sends of one call that is throttled (429).
        backoff_base_s, backoff_cap_s: full jitter between 0 and base * 2 ** failures, capped.
        longest_wait_s: the longest wait that a server may ask for; beyond it the call stops.
        run_s: seconds after which no call waits any longer; None: no limit.
        retry_share, retry_floor: retries of all calls together: a share of the calls, and the
            least number.
        breaker_failures, breaker_probe_s: failures in a row that open the circuit, and the
            seconds between probes from then on.

    """

    connect_s: float = 5.0
    deadline_s: float = 30.0
    max_bytes: int = 32 * 1024 * 1024
    tries: int = 4
    throttled_tries: int = 8
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    longest_wait_s: float = 300.0
    run_s: float | None = None
    retry_share: float = 0.2
    retry_floor: int = 10
    breaker_failures: int = 8
    breaker_probe_s: float = 30.0


DEFAULT_LIMITS: Final = CallLimits()
_SHORTEST_WAIT_S: Final = 0.05  # full jitter may be 0, which would be a busy loop
_HINT: Final = compile_later(r"available in (\d{1,9})(?:\.\d+)? second")


def compute_backoff_s(failures: int, limits: CallLimits, rng: Random) -> float:
    """Return a wait with full jitter: up to base * 2 ** (failures - 1), to spread the clients."""
    ceiling = min(limits.backoff_cap_s, limits.backoff_base_s * 2 ** min(failures - 1, 30))
    return max(_SHORTEST_WAIT_S, rng.uniform(0.0, ceiling))


def parse_requested_wait_s(retry_after: str | None, detail: str, now: float) -> float | None:
    """Return the seconds that the server requested; None if it did not.

    `Retry-After` is a number of seconds or a date. If it is missing, the number in the text is a
    hint; nothing else depends on text.
    """
    if retry_after is not None:
        return _parse_retry_after_s(retry_after.strip(), now)
    hint = _HINT.search(detail)
    return float(hint[1]) if hint else None


def _parse_retry_after_s(text: str, now: float) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


class Budget:
    """Limit the retries of all calls to a share of the calls, to spare a server that fails."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._calls = 0
        self._retries = 0
        self._lock = Lock()

    def count_call(self) -> None:
        """Count one more call."""
        with self._lock:
            self._calls += 1

    def take_retry(self) -> bool:
        """Return whether one more retry is allowed; if so, count it."""
        with self._lock:
            most = max(self._limits.retry_floor, self._limits.retry_share * self._calls)
            if self._retries >= most:
                return False
            self._retries += 1
            return True


class Breaker:
    """Open after failures in a row; then new calls fail at once, except for a probe now and then.

    Calls that are already retrying continue: they are few, and may be the first to find that the
    server has recovered.
    """

    def __init__(self, limits: CallLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failures = 0
        self._counted_at = -math.inf
        self._next_probe = -math.inf
        self._lock = Lock()

    def request_probe(self) -> float:
        """Return 0.0 if a new call may go out, as the probe; else the seconds to the next probe."""
        with self._lock:
            wait = self._compute_open_s()
            if not wait and self._failures >= self._limits.breaker_failures:
                self._next_probe = self._clock() + self._limits.breaker_probe_s
            return wait

    def circuit_open_for_s(self) -> float:
        """Return the seconds to the next probe without taking it."""
        with self._lock:
            return self._compute_open_s()

    def _compute_open_s(self) -> float:
        if self._failures < self._limits.breaker_failures:
            return 0.0
        return max(0.0, self._next_probe - self._clock())

    def record(self, *, failed: bool, started: float | None = None) -> None:
        """Record the result of a try.

        With `started`, tries that began before the last failure was known count as part of it:
        eight threads that are refused at once are not eight failures in a row.
        """
        with self._lock:
            if not failed:
                self._failures = 0
                return
            now = self._clock()
            if started is not None and started < self._counted_at:
                return
            self._counted_at = now
            self._failures += 1
            if self._failures == self._limits.breaker_failures:
                self._next_probe = now + self._limits.breaker_probe_s
