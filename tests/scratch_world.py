"""A world with an empty project, a run of all probes in it, and a server that alters one answer."""

import copy
import json
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from reconciler.conformance.exchange import Recorder
from reconciler.conformance.run import run
from reconciler.conformance.scratch import ScratchProject
from reconciler.conformance.statement import Keys
from reconciler.posthog.client import open_writer
from reconciler.posthog.credentials import Credentials, Secret
from reconciler.posthog.rate_limit import KeyRateLimit

ORGANIZATION = "a0000000-0000-4000-8000-000000000001"
PROJECT = "2"
SEED = {
    "now": "2026-01-05T09:00:00Z",
    "users": [
        {
            "email": "olga@acme.test",
            "first_name": "Olga",
            "id": 11,
            "tokens": [{"token": "phx_olga"}],
        },
        {
            "email": "sam@acme.test",
            "first_name": "Sam",
            "id": 12,
            "tokens": [{"token": "phx_samuel"}],
        },
        {
            "email": "max@acme.test",
            "first_name": "Max",
            "id": 13,
            "tokens": [{"token": "phx_maxim"}],
        },
    ],
    "organizations": [
        {
            "name": "Acme",
            "slug": "acme",
            "id": ORGANIZATION,
            "features": ["approvals", "audit_logs", "organizations_projects"],
            "members": [
                {"email": "olga@acme.test", "level": "owner"},
                {"email": "sam@acme.test", "level": "admin"},
                {"email": "max@acme.test", "level": "member"},
            ],
            "projects": [
                {
                    "name": "Web",
                    "id": 1,
                    "feature_flags": [
                        {
                            "key": "used",
                            "filters": {"groups": [{"properties": [], "rollout_percentage": 10}]},
                        }
                    ],
                },
                {"name": "Scratch", "id": int(PROJECT)},
            ],
        }
    ],
}
PLACE = ScratchProject(ORGANIZATION, PROJECT, 11, 15, has_approvals=True, second_id=12)


def run_probes(url, make_recorder=Recorder):
    """Run all probes as Olga, with Sam as the second person; the report."""
    fast = KeyRateLimit(100_000, 1_000_000)
    with (
        open_writer(Credentials(url, Secret("phx_olga")), rate_limit=fast) as writer,
        open_writer(Credentials(url, Secret("phx_samuel")), rate_limit=fast) as second,
    ):
        return run(make_recorder(writer, second, Event()), PLACE, ())


class PassingServer(ThreadingHTTPServer):
    """Hands every call on to the sandbox; `meet` sees each answer and may return another."""

    daemon_threads = True

    def __init__(self, url, meet):
        super().__init__(("127.0.0.1", 0), _Passage)
        self.target, self.meet = url.removeprefix("http://"), meet

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        """Print nothing."""

    def pass_on(self):
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        with closing(HTTPConnection(self.server.target, timeout=30)) as connection:
            connection.request(self.command, self.path, sent, dict(self.headers.items()))
            answer = connection.getresponse()
            status, data = self.server.meet(self.command, answer.status, answer.read())
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Passage, f"do_{_method}", _Passage.pass_on)


@contextmanager
def passing(url, meet):
    """Run a PassingServer in a thread."""
    server = PassingServer(url, meet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def altering(sandbox_url):
    """run_altered(statement) -> the report of a run whose answer to one call is not what it says.

    The answer to the call that shows the statement is altered, all others are handed on.
    """
    chosen = []

    def alter(_method, status, data):
        return alter_answer(chosen.pop(), status, data) if chosen else (status, data)

    with passing(sandbox_url, alter) as server:

        def run_altered(statement):
            class Naming(Recorder):
                def call(self, name, *arguments, **options):
                    chosen[:] = [statement] if name == statement.exchange else []
                    return super().call(name, *arguments, **options)

            return run_probes(server.url, Naming)

        yield run_altered


def alter_answer(statement, status, data):
    """Return an answer for which a statement does not hold."""
    if statement.is_about_status:
        return 418, data
    body = json.loads(data)
    open_keys = [
        wanted.keys
        for wanted in statement.expected.values()
        if isinstance(wanted, Keys) and not wanted.only
    ]
    if open_keys:
        del body[min(open_keys[0])]
    else:
        body = alter_value(body, statement.path.removeprefix("body").lstrip("."))
    return status, json.dumps(body).encode()


def alter_value(body, path):
    """Return a body with another value at a path: nothing that PostHog would say there."""
    if not path:
        return {**body, "unheard_of": 1} if isinstance(body, dict) else 12345
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    inner = body
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    if last == "#":
        inner.append({"unheard_of": 1})
    elif isinstance(inner, list):
        inner[int(last)] = 12345.5
    else:
        inner[last] = 12345.5
    return body
