"""A pytest plugin: the sandbox as fixtures, for tests of any client of PostHog.

`posthog_sandbox_server` runs once a session; `posthog_sandbox` returns it, reset to
`posthog_sandbox_seed`, which a test module may override. The server is imported only when a fixture
needs it.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

_TIMEOUT_S = 30.0
SEED: dict[str, Any] = {
    "now": "2026-01-05T09:00:00Z",
    "users": [
        {
            "email": "owner@example.test",
            "first_name": "Olga",
            "tokens": [{"token": "phx_owner", "scopes": ["*"]}],
        },
        {
            "email": "member@example.test",
            "first_name": "Max",
            "tokens": [{"token": "phx_member", "scopes": ["*"]}],
        },
    ],
    "organizations": [
        {
            "name": "Example",
            "slug": "example",
            "features": ["approvals", "audit_logs", "organizations_projects"],
            "members": [
                {"email": "owner@example.test", "level": "owner"},
                {"email": "member@example.test", "level": "member"},
            ],
            "projects": [{"name": "Web", "id": 1}],
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, and a body: JSON if it is JSON, else text, None if there is none."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox, as tests use it."""

    url: str

    def call(self, method: str, path: str, *, token: str | None = None, body: Any = None) -> Reply:
        """Make one call of the emulated API, with a personal API key if one is given."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        return self._send(method, path, headers, data)

    def control(self, method: str, name: str, body: Any = None) -> Any:
        """Make a control call (docs/sandbox.md); a text is sent unchanged.

        Raises:
            ValueError: the sandbox refused it.
        """
        text = body if isinstance(body, str) else json.dumps(body)
        data = text.encode() if body is not None else b""
        reply = self._send(method, f"/_sandbox/{name}", {}, data if method != "GET" else None)
        if reply.status != 200:  # noqa: PLR2004 - the only good one
            raise ValueError(reply.body["error"])
        return reply.body

    def _send(self, method: str, path: str, headers: dict[str, str], data: bytes | None) -> Reply:
        request = urllib.request.Request(  # noqa: S310 - the address is the sandbox's own
            self.url + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  our own server
                return _parse_reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _parse_reply(error.code, error.read())

    def reset(self, seed: Any = None) -> None:
        """Start again from a seed (document or text), or from the one it was started with."""
        self.control("POST", "reset", seed)

    def advance(self, span: str) -> str:
        """Move the clock by `15d`, `36h`, `90s`; return the new time."""
        return str(self.control("POST", "clock", {"advance": span})["now"])

    def run_task(self, name: str) -> None:
        """Run a periodic task now, such as `check_staleness` (docs/sandbox.md)."""
        self.control("POST", "tasks", {"run": name})

    def inject(self, schedule: Any) -> None:
        """Replace the schedule of faults; an empty text ends them."""
        self.control("POST", "faults", schedule)

    def ledger(self) -> list[dict[str, Any]]:
        """Return every committed effect."""
        return list(self.control("GET", "ledger"))

    def requests(self) -> list[dict[str, Any]]:
        """Return every call so far."""
        return list(self.control("GET", "requests"))

    def state(self) -> dict[str, Any]:
        """Return the whole world as a seed."""
        return dict(self.control("GET", "state"))


def _parse_reply(status: int, body: bytes) -> Reply:
    if not body:
        return Reply(status, None)
    try:
        return Reply(status, json.loads(body))
    except ValueError:
        return Reply(status, body.decode("utf-8", "replace"))


@pytest.fixture(scope="session")
def posthog_sandbox_server() -> Iterator[Sandbox]:
    """Run one server for the whole session."""
    from reconciler.sandbox.server.server import background  # noqa: PLC0415  an extra brings Starlette

    with background(seed=SEED) as running:
        yield Sandbox(running.url)


@pytest.fixture
def posthog_sandbox_seed() -> Any:
    """Return the world each test begins with: a document or a text. Override it."""
    return SEED


@pytest.fixture
def posthog_sandbox(posthog_sandbox_server: Sandbox, posthog_sandbox_seed: Any) -> Sandbox:
    """Return a sandbox with the world of `posthog_sandbox_seed`, and nothing of the test before."""
    posthog_sandbox_server.reset(posthog_sandbox_seed)
    return posthog_sandbox_server
