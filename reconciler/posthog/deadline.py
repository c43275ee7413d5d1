"""Give sockets a total deadline, and one response for each request; close all of them at the end.

The timeouts of the HTTP library count per read: a server that sends a byte each half second could
hold a call for hours, in the headers too. And the library keeps bytes that follow a response for
the next request on the connection, although they are not the response to it. And a thread that is
about to connect while the client is closed would open a socket that nobody closes.
"""

import ssl
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

import h11
import httpcore

_ANY_REQUEST: Final = h11.Request(method="GET", target="/", headers=[("Host", "any")])


class Deadline:
    """Limit the call of the current thread. Each client has one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._local = threading.local()
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._is_closed = False
        self._lock = threading.Lock()

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

    def guard(self, pool: object) -> None:
        """Make all sockets of a connection pool keep this deadline."""
        backend = pool._network_backend  # type: ignore[attr-defined]  # noqa: SLF001  no other way in
        pool._network_backend = _Backend(backend, self)  # type: ignore[attr-defined]  # noqa: SLF001  as above


class _Backend(httpcore.NetworkBackend):
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


class _ResponseEnd:
    """Follow the bytes of one response to its end, with the same parser as the library."""

    def __init__(self) -> None:
        self.has_extra = False  # something came after the end
        self._is_over = False
        self._parser = h11.Connection(h11.CLIENT)
        self._parser.send(_ANY_REQUEST)  # the end does not depend on the request
        self._parser.send(h11.EndOfMessage())

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        if self._is_over:
            self.has_extra = self.has_extra or bool(data)
            return
        try:
            self._parser.receive_data(data)
            while (event := self._parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.EndOfMessage):
                    self._is_over = True
                    self.has_extra = bool(self._parser.trailing_data[0])
                    return
                if isinstance(event, h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError:  # the library's own parser finds the same, and reports it
            self._is_over = True


class Stream(httpcore.NetworkStream):
    """Keep the deadline in each operation of a socket."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline
        self._response: _ResponseEnd | None = None  # to the last request; None while it is sent

    @property
    def has_extra(self) -> bool:
        """Return whether bytes came that are not part of the response to the last request."""
        return self._response is not None and self._response.has_extra

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within the remaining time."""
        left = self._deadline.limit_timeout(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ReadTimeout
        data = self._inner.read(max_bytes, left)
        if self._response is None:
            self._response = _ResponseEnd()
        self._response.feed(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write within the remaining time."""
        left = self._deadline.limit_timeout(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.WriteTimeout
        self._response = None
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
