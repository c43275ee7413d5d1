"""Limit and offset, and the links to the next and the previous page (contract 1.6). Pure."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from reconciler.sandbox.protocol.messages import Incoming
from reconciler.sandbox.protocol.validators import as_id
from reconciler.sandbox.store.transaction import Window

PAGE = 100


def window(limit: str | None, offset: str | None) -> Window:
    """The part asked for; what makes no sense falls back to the default."""
    return Window(as_id(limit or "") or PAGE, as_id(offset or "") or 0)


def link(incoming: Incoming, **changes: object) -> str:
    """The address of this call with other parameters; None removes one."""
    query: dict[str, tuple[str, ...]] = dict(incoming.query)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = (str(value),)
    return incoming.origin + quote(incoming.path, safe="/@:") + _suffix(query)


def _suffix(query: Mapping[str, tuple[str, ...]]) -> str:
    pairs = [(name, value) for name in sorted(query) for value in query[name]]
    return f"?{urlencode(pairs)}" if pairs else ""


def links(incoming: Incoming, asked: Window, count: int) -> tuple[str | None, str | None]:
    """The next and the previous page, absolute, or null."""
    following = previous = None
    if asked.offset + asked.limit < count:
        following = link(incoming, limit=asked.limit, offset=asked.offset + asked.limit)
    if asked.offset > 0:
        back = asked.offset - asked.limit
        previous = link(incoming, limit=asked.limit, offset=back if back > 0 else None)
    return following, previous
