"""The activity log (contract 11): who changed what, when, through which client."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from reconciler.model import Payload, Request, encode_part
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader, Writer

PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Query:
    """The filters of contract 11.1, by their own names; different ones are ANDed.

    Dates are ISO 8601 and inclusive; `users` are uuids; `detail_filters` maps a path to
    `{"operation": "exact" | "contains" | "in", "value": …}`. Without `page` the log is paged by
    cursor; with it, from that page on.
    """

    start_date: str | None = None
    end_date: str | None = None
    users: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    item_ids: tuple[str, ...] = ()
    team_ids: tuple[int, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    search_text: str | None = None
    detail_filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hogql_filter: str | None = None
    was_impersonated: bool | None = None
    is_system: bool | None = None
    ordering: str | None = None
    page: int | None = None
    page_size: int = PAGE_SIZE

    def params(self) -> dict[str, str]:
        """As query parameters: lists and mappings as JSON text, what is not set left out."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            for name, value in values.items()
            if value not in (None, (), {})
        }


EVERYTHING: Final = Query()


def entries(
    reader: Reader,
    organization_id: str,
    query: Query = EVERYTHING,
    *,
    project_id: str | None = None,
) -> Iterator[Payload]:
    """The entries, newest first, each once, page after page as they are asked for.

    Args:
        reader: asks.
        organization_id: uuid; its log is open to admins and owners.
        query: filters.
        project_id: reads the project's own log instead, which is open to members.

    """
    seen: set[str] = set()
    path = _path(organization_id, project_id)
    for page in reader.pages(path, query.params(), counted=False):
        for entry in page:
            id_ = str(entry.get("id"))
            if id_ not in seen:  # a log grows at the front while it is read
                seen.add(id_)
                yield entry


def available_filters(
    reader: Reader, organization_id: str, *, project_id: str | None = None
) -> Payload:
    """The values that the filters take here (contract 11.3)."""
    path = f"{_path(organization_id, project_id)}available_filters/"
    payload: Payload = response_shapes.need(path, reader.get(path), response_shapes.Plain.OBJECT)
    return payload


def export_server_side(writer: Writer, organization_id: str) -> Any:
    """Call the documented export once (contract 11, 13): 200 with one entry, if it works at all.

    Raises PermissionDeniedError (403, keys) or InvalidRequestError (400, sessions) where it does
    not, which is everywhere in the source that was read.
    """
    return writer.send(Request("POST", f"{_path(organization_id, None)}export/", {}))


def _path(organization_id: str, project_id: str | None) -> str:
    place = (
        f"organizations/{encode_part(organization_id)}"
        if project_id is None
        else f"projects/{encode_part(project_id)}"
    )
    return f"/api/{place}/advanced_activity_logs/"
