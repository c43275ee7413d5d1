"""When a call is sent, sent again, or given up. Knows neither sockets nor HTTP bodies.

Reads are tried again, writes only where they surely were not carried out: no connection, or 429.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from threading import Event
from typing import Any, Final

from reconciler import errors
from reconciler.posthog import retry_policy
from reconciler.posthog.rate_limit import RateLimiter
from reconciler.posthog.redaction import redact
from reconciler.posthog.responses import Call, not_sent
from reconciler.posthog.retry_policy import Limits

# Our own codes, where no answer of PostHog's brought one: trying again would not help.
TOO_LARGE: Final = "too_large"
CERTIFICATE: Final = "certificate"
STOPPED: Final = "stopped"
BAD_PATH: Final = "bad_path"
CIRCUIT: Final = "circuit"
_PERMANENT: Final = frozenset({TOO_LARGE, CERTIFICATE, STOPPED, BAD_PATH, CIRCUIT})

_RETRIED: Final = frozenset({408, 425, 500, 502, 503, 504})
_SLICE_S: Final = 1.0  # whoever waits looks up this often for a stop
_LONG_WAIT_S: Final = 5.0  # a wait worth telling a person about
_FAR_FUTURE_S: Final = 1e9  # a date beyond it cannot be printed, and nobody waits for it


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one send brought: a value or an error, and the wait that the answer asked for."""

    value: Any = None
    error: errors.ApiError | None = None
    asked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A value, and how often the call was sent to get it."""

    value: Any
    sends: int


class Retrier:
    """The patience of one connection, shared by all its calls and threads."""

    def __init__(
        self,
        pacer: RateLimiter,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        rng: Random,
        now: Callable[[], float],
        limits: Limits,
        log: logging.Logger,
    ) -> None:
        self._pacer = pacer
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._now = now
        self._limits = limits
        self._log = log
        self._budget = retry_policy.Budget(limits)
        self._breaker = retry_policy.Breaker(limits, clock)
        self._until = math.inf if limits.run_s is None else clock() + limits.run_s
        self._told_until = -math.inf
        self._stopped = Event()
        self._reads_until = math.inf  # once stopped, what became of a write may still be read

    def stop(self, grace_s: float = 0.0) -> None:
        """No write is sent any more, nor, after `grace_s`, any read; who waits is woken."""
        if not self._stopped.is_set():
            self._reads_until = self._clock() + grace_s
        else:
            self._reads_until = min(self._reads_until, self._clock() + grace_s)
        self._stopped.set()

    def exchange_s(self, call: Call) -> float:
        """Seconds that one exchange may take."""
        left = self._reads_until - self._clock() if not call.writes else math.inf
        return max(0.0, min(self._limits.deadline_s, left))

    def rest(self, seconds: float) -> bool:
        """Wait so long; False if the run was stopped, which ends it within a second."""
        while seconds > 0.0 and not self._stopped.is_set():
            self._sleep(min(seconds, _SLICE_S))
            seconds -= _SLICE_S
        return not self._stopped.is_set()

    def closed_for_s(self) -> float:
        """Seconds until another call makes sense: 0.0 unless the circuit is open."""
        return self._breaker.closed_for_s()

    def carry(self, call: Call, send: Callable[[], Attempt]) -> Delivered:
        """Send until there is a value, or no sense in going on: then raise the last error.

        The error knows how often the call was sent.
        """
        sends = 0
        try:
            self._enter(call)
            failures = throttled = 0
            while True:
                self._take_turn(call)
                started = self._clock()
                attempt = send()
                error = attempt.error
                sends += not isinstance(error, errors.UnreachableError)  # which never left
                if error is None:
                    self._breaker.record(failed=False, started=started)
                    return Delivered(attempt.value, sends)
                if isinstance(error, errors.ThrottledError):
                    throttled += 1
                    self._pause(error, throttled)
                    continue
                self._record(error, started)
                failures += 1
                if not self._may_retry(call, error, failures):
                    raise error
                self._back_off(error, attempt.asked_s, failures)
        except errors.ApiError as error:
            error.sends = sends
            raise

    def _record(self, error: errors.ApiError, started: float) -> None:
        """Answers of calls that ran side by side are one failure, for somebody did answer."""
        answered = error.status is not None
        failed = _is_failure(error)
        self._breaker.record(failed=failed, started=started if answered else None)

    def _enter(self, call: Call) -> None:
        if wait := self._breaker.wait_s():
            raise not_sent(
                call,
                f"{self._limits.breaker_failures} calls in a row have failed",
                code=CIRCUIT,
                fix=f"see whether PostHog is up; it is tried again in {math.ceil(wait)} s",
            )
        self._budget.count_call()

    def _take_turn(self, call: Call) -> None:
        """Wait for the rate limit, unless that outlasts the run."""
        self._tell_long_wait()
        left = self._until - self._clock()
        missing = self._pacer.acquire(patience_s=left, stopped=lambda: self._is_stopped(call))
        if self._is_stopped(call):
            raise not_sent(call, "the run was stopped", code=STOPPED)
        if missing or left <= 0.0:
            raise errors.ThrottledError(
                redact(f"{call}: not sent, the time of the run is up"),
                method=call.method,
                path=call.path,
                retry_after_s=missing,
                why="the requests that the key may send are used up" if missing else "",
                fix=self._resume(missing),
            )

    def _is_stopped(self, call: Call) -> bool:
        if not self._stopped.is_set():
            return False
        return call.writes or self._clock() >= self._reads_until

    def _tell_long_wait(self) -> None:
        wait, now = self._pacer.wait_s(), self._clock()
        if wait > _LONG_WAIT_S and now >= self._told_until:
            self._told_until = now + wait  # once, not once a thread
            self._log.warning("waiting %.0f s for the rate limit of the key", wait)

    def _pause(self, error: errors.ThrottledError, times: int) -> None:
        """429: all threads wait as long as the server asked, within reason."""
        shortest = retry_policy.backoff_s(times, self._limits, self._rng)
        wait = max(error.retry_after_s or 0.0, shortest)
        if wait > min(self._limits.longest_wait_s, self._until - self._clock()):
            error.fix = self._resume(wait)
            raise error
        if times >= self._limits.throttled_tries:
            raise error
        self._log.info("%s %s: 429, all wait %.1f s", error.method, error.path, wait)
        self._pacer.pause(wait)

    def _may_retry(self, call: Call, error: errors.ApiError, failures: int) -> bool:
        if not _is_worth_retrying(call, error) or failures >= self._limits.tries:
            return False
        return self._budget.take_retry()

    def _back_off(self, error: errors.ApiError, asked_s: float | None, failures: int) -> None:
        wait = max(asked_s or 0.0, retry_policy.backoff_s(failures, self._limits, self._rng))
        if wait > min(self._limits.longest_wait_s, self._until - self._clock()):
            error.fix = self._resume(wait)
            raise error
        self._log.info("%s; again in %.1f s", error.what, wait)
        self.rest(wait)

    def _resume(self, wait_s: float) -> str:
        moment = datetime.fromtimestamp(self._now() + min(wait_s, _FAR_FUTURE_S), UTC)
        return f"run the command again after {moment:%Y-%m-%d %H:%M:%S} UTC; it goes on from there"


def _is_failure(error: errors.ApiError) -> bool:
    """Whether the server, or the way to it, is at fault; a refusal is an answer."""
    at_fault = (
        errors.UnreachableError,
        errors.UnreadableError,
        errors.AmbiguousError,
        errors.ServerError,
    )
    return isinstance(error, at_fault) and error.code not in (TOO_LARGE, BAD_PATH)


def _is_worth_retrying(call: Call, error: errors.ApiError) -> bool:
    if error.code in _PERMANENT:
        return False
    if isinstance(error, errors.UnreachableError):
        return True
    if call.writes:
        return False
    if isinstance(error, errors.UnreadableError):
        return error.status is None or error.status < 300  # noqa: PLR2004  no redirect
    return error.status in _RETRIED
