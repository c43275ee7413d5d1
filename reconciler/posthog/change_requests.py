"""Change requests (contract 7): read them, and cancel one's own.

Nothing here files one: that is what a gated write does. Votes are in `votes`, which only the
command `requests` may import.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import AmbiguousError, UnreadableError
from reconciler.model import Payload, Request, encode_part
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader, Writer
from reconciler.posthog.pagination import PAGE_SIZE

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
    path = _collection(project_id)
    return tuple(_request(payload, path) for payload in reader.list(path, params).items)


def pages(
    reader: Reader, project_id: str, *, state: Sequence[str]
) -> Iterator[tuple[Payload, ...]]:
    """The same page after page, for who will not read them all."""
    path = _collection(project_id)
    filters: dict[str, str | int] = {"state": ",".join(state), "limit": PAGE_SIZE}
    for page in reader.pages(path, filters, counted=True):
        yield tuple(_request(payload, path) for payload in page)


def get(reader: Reader, project_id: str, id_: str) -> Payload:
    """One change request, as the key's own user sees it."""
    path = item(project_id, id_)
    payload = _request(reader.get(path), path)
    if payload["id"].lower() != id_.lower():
        raise response_shapes.unlike(path, f"it is of the change request {payload['id']}")
    return payload


def cancel(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> Vote:
    """Take one's own request back."""
    path = f"{item(project_id, id_)}cancel/"
    return outcome(writer.send(Request("POST", path, {"reason": reason})), path, id_)


def _collection(project_id: str) -> str:
    return f"/api/projects/{encode_part(project_id)}/change_requests/"


def item(project_id: str, id_: str) -> str:
    """The path of one change request."""
    return f"{_collection(project_id)}{encode_part(id_)}/"


def outcome(body: Any, path: str, id_: str) -> Vote:
    """Read the answer to one of the three actions, if it is about the same request.

    After any other answer it has to be read what became of the action.
    """
    whole = isinstance(body, Mapping) and "change_request" in body
    try:  # the published docs' form is the bare request
        request = _request(body["change_request"] if whole else body, path)
    except UnreadableError as error:
        raise _unconfirmed(path, error.why) from error
    if request["id"].lower() != id_.lower():
        raise _unconfirmed(path, f"it is of the change request {request['id']}")
    if not whole:
        return Vote(str(request.get("state", "")), "", request)
    return Vote(str(body.get("status", "")), str(body.get("message", "")), request)


def _unconfirmed(path: str, why: str) -> AmbiguousError:
    return AmbiguousError(
        f"POST {path}: the answer does not show what became of it",
        method="POST",
        path=path,
        why=why,
        fix="look at it: reconciler requests show ID",
    )


def _request(body: Any, path: str) -> Payload:
    payload: Payload = response_shapes.need(path, body, response_shapes.CHANGE_REQUEST)
    return payload
