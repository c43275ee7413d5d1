"""Requests counted per key over a minute and an hour (contract 1.5)."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests are let through in each window; None is no limit."""

    per_minute: int | None = None
    per_hour: int | None = None

    def windows(self) -> Iterator[tuple[float, int]]:
        """Seconds and count of each window that is limited."""
        if self.per_minute is not None:
            yield _MINUTE, self.per_minute
        if self.per_hour is not None:
            yield _HOUR, self.per_hour


class Throttle:
    """The times of the requests that were let through, per key and window.

    A refused request is not counted, except by a window that did let it through: each window
    decides for itself.
    """

    def __init__(self) -> None:
        self._passed: dict[tuple[str, float], deque[float]] = {}

    def wait(self, key: str, limits: Limits, now: float) -> int | None:
        """None to let a request through, else the whole seconds to wait, rounded up."""
        waits = []
        for span, allowed in limits.windows():
            passed = self._passed.setdefault((sha256(key.encode()).hexdigest(), span), deque())
            while passed and passed[0] <= now - span:
                passed.popleft()
            if len(passed) < allowed:
                passed.append(now)
            else:
                waits.append(min(span, span - (now - passed[0])) if passed else span)
        return max(1, math.ceil(max(waits))) if waits else None

    def forget(self) -> None:
        """Start counting anew."""
        self._passed.clear()
