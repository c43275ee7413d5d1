"""Read the activity log (contract 11): who changed what, when, through which client."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Payload, Request, encode_part
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader, Writer

PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Query:
    """Hold the filters of contract 11.1, by their own names; different ones are ANDed.

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

    def build_params(self) -> dict[str, str]:
        """Return query parameters: lists and mappings as JSON text, unset filters left out."""
        values = {filter_.name: getattr(self, filter_.name) for filter_ in fields(self)}
        return {
            name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            for name, value in values.items()
            if value not in (None, (), {})
        }


EVERYTHING: Final = Query()


def iterate_entries(
    reader: Reader,
    organization_id: str,
    query: Query = EVERYTHING,
    *,
    project_id: str | None = None,
) -> Iterator[Payload]:
    """Yield the entries, newest first, each once; pages are read as they are needed.

    Args:
        reader: the connection.
        organization_id: uuid; its log is open to admins and owners.
        query: filters.
        project_id: read the project's own log instead, which is open to members.

    """
    ids: set[str] = set()
    path = _build_path(organization_id, project_id)
    for page in reader.iterate_pages(path, query.build_params(), counted=False):
        for entry in page:
            id_ = str(entry.get("id"))
            if id_ not in ids:  # a log grows at the front while it is read
                ids.add(id_)
                yield entry


def get_available_filters(
    reader: Reader, organization_id: str, *, project_id: str | None = None
) -> Payload:
    """Return the values that the filters accept here (contract 11.3)."""
    path = f"{_build_path(organization_id, project_id)}available_filters/"
    payload: Payload = response_shapes.require_shape(
        path, reader.get(path), response_shapes.Plain.OBJECT
    )
    return payload


def export_server_side(writer: Writer, organization_id: str) -> Any:
    """Call the documented export once (contract 11, 13): 200 with one entry, if it works at all.

    Raises PermissionDeniedError (403, keys) or InvalidRequestError (400, sessions) where it does
    not work, which is the case in every version whose source was read.
    """
    return writer.send(Request("POST", f"{_build_path(organization_id, None)}export/", {}))


def _build_path(organization_id: str, project_id: str | None) -> str:
    owner = (
        f"organizations/{encode_part(organization_id)}"
        if project_id is None
        else f"projects/{encode_part(project_id)}"
    )
    return f"/api/{owner}/advanced_activity_logs/"
