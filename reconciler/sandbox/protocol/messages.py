"""Requests and responses as the server and the endpoints exchange them. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_BODY = object()  # a 204 has none; None would be the JSON null


@dataclass(frozen=True, slots=True)
class Response:
    """A status, a JSON value, and additional headers."""

    status: int
    body: Any = NO_BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    encoded: bytes | None = None  # the body as it is sent, if already known
    stable_until: str = ""  # a read of the same world gives the same before this time, as stored


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    origin: str  # scheme and host, for absolute links
    query_text: str = ""
    ip: str | None = None

    def get_header(self, name: str) -> str | None:
        """Return a header by its lower-case name."""
        return self.headers.get(name)
