"""The control endpoints under `/_sandbox` (docs/sandbox.md): no key, no limit, no log."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from reconciler.sandbox.api import openapi
from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.world import World

Handler = Callable[[bytes], Any]


class ControlEndpoints:
    """Answers 200 with JSON, or 400 with `{"error": …}`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers: dict[tuple[str, str], Handler] = {
            ("POST", "reset"): self._reset,
            ("GET", "clock"): lambda _: world.read_clock(),
            ("POST", "clock"): self._clock,
            ("POST", "tasks"): self._tasks,
            ("GET", "faults"): lambda _: world.describe_faults(),
            ("POST", "faults"): lambda body: world.set_faults(_decode_text(body)),
            ("GET", "ledger"): lambda _: world.list_ledger(),
            ("GET", "requests"): lambda _: world.list_requests(),
            ("DELETE", "requests"): lambda _: world.clear_requests(),
            ("GET", "state"): lambda _: world.export_state(),
            ("GET", "openapi.json"): lambda _: openapi.make_document(world.table, world.profile),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one control call."""
        request = Request(scope, receive)
        name = scope["path"].removeprefix("/_sandbox").strip("/")
        response = self._answer(request.method, name, await request.body())
        await response(scope, receive, send)

    def _answer(self, method: str, name: str, body: bytes) -> Response:
        handler = self._handlers.get((method, name))
        if handler is None:
            known = ", ".join(sorted(f"{verb} {word}" for verb, word in self._handlers))
            return _refuse(f"no control call {method} {name!r}; there are: {known}")
        try:
            return JSONResponse(handler(body))
        except SandboxError as error:
            return _refuse(error.message)

    def _reset(self, body: bytes) -> Any:
        text = _decode_text(body)
        return self._world.reset(text if text.strip() else None)

    def _clock(self, body: bytes) -> Any:
        given = _parse_object(body)
        advance, to = given.get("advance"), given.get("set")
        return self._world.set_clock(
            advance=str(advance) if advance is not None else None,
            to=str(to) if to is not None else None,
        )

    def _tasks(self, body: bytes) -> Any:
        return self._world.run_task(str(_parse_object(body).get("run")))


def _refuse(message: str) -> Response:
    return JSONResponse({"error": message}, status_code=400)


def _decode_text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise SandboxError("the body is not UTF-8") from error


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise SandboxError("the body is not JSON") from error
    if not isinstance(document, dict):
        raise SandboxError("the body is not a JSON object")
    return document
