"""Make calls to one origin with one key: bodies or our errors. The only user of httpx here.

Reads are tried again, writes are sent once. No redirect is followed, no cookie is kept, and no
other host is contacted.
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from random import Random
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import httpx

from reconciler import __version__, errors
from reconciler.model import OWN_CLIENT
from reconciler.normal_form import encrypted_payloads
from reconciler.posthog import body as posthog_body
from reconciler.posthog import responses
from reconciler.posthog.credentials import Secret, is_loopback
from reconciler.posthog.deadline import Deadline, Stream
from reconciler.posthog.pagination import Params
from reconciler.posthog.rate_limit import RateLimiter
from reconciler.posthog.redaction import cut_line
from reconciler.posthog.responses import Call, Response, build_not_sent
from reconciler.posthog.retry import (
    BAD_PATH,
    CERTIFICATE,
    STOPPED,
    TOO_LARGE,
    Attempt,
    Delivered,
    Retrier,
)
from reconciler.posthog.retry_policy import DEFAULT_LIMITS, CallLimits, parse_requested_wait_s

KEEP_ALIVE_S: Final = 4.0  # below the 5 s after which common servers hang up
CONNECTIONS: Final = 64
_TOO_MANY: Final = 429
_NO_ANSWER: Final = frozenset({_TOO_MANY, 502, 503, 504})  # not of PostHog's API, or not yet
_ReadResponse = Callable[..., Any]  # as responses.read_response
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Transport:
    """Read: this connection has no method that writes, and sends nothing but GET.

    Thread-safe. Time, randomness and waiting are parameters; only socket timeouts are real.

    Args:
        base_url: an origin, as `credentials.resolve` makes it.
        key: sent in the Authorization header to that origin, and nowhere else.
        rate_limiter: waits before each send.
        clock, sleep, rng: monotonic seconds, waiting, jitter.
        now: seconds since 1970, for dates in messages, and in responses without a Date.
        limits: what a call, and all of them, may cost.
        log: gets one line per call, without query and body.

    """

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})

    def __init__(
        self,
        base_url: str,
        key: Secret,
        *,
        rate_limiter: RateLimiter,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: Random | None = None,
        now: Callable[[], float] = time.time,
        limits: CallLimits = DEFAULT_LIMITS,
        log: logging.Logger | None = None,
    ) -> None:
        self.origin = base_url
        self.reads = 0  # requests that left, retries included
        self.writes = 0
        self.throttled = 0  # responses that said "too many requests"
        self.clock_skew_s: float | None = (
            None  # the server's clock minus ours, at the last response
        )
        self._key = key
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._now = now
        self._limits = limits
        self.log = log or logging.getLogger(__name__)
        self._retrier = Retrier(
            rate_limiter,
            clock=clock,
            sleep=sleep,
            rng=rng or Random(),  # noqa: S311  jitter is not a secret
            now=now,
            limits=limits,
            log=self.log,
        )
        self._has_warned = False  # about responses that cannot be trusted
        self._count = threading.Lock()
        self._deadline = Deadline(clock)
        self._client = _open_client(base_url, key, limits, self._deadline)

    def get(self, path: str, params: Params | None = None) -> Any:
        """Return the parsed body of one GET; retry where that makes sense."""
        return self._deliver(Call("GET", path), params=params).value

    def stop(self, grace_s: float = 0.0) -> None:
        """Stop sending: writes at once, reads after `grace_s`. For another thread."""
        self._retrier.stop(grace_s)

    def clock(self) -> float:
        """Return the time of this connection's monotonic clock."""
        return self._clock()

    @property
    def budget(self) -> tuple[tuple[int, int], ...]:
        """Return the requests that are left, and of how many: per minute, per hour."""
        return self._rate_limiter.count_left()

    @property
    def pause_s(self) -> float:
        """Return the seconds that calls still wait for the rate limit; 0.0 if none waits."""
        return self._rate_limiter.compute_pause_s()

    def sleep(self, seconds: float) -> bool:
        """Wait on this connection's clock; return False if it was stopped meanwhile."""
        return self._retrier.sleep(seconds)

    def circuit_open_for_s(self) -> float:
        """Return the seconds until another call makes sense: 0.0 unless the circuit is open."""
        return self._retrier.circuit_open_for_s()

    def close(self) -> None:
        """Stop, and close every connection."""
        self.stop()
        self._client.close()
        self._deadline.close()

    def _deliver(self, call: Call, *, params: Params | None = None, body: Any = None) -> Delivered:
        """Send until there is a response, or until another try makes no sense."""
        content = None if body is None else json.dumps(body, allow_nan=False, default=dict).encode()
        secrets = encrypted_payloads.list_sent_secrets(body)
        read = partial(responses.read_response, secrets=secrets)
        return self._retrier.deliver(call, lambda: self._attempt(call, params, content, read))

    def _attempt(
        self,
        call: Call,
        params: Params | None,
        content: bytes | None,
        read: _ReadResponse = responses.read_response,
    ) -> Attempt:
        """Make one exchange and interpret its response."""
        started, response = self._clock(), None
        try:
            response = self._exchange(call, params, content)
            self.throttled += response.status == _TOO_MANY
            now = self._read_server_time(response)
            value = read(call, response, key_source=self._key.source, now=now)
        except errors.ApiError as error:
            return Attempt(error=error, requested_wait_s=self._read_requested_wait_s(response))
        finally:
            status = "no response" if response is None else response.status
            self.log.debug("%s -> %s in %.3f s", call, status, self._clock() - started)
        return Attempt(value)

    def _read_requested_wait_s(self, response: Response | None) -> float | None:
        header = None if response is None else response.headers.get("retry-after")
        if response is None or header is None:
            return None
        return parse_requested_wait_s(header, "", self._read_server_time(response))

    def _read_server_time(self, response: Response) -> float:
        """Return the server's own time for the dates of a response, or ours if it has none."""
        now = self._now()
        try:
            time_ = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return now
        self.clock_skew_s = time_ - now
        return time_

    def _exchange(self, call: Call, params: Params | None, content: bytes | None) -> Response:
        if call.method not in self.methods:
            raise RuntimeError(f"{call.method} through a connection for {sorted(self.methods)}")
        request = self._build_request(call, params, content)
        with self._count:
            self.reads += not call.writes
            self.writes += call.writes
        self._deadline.start(self._retrier.get_exchange_timeout_s(call))
        try:
            raw_response = self._client.send(request, stream=True)
            try:
                response = self._receive(call, raw_response)
                self._check_whole(call, raw_response)
                return response
            finally:
                raw_response.close()
        except _NOT_SENT as error:
            raise self._build_unreachable(call, error) from None
        except RuntimeError:
            if self._client.is_closed:
                raise build_not_sent(call, "the connection was closed", code=STOPPED) from None
            raise
        except httpx.TimeoutException:
            why = f"no complete response within {self._limits.deadline_s:g} s"
            raise responses.build_lost(call, "PostHog did not respond in time", why) from None
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}"
            raise responses.build_lost(call, "the connection broke", why) from None

    def _build_request(
        self, call: Call, params: Params | None, content: bytes | None
    ) -> httpx.Request:
        """Build the request, after checking that it goes to our origin."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            request = self._client.build_request(
                call.method,
                self.origin + call.path + _format_query(params),
                content=content,
                headers=headers,
            )
        except httpx.InvalidURL as error:
            raise build_not_sent(call, f"it is not a valid URL: {error}", code=BAD_PATH) from None
        goes_to = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        odd = call.path.startswith("//") or "?" in call.path or "#" in call.path
        if goes_to != self.origin or not call.path.startswith("/") or odd:
            raise build_not_sent(call, f"it is not a path on {self.origin}", code=BAD_PATH)
        return request

    def _build_unreachable(self, call: Call, error: httpx.HTTPError) -> errors.UnreachableError:
        if _has_cause(error, ssl.SSLCertVerificationError):
            return build_not_sent(
                call,
                f"the certificate of {self.origin} is not trusted: {error}",
                code=CERTIFICATE,
                fix="if your network uses its own authority, set SSL_CERT_FILE to its certificate",
            )
        why = f"no connection to {self.origin}: {str(error) or type(error).__name__}"
        return build_not_sent(
            call, why, fix=f"check the network, the proxy, and that {self.origin} is right"
        )

    def _check_whole(self, call: Call, raw_response: httpx.Response) -> None:
        """Refuse a response with bytes after it: it may be another request's, as the next may."""
        stream = raw_response.extensions.get("network_stream")
        if not isinstance(stream, Stream) or not stream.has_extra:
            return
        stream.close()  # so that it is not used again
        if not self._has_warned:
            self._has_warned = True
            self.log.warning(
                "%s: there are bytes after the response; it is not used, and the connection is "
                "closed. A proxy between this machine and PostHog may mix responses up",
                call,
            )
        why = "there are bytes after the response: it may be the response to another request"
        raise responses.build_lost(call, "the response cannot be trusted", why)

    def _receive(self, call: Call, raw_response: httpx.Response) -> Response:
        """Read the whole body within the deadline and the size limit."""
        headers = {name.lower(): value for name, value in raw_response.headers.items()}
        head = Response(raw_response.status_code, headers, b"")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        body = bytearray()
        try:
            for piece in posthog_body.inflate(
                raw_response.iter_raw(), encoding, self._limits.max_bytes
            ):
                body += piece
                if len(body) > self._limits.max_bytes:
                    reason = f"more than {self._limits.max_bytes} bytes"
                    raise responses.build_unreadable(call, head, reason, code=TOO_LARGE)
        except ValueError as error:
            raise responses.build_unreadable(call, head, str(error)) from None
        return Response(head.status, headers, bytes(body))


class WriteTransport(Transport):
    """Read and write."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Delivered:
        """Send a write once. Return its parsed body, or None if there is none.

        It is sent again only if it was certainly not carried out: 429, and no connection.
        """
        return self._deliver(Call(method, path), body=body)

    def exchange(
        self, method: str, path: str, params: Params | None, body: Mapping[str, Any] | None
    ) -> Response:
        """Return the response to a call unchanged, even a refusal: for checks of the contract."""
        call = Call(method, path)
        content = None if body is None else json.dumps(body, allow_nan=False, default=dict).encode()
        delivered = self._retrier.deliver(
            call, lambda: self._attempt(call, params, content, _keep_response)
        )
        response: Response = delivered.value
        return response


class _NoCookies(httpx.Cookies):
    """Keep no cookie, without a look at the response, which would take a fifth of a call's time."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Do nothing."""


def _keep_response(call: Call, response: Response, **context: Any) -> Response:
    """Return a response of PostHog's API unchanged; raise the error of any other response."""
    if response.status in _NO_ANSWER:
        responses.read_response(call, response, **context)
    return response


def _open_client(
    base_url: str, key: Secret, limits: CallLimits, deadline: Deadline
) -> httpx.Client:
    """Open the httpx client with most of its conveniences switched off."""
    for name in ("httpx", "httpcore"):  # their debug logs contain headers and whole URLs
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
        )
    except (OSError, ValueError, ImportError) as error:
        raise errors.TargetError(
            f"cannot prepare a connection to {base_url}",
            why=cut_line(f"{type(error).__name__}: {error}"),
            fix="check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables of the environment",
        ) from None
    # httpx has no total deadline, no public parameter for a backend, and always looks for cookies,
    # so private attributes are used; tests that send bytes slowly, or cookies, fail if they change.
    client._cookies = _NoCookies()  # noqa: SLF001  no other way in
    for route in (client._transport, *client._mounts.values()):  # noqa: SLF001  no other way in
        if isinstance(route, httpx.HTTPTransport):
            deadline.guard(route._pool)  # noqa: SLF001  as above
    return client


def _format_query(params: Params | None) -> str:
    """Return the query of a URL: `params` would make httpx parse the URL a second time."""
    if params is None:
        return ""
    pairs = httpx.QueryParams(dict(params) if isinstance(params, Mapping) else tuple(params))
    return f"?{pairs}" if pairs else ""


def _has_cause(error: BaseException, cls: type[BaseException]) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, cls):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
