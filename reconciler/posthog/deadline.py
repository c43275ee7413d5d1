"""A total deadline for an exchange, kept by the sockets themselves.

The timeouts of the HTTP library count per read: a server that drips a byte each half second
would hold a call for hours, in the headers too.
"""

import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore


class Deadline:
    """When the call of the current thread has to be over. One for each client."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._local = threading.local()

    def start(self, seconds: float) -> None:
        """The current thread begins a call."""
        self._local.until = self._clock() + seconds

    def left_s(self, timeout: float | None) -> float | None:
        """The seconds that one operation may take; negative or 0.0 where none are left."""
        until = getattr(self._local, "until", None)
        if until is None:
            return timeout
        left: float = until - self._clock()
        return left if timeout is None else min(left, timeout)

    def guard(self, pool: object) -> None:
        """Have all sockets of a connection pool keep this deadline."""
        backend = pool._network_backend  # type: ignore[attr-defined]  # noqa: SLF001  no other way in
        pool._network_backend = _Backend(backend, self)  # type: ignore[attr-defined]  # noqa: SLF001  as above


class _Backend(httpcore.NetworkBackend):
    """Opens sockets that keep the deadline."""

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
        """Connect, within what is left."""
        left = self._deadline.left_s(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ConnectTimeout
        stream = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A socket each of whose operations ends with the deadline at the latest."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, within what is left."""
        left = self._deadline.left_s(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ReadTimeout
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, within what is left."""
        left = self._deadline.left_s(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.WriteTimeout
        self._inner.write(buffer, left)

    def close(self) -> None:
        """Close, at once."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands, within what is left."""
        left = self._deadline.left_s(timeout)
        if left is not None and left <= 0.0:
            raise httpcore.ConnectTimeout
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """What the socket tells about itself."""
        return self._inner.get_extra_info(info)
