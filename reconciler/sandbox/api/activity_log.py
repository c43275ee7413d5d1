"""The activity log of an organization, and of a project (contract 11)."""

import base64
import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import ADMIN, Entry, User
from reconciler.sandbox.store.paging import link
from reconciler.sandbox.store.transaction import Clause, Window

_PAGE, _LARGEST_PAGE = 100, 1000
_EXACT = {"scopes": "scope", "activities": "activity", "clients": "client", "item_ids": "item_id"}
_ORDERS = {True: "created_at DESC, seq DESC", False: "created_at, seq"}
_ADMINS_ONLY = "Only organization admins and owners can view organization-wide activity logs."
_SPACED_ZONE = re.compile(r"(T\S+) (\d\d:?\d\d)$")
_MOST_FILTERS = 100
_DETAIL_FILTERS = "detail_filters"
_JSON_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
Test = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True)
class _Cursor:
    """A place in the log: after an entry, or before one. It stays put when entries are added."""

    entry: str | None = None
    back: bool = False


def list_entries(call: Call) -> Answer:
    """Entries, newest first; by cursor, or by number when `page` is given (contract 11.1)."""
    clauses, tests = _asked(call)
    keep = (lambda entry: all(test(entry) for test in tests)) if tests else None
    size = min(validators.as_id(call.query("page_size") or "") or _PAGE, _LARGEST_PAGE)
    number = call.query("page")
    if number is not None or call.profile.counts_logs:
        return _numbered(call, clauses, keep, size=size, number=number or "1")
    return _from_cursor(call, clauses, keep, size=size)


def _numbered(
    call: Call, clauses: list[Clause], keep: Test | None, *, size: int, number: str
) -> Answer:
    offset = _page_number(number, size)
    order = _ORDERS[_newest_first(call)]
    reach = Window(size, max(0, offset + call.bend.shift), order)
    count, found = call.tx.page(Entry, clauses, reach, keep)
    if call.bend.empty:
        count, found = 0, []
    if offset and offset >= count:
        raise not_found("Invalid page.")
    page, more = offset // size + 1, offset + size < count
    body = {
        "count": count,
        "next": link(call.incoming, page=page + 1) if more else None,
        "previous": link(call.incoming, page=page - 1) if offset else None,
    }
    return Answer(200, {**body, "results": [shape(call, one) for one in found]})


def _from_cursor(call: Call, clauses: list[Clause], keep: Test | None, *, size: int) -> Answer:
    cursor = _cursor(call.query("cursor"))
    newest = _newest_first(call)
    if cursor.entry is not None:
        sign = "<" if newest is not cursor.back else ">"
        place = "(SELECT created_at, seq FROM activity WHERE id = ?)"
        clauses = [*clauses, (f"(created_at, seq) {sign} {place}", (cursor.entry,))]
    reach = Window(size, max(0, call.bend.shift), _ORDERS[newest is not cursor.back])
    count, found = call.tx.page(Entry, clauses, reach, keep)
    if cursor.back:
        found.reverse()
    if call.bend.empty:
        count, found = 0, []
    more, came = count > size, cursor.entry is not None
    forward, backward = (came, more) if cursor.back else (more, came)
    body = {
        "next": _link(call, found[-1], back=False) if forward and found else None,
        "previous": _link(call, found[0], back=True) if backward and found else None,
    }
    return Answer(200, {**body, "results": [shape(call, one) for one in found]})


def _newest_first(call: Call) -> bool:
    return call.query("ordering") != "created_at"


def _link(call: Call, entry: Entry, *, back: bool) -> str:
    text = f"{'before' if back else 'after'}={entry.id}"
    return link(call.incoming, cursor=base64.urlsafe_b64encode(text.encode()).decode())


def _cursor(text: str | None) -> _Cursor:
    if text is None:
        return _Cursor()
    try:
        side, _, entry = base64.urlsafe_b64decode(text.encode()).decode().partition("=")
    except ValueError:
        side, entry = "", ""
    if side not in ("before", "after") or validators.as_uuid(entry) is None:
        raise not_found("Invalid cursor")
    return _Cursor(entry, back=side == "before")


def _page_number(text: str, size: int) -> int:
    number = validators.as_id(text)
    if not number:
        raise not_found("Invalid page.")
    return (number - 1) * size


def _asked(call: Call) -> tuple[list[Clause], list[Test]]:
    """The filters of contract 11.1: what SQL can say, and what takes a look at the entry."""
    clauses = [_place(call), *_simple(call)]
    if users := _listed(call, "users"):
        clauses.append(_among("user", _user_ids(call, users)))
    if teams := _listed(call, "team_ids"):
        clauses.append(
            _among("project", [validators.query_integer(one, "team_ids") for one in teams])
        )
    tests: list[Test] = []
    if addresses := _listed(call, "ip_addresses"):
        tests.append(lambda entry: _from(entry.ip_address, addresses))
    if text := call.query("search_text"):
        tests.append(lambda entry: text.lower() in json.dumps(entry.detail).lower())
    if wanted := call.query("detail_filters"):
        tests += _detail_tests(wanted)
    return clauses, tests


def _simple(call: Call) -> Iterator[Clause]:
    """One column, one comparison."""
    for name, sign in (("start_date", ">="), ("end_date", "<=")):
        if text := call.query(name):
            yield f"created_at {sign} ?", (_moment(text, name),)
    for name, column in _EXACT.items():
        if words := _listed(call, name):
            yield _among(column, words)
    for name in ("was_impersonated", "is_system"):
        if word := call.query(name):
            yield f"{name} IS ?", (validators.boolean(word, name),)


def _place(call: Call) -> Clause:
    if call.in_project is not None:
        return "project = ?", (call.project.id,)
    return "organization = ?", (call.organization.id,)


def _among(column: str, values: list[Any]) -> Clause:
    return f'"{column}" IN ({", ".join("?" * len(values))})', values


def _listed(call: Call, name: str) -> list[str]:
    """A JSON array as text, or the parameter repeated."""
    words: list[str] = []
    for text in call.incoming.query.get(name, ()):
        if not text.startswith("["):
            words.append(text)
            continue
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise invalid("Must be a JSON list.", name) from error
        words += [one if isinstance(one, str) else json.dumps(one) for one in found]
    return [word for word in words if word]


def _user_ids(call: Call, uuids: list[str]) -> list[int]:
    found = [call.tx.first(User, uuid=validators.uuid(one, "users")) for one in uuids]
    return [one.id for one in found if one is not None]


def _moment(text: str, name: str) -> str:
    try:
        # an unescaped plus sign arrives as a space
        return clock.stamp(clock.parse(_SPACED_ZONE.sub(r"\1+\2", text)))
    except ValueError as error:
        raise invalid("Enter a valid date/time.", name) from error


def _from(address: str | None, patterns: list[str]) -> bool:
    return address is not None and any(fnmatch.fnmatchcase(address, one) for one in patterns)


def available_filters(call: Call) -> Answer:
    """What there is to filter by (contract 11.3)."""
    text, values = _place(call)
    _, entries = call.tx.page(Entry, [(text, values)], Window(10**6, 0))
    users = {one.user: call.tx.get(User, one.user) for one in entries if one.user is not None}
    static = {
        "users": [
            {"value": user.uuid, "label": user.first_name or user.email}
            for user in users.values()
            if user is not None
        ],
        "scopes": _values(one.scope for one in entries),
        "activities": _values(one.activity for one in entries),
        "clients": _values(one.client for one in entries if one.client),
    }
    return Answer(200, {"static_filters": static, "detail_fields": _detail_fields(entries)})


def _values(words: Any) -> list[dict[str, str]]:
    return [{"value": word} for word in sorted(set(words))]


def _detail_tests(text: str) -> list[Test]:
    """`{"<path>": {"operation": "exact|contains|in", "value": ...}}` as tests.

    Raises:
        ApiError: 400, for another shape or too many.
    """
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("Must be a JSON object.", _DETAIL_FILTERS) from error
    if not isinstance(wanted, dict):
        raise invalid("Must be a JSON object.", _DETAIL_FILTERS)
    if len(wanted) > _MOST_FILTERS:
        raise invalid(f"At most {_MOST_FILTERS} filters are allowed.", _DETAIL_FILTERS)
    return [_detail_test(path, one) for path, one in wanted.items()]


def _detail_test(path: str, wanted: Any) -> Test:
    if not isinstance(wanted, dict) or "value" not in wanted:
        raise invalid(f"{path}: needs an operation and a value.", _DETAIL_FILTERS)
    operation, value = wanted.get("operation", "exact"), wanted["value"]
    if operation == "exact":
        return lambda entry: any(_same(one, value) for one in _values_at(entry.detail, path))
    if operation == "contains":
        word = str(value).lower()
        return lambda entry: any(
            word in _text(one).lower() for one in _values_at(entry.detail, path)
        )
    if operation == "in" and isinstance(value, list):
        return lambda entry: any(
            _same(one, two) for one in _values_at(entry.detail, path) for two in value
        )
    raise invalid(f"{path}: the operation is exact, contains or in.", _DETAIL_FILTERS)


def _same(one: Any, two: Any) -> bool:
    return bool(one == two) or _text(one) == _text(two)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _values_at(detail: Any, path: str) -> Iterator[Any]:
    """The values at `a.b[].c` of a detail."""
    values = [detail]
    for part in path.split("."):
        name = part.removesuffix("[]")
        values = [one[name] for one in values if isinstance(one, dict) and name in one]
        if part.endswith("[]"):
            values = [inner for one in values if isinstance(one, list) for inner in one]
    yield from values


def _detail_fields(entries: Iterable[Entry]) -> dict[str, Any]:
    """Every path in the details, and its types, by scope (contract 11.3)."""
    found: dict[str, dict[str, set[str]]] = {}
    for entry in entries:
        paths = found.setdefault(entry.scope, {})
        for path, kind in _paths(entry.detail, ""):
            paths.setdefault(path, set()).add(kind)
    return {
        scope: {"fields": [{"name": path, "types": sorted(paths[path])} for path in sorted(paths)]}
        for scope, paths in sorted(found.items())
    }


def _paths(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for inner in value:
            yield from _paths(inner, f"{path}[]")
    elif value is not None and path:
        yield path, _JSON_TYPES.get(type(value), "object")


def export(call: Call) -> Answer:
    """Documented with an entry as its answer; in truth it is not open to keys (section 13)."""
    if not call.profile.exports_logs:
        raise forbidden("This action does not support personal API key access")
    _, entries = call.tx.page(Entry, [_place(call)], Window(1, 0))
    return Answer(200, shape(call, entries[0]) if entries else {})


EXPORT = (
    validators.Field("format", validators.choice("csv", "xlsx"), required=True),
    validators.Field("filters", validators.mapping),
)


def export_project(call: Call) -> Answer:
    """The project's log as a file, some day: only the promise of it is emulated."""
    asked = validators.read(call.data, EXPORT, partial=False)
    return Answer(202, {"id": call.tx.uuid(), "export_format": asked["format"]})


def shape(call: Call, entry: Entry) -> dict[str, Any]:
    """An entry as the API shows it (contract 11.2)."""
    shaped = {
        "id": entry.id,
        "user": people.basic(call.tx, entry.user),
        "unread": False,
        "team_id": entry.project,
        "organization_id": entry.organization,
        "was_impersonated": entry.was_impersonated,
        "is_system": entry.is_system,
        "client": entry.client,
        "activity": entry.activity,
        "item_id": entry.item_id,
        "scope": entry.scope,
        "detail": entry.detail,
        "created_at": shown(entry.created_at),
    }
    return {**shaped, "ip_address": entry.ip_address} if call.profile.name == "g2" else shaped


def _routes() -> tuple[Route, ...]:
    wide = "/api/organizations/:organization/advanced_activity_logs"
    own = "/api/projects/:project/advanced_activity_logs"

    def route(method: str, path: str, name: str, view: View) -> Route:
        level = ADMIN if path.startswith(wide) else 0
        return Route(
            method,
            path,
            f"activity_logs.{name}",
            view,
            "activity_log:read",
            level=level,
            refusal=_ADMINS_ONLY,
            feature="audit_logs",
        )

    return (
        *(route("GET", base, "list", list_entries) for base in (wide, own)),
        *(
            route("GET", f"{base}/available_filters", "available_filters", available_filters)
            for base in (wide, own)
        ),
        route("POST", f"{wide}/export", "export", export),
        route("POST", f"{own}/export", "export", export_project),
    )


ROUTES = _routes()
