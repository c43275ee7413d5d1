"""What PostHog's own ledger, the change requests, says about a write: before it, and after a 409.

There is no state file: who waits for whom is on the server, and only there.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from reconciler.apply.progress import AGAIN, ChangeEnded, Progress, WorkerContext
from reconciler.errors import (
    AmbiguousError,
    ApiError,
    ApprovalRequiredError,
    ChangeRequestPendingError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from reconciler.model import (
    Action,
    Change,
    Confidence,
    Detail,
    Payload,
    Problem,
    RequestPlan,
    Result,
    Verdict,
)
from reconciler.planfile import results
from reconciler.posthog import change_requests

_KNOWN: Final = {*change_requests.OPEN, *change_requests.FINAL}


def hold(tools: WorkerContext, progress: Progress) -> Progress:
    """What open and past change requests say about this object, before anything is sent."""
    change, gate = progress.change, progress.change.gate
    if gate.change_request is None:
        return progress
    match gate.verdict:
        case Verdict.PENDING:
            raise waiting(tools, change, tools.counsel.request(gate.change_request))
        case Verdict.BLOCKED:
            return _make_way(tools, progress)
        case Verdict.REJECTED:
            raise ChangeEnded(
                Result.REFUSED,
                results.rejected(change),
                change_request=gate.change_request,
            )
        case _:
            return progress


def _make_way(tools: WorkerContext, progress: Progress) -> Progress:
    """Take back requests of our own that propose something else and that nobody voted for."""
    change = progress.change
    own = tools.counsel.superseded(change)
    if not own:
        raise _blocked(tools, change, str(change.gate.change_request))
    project = tools.names.scope_ids(change.address)["project"]
    for id_ in own:
        _cancel(tools, change, project, id_)
    said = f"took back {_listed(own)} of this key's user, which could not serve any more"
    return replace(progress, note=said)


def _cancel(tools: WorkerContext, change: Change, project: str, id_: str) -> None:
    """Cancel once, and read what became of it where the answer does not tell."""
    facts = {"address": str(change.address), "change_request": id_}
    tools.journal.intend("cancel", **facts)
    try:
        change_requests.cancel(tools.writer, project, id_, reason=_REASON)
    except (AmbiguousError, PermissionDeniedError, InvalidRequestError, NotFoundError) as error:
        tools.journal.record("answer", **facts, status=error.status, error=type(error).__name__)
        found: Payload = {}
        with suppress(NotFoundError):
            found = change_requests.get(tools.writer, project, id_)
        if found.get("state") in change_requests.OPEN:
            raise _blocked(tools, change, id_, found, why=error.why) from error
    else:
        tools.journal.record("answer", **facts, status="ok")


_REASON: Final = "the configuration has moved on"


def _blocked(
    tools: WorkerContext, change: Change, id_: str, request: Payload | None = None, *, why: str = ""
) -> ChangeEnded:
    found = request or tools.counsel.request(id_)
    return ChangeEnded(
        Result.WAITING,
        Problem(
            f"{change.address} is held by an open change request",
            why or change.gate.note or "a write to the flag would make that request unappliable",
            "not sent",
            f"have it decided or cancelled: reconciler requests show {id_}",
        ),
        change_request=id_,
        awaits=tools.counsel.awaited(change, found) if found else None,
    )


def waiting(
    tools: WorkerContext, change: Change, request: Payload, *, note: str = ""
) -> ChangeEnded:
    """The end of a change that waits for a request of its own intent."""
    return ChangeEnded(
        Result.WAITING,
        change_request=str(request.get("id") or change.gate.change_request),
        awaits=tools.counsel.awaited(change, request) if request else None,
        note=note,
    )


def filed(tools: WorkerContext, progress: Progress, error: ApprovalRequiredError) -> ChangeEnded:
    """409: a change request was filed, or one is open. Only one with our intent is ours."""
    change, id_ = progress.change, error.change_request_id
    project = tools.names.scope_ids(change.address)["project"]
    try:
        found = _open_ones(tools, progress, project)
        request = next((one for one in found if str(one["id"]) == id_), None)
        if request is None:
            request = change_requests.get(tools.writer, project, id_)
    except NotFoundError:
        return ChangeEnded(Result.FAILED, _rolled_back(error))
    except ApiError:  # it is filed, but this key may not read it: believe the answer
        found, request = (), {**error.change_request, "id": id_}
    return _judged(tools, progress, error, request, found)


def _judged(
    tools: WorkerContext,
    progress: Progress,
    error: ApprovalRequiredError,
    request: Payload,
    found: Iterable[Payload],
) -> ChangeEnded:
    change, state = progress.change, request.get("state")
    if not _about(progress, request):
        return _turn(tools, change, request)
    pending = isinstance(error, ChangeRequestPendingError)
    if pending and not tools.counsel.same_intent(request, change, progress.payload):
        return _other_intent(tools, change, request)
    notes = []
    if not pending and change.gate.request_plan is RequestPlan.FILE_AGAIN:
        notes.append(change.gate.note)
    if state is not None and state not in _KNOWN:
        notes.append(f"its state {state!r} is not known to this program: it counts as open")
    same = [request, *_duplicates(tools, progress, request, found)]
    if len(same) > 1:
        same.sort(key=lambda one: (str(one.get("created_at")), str(one["id"])))
        notes.append(_filed_twice(same))
        request = same[0]
    stop = waiting(tools, change, request, note="; ".join(notes))
    passes = change.gate.verdict in {Verdict.NONE, Verdict.BYPASS}
    if passes and change.gate.confidence is not Confidence.UNKNOWN:
        stop.detail = Detail.GATE_UNFORESEEN
        stop.note = "; ".join((*notes, "the forecast was wrong: it said that nothing would wait"))
    return stop


def _duplicates(
    tools: WorkerContext, progress: Progress, request: Payload, found: Iterable[Payload]
) -> Iterator[Payload]:
    """Other open requests of the same intent: PostHog looks and files in two steps (12)."""
    for one in found:
        if one["id"] == request["id"] or one.get("action_key") != request.get("action_key"):
            continue
        if tools.counsel.same_intent(one, progress.change, progress.payload):
            yield one


def _filed_twice(same: Sequence[Payload]) -> str:
    several = ", ".join(str(one["id"]) for one in same)
    return (
        f"the same was filed more than once, by two runs at a time: {several}; one approval is "
        "enough, and the others can be cancelled: reconciler requests cancel ID"
    )


def _open_ones(tools: WorkerContext, progress: Progress, project: str) -> tuple[Payload, ...]:
    """The open requests about the flag: what is there, and whether it is there twice."""
    if progress.id is not None:
        return change_requests.list_all(
            tools.writer, project, state=change_requests.OPEN, resource_id=progress.id
        )
    listed = change_requests.list_open(tools.writer, project)
    return tuple(one for one in listed if _about(progress, one))


def find(tools: WorkerContext, progress: Progress, project: str) -> Payload | None:
    """An open request with the intent of a change; of several the oldest."""
    same = [
        one
        for one in _open_ones(tools, progress, project)
        if tools.counsel.same_intent(one, progress.change, progress.payload)
    ]
    return min(same, key=lambda one: (str(one.get("created_at")), str(one["id"])), default=None)


def _about(progress: Progress, request: Payload) -> bool:
    """Whether a request is about this flag; a gated create has no id, only a key (5.4)."""
    key = (request.get("intent") or {}).get("flag_key")
    if progress.id is None or progress.change.action is Action.CREATE:
        return key in (None, progress.change.address.name)
    resource = request.get("resource_id")
    return resource is None or str(resource) == progress.id


def _turn(tools: WorkerContext, change: Change, request: Payload) -> ChangeEnded:
    """The server answers for the create of another flag: it takes one at a time (5.4)."""
    key = (request.get("intent") or {}).get("flag_key")
    return ChangeEnded(
        Result.WAITING,
        Problem(
            f"{change.address} waits for its turn",
            f"PostHog holds one create at a time here, now that of {key!r}",
            "not applied, and nothing was filed for it",
            f"have {request['id']} decided, then apply again",
        ),
        detail=Detail.TURN,
        change_request=str(request["id"]),
        awaits=tools.counsel.awaited(change, request),
    )


def _other_intent(tools: WorkerContext, change: Change, request: Payload) -> ChangeEnded:
    requester = (request.get("created_by") or {}).get("email", "somebody")
    return ChangeEnded(
        Result.WAITING,
        Problem(
            f"an open change request of {requester} proposes something else",
            "PostHog holds one request per action and flag",
            "not applied",
            f"have it decided or cancelled: reconciler requests show {request['id']}",
        ),
        change_request=str(request["id"]),
        awaits=tools.counsel.awaited(change, request),
    )


def _rolled_back(error: ApprovalRequiredError) -> Problem:
    return Problem(
        "PostHog answered with a change request that does not exist",
        error.detail,
        "not applied",
        f"{AGAIN}; if it repeats, tell PostHog",
    )


def _listed(ids: tuple[str, ...]) -> str:
    many = "change request" if len(ids) == 1 else "change requests"
    return f"{many} {', '.join(ids)}"
