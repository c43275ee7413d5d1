"""Decide when a call is sent, sent again, or given up. Knows neither sockets nor HTTP bodies.

Reads are tried again; writes only if they were certainly not carried out: no connection, or 429.
"""

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from threading import Event
from typing import Any, Final

from reconciler import errors
from reconciler.lazy_dataclass import dataclass
from reconciler.posthog import retry_policy
from reconciler.posthog.rate_limit import RateLimiter
from reconciler.posthog.redaction import redact
from reconciler.posthog.responses import Call, build_not_sent
from reconciler.posthog.retry_policy import CallLimits

# Our own codes for errors that have none of PostHog's; trying again would not help.
TOO_LARGE: Final = "too_large"
CERTIFICATE: Final = "certificate"
STOPPED: Final = "stopped"
BAD_PATH: Final = "bad_path"
CIRCUIT: Final = "circuit"
_PERMANENT: Final = frozenset({TOO_LARGE, CERTIFICATE, STOPPED, BAD_PATH, CIRCUIT})

_RETRIED: Final = frozenset({408, 425, 500, 502, 503, 504})
_SLICE_S: Final = 1.0  # a waiting thread checks this often for a stop
_LONG_WAIT_S: Final = 5.0  # a wait worth reporting
_FAR_FUTURE_S: Final = 1e9  # a later date cannot be printed, and nobody waits for it


@dataclass(frozen=True, slots=True)
class Attempt:
    """Hold the result of one send: a value or an error, and the wait that was requested."""

    value: Any = None
    error: errors.ApiError | None = None
    requested_wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Hold a value, and how often the call was sent to get it."""

    value: Any
    sends: int


class Retrier:
    """Retry the calls of one connection, in all its threads."""

    def __init__(
        self,
        rate_limiter: RateLimiter,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        rng: Random,
        now: Callable[[], float],
        limits: CallLimits,
        log: logging.Logger,
    ) -> None:
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._now = now
        self._limits = limits
        self._log = log
        self._budget = retry_policy.Budget(limits)
        self._breaker = retry_policy.Breaker(limits, clock)
        self._until = math.inf if limits.run_s is None else clock() + limits.run_s
        self._reported_until = -math.inf
        self._stopped = Event()
        self._reads_until = math.inf  # after a stop, reads are allowed until then

    def stop(self, grace_s: float = 0.0) -> None:
        """Stop sending: writes at once, reads after `grace_s`. Wake threads that wait."""
        if not self._stopped.is_set():
            self._reads_until = self._clock() + grace_s
        else:
            self._reads_until = min(self._reads_until, self._clock() + grace_s)
        self._stopped.set()

    def get_exchange_timeout_s(self, call: Call) -> float:
        """Return the seconds that one exchange may take."""
        left = self._reads_until - self._clock() if not call.writes else math.inf
        return max(0.0, min(self._limits.deadline_s, left))

    def sleep(self, seconds: float) -> bool:
        """Wait; return False if the run was stopped, which ends the wait within a second."""
        while seconds > 0.0 and not self._stopped.is_set():
            self._sleep(min(seconds, _SLICE_S))
            seconds -= _SLICE_S
        return not self._stopped.is_set()

    def circuit_open_for_s(self) -> float:
        """Return the seconds until another call makes sense: 0.0 unless the circuit is open."""
        return self._breaker.circuit_open_for_s()

    def deliver(self, call: Call, send: Callable[[], Attempt]) -> Delivered:
        """Send until there is a value; raise the last error if another try makes no sense.

        The error has the number of sends.
        """
        sends = 0
        try:
            self._check_circuit(call)
            failures = throttled = 0
            while True:
                self._take_turn(call)
                started = self._clock()
                try:
                    attempt = send()
                finally:
                    self._rate_limiter.release()
                error = attempt.error
                sends += not isinstance(error, errors.UnreachableError)  # which was not sent
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
                self._back_off(error, attempt.requested_wait_s, failures)
        except errors.ApiError as error:
            error.sends = sends
            raise

    def _record(self, error: errors.ApiError, started: float) -> None:
        """Record a failure; calls that ran side by side and got responses count as one."""
        answered = error.status is not None
        failed = _is_failure(error)
        self._breaker.record(failed=failed, started=started if answered else None)

    def _check_circuit(self, call: Call) -> None:
        if wait := self._breaker.request_probe():
            raise build_not_sent(
                call,
                f"{self._limits.breaker_failures} calls in a row have failed",
                code=CIRCUIT,
                fix=f"check whether PostHog is up; the next try is in {math.ceil(wait)} s",
            )
        self._budget.count_call()

    def _take_turn(self, call: Call) -> None:
        """Wait for the rate limit, unless that takes longer than the run may.

        After the call, the turn has to be released.
        """
        self._report_long_wait()
        left = self._until - self._clock()
        missing = self._rate_limiter.acquire(
            patience_s=left, stopped=lambda: self._is_stopped(call)
        )
        has_turn, is_stopped = not missing, self._is_stopped(call)
        if has_turn and not is_stopped and left > 0.0:
            return
        if has_turn:
            self._rate_limiter.release()
        if is_stopped:
            raise build_not_sent(call, "the run was stopped", code=STOPPED)
        raise errors.ThrottledError(
            redact(f"{call}: not sent, because the time of the run is up"),
            method=call.method,
            path=call.path,
            retry_after_s=missing,
            why="the rate limit of the key is used up" if missing else "",
            fix=self._suggest_resume(missing),
        )

    def _is_stopped(self, call: Call) -> bool:
        if not self._stopped.is_set():
            return False
        return call.writes or self._clock() >= self._reads_until

    def _report_long_wait(self) -> None:
        wait, now = self._rate_limiter.compute_wait_s(), self._clock()
        if wait > _LONG_WAIT_S and now >= self._reported_until:
            self._reported_until = now + wait  # once, not once a thread
            self._log.warning(
                "waiting %.0f s for the rate limit of the key",
                wait,
                extra={"is_progress": True},  # a terminal shows it elsewhere
            )

    def _pause(self, error: errors.ThrottledError, times: int) -> None:
        """Make all threads wait after a 429 as long as the server requested, within reason."""
        shortest = retry_policy.compute_backoff_s(times, self._limits, self._rng)
        wait = max(error.retry_after_s or 0.0, shortest)
        if wait > min(self._limits.longest_wait_s, self._until - self._clock()):
            error.fix = self._suggest_resume(wait)
            raise error
        if times >= self._limits.throttled_tries:
            raise error
        self._log.info("%s %s: 429, all threads wait %.1f s", error.method, error.path, wait)
        self._rate_limiter.pause(wait)

    def _may_retry(self, call: Call, error: errors.ApiError, failures: int) -> bool:
        if not _is_worth_retrying(call, error) or failures >= self._limits.tries:
            return False
        return self._budget.take_retry()

    def _back_off(
        self, error: errors.ApiError, requested_wait_s: float | None, failures: int
    ) -> None:
        wait = max(
            requested_wait_s or 0.0,
            retry_policy.compute_backoff_s(failures, self._limits, self._rng),
        )
        if wait > min(self._limits.longest_wait_s, self._until - self._clock()):
            error.fix = self._suggest_resume(wait)
            raise error
        self._log.info("%s; trying again in %.1f s", error.what, wait)
        self.sleep(wait)

    def _suggest_resume(self, wait_s: float) -> str:
        moment = datetime.fromtimestamp(self._now() + min(wait_s, _FAR_FUTURE_S), UTC)
        return (
            f"run the command again after {moment:%Y-%m-%d %H:%M:%S} UTC; it continues from there"
        )


def _is_failure(error: errors.ApiError) -> bool:
    """Return whether the server, or the network, is at fault; a refusal is not a failure."""
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
        return error.status is None or error.status < 300  # noqa: PLR2004  not a redirect
    return error.status in _RETRIED
