"""A server that answers GET from memory after a fixed delay, for benchmarks of clients.

    python benchmarks/static_server.py FILE [--delay 0.02]

FILE is JSON: {"lists": {path: [item, ...]}, "pages": {path: body}}. Lists are served in pages as
PostHog serves them (limit, offset, count, next); encoded once, so that the server costs little.
Prints its URL. `GET /_count` answers how often each path was asked.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PAGE = 100


class Content:
    """Encoded answers by path and page."""

    def __init__(self, document):
        self.lists = document.get("lists", {})
        pages = document.get("pages", {})
        self.pages = {path: json.dumps(body).encode() for path, body in pages.items()}
        self.asked = {}
        self.made = {}
        self.url = ""

    def prepare(self, url):
        """Encode every page of the usual size."""
        self.url = url
        for path, items in self.lists.items():
            for offset in range(0, max(1, len(items)), PAGE):
                self.page(path, offset, PAGE)

    def answer(self, target):
        """Status and body of a GET."""
        parts = urlsplit(target)
        if parts.path == "/_count":
            return 200, json.dumps(self.asked).encode()
        self.asked[parts.path] = self.asked.get(parts.path, 0) + 1
        if parts.path in self.lists:
            query = parse_qs(parts.query)
            limit, offset = int(query.get("limit", [PAGE])[0]), int(query.get("offset", [0])[0])
            return 200, self.page(parts.path, offset, min(limit, PAGE))
        if parts.path in self.pages:
            return 200, self.pages[parts.path]
        return 404, b'{"detail": "Not found."}'

    def page(self, path, offset, limit):
        """One page of a list."""
        key = (path, offset, limit)
        if key not in self.made:
            items, after = self.lists[path], offset + limit
            more = f"{self.url}{path}?limit={limit}&offset={after}" if after < len(items) else None
            body = {"count": len(items), "next": more, "results": items[offset:after]}
            self.made[key] = json.dumps(body).encode()
        return self.made[key]


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; requests without bodies."""

    def __init__(self, content, delay):
        self.content = content
        self.delay = delay
        self.data = b""

    def connection_made(self, transport):
        """Accept a client."""
        self.transport = transport

    def data_received(self, data):
        """Receive some bytes of one or several requests."""
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            target = self.data[: self.data.index(b"\r\n")].split()[1].decode()
            self.data = self.data[end + 4 :]
            asyncio.get_running_loop().call_later(self.delay, self.respond, target)

    def respond(self, target):
        """Send the response to one request, after the delay."""
        status, body = self.content.answer(target)
        head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def serve(content, delay):
    """Until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(content, delay), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    content.prepare(url)
    print(url, flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--delay", type=float, default=0.02)
    options = parser.parse_args()
    content = Content(json.loads(options.file.read_text()))
    try:
        asyncio.run(serve(content, options.delay))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
