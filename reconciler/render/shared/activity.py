"""Entries of the activity log as rows, as CSV and as JSON lines."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.model import Payload
from reconciler.planfile import codec, reader
from reconciler.planfile.reader import format_json
from reconciler.render.shared.change_requests import as_list, as_mapping, as_text

COLUMNS: Final = (
    "created_at",
    "person",
    "client",
    "was_impersonated",
    "is_system",
    "organization",
    "project",
    "scope",
    "activity",
    "item_id",
    "name",
    "changes",
    "ip_address",
    "id",
)
# A spreadsheet takes a cell that begins so for a formula, and runs what somebody named a flag.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def summarize_entry(
    entry: Payload, *, organization: str, projects: Mapping[str, str]
) -> dict[str, Any]:
    """Return one entry (contract 11.2) in names: a row of the text, of JSON and of CSV.

    Args:
        entry: as the API sent it.
        organization: slug of the organization whose log it is.
        projects: id -> name; an id that is not among them stays an id.

    """
    detail = as_mapping(entry.get("detail"))
    team = entry.get("team_id")
    return {
        "id": as_text(entry.get("id")),
        "created_at": as_text(entry.get("created_at")),
        "person": name_actor(entry),
        "client": entry.get("client"),
        "was_impersonated": entry.get("was_impersonated") is True,
        "is_system": entry.get("is_system") is True,
        "organization": organization,
        "project": None if team is None else projects.get(str(team), str(team)),
        "scope": as_text(entry.get("scope")),
        "activity": as_text(entry.get("activity")),
        "item_id": entry.get("item_id"),
        "name": as_text(detail.get("name")),
        "changes": [
            {
                "field": as_text(change.get("field")),
                "action": as_text(change.get("action")),
                "before": change.get("before"),
                "after": change.get("after"),
            }
            for change in map(as_mapping, as_list(detail.get("changes")))
        ],
        "ip_address": entry.get("ip_address"),
    }


def name_actor(entry: Payload) -> str:
    """Return who made the change: an email, PostHog itself, or `unknown`."""
    user = as_mapping(entry.get("user"))
    if user.get("email"):
        return str(user["email"])
    if user.get("uuid"):
        return f"user {user['uuid']}"
    return "PostHog" if entry.get("is_system") is True else "unknown"


def format_jsonl(entries: Iterable[Payload]) -> Iterator[str]:
    """Yield lines of JSON, each a whole entry as the API sent it; ASCII, keys in order."""
    for entry in entries:
        yield format_json(codec.make_plain(dict(entry)), indent=None, sort_keys=True) + "\n"


def format_csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield rows as lines of CSV (RFC 4180) with a header; `changes` is JSON in one cell."""
    yield _format_line(COLUMNS)
    for row in rows:
        yield _format_line(tuple(_format_cell(row[name]) for name in COLUMNS))


def _format_line(cells: Iterable[str]) -> str:
    into = io.StringIO()
    csv.writer(into).writerow(cells)
    return into.getvalue()


def _format_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = reader.redact(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return json.dumps(codec.make_plain(value), sort_keys=True)
