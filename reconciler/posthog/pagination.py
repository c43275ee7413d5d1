"""Pages → complete collections that agree with themselves, or an error.

Never takes a part for the whole: absence is only believed after a listing that adds up.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from reconciler.errors import IncompleteListingError
from reconciler.model import Payload
from reconciler.posthog.redaction import redact

PAGE_SIZE: Final = 100  # the server's default; a larger one is documented nowhere
MAX_PAGES: Final = 10_000
RELISTS: Final = 3

Params = Mapping[str, str | int | bool] | Sequence[tuple[str, str]]
Request = tuple[str, Params | None]  # path and query
Identity = Callable[[Payload], str]
Take = Callable[[Payload], Payload]


def whole(item: Payload) -> Payload:
    """An item as it came."""
    return item


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole collection, each item once, and the pages it came in."""

    items: tuple[Payload, ...]
    pages: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where pages come from. `spread` calls a function for many requests at once, like `map`."""

    origin: str
    fetch: Callable[[Request], Any]
    spread: Callable[[Callable[[Request], "_Page"], Iterable[Request]], Iterator["_Page"]]


@dataclass(frozen=True, slots=True)
class _Page:
    items: tuple[Payload, ...]
    count: int | None = None
    next: str | None = None


_Ask = Callable[[Request], _Page]


class _TornError(Exception):
    """The pages do not fit together; another listing may."""


def identify(item: Payload) -> str:
    """The id of an item; for one without, all of it."""
    return str(item["id"]) if "id" in item else json.dumps(item, sort_keys=True)


def read_all(
    source: Source,
    path: str,
    params: Params | None = None,
    *,
    identity: Identity = identify,
    page_size: int = PAGE_SIZE,
    take: Take = whole,
) -> Listing:
    """The whole collection: ceil(n / page_size) requests for n items, one for none.

    It is listed anew if its pages do not fit together, for somebody may be writing to it. Of each
    item that is kept which `take` makes of it, in the thread that has its page, while others come.
    """
    ask = partial(_ask, source, _Rows(path, take))
    query = {"limit": page_size, **dict(params or {})}
    reason = ""
    for _ in range(1 + RELISTS):
        try:
            return _read_once(source, ask, (path, query), identity)
        except _TornError as torn:
            reason = str(torn)
    raise _incomplete(path, f"{reason}; listed {1 + RELISTS} times")


def pages(
    source: Source, path: str, params: Params | None = None, *, counted: bool
) -> Iterator[tuple[Payload, ...]]:
    """Yield page after page as the server links them, not compared with each other.

    `counted` is for collections, whose pages have a count; logs have none (contract 11.1).
    """
    try:
        ask = partial(_ask, source, _Rows(path, counted=counted))
        for page in _linked(source, ask, path, ask((path, params))):
            yield page.items
    except _TornError as torn:
        raise _incomplete(path, str(torn)) from None


def _read_once(source: Source, ask: _Ask, request: Request, identity: Identity) -> Listing:
    path = request[0]
    first = ask(request)
    step = _step(source, path, first)
    if step is None:
        found = tuple(_linked(source, ask, path, first))
    else:
        found = tuple(_at_offsets(source, ask, path, first, step))
    items = tuple(item for page in found for item in page.items)
    _check(found, [identity(item) for item in items])
    return Listing(items, len(found))


def _check(found: Sequence[_Page], ids: Sequence[str]) -> None:
    first, last = found[0].count, found[-1].count
    if first != last:
        raise _TornError(f"it held {first} items on its first page and {last} on its last")
    if len(set(ids)) != len(ids):
        raise _TornError("an item came twice")
    if first is not None and first != len(ids):
        raise _TornError(f"it holds {first} items, but {len(ids)} came")


def _ask(source: Source, rows: "_Rows", request: Request) -> _Page:
    return rows.page(source.fetch(request))


class _Rows:
    """What the pages of a collection have to hold.

    A row does not always say where it belongs; one that does, and belongs elsewhere, came with the
    answer to another request.
    """

    def __init__(self, path: str, take: Take = whole, *, counted: bool = True) -> None:
        self._take, self._counted = take, counted
        place = _PLACE.match(path)
        self._names = _OWNERS[place["kind"]] if place else ()
        self._id = unquote(place["id"]).lower() if place else ""

    def page(self, body: Any) -> _Page:
        """Read a body as a page; _TornError if it is not one, or not one of this collection."""
        if not isinstance(body, dict):
            raise _TornError("the answer is not a page of a listing")
        items, count, after = body.get("results"), body.get("count"), body.get("next")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise _TornError("the answer has no list of results")
        if not isinstance(after, str | None):
            raise _TornError("the answer has a link to the next page that is not text")
        if type(count) is not int and (self._counted or count is not None):
            raise _TornError("the answer has no count: it may be a part of the collection")
        for item in items:
            self._check(item)
        return _Page(tuple(map(self._take, items)), count, after or None)

    def _check(self, item: Payload) -> None:
        for name in self._names:
            owner = item.get(name)
            if isinstance(owner, str | int) and str(owner).lower() != self._id:
                raise _TornError(f"an item has the {name} {owner}, and {self._id} was asked for")


_PLACE: Final = re.compile(r"/api/(?P<kind>projects|organizations)/(?P<id>[^/@]+)/")
_OWNERS: Final[Mapping[str, tuple[str, ...]]] = {
    "projects": ("team", "team_id", "project", "project_id"),
    "organizations": ("organization", "organization_id"),
}


def _step(source: Source, path: str, first: _Page) -> int | None:
    """Items per page, if the pages that follow can be asked for all at once."""
    if first.count is None or first.next is None:
        return None
    offset = _offset(_after(source.origin, path, first.next))
    return offset if offset and offset == len(first.items) else None


def _at_offsets(source: Source, ask: _Ask, path: str, first: _Page, step: int) -> Iterator[_Page]:
    """The other pages at once; each is held against what the first one promised."""
    count = first.count or 0
    where, query = _after(source.origin, path, first.next or "")
    plain = [pair for pair in dict(query or {}).items() if pair[0] != "offset"]
    offsets = range(step, count, step)
    if not offsets:
        raise _TornError(f"it counts {count} items, and links to more")
    if len(offsets) >= MAX_PAGES:
        raise _incomplete(path, f"more than {MAX_PAGES} pages")
    requests: list[Request] = [
        (where, [(name, str(value)) for name, value in plain] + [("offset", str(offset))])
        for offset in offsets
    ]
    yield first
    for offset, page in zip(offsets, source.spread(ask, requests), strict=True):
        end = min(offset + step, count)
        after = None if page.next is None else _offset(_after(source.origin, path, page.next))
        if page.count != count:
            raise _TornError(f"it held {count} items on its first page and {page.count} later")
        if len(page.items) != end - offset or after != (end if end < count else None):
            raise _TornError("its pages have moved while it was read")
        yield page


def _linked(source: Source, ask: _Ask, path: str, first: _Page) -> Iterator[_Page]:
    """The pages one after the other, wherever `next` leads on the same origin."""
    seen: set[str] = set()
    page = first
    yield page
    while page.next is not None:
        if page.next in seen:
            raise _incomplete(path, "its pages lead in a circle")
        seen.add(page.next)
        if len(seen) >= MAX_PAGES:
            raise _incomplete(path, f"more than {MAX_PAGES} pages")
        page = ask(_after(source.origin, path, page.next))
        yield page


def _offset(request: Request) -> int | None:
    """The offset of a plain limit/offset page."""
    query = dict(request[1] or {})
    offset, limit = str(query.get("offset", "")), str(query.get("limit", ""))
    return int(offset) if offset.isdecimal() and limit.isdecimal() else None


def _after(origin: str, path: str, link: str) -> Request:
    """Path and query of a `next` link, which may not leave the origin.

    `http` for `https` is tolerated, as servers behind a proxy write it: only path and query
    are used, and they go to our own origin.
    """
    try:
        parts = urlsplit(link)
        place = (parts.hostname, parts.port)
    except ValueError:
        raise _incomplete(path, "a link to the next page is no URL") from None
    own = urlsplit(origin)
    if parts.netloc and (place != (own.hostname, own.port) or "@" in parts.netloc):
        there = parts.netloc.rpartition("@")[2]
        raise _incomplete(
            path,
            f"the next page is linked at {there}, not at {own.netloc}; it was not asked",
            fix=f"have {own.netloc} write its own name into links (SITE_URL), "
            f"or make {there} the host",
        )
    if not parts.path.startswith("/") or parts.path.startswith("//"):
        raise _incomplete(path, "a link to the next page is no URL")
    return parts.path, parse_qsl(parts.query, keep_blank_values=True)


def _incomplete(path: str, why: str, *, fix: str | None = None) -> IncompleteListingError:
    return IncompleteListingError(
        redact(f"GET {path}: the listing is not complete"),
        method="GET",
        path=path,
        why=redact(why),
        fix=None if fix is None else redact(fix),
    )
