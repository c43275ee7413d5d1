"""Read change requests (contract 7), and cancel the key's own.

A gated write files them; nothing here does. Votes are in `voting`, which only the command
`requests` may import.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.errors import AmbiguousError, UnreadableError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Payload, Request, encode_part
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader, Writer
from reconciler.posthog.pagination import PAGE_SIZE

OPEN: Final = ("pending", "approved")
FINAL: Final = frozenset({"applied", "rejected", "expired", "failed"})


@dataclass(frozen=True, slots=True)
class VoteResponse:
    """Hold the response to approve, reject or cancel.

    `status` is the outcome of the vote, not the state of the request: below quorum it is
    `approved` while the state is still `pending`, and a failed apply is a response, not an
    error (contract 0.7).
    """

    status: str
    message: str
    change_request: Payload


def get_object_id(payload: Payload) -> str | None:
    """Return the id of the object that a request changes; None if it would create one.

    The calls of an experiment for its flag leave `resource_id` out (contract 5.4).
    """
    intent = payload.get("intent")
    id_ = payload.get("resource_id")
    if id_ is None and isinstance(intent, Mapping):
        id_ = intent.get("flag_id")
    return None if id_ is None else str(id_)


def list_open(reader: Reader, project_id: str) -> tuple[Payload, ...]:
    """List the change requests of a project that block others: pending and approved ones."""
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
    """List the change requests of a project, newest first, by filters of contract 7.6."""
    filters = {
        "state": ",".join(state) or None,
        "requester": requester,
        "action_key": action_key,
        "resource_type": resource_type,
        "resource_id": resource_id,
    }
    params = {name: value for name, value in filters.items() if value is not None}
    path = _build_collection_path(project_id)
    return tuple(_check_request(payload, path) for payload in reader.list(path, params).items)


def iterate_pages(
    reader: Reader, project_id: str, *, state: Sequence[str]
) -> Iterator[tuple[Payload, ...]]:
    """Yield the change requests of a project page by page, for callers that may stop early."""
    path = _build_collection_path(project_id)
    filters: dict[str, str | int] = {"state": ",".join(state), "limit": PAGE_SIZE}
    for page in reader.iterate_pages(path, filters, counted=True):
        yield tuple(_check_request(payload, path) for payload in page)


def get(reader: Reader, project_id: str, id_: str) -> Payload:
    """Return one change request, as the key's own user sees it."""
    path = build_path(project_id, id_)
    payload = _check_request(reader.get(path), path)
    if payload["id"].lower() != id_.lower():
        raise response_shapes.build_shape_error(
            path, f"it shows the change request {payload['id']}"
        )
    return payload


def cancel(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> VoteResponse:
    """Cancel one of the key's own requests."""
    path = f"{build_path(project_id, id_)}cancel/"
    return read_vote_response(writer.send(Request("POST", path, {"reason": reason})), path, id_)


def _build_collection_path(project_id: str) -> str:
    return f"/api/projects/{encode_part(project_id)}/change_requests/"


def build_path(project_id: str, id_: str) -> str:
    """Return the path of one change request."""
    return f"{_build_collection_path(project_id)}{encode_part(id_)}/"


def read_vote_response(body: Any, path: str, id_: str) -> VoteResponse:
    """Read the response to one of the three actions, if it is about the same request.

    After any other response, read the request again to learn the outcome.
    """
    is_wrapped = isinstance(body, Mapping) and "change_request" in body
    try:  # the published docs' form is the bare request
        request = _check_request(body["change_request"] if is_wrapped else body, path)
    except UnreadableError as error:
        raise _build_unconfirmed(path, error.why) from error
    if request["id"].lower() != id_.lower():
        raise _build_unconfirmed(path, f"it shows the change request {request['id']}")
    if not is_wrapped:
        return VoteResponse(str(request.get("state", "")), "", request)
    return VoteResponse(str(body.get("status", "")), str(body.get("message", "")), request)


def _build_unconfirmed(path: str, why: str) -> AmbiguousError:
    return AmbiguousError(
        f"POST {path}: the response does not show the outcome",
        method="POST",
        path=path,
        why=why,
        fix="look at the request: reconciler requests show ID",
    )


def _check_request(body: Any, path: str) -> Payload:
    payload: Payload = response_shapes.require_shape(path, body, response_shapes.CHANGE_REQUEST)
    return payload
