"""Starting and stopping the sandbox: as a process, or as a thread of this one."""

import asyncio
import ipaddress
import json
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
from reconciler.sandbox.seed.values import read_time
from reconciler.sandbox.server.app import create_app
from reconciler.sandbox.server.wire import Connections
from reconciler.sandbox.store import generation as profiles
from reconciler.sandbox.world import StartOptions, World

_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox in a thread."""

    url: str


class _Server(uvicorn.Server):
    """Reports when it is ready, and stops cleanly on a signal."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event, line: str | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and report it."""
        await super().startup(sockets=sockets)
        if self._line is not None:
            sys.stdout.write(self._line)
            sys.stdout.flush()
        self._ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop the server on SIGTERM and SIGINT, so that the process ends with 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._stop) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


def run(
    *,
    host: str = _LOOPBACK,
    port: int = 0,
    seed: Path | None = None,
    data: Path | None = None,
    reset: bool = False,
    profile: str | None = None,
    latency_ms: int = 0,
    rate_limit: str | None = None,
    faults: str | None = None,
    now: str | None = None,
    cloud: bool = False,
    withhold_payloads: bool = False,
    public: bool = False,
    rng_seed: int | None = None,
) -> None:
    """Serve until a signal comes; one line on stdout says when it is ready.

    Raises:
        SandboxError: an option or the seed is invalid.
    """
    _require_loopback(host, public=public)
    if latency_ms < 0:
        raise SandboxError("--latency: a delay must not be negative")
    settings = _make_options(
        seed_text=_read_seed(seed),
        data=data,
        reset=reset,
        profile=profile,
        rate_limit=rate_limit,
        faults=faults,
        now=now,
        cloud=cloud or None,
        withhold_payloads=withhold_payloads or None,
        rng_seed=rng_seed,
    )
    world = World(settings)
    try:
        with _bind(host, port) as plug:
            line = f"sandbox listening on {_format_url(plug)}\n"
            server = _make_server(world, ready=threading.Event(), latency_ms=latency_ms, line=line)
            server.run(sockets=[plug])
    finally:
        world.close()


@contextmanager
def background(
    *,
    seed: str | Path | dict[str, Any] | None = None,
    data: Path | None = None,
    reset: bool = False,
    profile: str | None = None,
    latency_ms: int = 0,
    rate_limit: str | None = None,
    faults: str | None = None,
    now: str | None = None,
    cloud: bool | None = None,
    withhold_payloads: bool | None = None,
    rng_seed: int | None = None,
    port: int = 0,
) -> Iterator[RunningSandbox]:
    """Run a sandbox in a thread, on a free port of the loopback, until the block ends.

    `seed` is a file, a text or a document; None is the seed of the examples.
    """
    settings = _make_options(
        seed_text=_read_seed(seed),
        data=data,
        reset=reset,
        profile=profile,
        rate_limit=rate_limit,
        faults=faults,
        now=now,
        cloud=cloud,
        withhold_payloads=withhold_payloads,
        rng_seed=rng_seed,
    )
    world = World(settings)
    ready = threading.Event()
    with _bind(_LOOPBACK, port) as plug:
        url = _format_url(plug)
        server = _make_server(world, ready=ready, latency_ms=latency_ms, line=None)
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


def _make_options(
    *,
    seed_text: str | None,
    data: Path | None,
    reset: bool,
    profile: str | None,
    rate_limit: str | None,
    faults: str | None,
    now: str | None,
    cloud: bool | None,
    withhold_payloads: bool | None,
    rng_seed: int | None,
) -> StartOptions:
    options = load.SeedOverrides(
        now=read_time(now, "--now") if now is not None else None,
        cloud=cloud,
        rate_limit=load.parse_rate_limit(rate_limit) if rate_limit is not None else None,
        profile=profiles.find_profile(profile).name if profile is not None else None,
        withhold_payloads=withhold_payloads,
    )
    return StartOptions(
        seed_text=seed_text,
        data=data,
        reset=reset,
        faults=faults,
        rng_seed=rng_seed or 0,
        options=options,
    )


def _read_seed(given: str | Path | dict[str, Any] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, dict):
        return json.dumps(given)
    try:
        return given.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"{given}: cannot be read ({error})") from error


def _make_server(
    world: World, *, ready: threading.Event, latency_ms: int, line: str | None
) -> _Server:
    connections = Connections()
    config = uvicorn.Config(
        create_app(world, connections=connections, latency_ms=latency_ms),
        http=_make_protocol(connections),
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # responses have the sandbox's own time
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
    return _Server(config, ready, line)


def _make_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol, which registers connections so that faults can break them."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
            super().connection_made(transport)
            connections.add(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.drop(self.client)
            super().connection_lost(exc)

    return Protocol


def _require_loopback(host: str, *, public: bool) -> None:
    """Refuse an address that others can reach: the keys of a sandbox are not secret."""
    if public:
        return
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
        safe = all(
            ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in addresses
        )
    except (OSError, ValueError) as error:
        raise SandboxError(f"--host {host}: no such address ({error})") from error
    if not safe:
        raise SandboxError(f"--host {host} can be reached from other machines: that needs --public")


@contextmanager
def _bind(host: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= _LAST_PORT:
        raise SandboxError(f"--port {port}: a port is a number from 0 to {_LAST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only on sockets that name their protocol
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


def _format_url(plug: socket.socket) -> str:
    host, port = plug.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
