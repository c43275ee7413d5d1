"""Read pages into complete collections that agree with themselves, or raise an error.

Never takes a part for the whole: an object is only absent if a complete listing lacks it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from reconciler.errors import IncompleteListingError
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import Payload
from reconciler.posthog.redaction import redact

PAGE_SIZE: Final = 100  # the server's default; a larger one is documented nowhere
MAX_PAGES: Final = 10_000
RELISTS: Final = 3

Params = Mapping[str, str | int | bool] | Sequence[tuple[str, str]]
Request = tuple[str, Params | None]  # path and query
Identity = Callable[[Payload], str]
Take = Callable[[Payload], Payload]


def keep_whole(item: Payload) -> Payload:
    """Return an item as it came."""
    return item


@dataclass(frozen=True, slots=True)
class Listing:
    """Hold a whole collection, each item once, and the number of its pages."""

    items: tuple[Payload, ...]
    pages: int


@dataclass(frozen=True, slots=True)
class PageSource:
    """Fetch pages. `spread` calls a function for many requests at once, like `map`."""

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
    """Report pages that do not fit together; another listing may."""


def identify(item: Payload) -> str:
    """Return the id of an item, or the whole item as text if it has none."""
    return str(item["id"]) if "id" in item else json.dumps(item, sort_keys=True, default=dict)


def read_all(
    source: PageSource,
    path: str,
    params: Params | None = None,
    *,
    identity: Identity = identify,
    page_size: int = PAGE_SIZE,
    take: Take = keep_whole,
) -> Listing:
    """Read a whole collection: ceil(n / page_size) requests for n items, one for none.

    It is listed again if its pages do not fit together, because somebody may be writing to it. Each
    item is kept as `take` returns it, which runs in the thread that read its page.
    """
    read_page = partial(_read_page, source, _Rows(path, take))
    query = {"limit": page_size, **dict(params or {})}
    reason = ""
    for _ in range(1 + RELISTS):
        try:
            return _read_once(source, read_page, (path, query), identity)
        except _TornError as torn:
            reason = str(torn)
    raise _build_error(path, f"{reason}; listed {1 + RELISTS} times")


def iterate_pages(
    source: PageSource, path: str, params: Params | None = None, *, counted: bool
) -> Iterator[tuple[Payload, ...]]:
    """Yield page after page as the server links them, not compared with each other.

    Pages of collections are `counted`; pages of logs have no count (contract 11.1).
    """
    try:
        read_page = partial(_read_page, source, _Rows(path, counted=counted))
        for page in _follow_links(source, read_page, path, read_page((path, params))):
            yield page.items
    except _TornError as torn:
        raise _build_error(path, str(torn)) from None


def _read_once(
    source: PageSource, read_page: _Ask, request: Request, identity: Identity
) -> Listing:
    path = request[0]
    first = read_page(request)
    step = _find_step(source, path, first)
    if step is None:
        pages = tuple(_follow_links(source, read_page, path, first))
    else:
        pages = tuple(_read_offsets(source, read_page, path, first, step))
    items = tuple(item for page in pages for item in page.items)
    _check_complete(pages, [identity(item) for item in items])
    return Listing(items, len(pages))


def _check_complete(pages: Sequence[_Page], ids: Sequence[str]) -> None:
    first, last = pages[0].count, pages[-1].count
    if first != last:
        raise _TornError(f"it held {first} items on its first page and {last} on its last")
    if len(set(ids)) != len(ids):
        raise _TornError("an item came twice")
    if first is not None and first != len(ids):
        raise _TornError(f"it holds {first} items, but {len(ids)} came")


def _read_page(source: PageSource, rows: "_Rows", request: Request) -> _Page:
    return rows.parse_page(source.fetch(request))


class _Rows:
    """Check the rows of the pages of one collection.

    Not every row names its project or organization. A row that names another one belongs to the
    response to another request.
    """

    def __init__(self, path: str, take: Take = keep_whole, *, counted: bool = True) -> None:
        self._take, self._counted = take, counted
        place = _PLACE.match(path)
        self._names = _OWNERS[place["kind"]] if place else ()
        self._id = unquote(place["id"]).lower() if place else ""

    def parse_page(self, body: Any) -> _Page:
        """Read a body as a page; _TornError if it is not one, or not one of this collection."""
        if not isinstance(body, dict):
            raise _TornError("the response is not a page of a listing")
        items, count, after = body.get("results"), body.get("count"), body.get("next")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise _TornError("the response has no list of results")
        if not isinstance(after, str | None):
            raise _TornError("the link to the next page is not text")
        if type(count) is not int and (self._counted or count is not None):
            raise _TornError("the response has no count: it may be a part of the collection")
        for item in items:
            self._check_owner(item)
        return _Page(tuple(map(self._take, items)), count, after or None)

    def _check_owner(self, item: Payload) -> None:
        for name in self._names:
            if name not in item:
                continue
            owner = item[name]
            if isinstance(owner, str | int) and str(owner).lower() != self._id:
                raise _TornError(f"an item has the {name} {owner}, but {self._id} was requested")


_PLACE: Final = compile_later(r"/api/(?P<kind>projects|organizations)/(?P<id>[^/@]+)/")
_OWNERS: Final[Mapping[str, tuple[str, ...]]] = {
    "projects": ("team", "team_id", "project", "project_id"),
    "organizations": ("organization", "organization_id"),
}


def _find_step(source: PageSource, path: str, first: _Page) -> int | None:
    """Return the items per page if all later pages can be requested at once, else None."""
    if first.count is None or first.next is None:
        return None
    offset = _read_offset(_parse_link(source.origin, path, first.next))
    return offset if offset and offset == len(first.items) else None


def _read_offsets(
    source: PageSource, read_page: _Ask, path: str, first: _Page, step: int
) -> Iterator[_Page]:
    """Yield the pages, the later ones read at once and compared with the count of the first."""
    count = first.count or 0
    next_path, query = _parse_link(source.origin, path, first.next or "")
    plain = [pair for pair in dict(query or {}).items() if pair[0] != "offset"]
    offsets = range(step, count, step)
    if not offsets:
        raise _TornError(f"it counts {count} items, but links to more")
    if len(offsets) >= MAX_PAGES:
        raise _build_error(path, f"more than {MAX_PAGES} pages")
    requests: list[Request] = [
        (next_path, [(name, str(value)) for name, value in plain] + [("offset", str(offset))])
        for offset in offsets
    ]
    yield first
    for offset, page in zip(offsets, source.spread(read_page, requests), strict=True):
        end = min(offset + step, count)
        after = (
            None if page.next is None else _read_offset(_parse_link(source.origin, path, page.next))
        )
        if page.count != count:
            raise _TornError(f"it held {count} items on its first page and {page.count} later")
        if len(page.items) != end - offset or after != (end if end < count else None):
            raise _TornError("its pages changed while they were read")
        yield page


def _follow_links(source: PageSource, read_page: _Ask, path: str, first: _Page) -> Iterator[_Page]:
    """Yield page after page by their `next` links on the same origin."""
    links: set[str] = set()
    page = first
    yield page
    while page.next is not None:
        if page.next in links:
            raise _build_error(path, "its pages form a cycle")
        links.add(page.next)
        if len(links) >= MAX_PAGES:
            raise _build_error(path, f"more than {MAX_PAGES} pages")
        page = read_page(_parse_link(source.origin, path, page.next))
        yield page


def _read_offset(request: Request) -> int | None:
    """Return the offset of a plain limit/offset page; None for any other."""
    query = dict(request[1] or {})
    offset, limit = str(query.get("offset", "")), str(query.get("limit", ""))
    return int(offset) if offset.isdecimal() and limit.isdecimal() else None


def _parse_link(origin: str, path: str, link: str) -> Request:
    """Return path and query of a `next` link, which may not leave the origin.

    `http` instead of `https` is accepted, because servers behind a proxy write it: only path and
    query are used, and they go to our own origin.
    """
    try:
        parts = urlsplit(link)
        place = (parts.hostname, parts.port)
    except ValueError:
        raise _build_error(path, "a link to the next page is not a URL") from None
    own = urlsplit(origin)
    if parts.netloc and (place != (own.hostname, own.port) or "@" in parts.netloc):
        host = parts.netloc.rpartition("@")[2]
        raise _build_error(
            path,
            f"the link to the next page leads to {host}, not to {own.netloc}; it was not followed",
            fix=f"set SITE_URL of {own.netloc} to its own name, or use {host} as the host",
        )
    if not parts.path.startswith("/") or parts.path.startswith("//"):
        raise _build_error(path, "a link to the next page is not a URL")
    return parts.path, parse_qsl(parts.query, keep_blank_values=True)


def _build_error(path: str, why: str, *, fix: str | None = None) -> IncompleteListingError:
    return IncompleteListingError(
        redact(f"GET {path}: the listing is not complete"),
        method="GET",
        path=path,
        why=redact(why),
        fix=None if fix is None else redact(fix),
    )
