"""How long and how often to try again. Knows nothing of HTTP but its numbers and dates."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random
from threading import Lock
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call, and all calls together, may cost.

    Attributes:
        connect_s, deadline_s: seconds for the connection, and for one whole exchange.
        max_bytes: of one answer, decoded.
        tries: sends of one call that fails.
        throttled_tries: sends of one call that is told to wait.
        backoff_base_s, backoff_cap_s: full jitter between 0 and base * 2 ** failures, capped.
        longest_wait_s: the longest wait that a server may ask for; beyond it the call stops.
        run_s: seconds after which nothing is waited for any more; None: no end.
        retry_share, retry_floor: retries of all calls together: a share of them, but at
            least so many.
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


DEFAULT_LIMITS: Final = Limits()
_SHORTEST_WAIT_S: Final = 0.05  # full jitter may say 0, which would be a busy loop
_HINT: Final = re.compile(r"available in (\d{1,9})(?:\.\d+)? second")


def backoff_s(failures: int, limits: Limits, rng: Random) -> float:
    """Full jitter: anything up to base * 2 ** (failures - 1), so that clients do not march."""
    ceiling = min(limits.backoff_cap_s, limits.backoff_base_s * 2 ** min(failures - 1, 30))
    return max(_SHORTEST_WAIT_S, rng.uniform(0.0, ceiling))


def asked_wait_s(retry_after: str | None, detail: str, now: float) -> float | None:
    """Seconds that the server asked for; None if it did not.

    `Retry-After` comes in seconds or as a date. Where it is missing, the number in the text
    is a hint for how long to wait; nothing else is ever decided by text.
    """
    if retry_after is not None:
        return _header_s(retry_after.strip(), now)
    hint = _HINT.search(detail)
    return float(hint[1]) if hint else None


def _header_s(text: str, now: float) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


class Budget:
    """Retries of all calls together: a share of the calls, so that a sick server is left alone."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls = 0
        self._retries = 0
        self._lock = Lock()

    def count_call(self) -> None:
        """One more call."""
        with self._lock:
            self._calls += 1

    def take_retry(self) -> bool:
        """Whether one more retry is affordable; if so, it is taken."""
        with self._lock:
            most = max(self._limits.retry_floor, self._limits.retry_share * self._calls)
            if self._retries >= most:
                return False
            self._retries += 1
            return True


class Breaker:
    """Opens after failures in a row; then new calls fail at once, but for a probe now and then.

    Calls that are retrying already go on: they are few, and may be the ones that find the
    server well again.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failures = 0
        self._counted_at = -math.inf
        self._next_probe = -math.inf
        self._lock = Lock()

    def wait_s(self) -> float:
        """0.0 if a new call may go out, which is then the probe; else seconds to the next probe."""
        with self._lock:
            wait = self._closed_for_s()
            if not wait and self._failures >= self._limits.breaker_failures:
                self._next_probe = self._clock() + self._limits.breaker_probe_s
            return wait

    def closed_for_s(self) -> float:
        """The same without taking the probe."""
        with self._lock:
            return self._closed_for_s()

    def _closed_for_s(self) -> float:
        if self._failures < self._limits.breaker_failures:
            return 0.0
        return max(0.0, self._next_probe - self._clock())

    def record(self, *, failed: bool, started: float | None = None) -> None:
        """What became of a try.

        With `started`, tries that began before the last failure was known count with that one:
        eight threads that are refused at once have not failed eight times in a row.
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
