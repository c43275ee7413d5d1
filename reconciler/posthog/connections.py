"""Make and lend connections to one origin: each with a total deadline, all closed at the end.

The timeouts of the HTTP library count per read: a server that sends a byte each half second could
hold a call for hours, in the headers too. And the library keeps bytes that follow a response for
the next request on the connection, although they are not the response to it. And a thread that is
about to connect while the client is closed would open a socket that nobody closes.
"""

import logging
import os
import ssl
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import certifi
import httpcore

from reconciler import errors
from reconciler.posthog.credentials import is_loopback
from reconciler.posthog.redaction import cut_line

KEEP_ALIVE_S: Final = 4.0  # below the 5 s after which common servers hang up
_PROXY_SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})


class Deadline:
    """Limit the call of the current thread. Each client has one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._local = threading.local()
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def is_closed(self) -> bool:
        """Return whether `close` was called."""
        return self._is_closed

    def start(self, seconds: float) -> None:
        """Begin a call of the current thread."""
        self._local.until = self._clock() + seconds

    def limit_timeout(self, timeout: float | None) -> float | None:
        """Return the seconds that one operation may take; at most 0.0 if none are left."""
        until = getattr(self._local, "until", None)
        if until is None:
            return timeout
        left: float = until - self._clock()
        return left if timeout is None else min(left, timeout)

    def hold(self, inner: httpcore.NetworkStream) -> "Stream":
        """Make an open socket keep this deadline; RuntimeError, and it is closed, after `close`."""
        stream = Stream(inner, self)
        with self._lock:
            if not self._is_closed:
                self._streams.add(stream)
                return stream
        stream.close()
        raise RuntimeError("the client was closed while it connected")

    def close(self) -> None:
        """Close every socket, and each that another thread is about to open."""
        with self._lock:
            self._is_closed = True
            streams = tuple(self._streams)
        for stream in streams:
            stream.close()


class Connections:
    """Lend connections to one origin, each to one call at a time.

    The library's pool only makes them: to lend one, it would look at every connection twice.
    """

    def __init__(self, base_url: str, deadline: Deadline) -> None:
        self._pool = _make_pool(base_url, deadline)
        self._origin = httpcore.URL(base_url).origin
        self._deadline = deadline
        self._idle: list[httpcore.ConnectionInterface] = []  # the last used is the next

    @contextmanager
    def lend(self) -> Iterator[httpcore.ConnectionInterface]:
        """Lend a connection. After an exception, or half a response, it is closed."""
        connection = self._take()
        try:
            yield connection
        except BaseException:  # also KeyboardInterrupt: half a response may be on its way
            connection.close()
            raise
        if connection.is_idle():
            self._idle.append(connection)
        else:
            connection.close()

    def _take(self) -> httpcore.ConnectionInterface:
        if self._deadline.is_closed:
            raise RuntimeError("the client is closed")
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._pool.create_connection(self._origin)
            if not connection.has_expired():
                return connection
            connection.close()


def has_extra(connection: httpcore.ConnectionInterface) -> bool:
    """Return whether bytes came that are not part of the response to the last request.

    The library's parser knows, and nothing public shows it; tests fail if its place changes.
    """
    inner: Any = connection
    while not isinstance(inner, httpcore.HTTP11Connection):
        inner = inner._connection  # noqa: SLF001  behind a proxy, and before the first call
    return bool(inner._h11_state.trailing_data[0])  # noqa: SLF001  as above


def find_proxy(base_url: str) -> SplitResult | None:
    """Return the URL of the proxy that the environment names for a host; None if there is none.

    Raises ValueError for a URL that nobody can use. No proxy reaches our own loopback.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme == "http" and is_loopback(host):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  loads a second HTTP client

    proxies = getproxies()
    written = proxies.get(parts.scheme) or proxies.get("all")
    if not written or proxy_bypass(host):
        return None
    proxy = urlsplit(written if "://" in written else f"http://{written}")
    if proxy.scheme not in _PROXY_SCHEMES or not proxy.hostname:
        raise ValueError("a proxy has to be http://HOST:PORT, https://HOST:PORT or socks5://…")
    return proxy


def _make_pool(base_url: str, deadline: Deadline) -> httpcore.ConnectionPool:
    """Return what makes connections, through the proxy that the environment names for the host."""
    logging.getLogger("httpcore").setLevel(logging.WARNING)  # its debug log contains headers
    options: dict[str, Any] = {
        "keepalive_expiry": KEEP_ALIVE_S,
        "network_backend": DeadlineBackend(httpcore.SyncBackend(), deadline),
    }
    try:
        if base_url.startswith("https:"):
            options["ssl_context"] = _make_ssl_context()
        proxy = find_proxy(base_url)
        if proxy is None:
            return httpcore.ConnectionPool(**options)
        kind = httpcore.SOCKSProxy if proxy.scheme.startswith("socks") else httpcore.HTTPProxy
        name, password = unquote(proxy.username or ""), unquote(proxy.password or "")
        return kind(
            httpcore.URL(
                scheme=proxy.scheme, host=proxy.hostname or "", port=proxy.port, target="/"
            ),
            proxy_auth=(name, password) if name or password else None,
            **options,
        )
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no library for SOCKS
        raise errors.TargetError(
            f"cannot prepare a connection to {base_url}",
            why=cut_line(f"{type(error).__name__}: {error}"),
            fix="check SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables of the environment",
        ) from None


def _make_ssl_context() -> ssl.SSLContext:
    """Return a context with the authorities of the environment, else those of certifi."""
    environ = os.environ  # noqa: TID251  the variables of OpenSSL, as every program reads them
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if not file and not folder:
        file = certifi.where()
    return ssl.create_default_context(cafile=file or None, capath=None if file else folder)


class DeadlineBackend(httpcore.NetworkBackend):
    """Open sockets that keep the deadline."""

    def __init__(self, inner: httpcore.NetworkBackend, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect within the remaining time."""
        left = self._deadline.limit_timeout(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ConnectTimeout
        return self._deadline.hold(
            self._inner.connect_tcp(host, port, left, local_address, socket_options)
        )


class Stream(httpcore.NetworkStream):
    """Keep the deadline in each operation of a socket."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within the remaining time."""
        left = self._deadline.limit_timeout(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ReadTimeout
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write within the remaining time."""
        left = self._deadline.limit_timeout(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.WriteTimeout
        self._inner.write(buffer, left)

    def close(self) -> None:
        """Close at once."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands within the remaining time."""
        left = self._deadline.limit_timeout(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ConnectTimeout
        return self._deadline.hold(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        """Return what the socket knows about itself."""
        return self._inner.get_extra_info(info)
