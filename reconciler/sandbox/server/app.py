"""The ASGI application: the emulated API, and beside it the control endpoints."""

import asyncio
import logging
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.sandbox.faults.injection import NOTHING
from reconciler.sandbox.protocol.errors import server_error
from reconciler.sandbox.protocol.messages import Incoming
from reconciler.sandbox.server.control import Control
from reconciler.sandbox.server.wire import Connections, put
from reconciler.sandbox.world import World

_LOG = logging.getLogger("reconciler.sandbox")


class Emulated:
    """The API itself."""

    def __init__(self, world: World, connections: Connections, latency_ms: int) -> None:
        self._world = world
        self._connections = connections
        self._latency_s = latency_ms / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        incoming = await read(scope, receive)
        drawn, answer = NOTHING, None
        try:
            drawn = self._world.draw(incoming)
            answer = self._world.serve(incoming, drawn)
        except Exception:  # noqa: BLE001 - a server outlives a bug in one answer
            _LOG.exception("%s %s failed", incoming.method, incoming.path)
            answer = server_error().answer()
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        date = self._world.answered_at
        await put(
            scope,
            receive,
            dated(send, date),
            answer=answer,
            fault=drawn.wire,
            connections=self._connections,
            date=date,
        )


def dated(send: Send, date: float) -> Send:
    """Answers carry the sandbox's own time: the `Date` by which a client knows what is now."""

    async def with_date(message: Message) -> None:
        if message["type"] == "http.response.start":
            stamp = (b"date", formatdate(date, usegmt=True).encode())
            message = {**message, "headers": [*message["headers"], stamp]}
        await send(message)

    return with_date


async def read(scope: Scope, receive: Receive) -> Incoming:
    """A request off the wire, as a value."""
    headers: Mapping[str, str] = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
    }
    text = scope.get("query_string", b"").decode("latin-1")
    found = parse_qs(text, keep_blank_values=True, max_num_fields=None) if text else {}
    server = scope.get("server") or ("localhost", None)
    host = headers.get("host") or (f"{server[0]}:{server[1]}" if server[1] else server[0])
    return Incoming(
        method=scope["method"],
        path=scope["path"],
        query={name: tuple(values) for name, values in found.items()},
        headers=headers,
        body=await _body(receive),
        origin=f"{scope.get('scheme', 'http')}://{host}",
        query_text=text,
        ip=scope["client"][0] if scope.get("client") else None,
    )


async def _body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        ConnectionResetError: the caller went away before its end.
    """
    pieces = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError  # half a request is none
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def create_app(
    world: World, *, connections: Connections | None = None, latency_ms: int = 0
) -> ASGIApp:
    """The application over a world."""
    emulated = Emulated(world, connections or Connections(), latency_ms)
    control = Control(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        mine = scope["path"] == "/_sandbox" or scope["path"].startswith("/_sandbox/")
        await (control if mine else emulated)(scope, receive, send)

    return app
