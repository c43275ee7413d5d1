"""Starting and stopping the sandbox: as a process, or as a thread of this one."""

import asyncio
import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.seed import load
from reconciler.sandbox.seed.values import moment
from reconciler.sandbox.server.app import create_app
from reconciler.sandbox.server.wire import Connections
from reconciler.sandbox.store import generation as profiles
from reconciler.sandbox.world import Settings, World

_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox in a thread."""

    url: str


class _Server(uvicorn.Server):
    """Says when it is ready, and takes a signal for a wish, not for a way to die."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event, line: str | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        if self._line is not None:
            sys.stdout.write(self._line)
            sys.stdout.flush()
        self._ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """SIGTERM and SIGINT stop the server, and the process ends with 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGTERM, signal.SIGINT)
        before = {one: signal.signal(one, self._stop) for one in wanted}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


def run(
    *,
    host: str = _LOOPBACK,
    port: int = 0,
    seed: Path | None = None,
    data: Path | None = None,
    reset: bool = False,
    profile: str = "g2",
    latency_ms: int = 0,
    rate_limit: str | None = None,
    faults: str | None = None,
    now: str | None = None,
    cloud: bool = False,
    public: bool = False,
    rng_seed: int | None = None,
) -> None:
    """Serve until a signal comes; one line on stdout says when it is ready.

    Raises:
        SandboxError: an option or the seed makes no sense.
    """
    _need_loopback(host, public=public)
    if latency_ms < 0:
        raise SandboxError("--latency: a delay is not negative")
    settings = _settings(
        seed_text=_seed_text(seed),
        data=data,
        reset=reset,
        profile=profile,
        rate_limit=rate_limit,
        faults=faults,
        now=now,
        cloud=cloud or None,
        rng_seed=rng_seed,
    )
    world = World(settings)
    try:
        with _bound(host, port) as plug:
            line = f"sandbox listening on {_url(plug)}\n"
            server = _server(world, ready=threading.Event(), latency_ms=latency_ms, line=line)
            server.run(sockets=[plug])
    finally:
        world.close()


@contextmanager
def background(
    *,
    seed: str | Path | dict[str, Any] | None = None,
    data: Path | None = None,
    reset: bool = False,
    profile: str = "g2",
    latency_ms: int = 0,
    rate_limit: str | None = None,
    faults: str | None = None,
    now: str | None = None,
    cloud: bool | None = None,
    rng_seed: int | None = None,
    port: int = 0,
) -> Iterator[RunningSandbox]:
    """A sandbox in a thread, on a free port of the loopback, as long as the block lasts.

    `seed` is a file, a text or a document; None is the seed of the examples.
    """
    settings = _settings(
        seed_text=_seed_text(seed),
        data=data,
        reset=reset,
        profile=profile,
        rate_limit=rate_limit,
        faults=faults,
        now=now,
        cloud=cloud,
        rng_seed=rng_seed,
    )
    world = World(settings)
    ready = threading.Event()
    with _bound(_LOOPBACK, port) as plug:
        url = _url(plug)
        server = _server(world, ready=ready, latency_ms=latency_ms, line=None)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [plug]}, name="sandbox", daemon=True
        )
        thread.start()
        try:
            if not ready.wait(_STOP_S):
                raise SandboxError("the sandbox did not start")
            yield RunningSandbox(url)
        finally:
            server.should_exit = True
            thread.join(_STOP_S)
            world.close()


def _settings(
    *,
    seed_text: str | None,
    data: Path | None,
    reset: bool,
    profile: str,
    rate_limit: str | None,
    faults: str | None,
    now: str | None,
    cloud: bool | None,
    rng_seed: int | None,
) -> Settings:
    options = load.Options(
        now=moment(now, "--now") if now is not None else None,
        cloud=cloud,
        rate_limit=load.rate_limit(rate_limit) if rate_limit is not None else None,
    )
    return Settings(
        profile=profiles.named(profile),
        seed_text=seed_text,
        data=data,
        reset=reset,
        faults=faults,
        rng_seed=rng_seed or 0,
        options=options,
    )


def _seed_text(given: str | Path | dict[str, Any] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, dict):
        import json

        return json.dumps(given)
    try:
        return given.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"{given}: cannot be read ({error})") from error


def _server(world: World, *, ready: threading.Event, latency_ms: int, line: str | None) -> _Server:
    connections = Connections()
    config = uvicorn.Config(
        create_app(world, connections=connections, latency_ms=latency_ms),
        http=_protocol(connections),
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # answers carry the sandbox's own time
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
    return _Server(config, ready, line)


def _protocol(connections: Connections) -> type[asyncio.Protocol]:
    """HTTP as uvicorn speaks it, with the connection at hand, for faults that break it."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
            super().connection_made(transport)
            connections.add(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.drop(self.client)
            super().connection_lost(exc)

    return Protocol


def _need_loopback(host: str, *, public: bool) -> None:
    """Refuse to be reached from elsewhere: the keys of a sandbox are no secrets."""
    if public:
        return
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
        safe = all(ipaddress.ip_address(str(one).split("%")[0]).is_loopback for one in found)
    except (OSError, ValueError) as error:
        raise SandboxError(f"--host {host}: no such address ({error})") from error
    if not safe:
        raise SandboxError(f"--host {host} can be reached from elsewhere: that needs --public")


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= _LAST_PORT:
        raise SandboxError(f"--port {port}: a port is a number from 0 to {_LAST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only on sockets that name their protocol
    plug = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            plug.bind((host, port))
        except OSError as error:
            raise SandboxError(f"cannot listen on {host}:{port} ({error.strerror})") from error
        yield plug
    finally:
        plug.close()


def _url(plug: socket.socket) -> str:
    host, port = plug.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
