"""One origin, one key: calls out, parsed bodies or our errors in. The only importer of httpx.

Reads are tried again, writes are sent once (reliability R-CLASS). No redirect is followed, no
cookie kept, no other host ever contacted.
"""

import hashlib
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from random import Random
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import httpx

from reconciler import __version__, errors
from reconciler.posthog import answers, bodies, patience
from reconciler.posthog.answers import Answer, Call
from reconciler.posthog.credentials import Secret, is_loopback
from reconciler.posthog.deadline import Deadline
from reconciler.posthog.pacing import Pacer
from reconciler.posthog.patience import DEFAULT_LIMITS, Limits
from reconciler.posthog.redaction import redact

Params = Mapping[str, str | int | bool] | Sequence[tuple[str, str]]

KEEP_ALIVE_S: Final = 4.0  # below the 5 s after which common servers hang up
CONNECTIONS: Final = 64
_SLICE_S: Final = 1.0  # whoever waits looks up this often for a stop
_LONG_WAIT_S: Final = 5.0  # a wait worth telling a person about
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOO_LARGE: Final = "too_large"
_CERTIFICATE: Final = "certificate"
_STOPPED: Final = "stopped"
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Transport:
    """The connection for reading: it has no method that writes, and sends nothing but GET.

    Thread-safe. Time, randomness and waiting are handed in; only socket timeouts are real.

    Args:
        base_url: an origin, as `credentials.resolve` makes it.
        key: sent in the Authorization header to that origin, and nowhere else.
        pacer: asked before each send.
        clock, sleep, rng: monotonic seconds, waiting, jitter.
        now: seconds since 1970, for dates in answers and in messages.
        limits: what a call, and all of them, may cost.
        log: one line a call, without query and body.

    """

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})

    def __init__(
        self,
        base_url: str,
        key: Secret,
        *,
        pacer: Pacer,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: Random | None = None,
        now: Callable[[], float] = time.time,
        limits: Limits = DEFAULT_LIMITS,
        log: logging.Logger | None = None,
    ) -> None:
        self.origin = base_url
        self.reads = 0  # requests that left, retries included
        self.writes = 0
        self.clock_skew_s: float | None = None  # the server's clock minus ours, at the last answer
        self._key = key
        self._pacer = pacer
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or Random()  # noqa: S311  jitter is no secret
        self._now = now
        self._limits = limits
        self._log = log or logging.getLogger(__name__)
        self._budget = patience.Budget(limits)
        self._breaker = patience.Breaker(limits, clock)
        self._until = None if limits.run_s is None else clock() + limits.run_s
        self._stopped = threading.Event()
        self._count = threading.Lock()
        self._deadline = Deadline(clock)
        self._client = _client(base_url, key, limits, self._deadline)

    def get(self, path: str, params: Params | None = None) -> Any:
        """The parsed body of one GET; tried again where that makes sense."""
        return self._carry(Call("GET", path), params=params)

    def stop(self) -> None:
        """Nothing more is sent; who waits is woken within a second. For another thread."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and close every connection."""
        self.stop()
        self._client.close()

    def _carry(self, call: Call, *, params: Params | None = None, body: Any = None) -> Any:
        """Send until there is an answer, or no sense in going on."""
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        if wait := self._breaker.wait_s():
            raise self._not_sent(
                call,
                f"PostHog failed {self._limits.breaker_failures} times in a row",
                fix=f"try again in {wait:.0f} s or later",
            )
        self._budget.count_call()
        failures = throttled = 0
        while True:
            self._take_turn(call)
            try:
                result = self._once(call, params, content)
            except errors.ThrottledError as error:
                throttled += 1
                self._pause(error, throttled)
            except errors.ApiError as error:
                self._breaker.record(failed=_is_failure(error))
                failures += 1
                if (
                    not _is_worth_retrying(call, error)
                    or failures >= self._limits.tries
                    or not self._budget.take_retry()
                ):
                    raise
                self._back_off(error, failures)
            else:
                self._breaker.record(failed=False)
                return result

    def _take_turn(self, call: Call) -> None:
        """Wait for the rate limit, unless that outlasts the run."""
        wait = self._pacer.wait_s()
        if wait > _LONG_WAIT_S:
            self._log.warning("waiting %.0f s for the rate limit of the key", wait)
        left = self._left_s()
        left_over = self._pacer.acquire(patience_s=left, stopped=self._stopped.is_set)
        if self._stopped.is_set():
            raise self._not_sent(call, "the run was stopped", code=_STOPPED)
        if left_over or left <= 0.0:
            raise errors.ThrottledError(
                redact(f"{call}: the run's time is up"),
                method=call.method,
                path=call.path,
                retry_after_s=left_over,
                why="all requests of the key's rate limit are used" if left_over else "",
                fix=f"run the command again after {self._at(left_over)}; it goes on from there",
            )

    def _pause(self, error: errors.ThrottledError, times: int) -> None:
        """429: all threads wait as long as the server asked, within reason."""
        jitter = patience.backoff_s(times, self._limits, self._rng)
        wait = max(error.retry_after_s or 0.0, jitter)
        if wait > min(self._limits.longest_wait_s, self._left_s()):
            error.fix = f"run the command again after {self._at(wait)}; it goes on from there"
            raise error
        if times >= self._limits.throttled_tries:
            raise error
        self._log.info("%s %s: 429, waiting %.1f s", error.method, error.path, wait)
        self._pacer.pause(wait)

    def _back_off(self, error: errors.ApiError, failures: int) -> None:
        wait = patience.backoff_s(failures, self._limits, self._rng)
        if wait > self._left_s():
            raise error
        self._log.info("%s; again in %.1f s", error.what, wait)
        while wait > 0.0 and not self._stopped.is_set():
            self._sleep(min(wait, _SLICE_S))
            wait -= _SLICE_S

    def _left_s(self) -> float:
        return float("inf") if self._until is None else self._until - self._clock()

    def _at(self, wait_s: float) -> str:
        moment = datetime.fromtimestamp(self._now() + wait_s, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

    def _not_sent(
        self, call: Call, why: str, *, code: str = "", fix: str | None = None
    ) -> errors.UnreachableError:
        return errors.UnreachableError(
            redact(f"{call}: not sent to {self.origin}"),
            method=call.method,
            path=call.path,
            code=code,
            why=answers.cut(why),
            fix=fix,
        )

    def _once(self, call: Call, params: Params | None, content: bytes | None) -> Any:
        """One exchange and what it means."""
        started = self._clock()
        answer = self._exchange(call, params, content)
        took = self._clock() - started
        self._log.debug("%s -> %d in %.3f s", call, answer.status, took)
        self._note_date(answer)
        return answers.read(call, answer, key_source=self._key.source, now=self._now())

    def _note_date(self, answer: Answer) -> None:
        try:
            date = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError, TypeError):
            return
        self.clock_skew_s = date.timestamp() - self._now()

    def _exchange(self, call: Call, params: Params | None, content: bytes | None) -> Answer:
        if call.method not in self.methods:
            raise RuntimeError(f"{call.method} through a connection for {sorted(self.methods)}")
        request = self._request(call, params, content)
        with self._count:
            self.reads += not call.writes
            self.writes += call.writes
        self._deadline.start(self._limits.deadline_s)
        try:
            response = self._client.send(request, stream=True)
            try:
                return self._receive(call, response)
            finally:
                response.close()
        except _NOT_SENT as error:
            raise self._unreachable(call, error) from None
        except httpx.TimeoutException:
            why = f"no whole answer within {self._limits.deadline_s:g} s"
            raise answers.lost(call, "PostHog did not answer in time", why) from None
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}"
            raise answers.lost(call, "the connection broke", why) from None

    def _request(self, call: Call, params: Params | None, content: bytes | None) -> httpx.Request:
        if not call.path.startswith("/") or call.path.startswith("//") or "?" in call.path:
            raise ValueError(f"not a path: {call.path!r}")
        headers = {} if content is None else {"Content-Type": "application/json"}
        request = self._client.build_request(
            call.method,
            self.origin + call.path,
            params=_query(params),
            content=content,
            headers=headers,
        )
        went = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        if went != self.origin:
            raise ValueError(f"{went} is not {self.origin}")
        return request

    def _unreachable(self, call: Call, error: httpx.HTTPError) -> errors.UnreachableError:
        if _has_cause(error, ssl.SSLCertVerificationError):
            return self._not_sent(
                call,
                f"its certificate is not trusted: {error}",
                code=_CERTIFICATE,
                fix="if your network uses its own authority, set SSL_CERT_FILE to its certificate",
            )
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        return self._not_sent(
            call, why, fix=f"check the network, the proxy, and that {self.origin} is right"
        )

    def _receive(self, call: Call, response: httpx.Response) -> Answer:
        """The whole body, read under the deadline and the cap."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        head = Answer(response.status_code, headers, b"")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        body = bytearray()
        try:
            for piece in bodies.inflated(response.iter_raw(), encoding, self._limits.max_bytes):
                body += piece
                if len(body) > self._limits.max_bytes:
                    reason = f"more than {self._limits.max_bytes} bytes"
                    raise answers.unreadable(call, head, reason, code=_TOO_LARGE)
        except ValueError as error:
            raise answers.unreadable(call, head, str(error)) from None
        return Answer(head.status, headers, bytes(body))


class WriteTransport(Transport):
    """The connection that may also write."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a write once. The parsed body, or None where there is none.

        It is sent again only where it surely was not carried out: 429, and no connection.
        """
        return self._carry(Call(method, path), body=body)


def _client(base_url: str, key: Secret, limits: Limits, deadline: Deadline) -> httpx.Client:
    """The httpx client: as little of its comfort as possible."""
    for name in ("httpx", "httpcore"):  # their debug logs show headers and whole URLs
        logging.getLogger(name).setLevel(logging.WARNING)
    parts = urlsplit(base_url)
    trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # quick, and http needs none
    try:
        client = httpx.Client(
            headers={
                "Authorization": f"Bearer {key.reveal()}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"reconciler/{__version__}",
                "x-posthog-client": "reconciler",
            },
            verify=True if parts.scheme == "https" else trusting_nobody,
            timeout=httpx.Timeout(limits.deadline_s, connect=limits.connect_s),
            limits=httpx.Limits(
                max_connections=CONNECTIONS,
                max_keepalive_connections=CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            follow_redirects=False,
            # proxies and authorities of the environment; a proxy cannot reach our own loopback
            trust_env=not is_loopback(parts.hostname or ""),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
    except (OSError, ValueError, ImportError) as error:
        raise errors.TargetError(
            f"no connection to {base_url} can be prepared",
            why=answers.cut(f"{type(error).__name__}: {error}"),
            fix="check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables of the environment",
        ) from None
    # httpx offers no total deadline and no way to hand a backend in, hence its private parts;
    # a test drips bytes to notice when they move.
    for route in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(route, httpx.HTTPTransport):
            deadline.guard(route._pool)  # noqa: SLF001
    return client


def _query(params: Params | None) -> httpx.QueryParams | None:
    if params is None:
        return None
    return httpx.QueryParams(dict(params) if isinstance(params, Mapping) else tuple(params))


def key_digest(key: Secret) -> str:
    """What tells keys apart without being one."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()


def _is_failure(error: errors.ApiError) -> bool:
    """Whether the server, or the way to it, is at fault; a refusal is an answer."""
    if error.code in (_TOO_LARGE, _STOPPED):
        return False
    ours = (errors.UnreachableError, errors.UnreadableError, errors.AmbiguousError)
    return isinstance(error, (*ours, errors.ServerError))


def _is_worth_retrying(call: Call, error: errors.ApiError) -> bool:
    if error.code in (_TOO_LARGE, _CERTIFICATE, _STOPPED):
        return False
    if isinstance(error, errors.UnreachableError):
        return True
    if call.writes:
        return False
    if isinstance(error, errors.UnreadableError):
        return error.status is None or error.status < 300  # noqa: PLR2004  not a redirect
    return error.status in _RETRIED


def _has_cause(error: BaseException, cls: type[BaseException]) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, cls):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
