"""What travels between the server and the rules: a call in, an answer out. No I/O.

A resource describes its routes as values; dispatch decides who may enter, in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_BODY = object()  # a 204 has none; None would be the JSON null


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a JSON value, and headers beyond the usual."""

    status: int
    body: Any = NO_BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    encoded: bytes | None = None  # the body as it goes out, where that is known already


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came off the wire."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    origin: str  # scheme and host, for absolute links
    query_text: str = ""
    ip: str | None = None

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        return self.headers.get(name)
