"""A proxy that lets one call through at a time, in an order drawn from a seed.

Two processes behind it are interleaved at every request, the same way for the same seed.
"""

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Turnstile:
    """Who waits at the gate, and who goes next."""

    def __init__(self, target, seed):
        self.target, self.chance = urlsplit(target).netloc, Random(seed)
        self.waiting, self.going, self.changed = {}, None, threading.Condition()

    def enter(self, name, ticket):
        with self.changed:
            self.waiting[ticket] = name
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.going == ticket, timeout=60)
            del self.waiting[ticket]

    def leave(self):
        with self.changed:
            self.going = None
            self.changed.notify_all()

    def drive(self, running):
        """Let calls through until nobody runs any more. `running`: name -> whether it does."""
        while True:
            with self.changed:
                self.changed.wait_for(
                    lambda: self.going is None and self._all_at_the_gate(running), timeout=0.02
                )
                alive = [name for name, is_running in running.items() if is_running()]
                if not alive and not self.waiting:
                    return
                if self.going is None and self.waiting and self._all_at_the_gate(running):
                    ready = sorted(self.waiting, key=lambda t: (self.waiting[t], t))
                    self.going = self.chance.choice(ready)
                    self.changed.notify_all()

    def _all_at_the_gate(self, running):
        """Whether each process that runs waits here: then the choice is not one of speed."""
        names = set(self.waiting.values())
        return all(name in names or not is_running() for name, is_running in running.items())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def _pass(self):
        gate, name = self.server.turnstile, self.server.name
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gate.enter(name, (name, threading.get_ident(), self.path))
        try:
            onward = http.client.HTTPConnection(gate.target, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            onward.request(self.command, self.path, body or None, headers)
            answer = onward.getresponse()
            here = f"http://{self.headers['Host']}".encode()
            text = answer.read().replace(f"http://{gate.target}".encode(), here)
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in _HOP:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            onward.close()
        finally:
            gate.leave()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass  # noqa: N815  the library's names


class Gateway(ThreadingHTTPServer):
    """One process's way in. It listens at once, and answers once it is opened."""

    daemon_threads = True

    def __init__(self, gate, name):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.turnstile, self.name = gate, name
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def opened(self):
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()
