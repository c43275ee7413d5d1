"""Reader and Writer: two types, so that what is handed a Reader cannot write.

A Reader stands on a connection that has no method for writing and refuses every verb but GET.
The connection is imported when it is opened: httpx costs every command 0.1 s, `--help` included.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack

from reconciler import worker_pool
from reconciler.model import Payload, Request
from reconciler.posthog import pagination
from reconciler.posthog import rate_limit as posthog_rate_limit
from reconciler.posthog.credentials import Credentials
from reconciler.posthog.pagination import PAGE_SIZE, Identity, Listing, Params, identify
from reconciler.posthog.rate_limit import DEFAULT_RATE_LIMIT, RateLimit
from reconciler.posthog.retry import Delivered
from reconciler.posthog.retry_policy import Limits

if TYPE_CHECKING:
    from reconciler.posthog.transport import Transport, WriteTransport

PAGE_WORKERS: Final = 16
_T = TypeVar("_T")
_AnyTransport = TypeVar("_AnyTransport", bound="Transport")


class Reader:
    """Everything that asks. Thread-safe; a context manager that closes its connections."""

    def __init__(self, transport: "Transport") -> None:
        self._transport = transport
        self._source = pagination.Source(transport.origin, self._fetch, self._spread)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = Lock()

    @property
    def host(self) -> str:
        """The origin that is read from."""
        return self._transport.origin

    @property
    def reads(self) -> int:
        """GETs sent so far, retries included."""
        return self._transport.reads

    @property
    def throttled(self) -> int:
        """How often the server said that the key sends too many requests."""
        return self._transport.throttled

    @property
    def clock_skew_s(self) -> float | None:
        """The server's clock minus ours at the last answer, to the second; None if unknown."""
        return self._transport.clock_skew_s

    def get(self, path: str, params: Params | None = None) -> Any:
        """The parsed body of one GET."""
        return self._transport.get(path, params)

    def list(
        self,
        path: str,
        params: Params | None = None,
        *,
        identity: Identity = identify,
        page_size: int = PAGE_SIZE,
        take: pagination.Take = pagination.whole,
    ) -> Listing:
        """A whole collection, complete and each item once, or IncompleteListingError.

        Of each item that is kept which `take` makes of it: collections may be large.
        """
        return pagination.read_all(
            self._source, path, params, identity=identity, page_size=page_size, take=take
        )

    def pages(
        self, path: str, params: Params | None = None, *, counted: bool
    ) -> Iterator[tuple[Payload, ...]]:
        """Yield page after page as the server links them. Those of logs are not `counted`."""
        return pagination.pages(self._source, path, params, counted=counted)

    def stop(self, grace_s: float = 0.0) -> None:
        """Send nothing more and wake who waits; what is in flight is finished.

        For `grace_s` seconds it may still be read what became of a write.
        """
        self._transport.stop(grace_s)

    def rest(self, seconds: float) -> bool:
        """Wait so long by the clock of this connection; False if it was stopped meanwhile."""
        return self._transport.rest(seconds)

    def clock(self) -> float:
        """The monotonic seconds by which this connection waits."""
        return self._transport.clock()

    def closed_for_s(self) -> float:
        """Seconds until another call makes sense: 0.0 unless too many in a row have failed."""
        return self._transport.closed_for_s()

    @property
    def budget(self) -> tuple[tuple[int, int], ...]:
        """Requests that are left, and of how many: in the minute, in the hour."""
        return self._transport.budget

    @property
    def rate_limit(self) -> RateLimit:
        """How much the server allows, as far as this connection goes."""
        return RateLimit(*(most for _, most in self.budget))

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
        return self._transport.get(*request)

    def _spread(
        self, function: Callable[[pagination.Request], _T], requests: Iterable[pagination.Request]
    ) -> Iterator[_T]:
        with self._pool_lock:
            if self._pool is None:
                self._pool = worker_pool.start(PAGE_WORKERS, "page")
        return self._pool.map(function, requests)


class Writer(Reader):
    """A Reader that may also send."""

    def __init__(self, transport: "WriteTransport") -> None:
        super().__init__(transport)
        self._writing = transport

    @property
    def writes(self) -> int:
        """Writes sent so far, including what was told to come back later (429)."""
        return self._writing.writes

    def send(self, request: Request) -> Any:
        """Send one write, once. Its parsed body, or None for an answer without one."""
        return self.deliver(request).value

    def deliver(self, request: Request) -> Delivered:
        """The same, and how often it was sent: again only where it was surely not carried out."""
        return self._writing.send(request.method, request.path, request.body)


class Runtime(TypedDict, total=False):
    """What a connection takes from the world; each has a default that is the real one."""

    limits: Limits
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    rng: Random
    now: Callable[[], float]
    log: logging.Logger


def open_reader(
    credentials: Credentials,
    *,
    rate_limit: RateLimit = DEFAULT_RATE_LIMIT,
    **surroundings: Unpack[Runtime],
) -> Reader:
    """A Reader of one host with one key. Contacts nobody yet."""
    from reconciler.posthog.transport import Transport  # noqa: PLC0415  httpx, see the top

    return Reader(_connect(Transport, credentials, rate_limit, surroundings))


def open_writer(
    credentials: Credentials,
    *,
    rate_limit: RateLimit = DEFAULT_RATE_LIMIT,
    **surroundings: Unpack[Runtime],
) -> Writer:
    """A Writer for one host with one key. Contacts nobody yet."""
    from reconciler.posthog.transport import WriteTransport  # noqa: PLC0415  httpx, see the top

    return Writer(_connect(WriteTransport, credentials, rate_limit, surroundings))


def _connect(
    cls: type[_AnyTransport],
    credentials: Credentials,
    rate_limit: RateLimit,
    surroundings: Runtime,
) -> _AnyTransport:
    """A connection that shares its pace with all others of the same host and key."""
    pacer = posthog_rate_limit.shared(
        credentials.host,
        credentials.key.digest(),
        rate_limit,
        clock=surroundings.get("clock", time.monotonic),
        sleep=surroundings.get("sleep", time.sleep),
    )
    return cls(credentials.host, credentials.key, pacer=pacer, **surroundings)
