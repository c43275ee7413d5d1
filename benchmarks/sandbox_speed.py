"""How fast the sandbox answers, and how fast it begins.

    python benchmarks/sandbox_speed.py [--seconds N] [--large N]

One server process with its data in memory, eight kept-alive connections from one client process
that does little beside reading sockets. The row "as an empty page" is the same server over a list
without rows: what HTTP, the key, the request log and the transaction cost by themselves.
"""

import argparse
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from common import Table

CONNECTIONS = 8
PAGE = 100
TARGETS = {"GET, 100 pages by turns": 1500.0, "writes": 600.0}
_CHUNK = 1 << 18

Maker = Callable[[int], tuple[str, str, Any]]


@dataclass
class Connection:
    """One keep-alive connection with one request on its way."""

    plug: socket.socket
    number: int
    sent: float = 0.0
    head: bytes = b""
    left: int = -1  # bytes of the body still to come; -1: the head is not complete
    body: bytearray = field(default_factory=bytearray)
    status: int = 0


def seed(flags: int) -> dict[str, Any]:
    return {
        "users": [{"email": "a@acme.test", "tokens": [{"token": "phx_a"}]}],
        "organizations": [
            {
                "name": "Acme",
                "features": ["approvals"],
                "members": [{"email": "a@acme.test", "level": "owner"}],
                "projects": [
                    {"name": "Web", "id": 1, "feature_flags": [_flag(one) for one in range(flags)]},
                    {"name": "Empty", "id": 2},
                ],
            }
        ],
    }


def _flag(number: int) -> dict[str, Any]:
    group = {
        "properties": [
            {"key": "plan", "type": "person", "operator": "exact", "value": [f"p{number}"]}
        ],
        "rollout_percentage": number % 101,
        "variant": None,
        "aggregation_group_type_index": None,
    }
    return {
        "key": f"flag-{number}",
        "name": f"Flag number {number}",
        "created_by": "a@acme.test",
        "filters": {"groups": [group], "aggregation_group_type_index": None},
    }


class Server:
    """The sandbox as a process of its own."""

    def __init__(self, document: dict[str, Any], where: Path, form: str = "json") -> None:
        path = where / f"seed.{form}"
        path.write_text(json.dumps(document) if form == "json" else _dump_yaml(document))
        words = [sys.executable, "-m", "reconciler", "sandbox", "--port", "0", "--seed", str(path)]
        began = time.perf_counter()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline() if self.process.stdout else ""
        self.start_s = time.perf_counter() - began
        if not line:
            raise SystemExit("the sandbox did not start")
        host, port = line.rsplit("/", 1)[1].strip().split(":")
        self.address = (host, int(port))

    def stop(self) -> None:
        """End it as a person would."""
        self.process.terminate()
        self.process.wait(10)


def _dump_yaml(document: dict[str, Any]) -> str:
    text: str = yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    return text


def load(address: tuple[str, int], make: Maker, *, seconds: float) -> list[float]:
    """Keep every connection busy for so long; answers how long each request took."""
    selector = selectors.DefaultSelector()
    numbers = iter(range(10**9))
    for _ in range(CONNECTIONS):
        plug = socket.create_connection(address)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = Connection(plug, next(numbers))
        selector.register(plug, selectors.EVENT_READ, one)
        _send(one, make)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1):
            one = key.data
            if _received(one):
                if one.status != 200:
                    raise SystemExit(f"{one.status}: {bytes(one.body)!r}")
                took.append(time.perf_counter() - one.sent)
                one.number = next(numbers)
                _send(one, make)
    for key in list(selector.get_map().values()):
        key.data.plug.close()
    return took


def _send(one: Connection, make: Maker) -> None:
    method, path, body = make(one.number)
    data = json.dumps(body).encode() if body is not None else b""
    kind = "Content-Type: application/json\r\n" if data else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer phx_a\r\n"
        f"{kind}Content-Length: {len(data)}\r\n\r\n"
    )
    one.head, one.left, one.body = b"", -1, bytearray()
    one.sent = time.perf_counter()
    one.plug.sendall(head.encode() + data)


def _received(one: Connection) -> bool:
    """Take what is there; whether the answer is complete."""
    piece = one.plug.recv(_CHUNK)
    if not piece:
        raise SystemExit("the server closed a connection")
    if one.left < 0:
        one.head += piece
        split = one.head.find(b"\r\n\r\n")
        if split < 0:
            return False
        head = one.head[:split].lower()
        one.status = int(head[9:12])
        place = head.index(b"content-length:")
        one.left = int(head[place + 15 :].split(b"\r\n", 1)[0])
        piece = one.head[split + 4 :]
    one.left -= len(piece)
    if len(one.body) < 500:
        one.body += piece[:500]
    return one.left == 0


def report(table: Table, name: str, took: list[float], seconds: float) -> None:
    took.sort()
    middle, late = took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000
    note = f"p50 {middle:.2f} ms, p99 {late:.2f} ms"
    rate = len(took) / seconds
    table.add(f"sandbox: {name}", rate, "/s", at_least=TARGETS.get(name), note=note)


def _cases() -> list[tuple[str, Maker]]:
    """Return what is measured: a title, and the n-th request."""
    flags = "/api/projects/1/feature_flags/"
    groups = [[{"properties": [], "rollout_percentage": share}] for share in (10, 90)]

    def page(_: int) -> tuple[str, str, Any]:
        return "GET", f"{flags}?limit={PAGE}", None

    def pages(number: int) -> tuple[str, str, Any]:
        return "GET", f"{flags}?limit={PAGE}&offset={number % 100}", None

    def write(number: int) -> tuple[str, str, Any]:
        body = {"name": f"n{number}", "filters": {"groups": groups[number % 2]}}
        return "PATCH", f"{flags}{number % 200 + 1}/", body

    def mixed(number: int) -> tuple[str, str, Any]:
        return page(number) if number % 10 else write(number)

    return [
        ("as an empty page", lambda _: ("GET", "/api/projects/2/feature_flags/", None)),
        ("GET, page of 100 flags", page),
        ("GET, 100 pages by turns", pages),
        ("GET, one flag", lambda number: ("GET", f"{flags}{number % 200 + 1}/", None)),
        ("writes", write),
        ("GET page, every 10th a write", mixed),
    ]


def main(table: Table | None = None, words: list[str] | None = None) -> Table:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--large", type=int, default=100_000, help="flags in the large seed")
    given = options.parse_args(words)
    table = table or Table()
    with tempfile.TemporaryDirectory() as name:
        server = Server(seed(200), Path(name))
        try:
            for title, make in _cases():
                load(server.address, make, seconds=0.5)
                took = load(server.address, make, seconds=given.seconds)
                report(table, title, took, given.seconds)
        finally:
            server.stop()
        for form, most in (("json", 6), ("yaml", 15)):
            server = Server(seed(given.large), Path(name), form)
            server.stop()
            title = f"sandbox: {given.large:,} flags from a seed in {form.upper()}"
            table.add(title, server.start_s, "s", at_most=most)
    return table


if __name__ == "__main__":
    main()
