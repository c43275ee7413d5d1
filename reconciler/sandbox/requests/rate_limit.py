"""Rate limits per key, over a minute and an hour (contract 1.5)."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How many requests each window allows; None is unlimited."""

    per_minute: int | None = None
    per_hour: int | None = None

    def list_windows(self) -> Iterator[tuple[float, int]]:
        """Yield seconds and count of each window that is limited."""
        if self.per_minute is not None:
            yield _MINUTE, self.per_minute
        if self.per_hour is not None:
            yield _HOUR, self.per_hour


class RateLimiter:
    """The times of the allowed requests, per key and window.

    A refused request counts only in a window that would have allowed it: each window decides
    on its own.
    """

    def __init__(self) -> None:
        self._passed: dict[tuple[str, float], deque[float]] = {}

    def admit(self, key: str, limits: RateLimits, now: float) -> int | None:
        """Count a request and return None, or return the whole seconds to wait, rounded up."""
        waits = []
        for span, allowed in limits.list_windows():
            passed = self._passed.setdefault((sha256(key.encode()).hexdigest(), span), deque())
            while passed and passed[0] <= now - span:
                passed.popleft()
            if len(passed) < allowed:
                passed.append(now)
            else:
                waits.append(min(span, span - (now - passed[0])) if passed else span)
        return max(1, math.ceil(max(waits))) if waits else None

    def reset(self) -> None:
        """Forget all counts."""
        self._passed.clear()
