"""Sending a response, intact or with a fault (docs/sandbox.md)."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from reconciler.sandbox.faults.injection import Effect, Fault
from reconciler.sandbox.protocol.errors import server_error, throttled
from reconciler.sandbox.protocol.messages import NO_BODY, Response
from reconciler.sandbox.store.tables import dump_json

_JSON = "application/json"
_PHRASES = {502: "Bad Gateway", 504: "Gateway Time-out"}
_ERRORS = {  # contract 1.3
    400: ("validation_error", "invalid_input", "Invalid input."),
    401: ("authentication_error", "authentication_failed", "Invalid token."),
    402: ("server_error", "payment_required", "This feature requires a paid PostHog plan."),
    403: (
        "authentication_error",
        "permission_denied",
        "You do not have permission to perform this action.",
    ),
    404: ("invalid_request", "not_found", "Not found."),
    405: ("invalid_request", "method_not_allowed", "Method not allowed."),
    409: ("server_error", "conflict", "The feature flag was updated by somebody else."),
    415: ("invalid_request", "unsupported_media_type", "Unsupported media type in request."),
    429: ("throttled_error", "throttled", "Request was throttled."),
    503: ("server_error", "database_unavailable", "The database is temporarily unavailable."),
}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # close with a reset instead of a FIN
_DEEP_LEVELS = 100_000


class Connections:
    """The open connections by the address of the peer, so that a fault can break one."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def add(self, client: tuple[str, int] | None, transport: asyncio.Transport) -> None:
        """Register a new connection."""
        if client is not None:
            self._open[client[0], client[1]] = transport

    def drop(self, client: tuple[str, int] | None) -> None:
        """Remove a closed connection."""
        if client is not None:
            self._open.pop((client[0], client[1]), None)

    def cut(self, scope: Scope, *, reset: bool) -> None:
        """Break the connection of a request, with a TCP reset or with a plain close."""
        client = scope.get("client") or ("", 0)
        transport = self._open.get((client[0], client[1]))
        if transport is None:
            raise ConnectionResetError
        plug = transport.get_extra_info("socket")
        if reset and plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


async def send_response(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    answer: Response | None,
    fault: Fault | None,
    connections: Connections,
    date: float,
) -> None:
    """Send a response, with its fault. `date` is the sandbox's time."""
    if fault is None:
        await _send(send, *_encode_plain(answer or server_error().to_response()))
        return
    effect = fault.effect
    if fault.point == "mid_body" and answer is not None:
        await _send_half(send, answer)
    match effect.name:
        case "refuse":
            connections.cut(scope, reset=False)
        case "reset":
            connections.cut(scope, reset=True)
        case "hang":
            try:
                await _hang(receive, float(effect.args["seconds"]))
            finally:  # also when the server stops in the meantime
                connections.cut(scope, reset=False)
        case "status":
            await _send(send, *_make_status(effect))
        case "throttle":
            await _send(send, *_make_throttled(effect, date))
        case _:
            await _send_spoiled(send, effect, answer or server_error().to_response())


def _encode_plain(answer: Response) -> tuple[int, Mapping[str, str], bytes]:
    if answer.body is NO_BODY:
        return answer.status, answer.headers, b""
    body = dump_json(answer.body).encode() if answer.encoded is None else answer.encoded
    return answer.status, {"content-type": _JSON, **answer.headers}, body


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await send(_make_start(status, headers, len(body)))
    await send({"type": "http.response.body", "body": body})


def _make_start(status: int, headers: Mapping[str, str], length: int) -> Message:
    pairs = [
        (name.lower().encode(), value.encode("latin-1", "replace"))
        for name, value in headers.items()
    ]
    if status != 204:  # noqa: PLR2004 - it has no body, so no length
        pairs.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": status, "headers": pairs}


async def _send_half(send: Send, answer: Response) -> None:
    """Send the head and the first half of the body; the rest is never sent."""
    status, headers, body = _encode_plain(answer)
    await send(_make_start(status, headers, len(body)))
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await asyncio.sleep(0.02)  # let it reach the caller before the connection breaks


async def _hang(receive: Receive, seconds: float) -> None:
    """Send nothing until the time is over or the caller has disconnected."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


def _make_status(effect: Effect) -> tuple[int, Mapping[str, str], bytes]:
    """Return a response with this status and its usual body, unless one is given."""
    code, body = int(effect.args["code"]), effect.args["body"]
    extra = {str(name): str(value) for name, value in (effect.args["headers"] or {}).items()}
    if isinstance(body, str):
        return code, {"content-type": "text/plain", **extra}, body.encode()
    if body is not None:
        return code, {"content-type": _JSON, **extra}, dump_json(body).encode()
    if code in _PHRASES:
        page = f"<html><head><title>{code} {_PHRASES[code]}</title></head><body></body></html>"
        return code, {"content-type": "text/html", **extra}, page.encode()
    headers = {"content-type": _JSON, **extra}
    return (
        code,
        {**_list_status_headers(code), **headers},
        dump_json(_make_status_body(code)).encode(),
    )


def _list_status_headers(code: int) -> Mapping[str, str]:
    return {"retry-after": "1"} if code == 503 else {}  # noqa: PLR2004 - contract 1.3


def _make_status_body(code: int) -> Any:
    usual = ("server_error", "error", "A server error occurred.")
    kind, word, detail = _ERRORS.get(code, usual)
    return {"type": kind, "code": word, "detail": detail, "attr": None}


def _make_throttled(effect: Effect, date: float) -> tuple[int, Mapping[str, str], bytes]:
    """Return 429 with the wait as seconds, as a date, or only in the text (contract 1.5)."""
    seconds = int(effect.args["seconds"])
    answer = throttled(seconds).to_response()
    headers = {
        "header": {"retry-after": str(seconds)},
        "date": {"retry-after": formatdate(date + seconds, usegmt=True)},
        "text": {},
    }[effect.args["form"]]
    return answer.status, {"content-type": _JSON, **headers}, dump_json(answer.body).encode()


async def _send_spoiled(send: Send, effect: Effect, answer: Response) -> None:
    status, headers, body = _encode_plain(answer)
    if effect.name == "truncate":
        at = effect.args["at"]
        await _send(send, status, headers, body[: len(body) // 2 if at is None else at])
    elif effect.name == "drip":
        await send(_make_start(status, headers, len(body)))
        for place in range(len(body)):
            piece = body[place : place + 1]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(float(effect.args["seconds"]))
        await send({"type": "http.response.body", "body": b""})
    else:
        await _send(send, status, *_mutate_body(effect, headers, body))


def _mutate_body(
    effect: Effect, headers: Mapping[str, str], body: bytes
) -> tuple[Mapping[str, str], bytes]:
    """Return the body with fields set or dropped, or replaced by an invalid one."""
    kind = effect.args["kind"]
    if kind is None:
        value = json.loads(body) if body else {}
        return headers, dump_json(_change_fields(value, effect)).encode()
    if kind == "html":
        page = b"<!doctype html><html><body>Please log in</body></html>"
        return {**headers, "content-type": "text/html; charset=utf-8"}, page
    if kind == "content_type":
        return {**headers, "content-type": "text/plain"}, body
    opened = body.lstrip()[:1] == b"{"
    spoiled = {
        "nan": b'{"count":NaN,"id":NaN,"results":[NaN]}',
        "garbage": bytes(byte ^ 0x55 for byte in body),
        "duplicate_keys": b'{"id":1,"id":2,' + body.lstrip()[1:] if opened else body,
        "deep": b"[" * _DEEP_LEVELS + b"]" * _DEEP_LEVELS,
        "surrogate": b'{"id":"\\ud800","name":"\\ud800","results":["\\udfff"]}',
    }
    return headers, spoiled[kind]


def _change_fields(value: Any, effect: Effect) -> Any:
    """Set and drop the fields at paths like `a.b[0].c`, `*` for every element."""
    for path, new in (effect.args["set"] or {}).items():
        for holder, key in _find_containers(value, str(path)):
            holder[key] = new
    for path in effect.args["drop"] or ():
        for holder, key in _find_containers(value, str(path)):
            if isinstance(holder, dict):
                holder.pop(key, None)
            else:
                del holder[key]
    return value


def _find_containers(value: Any, path: str) -> list[tuple[Any, Any]]:
    """Return the containers at a path, each with the last step of the path in it."""
    *inner, last = path.replace("[", ".").replace("]", "").split(".")
    containers = [value]
    for step in inner:
        containers = [child for holder in containers for child in _find_children(holder, step)]
    if last == "*":
        return [
            (container, place)
            for container in containers
            if isinstance(container, list)
            for place in range(len(container))
        ]
    pairs: list[tuple[Any, Any]] = []
    for container in containers:
        if isinstance(container, dict):
            pairs.append((container, last))
        elif isinstance(container, list) and last.isdigit() and int(last) < len(container):
            pairs.append((container, int(last)))
    return pairs


def _find_children(holder: Any, step: str) -> list[Any]:
    if isinstance(holder, dict):
        return [holder[step]] if step in holder else []
    if isinstance(holder, list) and step == "*":
        return list(holder)
    if isinstance(holder, list) and step.isdigit() and int(step) < len(holder):
        return [holder[int(step)]]
    return []
