"""Change requests (contract 7): read them, wait for them, vote on them, cancel one's own.

Nothing here files one: that is what a gated write does. `approve` and `reject` are for the
`requests` command alone; `apply` has no way to them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    return _request(reader.get(_item(project_id, id_)), _item(project_id, id_))


def approve(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> Vote:
    """Vote for it. At quorum PostHog applies it at once."""
    return _vote(writer, project_id, id_, "approve", reason)


def reject(writer: Writer, project_id: str, id_: str, *, reason: str) -> Vote:
    """Vote against it, which ends it. PostHog wants a reason."""
    return _vote(writer, project_id, id_, "reject", reason)


def cancel(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> Vote:
    """Take one's own request back."""
    return _vote(writer, project_id, id_, "cancel", reason)


def wait(
    reader: Reader,
    requests: Iterable[tuple[str, str]],
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    poll_s: float = 10.0,
) -> Iterator[Payload]:
    """Yield each request when it is decided; end when all are, or when time is up.

    What was not yielded is still open. A round costs one listing a project, whatever the
    number of requests, so that waiting leaves the rate limit to others.

    Args:
        reader: asks.
        requests: (project id, change request id) each.
        timeout_s: seconds to wait; 0.0 looks once.
        clock, sleep: of the process.
        poll_s: seconds from one round to the next.

    """
    waiting = list(dict.fromkeys(requests))
    until = clock() + timeout_s
    while waiting:
        for request, payload in _decided(reader, tuple(waiting)):
            waiting.remove(request)
            yield payload
        left = until - clock()
        if not waiting or left <= 0.0:
            return
        sleep(min(poll_s, left))


def _decided(
    reader: Reader, waiting: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], Payload]]:
    """Those that are not open any more. An unknown state counts as open."""
    still_open = {
        (project, str(payload["id"]))
        for project in dict.fromkeys(project for project, _ in waiting)
        for payload in list_open(reader, project)
    }
    for request in waiting:
        if request not in still_open:
            payload = get(reader, *request)
            if payload.get("state") in FINAL:
                yield request, payload


def _collection(project_id: str) -> str:
    return f"/api/projects/{encode_part(project_id)}/change_requests/"


def _item(project_id: str, id_: str) -> str:
    return f"{_collection(project_id)}{encode_part(id_)}/"


def _vote(writer: Writer, project_id: str, id_: str, verb: str, reason: str) -> Vote:
    path = f"{_item(project_id, id_)}{verb}/"
    body = writer.send(Request("POST", path, {"reason": reason}))
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
