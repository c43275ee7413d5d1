"""A small model of GitHub's and GitLab's REST API on loopback: comments, issues, notes, one token.

It keeps what it is told, pages as they do, and can be told to fail. No part of ours is in it.
"""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_model"
BOT = "github-actions[bot]"


@dataclass
class CodeHost:
    """What the host holds, and how it is to fail."""

    url: str = ""
    login: str = BOT
    comments: list = field(default_factory=list)  # of pull request 7, and of issues by number
    issues: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    calls: list = field(default_factory=list)  # (method, path)
    hooks: list = field(default_factory=list)  # (path, headers, body)
    fail: dict = field(default_factory=dict)  # (method, end of path) -> status, "hang", "lost"
    viewer: bool = True
    instead: object = ...  # answered to every call, as by a proxy
    location: str = "https://elsewhere.test/"  # of a redirect

    def comment(self, author, body, number=7):
        self.comments.append(
            {"id": len(self.comments) + 1, "user": {"login": author}, "body": body, "on": number}
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def _hook(self, fault):
        if fault != "hang":
            return self._answer(fault or 200, "ok")
        time.sleep(30)
        self.close_connection = True  # whoever asked has long gone
        return None

    def _go(self, method):
        code_host = self.server.code_host
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        code_host.calls.append((method, parts.path))
        fault = next(
            (
                how
                for (verb, end), how in code_host.fail.items()
                if verb == method and parts.path.endswith(end)
            ),
            None,
        )
        if parts.path.startswith("/hook"):
            code_host.hooks.append((self.path, dict(self.headers), raw))
            return self._hook(fault)
        tokens = (self.headers.get("Authorization"), self.headers.get("PRIVATE-TOKEN"))
        if f"Bearer {TOKEN}" != tokens[0] and tokens[1] != TOKEN:
            return self._answer(401, {"message": "Bad credentials"})
        if isinstance(fault, int):
            return self._answer(fault, {"message": "the model fails"})
        body = json.loads(raw) if raw else None
        if code_host.instead is not ...:
            return self._answer(200, code_host.instead)
        status, answer = self._route(code_host, method, parts.path, query, body)
        if fault == "lost":
            self.close_connection = True
            return None
        return self._answer(status, answer)

    def _route(self, code_host, method, path, query, body):  # noqa: C901, PLR0911  a table of routes
        page, per = int(query.get("page", 1)), int(query.get("per_page", 30))
        cut = slice((page - 1) * per, page * per)
        repo = "/repos/acme/config"
        if path == "/graphql":
            seen = (
                {"data": {"viewer": {"login": code_host.login}}}
                if code_host.viewer
                else {"errors": []}
            )
            return 200, seen
        if path == "/user":
            return 200, {"id": 99, "username": code_host.login}
        if path.startswith(f"{repo}/issues/comments/") and method == "PATCH":
            found = next(c for c in code_host.comments if c["id"] == int(path.rsplit("/", 1)[1]))
            found["body"] = body["body"].replace("\n", "\r\n")
            return 200, found
        if path.endswith("/comments"):
            number = int(path.split("/")[-2])
            if method == "POST":
                code_host.comment(code_host.login, body["body"].replace("\n", "\r\n"), number)
                return 201, code_host.comments[-1]
            return 200, [c for c in code_host.comments if c["on"] == number][cut]
        if path == f"{repo}/issues" and method == "POST":
            one = {
                "number": 100 + len(code_host.issues),
                "state": "open",
                "user": {"login": code_host.login},
            }
            code_host.issues.append({**one, **body})
            return 201, code_host.issues[-1]
        if path == f"{repo}/issues":
            rows = [
                i
                for i in code_host.issues
                if i["state"] == query["state"] and i["user"]["login"] == query["creator"]
            ]
            return 200, rows[cut]
        if path.startswith(f"{repo}/issues/") and method == "PATCH":
            found = next(i for i in code_host.issues if i["number"] == int(path.rsplit("/", 1)[1]))
            found.update(body)
            return 200, found
        if path == "/projects/5/merge_requests/7/notes":
            if method == "POST":
                code_host.notes.append(
                    {"id": len(code_host.notes) + 1, "author": {"id": 99}, **body}
                )
                return 201, code_host.notes[-1]
            return 200, code_host.notes[cut]
        if path.startswith("/projects/5/merge_requests/7/notes/") and method == "PUT":
            found = next(n for n in code_host.notes if n["id"] == int(path.rsplit("/", 1)[1]))
            found.update(body)
            return 200, found
        return 404, {"message": f"Not Found: {method} {path}"}

    def _answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status in {301, 302, 307}:
            self.send_header("Location", self.server.code_host.location)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self._go("GET")

    def do_POST(self):
        self._go("POST")

    def do_PATCH(self):
        self._go("PATCH")

    def do_PUT(self):
        self._go("PUT")


@contextmanager
def serving():
    """A code host that answers on loopback."""
    code_host = CodeHost()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.code_host = code_host
    code_host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield code_host
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
