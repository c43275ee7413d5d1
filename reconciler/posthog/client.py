"""Reader and Writer: two types, so that what is handed a Reader cannot write.

A Reader stands on a connection that has no method for writing and refuses every verb but GET.
The connection is imported when it is opened: the HTTP library costs every command 0.05 s.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack

from reconciler import worker_pool
from reconciler.model import Kind, Payload, Request
from reconciler.posthog import pagination, response_shapes
from reconciler.posthog import rate_limit as posthog_rate_limit
from reconciler.posthog.credentials import Credentials
from reconciler.posthog.pagination import PAGE_SIZE, Identity, Listing, Params, identify
from reconciler.posthog.rate_limit import DEFAULT_RATE_LIMIT, KeyRateLimit
from reconciler.posthog.responses import Response
from reconciler.posthog.retry import Delivered
from reconciler.posthog.retry_policy import CallLimits

if TYPE_CHECKING:
    from reconciler.posthog.transport import Transport, WriteTransport

PAGE_WORKERS: Final = 16
_T = TypeVar("_T")
_AnyTransport = TypeVar("_AnyTransport", bound="Transport")


class Reader:
    """Read from PostHog. Thread-safe; a context manager that closes its connections."""

    def __init__(self, transport: "Transport") -> None:
        self._transport = transport
        self._source = pagination.PageSource(transport.origin, self._fetch, self._fetch_many)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = Lock()
        self._rows: Counter[str] = Counter()
        self._rows_lock = Lock()

    @property
    def host(self) -> str:
        """Return the origin of PostHog."""
        return self._transport.origin

    @property
    def reads(self) -> int:
        """Return the number of GETs sent so far, retries included."""
        return self._transport.reads

    @property
    def log(self) -> logging.Logger:
        """Return the log that gets one line per call."""
        return self._transport.log

    @property
    def rows(self) -> Mapping[str, int]:
        """Return how many rows of listings have come so far, by collection: `feature_flags`."""
        with self._rows_lock:
            return dict(self._rows)

    @property
    def throttled(self) -> int:
        """Return how many responses said that the key sends too many requests."""
        return self._transport.throttled

    @property
    def clock_skew_s(self) -> float | None:
        """Return the server's clock minus ours at the last response; None if unknown."""
        return self._transport.clock_skew_s

    def get(self, path: str, params: Params | None = None) -> Any:
        """Return the parsed body of one GET."""
        return self._transport.get(path, params)

    def read_object(self, kind: Kind, ids: Mapping[str, str], name: str = "") -> Payload:
        """Return one object as its own endpoint shows it, or put together from its parts."""
        path = kind.path(kind.item, ids)
        if kind.parts:
            parts = {key: self.get(kind.path(part, ids)) for key, part in kind.parts.items()}
            whole = {"id": ids["id"], "name": name, **parts}
            return response_shapes.require_object(kind, path, whole)
        return response_shapes.require_object(kind, path, self.get(path))

    def list(
        self,
        path: str,
        params: Params | None = None,
        *,
        identity: Identity = identify,
        page_size: int = PAGE_SIZE,
        take: pagination.Take = pagination.keep_whole,
    ) -> Listing:
        """Return a whole collection, each item once, or raise IncompleteListingError.

        Each item is kept as `take` returns it, because collections may be large.
        """
        return pagination.read_all(
            self._source, path, params, identity=identity, page_size=page_size, take=take
        )

    def iterate_pages(
        self, path: str, params: Params | None = None, *, counted: bool
    ) -> Iterator[tuple[Payload, ...]]:
        """Yield page after page as the server links them. Pages of logs are not `counted`."""
        return pagination.iterate_pages(self._source, path, params, counted=counted)

    def stop(self, grace_s: float = 0.0) -> None:
        """Send nothing more and wake threads that wait; calls in flight are finished.

        For `grace_s` seconds reads are still allowed, to learn the outcome of a write.
        """
        self._transport.stop(grace_s)

    def sleep(self, seconds: float) -> bool:
        """Wait on this connection's clock; return False if it was stopped meanwhile."""
        return self._transport.sleep(seconds)

    def clock(self) -> float:
        """Return the time of this connection's monotonic clock."""
        return self._transport.clock()

    def circuit_open_for_s(self) -> float:
        """Return the seconds until another call makes sense: 0.0 unless the circuit is open."""
        return self._transport.circuit_open_for_s()

    @property
    def budget(self) -> tuple[tuple[int, int], ...]:
        """Return the requests that are left, and of how many: per minute, per hour."""
        return self._transport.budget

    @property
    def pause_s(self) -> float:
        """Return the seconds that calls still wait for the rate limit; 0.0 if none waits."""
        return self._transport.pause_s

    @property
    def rate_limit(self) -> KeyRateLimit:
        """Return how much the server allows, as far as this connection goes."""
        return KeyRateLimit(*(most for _, most in self.budget))

    def close(self) -> None:
        """Stop, and close every connection."""
        self._transport.close()
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch(self, request: pagination.Request) -> Any:
        body = self._transport.get(*request)
        items = body.get("results") if isinstance(body, dict) else None
        if isinstance(items, list):
            with self._rows_lock:
                self._rows[request[0].rstrip("/").rpartition("/")[2]] += len(items)
        return body

    def _fetch_many(
        self, function: Callable[[pagination.Request], _T], requests: Iterable[pagination.Request]
    ) -> Iterator[_T]:
        with self._pool_lock:
            if self._pool is None:
                self._pool = worker_pool.start_pool(PAGE_WORKERS, "page")
        return self._pool.map(function, requests)


class Writer(Reader):
    """Read, and send writes."""

    def __init__(self, transport: "WriteTransport") -> None:
        super().__init__(transport)
        self._writing = transport

    @property
    def writes(self) -> int:
        """Return the number of writes sent so far, including those refused with 429."""
        return self._writing.writes

    def send(self, request: Request) -> Any:
        """Send one write, once. Return its parsed body, or None if the response has none."""
        return self.deliver(request).value

    def deliver(self, request: Request) -> Delivered:
        """Send one write and return its body with the number of sends.

        It is sent again only if it was certainly not carried out.
        """
        return self._writing.send(request.method, request.path, request.body)

    def exchange(self, request: Request, params: Params | None = None) -> Response:
        """Return the response to a call unchanged, even a refusal: for checks of the contract."""
        return self._writing.exchange(request.method, request.path, params, request.body)


class Runtime(TypedDict, total=False):
    """Hold what a connection takes from its environment; each default is the real one."""

    limits: CallLimits
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    rng: Random
    now: Callable[[], float]
    log: logging.Logger


def open_reader(
    credentials: Credentials,
    *,
    rate_limit: KeyRateLimit = DEFAULT_RATE_LIMIT,
    **runtime: Unpack[Runtime],
) -> Reader:
    """Return a Reader of one host with one key, without contacting the host."""
    from reconciler.posthog.transport import Transport  # noqa: PLC0415  see the top

    return Reader(_connect(Transport, credentials, rate_limit, runtime))


def open_writer(
    credentials: Credentials,
    *,
    rate_limit: KeyRateLimit = DEFAULT_RATE_LIMIT,
    **runtime: Unpack[Runtime],
) -> Writer:
    """Return a Writer for one host with one key, without contacting the host."""
    from reconciler.posthog.transport import WriteTransport  # noqa: PLC0415  see the top

    return Writer(_connect(WriteTransport, credentials, rate_limit, runtime))


def reserve_budget(
    credentials: Credentials, rate_limit: KeyRateLimit, runtime: Runtime
) -> posthog_rate_limit.RateLimiter:
    """Return the rate limiter that every connection of this host and key shares."""
    return posthog_rate_limit.share_rate_limiter(
        credentials.host,
        credentials.key.digest(),
        rate_limit,
        clock=runtime.get("clock", time.monotonic),
        sleep=runtime.get("sleep", time.sleep),
    )


def _connect(
    cls: type[_AnyTransport],
    credentials: Credentials,
    rate_limit: KeyRateLimit,
    runtime: Runtime,
) -> _AnyTransport:
    """Return a connection that shares its rate limiter with all others of the same key."""
    rate_limiter = reserve_budget(credentials, rate_limit, runtime)
    return cls(credentials.host, credentials.key, rate_limiter=rate_limiter, **runtime)
