"""The activity log of an organization, and of a project (contract 11)."""

import base64
import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.protocol.errors import forbidden, invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_object,
    check_query_integer,
    check_uuid,
    make_choice_check,
    parse_id,
    parse_uuid,
    read_fields,
)
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route, View
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ADMIN, LogEntry, User
from reconciler.sandbox.store.paging import make_link
from reconciler.sandbox.store.transaction import Clause, Window

_PAGE, _LARGEST_PAGE = 100, 1000
_NULLS = ("null", "Null", "NULL")  # of a nullable boolean: not filtered (contract 11.1)
_EXACT = {"scopes": "scope", "activities": "activity", "clients": "client", "item_ids": "item_id"}
_ORDERS = {True: "created_at DESC, seq DESC", False: "created_at, seq"}
_ADMINS_ONLY = "Only organization admins and owners can view organization-wide activity logs."
_SPACED_ZONE = re.compile(r"(T\S+) (\d\d:?\d\d)$")
_MAX_FILTERS = 100
_DETAIL_FILTERS = "detail_filters"
_JSON_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
EntryFilter = Callable[[LogEntry], bool]


@dataclass(frozen=True, slots=True)
class _Cursor:
    """A position in the log, after or before an entry. New entries do not move it."""

    entry: str | None = None
    back: bool = False


def list_entries(call: Call) -> Response:
    """List entries, newest first, by cursor or, with `page`, by page number (contract 11.1)."""
    clauses, tests = _parse_filters(call)
    keep = (lambda entry: all(test(entry) for test in tests)) if tests else None
    size = min(parse_id(call.get_query("page_size") or "") or _PAGE, _LARGEST_PAGE)
    number = call.get_query("page")
    if number is not None or call.profile.counts_logs:
        return _read_numbered_page(call, clauses, keep, size=size, number=number or "1")
    return _read_cursor_page(call, clauses, keep, size=size)


def _read_numbered_page(
    call: Call, clauses: list[Clause], keep: EntryFilter | None, *, size: int, number: str
) -> Response:
    offset = _parse_offset(number, size)
    order = _ORDERS[_is_newest_first(call)]
    reach = Window(size, max(0, offset + call.fault_effect.shift), order)
    count, entries = call.tx.read_page(LogEntry, clauses, reach, keep)
    if call.fault_effect.empty:
        count, entries = 0, []
    if offset and offset >= count:
        raise not_found("Invalid page.")
    page, more = offset // size + 1, offset + size < count
    body = {
        "count": count,
        "next": make_link(call.incoming, page=page + 1) if more else None,
        "previous": make_link(call.incoming, page=page - 1) if offset else None,
    }
    return Response(200, {**body, "results": [render_entry(call, entry) for entry in entries]})


def _read_cursor_page(
    call: Call, clauses: list[Clause], keep: EntryFilter | None, *, size: int
) -> Response:
    cursor = _parse_cursor(call.get_query("cursor"))
    newest = _is_newest_first(call)
    if cursor.entry is not None:
        sign = "<" if newest is not cursor.back else ">"
        place = "(SELECT created_at, seq FROM activity WHERE id = ?)"
        clauses = [*clauses, (f"(created_at, seq) {sign} {place}", (cursor.entry,))]
    reach = Window(size, max(0, call.fault_effect.shift), _ORDERS[newest is not cursor.back])
    count, entries = call.tx.read_page(LogEntry, clauses, reach, keep)
    if cursor.back:
        entries.reverse()
    if call.fault_effect.empty:
        count, entries = 0, []
    more, came = count > size, cursor.entry is not None
    forward, backward = (came, more) if cursor.back else (more, came)
    body = {
        "next": _make_cursor_link(call, entries[-1], back=False) if forward and entries else None,
        "previous": _make_cursor_link(call, entries[0], back=True)
        if backward and entries
        else None,
    }
    return Response(200, {**body, "results": [render_entry(call, entry) for entry in entries]})


def _is_newest_first(call: Call) -> bool:
    return call.get_query("ordering") != "created_at"


def _make_cursor_link(call: Call, entry: LogEntry, *, back: bool) -> str:
    text = f"{'before' if back else 'after'}={entry.id}"
    return make_link(call.incoming, cursor=base64.urlsafe_b64encode(text.encode()).decode())


def _parse_cursor(text: str | None) -> _Cursor:
    if text is None:
        return _Cursor()
    try:
        side, _, entry = base64.urlsafe_b64decode(text.encode()).decode().partition("=")
    except ValueError:
        side, entry = "", ""
    if side not in ("before", "after") or parse_uuid(entry) is None:
        raise not_found("Invalid cursor")
    return _Cursor(entry, back=side == "before")


def _parse_offset(text: str, size: int) -> int:
    number = parse_id(text)
    if not number:
        raise not_found("Invalid page.")
    return (number - 1) * size


def _parse_filters(call: Call) -> tuple[list[Clause], list[EntryFilter]]:
    """Return the filters of contract 11.1: clauses in SQL, and tests of single entries."""
    clauses = [_make_place_clause(call), *_parse_column_filters(call)]
    if users := _parse_list(call, "users"):
        clauses.append(_make_in_clause("user", _find_user_ids(call, users)))
    if teams := _parse_list(call, "team_ids"):
        clauses.append(
            _make_in_clause("project", [check_query_integer(team, "team_ids") for team in teams])
        )
    tests: list[EntryFilter] = []
    if addresses := _parse_list(call, "ip_addresses"):
        tests.append(lambda entry: _matches_address(entry.ip_address, addresses))
    if text := call.get_query("search_text"):
        tests.append(lambda entry: text.lower() in json.dumps(entry.detail).lower())
    if wanted := call.get_query("detail_filters"):
        tests += _parse_detail_filters(wanted)
    return clauses, tests


def _parse_column_filters(call: Call) -> Iterator[Clause]:
    """Yield the filters that compare one column."""
    for name, sign in (("start_date", ">="), ("end_date", "<=")):
        if text := call.get_query(name):
            yield f"created_at {sign} ?", (_parse_moment(text, name),)
    for name, column in _EXACT.items():
        if words := _parse_list(call, name):
            yield _make_in_clause(column, words)
    for name in ("was_impersonated", "is_system"):
        if (word := call.get_query(name)) and word not in _NULLS:
            yield f"{name} IS ?", (check_boolean(word, name),)


def _make_place_clause(call: Call) -> Clause:
    if call.in_project is not None:
        return "project = ?", (call.project.id,)
    return "organization = ?", (call.organization.id,)


def _make_in_clause(column: str, values: list[Any]) -> Clause:
    return f'"{column}" IN ({", ".join("?" * len(values))})', values


def _parse_list(call: Call, name: str) -> list[str]:
    """Return a list parameter: a JSON array, or the parameter repeated."""
    words: list[str] = []
    for text in call.incoming.query.get(name, ()):
        if not text.startswith("["):
            words.append(text)
            continue
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise invalid("Must be a JSON list.", name) from error
        words += [item if isinstance(item, str) else json.dumps(item) for item in parsed]
    return [word for word in words if word]


def _find_user_ids(call: Call, uuids: list[str]) -> list[int]:
    users = [call.tx.find_first(User, uuid=check_uuid(word, "users")) for word in uuids]
    return [user.id for user in users if user is not None]


def _parse_moment(text: str, name: str) -> str:
    try:
        # an unescaped plus sign arrives as a space
        return clock.format_stored(clock.parse_time(_SPACED_ZONE.sub(r"\1+\2", text)))
    except ValueError as error:
        raise invalid("Enter a valid date/time.", name) from error


def _matches_address(address: str | None, patterns: list[str]) -> bool:
    return address is not None and any(
        fnmatch.fnmatchcase(address, pattern) for pattern in patterns
    )


def list_available_filters(call: Call) -> Response:
    """List the values to filter by (contract 11.3)."""
    text, values = _make_place_clause(call)
    _, entries = call.tx.read_page(LogEntry, [(text, values)], Window(10**6, 0))
    users = {
        entry.user: call.tx.get(User, entry.user) for entry in entries if entry.user is not None
    }
    static = {
        "users": [
            {"value": user.uuid, "label": user.first_name or user.email}
            for user in users.values()
            if user is not None
        ],
        "scopes": _list_values(entry.scope for entry in entries),
        "activities": _list_values(entry.activity for entry in entries),
        "clients": _list_values(entry.client for entry in entries if entry.client),
    }
    return Response(200, {"static_filters": static, "detail_fields": _list_detail_fields(entries)})


def _list_values(words: Any) -> list[dict[str, str]]:
    return [{"value": word} for word in sorted(set(words))]


def _parse_detail_filters(text: str) -> list[EntryFilter]:
    """Read `{"<path>": {"operation": "exact|contains|in", "value": ...}}`.

    Raises:
        ApiError: 400, for another shape or too many.
    """
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("Must be a JSON object.", _DETAIL_FILTERS) from error
    if not isinstance(wanted, dict):
        raise invalid("Must be a JSON object.", _DETAIL_FILTERS)
    if len(wanted) > _MAX_FILTERS:
        raise invalid(f"At most {_MAX_FILTERS} filters are allowed.", _DETAIL_FILTERS)
    return [_parse_detail_filter(path, condition) for path, condition in wanted.items()]


def _parse_detail_filter(path: str, wanted: Any) -> EntryFilter:
    if not isinstance(wanted, dict) or "value" not in wanted:
        raise invalid(f"{path}: needs an operation and a value.", _DETAIL_FILTERS)
    operation, value = wanted.get("operation", "exact"), wanted["value"]
    if operation == "exact":
        return lambda entry: any(
            _is_same(actual, value) for actual in _find_values(entry.detail, path)
        )
    if operation == "contains":
        word = str(value).lower()
        return lambda entry: any(
            word in _to_text(actual).lower() for actual in _find_values(entry.detail, path)
        )
    if operation == "in" and isinstance(value, list):
        return lambda entry: any(
            _is_same(actual, allowed)
            for actual in _find_values(entry.detail, path)
            for allowed in value
        )
    raise invalid(f"{path}: the operation is exact, contains or in.", _DETAIL_FILTERS)


def _is_same(left: Any, right: Any) -> bool:
    return bool(left == right) or _to_text(left) == _to_text(right)


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _find_values(detail: Any, path: str) -> Iterator[Any]:
    """Yield the values at a path such as `a.b[].c` of a detail."""
    values = [detail]
    for part in path.split("."):
        name = part.removesuffix("[]")
        values = [holder[name] for holder in values if isinstance(holder, dict) and name in holder]
        if part.endswith("[]"):
            values = [inner for items in values if isinstance(items, list) for inner in items]
    yield from values


def _list_detail_fields(entries: Iterable[LogEntry]) -> dict[str, Any]:
    """Return every path in the details, and its types, by scope (contract 11.3)."""
    fields: dict[str, dict[str, set[str]]] = {}
    for entry in entries:
        paths = fields.setdefault(entry.scope, {})
        for path, kind in _list_paths(entry.detail, ""):
            paths.setdefault(path, set()).add(kind)
    return {
        scope: {"fields": [{"name": path, "types": sorted(paths[path])} for path in sorted(paths)]}
        for scope, paths in sorted(fields.items())
    }


def _list_paths(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _list_paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for inner in value:
            yield from _list_paths(inner, f"{path}[]")
    elif value is not None and path:
        yield path, _JSON_TYPES.get(type(value), "object")


def export_organization(call: Call) -> Response:
    """Return an entry, as documented; PostHog does not open this to keys (contract 13)."""
    if not call.profile.exports_logs:
        raise forbidden("This action does not support personal API key access")
    _, entries = call.tx.read_page(LogEntry, [_make_place_clause(call)], Window(1, 0))
    return Response(200, render_entry(call, entries[0]) if entries else {})


EXPORT = (
    Field("format", make_choice_check("csv", "xlsx"), required=True),
    Field("filters", check_object),
)


def export_project(call: Call) -> Response:
    """Accept an export of the project's log; no file is made."""
    values = read_fields(call.data, EXPORT, partial=False)
    return Response(202, {"id": call.tx.make_uuid(), "export_format": values["format"]})


def render_entry(call: Call, entry: LogEntry) -> dict[str, Any]:
    """Return an entry as the API shows it (contract 11.2)."""
    rendered = {
        "id": entry.id,
        "user": people.render_user(call.tx, entry.user),
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
        "created_at": format_time(entry.created_at),
    }
    return {**rendered, "ip_address": entry.ip_address} if call.profile.logs_address else rendered


def _make_routes() -> tuple[Route, ...]:
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
            route("GET", f"{base}/available_filters", "available_filters", list_available_filters)
            for base in (wide, own)
        ),
        route("POST", f"{wide}/export", "export", export_organization),
        route("POST", f"{own}/export", "export", export_project),
    )


ROUTES = _make_routes()
