"""Limit and offset, and the links to the next and the previous page (contract 1.6). Pure."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from reconciler.sandbox.protocol.messages import IncomingRequest
from reconciler.sandbox.protocol.validators import parse_id
from reconciler.sandbox.store.transaction import Window

DEFAULT_LIMIT = 100


def parse_window(limit: str | None, offset: str | None) -> Window:
    """Return the requested part; an invalid number falls back to the default."""
    return Window(parse_id(limit or "") or DEFAULT_LIMIT, parse_id(offset or "") or 0)


def make_link(incoming: IncomingRequest, **changes: object) -> str:
    """Return the address of this call with other parameters; None removes one."""
    query: dict[str, tuple[str, ...]] = dict(incoming.query)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = (str(value),)
    return incoming.origin + quote(incoming.path, safe="/@:") + _format_query(query)


def _format_query(query: Mapping[str, tuple[str, ...]]) -> str:
    pairs = [(name, value) for name in sorted(query) for value in query[name]]
    return f"?{urlencode(pairs)}" if pairs else ""


def make_page_links(
    incoming: IncomingRequest, window: Window, count: int
) -> tuple[str | None, str | None]:
    """Return the next and the previous page, absolute, or null."""
    following = previous = None
    if window.offset + window.limit < count:
        following = make_link(incoming, limit=window.limit, offset=window.offset + window.limit)
    if window.offset > 0:
        back = window.offset - window.limit
        previous = make_link(incoming, limit=window.limit, offset=back if back > 0 else None)
    return following, previous
