"""Small real servers on loopback, a clock that only moves when told, and connections to them."""

import gzip
import json
import random
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from reconciler.posthog.client import open_reader, open_writer
from reconciler.posthog.credentials import Credentials, Secret

KEY = "phx_canaryCanary0123456789canaryCanary012345678"


class Time:
    """A clock and a sleep: sleeping moves the clock and nothing else."""

    def __init__(self, now=1000.0):
        self.now = now
        self.slept = []
        self._lock = threading.Lock()

    def clock(self):
        return self.now

    def sleep(self, seconds):
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds

    def wall(self):
        return 1_767_225_600.0 + self.now  # 2026-01-01T00:00:00Z and on


@dataclass(frozen=True)
class Seen:
    """A request as it reached a server."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float = 0.0


@dataclass(frozen=True)
class Reply:
    """An answer: any status, a JSON value or raw bytes, extra headers."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    zipped: bool = False

    @property
    def raw(self):
        data = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return gzip.compress(data) if self.zipped else data


class DropError(Exception):
    """Raised by an answer to hang up without a word."""


@dataclass
class Server:
    """A running server and what it was asked."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    time: Time | None = None
    connections: int = 0

    @property
    def methods(self):
        return [one.method for one in self.seen]


def _write(handler, reply):
    raw = b"" if reply.status == 204 else reply.raw
    headers = {"Content-Type": reply.kind, "Content-Length": str(len(raw))}
    if reply.zipped:
        headers["Content-Encoding"] = "gzip"
    handler.send_response_only(reply.status)
    for name, value in {**headers, **reply.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    with suppress(OSError):
        handler.wfile.write(raw)


@contextmanager
def serving(answer, *, time=None):
    """An HTTP server whose answers `answer(seen, index)` makes."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an ACK

        def setup(self):
            super().setup()
            with lock:
                running.connections += 1

        def _handle(self):
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            seen = Seen(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
                time.now if time else 0.0,
            )
            with lock:
                running.seen.append(seen)
                index = len(running.seen) - 1
            try:
                reply = answer(seen, index)
            except DropError:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            _write(self, reply)

        def log_message(self, *_):
            pass

    for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{verb}", Handler._handle)

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_):
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = Server(f"http://127.0.0.1:{server.server_port}", time=time)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw_serving(*scripts):
    """A socket server: connection n is handled by script n, the last one again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
    done = threading.Event()

    def serve(connection, script):
        with connection, suppress(OSError):
            script(connection, done)

    def accept():
        count = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            script = scripts[min(count, len(scripts) - 1)]
            count += 1
            running.seen.append(None)
            threading.Thread(target=serve, args=(connection, script), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        done.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def read_head(connection):
    """The request's head, and what of its body came along."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def dice(seed):
    """Randomness that repeats itself."""
    return random.Random(seed)  # noqa: S311  no secret


def credentials(url, key=KEY):
    return Credentials(url, Secret(key, "POSTHOG_API_KEY"))


def _hands(time):
    return {"clock": time.clock, "sleep": time.sleep, "now": time.wall, "rng": dice(7)}


@contextmanager
def reading(url, key=KEY, *, time=None, **surroundings):
    """A Reader with a clock that does not move by itself."""
    with open_reader(credentials(url, key), **{**_hands(time or Time()), **surroundings}) as reader:
        yield reader


@contextmanager
def writing(url, key=KEY, *, time=None, **surroundings):
    """A Writer with a clock that does not move by itself."""
    with open_writer(credentials(url, key), **{**_hands(time or Time()), **surroundings}) as writer:
        yield writer


def free_port_url():
    """The URL of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
