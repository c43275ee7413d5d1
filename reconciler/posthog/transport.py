"""Make calls to one origin with one key: bodies or our errors.

They use httpcore directly: the layers that httpx puts over it cost more than the rest of a call.

Reads are tried again, writes are sent once. No redirect is followed, no cookie is kept, and no
other host is contacted.
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from random import Random
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode, urlsplit

import httpcore

from reconciler import __version__, errors
from reconciler.lazy_pattern import compile_later
from reconciler.model import OWN_CLIENT
from reconciler.normal_form import encrypted_payloads
from reconciler.posthog import body as posthog_body
from reconciler.posthog import responses
from reconciler.posthog.connections import Connections, Deadline, has_extra
from reconciler.posthog.credentials import Secret
from reconciler.posthog.pagination import Params
from reconciler.posthog.rate_limit import RateLimiter
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

_TOO_MANY: Final = 429
_NO_ANSWER: Final = frozenset({_TOO_MANY, 502, 503, 504})  # not of PostHog's API, or not yet
_ReadResponse = Callable[..., Any]  # as responses.read_response
_NOT_SENT: Final = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_BODIES: Final = frozenset({"POST", "PUT", "PATCH"})  # have a length, even without a body
_CLIMBING: Final = frozenset({".", ".."})  # segments that make another path of it
_QUOTED: Final = compile_later(r"(%[0-9A-Fa-f]{2})")
_SAFE: Final = "/!$&'()*+,;=:@"  # and what is safe everywhere: letters, digits and `_.-~`


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
        self._url = httpcore.URL(base_url)
        self._extensions = {
            "timeout": {
                "connect": limits.connect_s,
                "read": limits.deadline_s,
                "write": limits.deadline_s,
            }
        }
        self._headers = _list_headers(urlsplit(base_url).netloc)
        self._connections = Connections(base_url, self._deadline)

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
            with self._connections.lend() as connection:
                raw_response = connection.handle_request(request)
                try:
                    response = self._receive(call, raw_response)
                    self._check_whole(call, connection)
                    return response
                finally:
                    raw_response.close()
        except _NOT_SENT as error:
            raise self._build_unreachable(call, error) from None
        except RuntimeError:
            if self._deadline.is_closed:
                raise build_not_sent(call, "the connection was closed", code=STOPPED) from None
            raise
        except httpcore.TimeoutException:
            why = f"no complete response within {self._limits.deadline_s:g} s"
            raise responses.build_lost(call, "PostHog did not respond in time", why) from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            why = f"{type(error).__name__}: {error}"
            raise responses.build_lost(call, "the connection broke", why) from None

    def _build_request(
        self, call: Call, params: Params | None, content: bytes | None
    ) -> httpcore.Request:
        """Build the request, after checking that it goes to our origin."""
        if not _is_path(call.path):
            raise build_not_sent(call, f"it is not a path on {self.origin}", code=BAD_PATH)
        raw_target = (_quote_path(call.path) + _format_query(params)).encode()
        authorization = f"Bearer {self._key.reveal()}".encode()
        headers = [*self._headers, (b"Authorization", authorization)]
        if content is not None:
            headers.append((b"Content-Type", b"application/json"))
            headers.append((b"Content-Length", str(len(content)).encode()))
        elif call.method in _BODIES:
            headers.append((b"Content-Length", b"0"))
        origin = self._url
        return httpcore.Request(
            call.method,
            httpcore.URL(
                scheme=origin.scheme, host=origin.host, port=origin.port, target=raw_target
            ),
            headers=headers,
            content=content,
            extensions=self._extensions,
        )

    def _build_unreachable(self, call: Call, error: Exception) -> errors.UnreachableError:
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

    def _check_whole(self, call: Call, connection: httpcore.ConnectionInterface) -> None:
        """Refuse a response with bytes after it: it may be another request's, as the next may.

        The connection is closed, so that it is not used again.
        """
        if not has_extra(connection):
            return
        if not self._has_warned:
            self._has_warned = True
            self.log.warning(
                "%s: there are bytes after the response; it is not used, and the connection is "
                "closed. A proxy between this machine and PostHog may mix responses up",
                call,
            )
        why = "there are bytes after the response: it may be the response to another request"
        raise responses.build_lost(call, "the response cannot be trusted", why)

    def _receive(self, call: Call, raw_response: httpcore.Response) -> Response:
        """Read the whole body within the deadline and the size limit."""
        headers = _read_headers(raw_response.headers)
        head = Response(raw_response.status, headers, b"")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        pieces, length = [], 0
        try:
            for piece in posthog_body.inflate(
                raw_response.iter_stream(), encoding, self._limits.max_bytes
            ):
                pieces.append(piece)
                length += len(piece)
                if length > self._limits.max_bytes:
                    reason = f"more than {self._limits.max_bytes} bytes"
                    raise responses.build_unreadable(call, head, reason, code=TOO_LARGE)
        except ValueError as error:
            raise responses.build_unreadable(call, head, str(error)) from None
        return Response(head.status, headers, b"".join(pieces))


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


def _keep_response(call: Call, response: Response, **context: Any) -> Response:
    """Return a response of PostHog's API unchanged; raise the error of any other response."""
    if response.status in _NO_ANSWER:
        responses.read_response(call, response, **context)
    return response


def _list_headers(netloc: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of every request, besides the key."""
    headers = {
        "Host": netloc,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Connection": "keep-alive",
        "User-Agent": f"reconciler/{__version__}",
        "x-posthog-client": OWN_CLIENT,
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _format_query(params: Params | None) -> str:
    """Return the query of a URL, with its question mark."""
    if not params:
        return ""
    pairs = params.items() if isinstance(params, Mapping) else params
    texts = [
        (name, str(value).lower() if value is True or value is False else value)
        for name, value in pairs
    ]
    return f"?{urlencode(texts)}"


def _is_path(path: str) -> bool:
    """Return whether a path names one place on our origin, which no server reads as another."""
    is_plain = path.isprintable() and "?" not in path and "#" not in path
    is_absolute = path.startswith("/") and not path.startswith("//")
    return is_plain and is_absolute and not _CLIMBING.intersection(path.split("/"))


def _quote_path(path: str) -> str:
    """Return a path with everything quoted that a URL may not hold, and is not quoted already."""
    pieces = _QUOTED.split(path)  # every second one is quoted
    pieces[::2] = [quote(piece, safe=_SAFE) for piece in pieces[::2]]
    return "".join(pieces)


def _read_headers(raw_headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name in lower case; the values of one that comes twice joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _has_cause(error: BaseException, cls: type[BaseException]) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, cls):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
