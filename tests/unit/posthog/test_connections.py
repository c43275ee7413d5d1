"""A closed client leaves no socket open, even one that another thread is just opening."""

import time
from queue import Queue

import httpcore
import pytest

from reconciler.posthog.connections import Deadline, DeadlineBackend
from tests.unit.posthog.servers import raw_serving


class _ClosedMeanwhile(httpcore.SyncBackend):
    """Connect, and be closed by another thread before the connection can be used."""

    def __init__(self, deadline):
        self._deadline = deadline

    def connect_tcp(self, *place, **options):
        stream = super().connect_tcp(*place, **options)
        self._deadline.close()
        return stream


def test_a_socket_that_opens_while_the_client_is_closed_is_closed_and_sends_nothing():
    received = Queue()
    deadline = Deadline(time.monotonic)
    with (
        raw_serving(lambda connection, _: received.put(connection.recv(1))) as server,
        httpcore.ConnectionPool(
            network_backend=DeadlineBackend(_ClosedMeanwhile(deadline), deadline)
        ) as pool,
    ):
        with pytest.raises(RuntimeError, match="closed while it connected"):
            pool.request("GET", server.url)
        assert received.get(timeout=5) == b""


def test_the_end_closes_every_socket():
    received = Queue()

    def script(connection, _):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        received.put(connection.recv(1))

    deadline = Deadline(time.monotonic)
    backend = DeadlineBackend(httpcore.SyncBackend(), deadline)
    with raw_serving(script) as server, httpcore.ConnectionPool(network_backend=backend) as pool:
        assert pool.request("GET", server.url).status == 204
        assert received.empty()
        deadline.close()
        assert received.get(timeout=5) == b""
