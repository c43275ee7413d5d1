"""Calls of a probe and their answers, each recorded under the name that statements use."""

from collections.abc import Mapping
from dataclasses import field
from threading import Event
from typing import Any, Final

from reconciler.conformance.statement import MISSING
from reconciler.errors import ApiError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Request
from reconciler.posthog import body as posthog_body
from reconciler.posthog.client import Writer

_REFUSALS: Final = frozenset({(402, "payment_required"), (403, "permission_denied")})


class InterruptedProbeError(Exception):
    """The run was asked to stop: only what cleans up is sent from now on."""


class ProbeSkippedError(Exception):
    """A probe cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call and its answer."""

    name: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    status: int | None  # None: no answer that can be used
    answer: Any = MISSING  # the parsed body; MISSING if there is none
    problem: str = ""  # why there is no answer, or why it cannot be read

    @property
    def is_refused(self) -> bool:
        """Return whether the key or the plan does not allow the call."""
        code = self.get("code")
        return isinstance(code, str) and (self.status, code) in _REFUSALS

    def get(self, path: str) -> Any:
        """Return the value at a path such as `change_request.state`, or MISSING."""
        return read_path(self.answer, path)[0]


@dataclass(slots=True)
class Recorder:
    """Sends calls one after another, and keeps the named ones and what was learnt on the way."""

    writer: Writer
    second: Writer | None
    stop: Event
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # probe or call -> why it says nothing
    is_cleaning: bool = False

    @property
    def writers(self) -> tuple[Writer, ...]:
        """Return the connections that are used."""
        return (self.writer,) if self.second is None else (self.writer, self.second)

    def call(
        self,
        name: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str | int | bool] | None = None,
        as_second: bool = False,
    ) -> Exchange:
        """Send one call and return what came back; an empty name is not recorded.

        Raises:
            InterruptedProbeError: the run was asked to stop.
            ProbeSkippedError: whether a write was carried out is unknown, so that nothing that
                comes after it in the same probe says anything.

        """
        if self.stop.is_set() and not self.is_cleaning:
            raise InterruptedProbeError
        writer = self.second if as_second and self.second is not None else self.writer
        exchange = _send(writer, name, Request(method, path, body), params)
        if name:
            self.exchanges[name] = exchange
        if exchange.status is None and method != "GET" and not self.is_cleaning:
            raise ProbeSkippedError(exchange.problem)
        return exchange


def set_aside(recorder: Recorder, exchange: Exchange, needs: str) -> bool:
    """Forget a call that the key or the plan does not allow; return whether that was so.

    It says nothing about the contract: what could not be tried needs a scope or a plan.
    """
    if not exchange.is_refused:
        return False
    recorder.exchanges.pop(exchange.name, None)
    recorder.skipped[exchange.name] = f"it needs {needs}: HTTP {exchange.status}"
    return True


def _send(
    writer: Writer,
    name: str,
    request: Request,
    params: Mapping[str, str | int | bool] | None,
) -> Exchange:
    method, path, body = request.method, request.path, request.body
    shown = path + (
        "?" + "&".join(f"{key}={value}" for key, value in params.items()) if params else ""
    )
    try:
        answer = writer.exchange(request, params)
    except ApiError as error:
        return Exchange(name, method, shown, body, None, problem=f"{error.what}: {error.why}")
    if not answer.body:
        return Exchange(name, method, shown, body, answer.status)
    try:
        value = posthog_body.parse(answer.body)
    except ValueError as error:
        return Exchange(name, method, shown, body, answer.status, problem=f"unreadable: {error}")
    return Exchange(name, method, shown, body, answer.status, value)


def read_path(value: Any, path: str) -> tuple[Any, str]:
    """Return the value at a path, and the part of the path at which the value ends.

    `#` is the length of a list, a number one of its items. The part is empty if the value is
    there; it is the part itself that is missing, or something that has no parts.
    """
    walked: list[str] = []
    for part in path.split(".") if path else ():
        has_parts = isinstance(value, list | dict)
        walked += [part] if has_parts else []
        value = _step(value, part) if has_parts else MISSING
        if value is MISSING:
            return MISSING, ".".join(walked)
    return value, ""


def _step(value: Any, part: str) -> Any:
    if isinstance(value, list):
        if part == "#":
            return len(value)
        return value[int(part)] if part.isdecimal() and int(part) < len(value) else MISSING
    return value.get(part, MISSING) if isinstance(value, dict) else MISSING
