"""The ASGI application: the emulated API and the control endpoints."""

import asyncio
import logging
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.sandbox.faults.injection import NO_FAULTS
from reconciler.sandbox.protocol.errors import server_error
from reconciler.sandbox.protocol.messages import IncomingRequest
from reconciler.sandbox.server.control import ControlEndpoints
from reconciler.sandbox.server.wire import Connections, send_response
from reconciler.sandbox.world import World

_LOG = logging.getLogger("reconciler.sandbox")


class EmulatedApi:
    """The emulated API."""

    def __init__(self, world: World, connections: Connections, latency_ms: int) -> None:
        self._world = world
        self._connections = connections
        self._latency_s = latency_ms / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the latency includes what the answer takes to make."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        incoming = await read_request(scope, receive)
        drawn, answer = NO_FAULTS, None
        try:
            drawn = self._world.draw_faults(incoming)
            answer = self._world.serve(incoming, drawn)
        except Exception:  # noqa: BLE001 - a bug in one endpoint must not stop the server
            _LOG.exception("%s %s failed", incoming.method, incoming.path)
            answer = server_error().to_response()
        if (left := begun + self._latency_s - clock()) > 0.0:
            await asyncio.sleep(left)
        date = self._world.answered_at
        await send_response(
            scope,
            receive,
            add_date(send, date),
            answer=answer,
            fault=drawn.wire,
            connections=self._connections,
            date=date,
        )


def add_date(send: Send, date: float) -> Send:
    """Return a `send` that adds the sandbox's own time as `Date`, which clients read as now."""

    async def with_date(message: Message) -> None:
        if message["type"] == "http.response.start":
            stamp = (b"date", formatdate(date, usegmt=True).encode())
            message = {**message, "headers": [*message["headers"], stamp]}
        await send(message)

    return with_date


async def read_request(scope: Scope, receive: Receive) -> IncomingRequest:
    """Read a request from the wire."""
    headers: Mapping[str, str] = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
    }
    text = scope.get("query_string", b"").decode("latin-1")
    query = parse_qs(text, keep_blank_values=True, max_num_fields=None) if text else {}
    server = scope.get("server") or ("localhost", None)
    host = headers.get("host") or (f"{server[0]}:{server[1]}" if server[1] else server[0])
    return IncomingRequest(
        method=scope["method"],
        path=scope["path"],
        query={name: tuple(values) for name, values in query.items()},
        headers=headers,
        body=await _read_body(receive),
        origin=f"{scope.get('scheme', 'http')}://{host}",
        query_text=text,
        ip=scope["client"][0] if scope.get("client") else None,
    )


async def _read_body(receive: Receive) -> bytes:
    """Read the whole body.

    Raises:
        ConnectionResetError: the caller disconnected before its end.
    """
    pieces = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError  # half a request is not served
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def create_app(
    world: World, *, connections: Connections | None = None, latency_ms: int = 0
) -> ASGIApp:
    """Return the application over a world."""
    emulated = EmulatedApi(world, connections or Connections(), latency_ms)
    control = ControlEndpoints(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_control = scope["path"] == "/_sandbox" or scope["path"].startswith("/_sandbox/")
        await (control if is_control else emulated)(scope, receive, send)

    return app
