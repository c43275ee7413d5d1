"""One origin, one key: calls out, parsed bodies or our errors in. The only importer of httpx.

Reads are tried again, writes are sent once. No redirect is followed, no
cookie kept, no other host ever contacted.
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from random import Random
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import httpx

from reconciler import __version__, errors
from reconciler.model import OWN_CLIENT
from reconciler.posthog import body as posthog_body
from reconciler.posthog import responses
from reconciler.posthog.credentials import Secret, is_loopback
from reconciler.posthog.deadline import Deadline, Stream
from reconciler.posthog.pagination import Params
from reconciler.posthog.rate_limit import RateLimiter
from reconciler.posthog.redaction import cut
from reconciler.posthog.responses import Call, Response, not_sent
from reconciler.posthog.retry import (
    BAD_PATH,
    CERTIFICATE,
    STOPPED,
    TOO_LARGE,
    Attempt,
    Delivered,
    Retrier,
)
from reconciler.posthog.retry_policy import DEFAULT_LIMITS, Limits, asked_wait_s

KEEP_ALIVE_S: Final = 4.0  # below the 5 s after which common servers hang up
CONNECTIONS: Final = 64
_TOO_MANY: Final = 429
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
        now: seconds since 1970, for dates in messages, and in answers that have no Date.
        limits: what a call, and all of them, may cost.
        log: one line a call, without query and body.

    """

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})

    def __init__(
        self,
        base_url: str,
        key: Secret,
        *,
        pacer: RateLimiter,
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
        self.throttled = 0  # answers that said "too many requests"
        self.clock_skew_s: float | None = None  # the server's clock minus ours, at the last answer
        self._key = key
        self._pacer = pacer
        self._clock = clock
        self._now = now
        self._limits = limits
        self._log = log or logging.getLogger(__name__)
        self._persistence = Retrier(
            pacer,
            clock=clock,
            sleep=sleep,
            rng=rng or Random(),  # noqa: S311  jitter is no secret
            now=now,
            limits=limits,
            log=self._log,
        )
        self._has_warned = False  # of answers that cannot be trusted
        self._count = threading.Lock()
        self._deadline = Deadline(clock)
        self._client = _client(base_url, key, limits, self._deadline)

    def get(self, path: str, params: Params | None = None) -> Any:
        """The parsed body of one GET; tried again where that makes sense."""
        return self._carry(Call("GET", path), params=params).value

    def stop(self, grace_s: float = 0.0) -> None:
        """No write is sent any more, nor, after `grace_s`, any read. For another thread."""
        self._persistence.stop(grace_s)

    def clock(self) -> float:
        """The monotonic seconds by which this connection waits."""
        return self._clock()

    @property
    def budget(self) -> tuple[tuple[int, int], ...]:
        """Requests that are left, and of how many: in the minute, in the hour."""
        return self._pacer.left()

    def rest(self, seconds: float) -> bool:
        """Wait so long by the connection's own clock; False if it was stopped meanwhile."""
        return self._persistence.rest(seconds)

    def closed_for_s(self) -> float:
        """Seconds until another call makes sense: 0.0 unless too many in a row have failed."""
        return self._persistence.closed_for_s()

    def close(self) -> None:
        """Stop, and close every connection."""
        self.stop()
        self._client.close()

    def _carry(self, call: Call, *, params: Params | None = None, body: Any = None) -> Delivered:
        """Send until there is an answer, or no sense in going on."""
        content = None if body is None else json.dumps(body, allow_nan=False, default=dict).encode()
        return self._persistence.carry(call, lambda: self._attempt(call, params, content))

    def _attempt(self, call: Call, params: Params | None, content: bytes | None) -> Attempt:
        """One exchange and what it means."""
        started, answer = self._clock(), None
        try:
            answer = self._exchange(call, params, content)
            self.throttled += answer.status == _TOO_MANY
            now = self._server_time(answer)
            value = responses.read(call, answer, key_source=self._key.source, now=now)
        except errors.ApiError as error:
            return Attempt(error=error, asked_s=self._asked_s(answer))
        finally:
            status = "no answer" if answer is None else answer.status
            self._log.debug("%s -> %s in %.3f s", call, status, self._clock() - started)
        return Attempt(value)

    def _asked_s(self, answer: Response | None) -> float | None:
        header = None if answer is None else answer.headers.get("retry-after")
        if answer is None or header is None:
            return None
        return asked_wait_s(header, "", self._server_time(answer))

    def _server_time(self, answer: Response) -> float:
        """The clock by which dates in an answer are meant: the server's own, if it tells it."""
        now = self._now()
        try:
            time_ = parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return now
        self.clock_skew_s = time_ - now
        return time_

    def _exchange(self, call: Call, params: Params | None, content: bytes | None) -> Response:
        if call.method not in self.methods:
            raise RuntimeError(f"{call.method} through a connection for {sorted(self.methods)}")
        request = self._request(call, params, content)
        with self._count:
            self.reads += not call.writes
            self.writes += call.writes
        self._deadline.start(self._persistence.exchange_s(call))
        try:
            response = self._client.send(request, stream=True)
            try:
                answer = self._receive(call, response)
                self._check_whole(call, response)
                return answer
            finally:
                response.close()
        except _NOT_SENT as error:
            raise self._unreachable(call, error) from None
        except RuntimeError:
            if self._client.is_closed:
                raise not_sent(call, "the connection was closed", code=STOPPED) from None
            raise
        except httpx.TimeoutException:
            why = f"no whole answer within {self._limits.deadline_s:g} s"
            raise responses.lost(call, "PostHog did not answer in time", why) from None
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}"
            raise responses.lost(call, "the connection broke", why) from None

    def _request(self, call: Call, params: Params | None, content: bytes | None) -> httpx.Request:
        """The request, once it is sure that it goes to our origin."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            request = self._client.build_request(
                call.method,
                self.origin + call.path,
                params=_query(params),
                content=content,
                headers=headers,
            )
        except httpx.InvalidURL as error:
            raise not_sent(call, f"no URL can be made of it: {error}", code=BAD_PATH) from None
        goes_to = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        odd = call.path.startswith("//") or "?" in call.path or "#" in call.path
        if goes_to != self.origin or not call.path.startswith("/") or odd:
            raise not_sent(call, f"it is no path on {self.origin}", code=BAD_PATH)
        return request

    def _unreachable(self, call: Call, error: httpx.HTTPError) -> errors.UnreachableError:
        if _has_cause(error, ssl.SSLCertVerificationError):
            return not_sent(
                call,
                f"the certificate of {self.origin} is not trusted: {error}",
                code=CERTIFICATE,
                fix="if your network uses its own authority, set SSL_CERT_FILE to its certificate",
            )
        why = f"no connection to {self.origin}: {str(error) or type(error).__name__}"
        return not_sent(
            call, why, fix=f"check the network, the proxy, and that {self.origin} is right"
        )

    def _check_whole(self, call: Call, response: httpx.Response) -> None:
        """Refuse an answer with bytes after it: it may be another request's, as the next may."""
        stream = response.extensions.get("network_stream")
        if not isinstance(stream, Stream) or not stream.has_extra:
            return
        stream.close()  # so that it is not used again
        if not self._has_warned:
            self._has_warned = True
            self._log.warning(
                "%s: more bytes came than belong to the answer; it is not used, and the connection "
                "was closed. Something between here and PostHog mixes answers up",
                call,
            )
        why = "more bytes came than belong to the answer: it may be the answer to another request"
        raise responses.lost(call, "the answer cannot be trusted", why)

    def _receive(self, call: Call, response: httpx.Response) -> Response:
        """The whole body, read under the deadline and the cap."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        head = Response(response.status_code, headers, b"")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        body = bytearray()
        try:
            for piece in posthog_body.inflated(
                response.iter_raw(), encoding, self._limits.max_bytes
            ):
                body += piece
                if len(body) > self._limits.max_bytes:
                    reason = f"more than {self._limits.max_bytes} bytes"
                    raise responses.unreadable(call, head, reason, code=TOO_LARGE)
        except ValueError as error:
            raise responses.unreadable(call, head, str(error)) from None
        return Response(head.status, headers, bytes(body))


class WriteTransport(Transport):
    """The connection that may also write."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Delivered:
        """Send a write once. Its parsed body, or None where there is none.

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
                "x-posthog-client": OWN_CLIENT,
            },
            verify=True if parts.scheme == "https" else trusting_nobody,
            timeout=httpx.Timeout(limits.deadline_s, connect=limits.connect_s),
            limits=httpx.Limits(
                max_connections=CONNECTIONS,
                max_keepalive_connections=CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            follow_redirects=False,
            # proxies and authorities of the environment; no proxy reaches our own loopback
            trust_env=parts.scheme == "https" or not is_loopback(parts.hostname or ""),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
    except (OSError, ValueError, ImportError) as error:
        raise errors.TargetError(
            f"no connection to {base_url} can be prepared",
            why=cut(f"{type(error).__name__}: {error}"),
            fix="check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables of the environment",
        ) from None
    # httpx offers no total deadline and no way to hand a backend in, hence its private parts;
    # a test drips bytes to notice when they move.
    for route in (client._transport, *client._mounts.values()):  # noqa: SLF001  no other way in
        if isinstance(route, httpx.HTTPTransport):
            deadline.guard(route._pool)  # noqa: SLF001  as above
    return client


def _query(params: Params | None) -> httpx.QueryParams | None:
    if params is None:
        return None
    return httpx.QueryParams(dict(params) if isinstance(params, Mapping) else tuple(params))


def _has_cause(error: BaseException, cls: type[BaseException]) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, cls):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
