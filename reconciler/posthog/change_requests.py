"""Change requests (contract 7): read them, and cancel one's own.

Nothing here files one: that is what a gated write does. Votes are in `votes`, which only the
command `requests` may import.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import UnreadableError
from reconciler.kind import Request
from reconciler.model import Payload
from reconciler.paths import encode_part
from reconciler.posthog.client import Reader, Writer
from reconciler.posthog.listing import PAGE_SIZE

OPEN: Final = ("pending", "approved")
FINAL: Final = frozenset({"applied", "rejected", "expired", "failed"})


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer to approve, reject or cancel.

    `status` is what became of the vote, not the request's state: below quorum it says
    `approved` while the state is still `pending`, and a failed apply is an answer, not an
    error (contract 0.7).
    """

    status: str
    message: str
    change_request: Payload


def list_open(reader: Reader, project_id: str) -> tuple[Payload, ...]:
    """The change requests of a project that block others: pending and approved ones."""
    return list_all(reader, project_id, state=OPEN)


def list_all(
    reader: Reader,
    project_id: str,
    *,
    state: Sequence[str] = (),
    requester: int | None = None,
    action_key: str | None = None,
    resource_type: str | None = None,
    resource_id: str | None = None,
) -> tuple[Payload, ...]:
    """The change requests of a project, newest first, by filters of contract 7.6."""
    filters = {
        "state": ",".join(state) or None,
        "requester": requester,
        "action_key": action_key,
        "resource_type": resource_type,
        "resource_id": resource_id,
    }
    params = {name: value for name, value in filters.items() if value is not None}
    return reader.list(_collection(project_id), params).items


def pages(
    reader: Reader, project_id: str, *, state: Sequence[str]
) -> Iterator[tuple[Payload, ...]]:
    """The same page after page, for who will not read them all."""
    return reader.pages(_collection(project_id), {"state": ",".join(state), "limit": PAGE_SIZE})


def get(reader: Reader, project_id: str, id_: str) -> Payload:
    """One change request, as the key's own user sees it."""
    return _request(reader.get(item(project_id, id_)), item(project_id, id_))


def cancel(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> Vote:
    """Take one's own request back."""
    path = f"{item(project_id, id_)}cancel/"
    return outcome(writer.send(Request("POST", path, {"reason": reason})), path)


def _collection(project_id: str) -> str:
    return f"/api/projects/{encode_part(project_id)}/change_requests/"


def item(project_id: str, id_: str) -> str:
    """The path of one change request."""
    return f"{_collection(project_id)}{encode_part(id_)}/"


def outcome(body: Any, path: str) -> Vote:
    """What the answer to one of the three actions says."""
    if isinstance(body, Mapping) and isinstance(body.get("change_request"), Mapping):
        request: Payload = body["change_request"]
        return Vote(str(body.get("status", "")), str(body.get("message", "")), request)
    request = _request(body, path)  # the published docs' form: the bare change request
    return Vote(str(request.get("state", "")), "", request)


def _request(body: Any, path: str) -> Payload:
    if isinstance(body, Mapping) and "id" in body:
        return body
    raise UnreadableError(
        f"{path}: the answer is no change request",
        path=path,
        why="it has no id",
        fix="check that the host is PostHog itself",
    )
