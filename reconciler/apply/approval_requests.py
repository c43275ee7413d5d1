"""Look up the change requests that concern a write: before it is sent, and after a 409.

There is no state file: who waits for whom is on the server, and only there.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from reconciler.apply.progress import ChangeEnded, Progress, WorkerContext
from reconciler.errors import (
    APPLY_AGAIN,
    AmbiguousError,
    ApiError,
    ApprovalRequiredError,
    ChangeRequestPendingError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from reconciler.kinds import KINDS
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


def check_requests(tools: WorkerContext, progress: Progress) -> Progress:
    """End the change, before anything is sent, if an open or past change request decides it."""
    change, gate = progress.change, progress.change.gate
    if gate.change_request is None:
        return progress
    match gate.verdict:
        case Verdict.PENDING:
            raise end_waiting(tools, change, tools.replanner.get_request(gate.change_request))
        case Verdict.BLOCKED:
            return _cancel_superseded(tools, progress)
        case Verdict.REJECTED:
            raise ChangeEnded(
                Result.REFUSED,
                results.describe_rejection(change),
                change_request=gate.change_request,
            )
        case _:
            return progress


def _cancel_superseded(tools: WorkerContext, progress: Progress) -> Progress:
    """Cancel this key's own requests that propose something else and have no votes."""
    change = progress.change
    own = tools.replanner.list_superseded(change)
    if not own:
        raise _end_blocked(tools, change, str(change.gate.change_request))
    project = tools.names.scope_ids(change.address)["project"]
    for id_ in own:
        _cancel(tools, change, project, id_)
    note = f"took back {_list_ids(own)} of this key's user, which could not serve any more"
    return replace(progress, note=note)


def _cancel(tools: WorkerContext, change: Change, project: str, id_: str) -> None:
    """Cancel a request once, and read its state where the response does not show it."""
    facts = {"address": str(change.address), "change_request": id_}
    tools.journal.intend("cancel", **facts)
    try:
        change_requests.cancel(tools.writer, project, id_, reason=_REASON)
    except (AmbiguousError, PermissionDeniedError, InvalidRequestError, NotFoundError) as error:
        tools.journal.record("answer", **facts, status=error.status, error=type(error).__name__)
        request: Payload = {}
        with suppress(NotFoundError):
            request = change_requests.get(tools.writer, project, id_)
        if request.get("state") in change_requests.OPEN:
            raise _end_blocked(tools, change, id_, request, why=error.why) from error
    else:
        tools.journal.record("answer", **facts, status="ok")


_REASON: Final = "the configuration has changed since"


def _end_blocked(
    tools: WorkerContext, change: Change, id_: str, request: Payload | None = None, *, why: str = ""
) -> ChangeEnded:
    open_request = request or tools.replanner.get_request(id_)
    return ChangeEnded(
        Result.WAITING,
        Problem(
            f"{change.address} is held by an open change request",
            why or change.gate.note or "a write would make that request unappliable",
            "not sent",
            f"have it decided or cancelled: reconciler requests show {id_}",
        ),
        change_request=id_,
        awaits=tools.replanner.describe_awaited(change, open_request) if open_request else None,
    )


def end_waiting(
    tools: WorkerContext, change: Change, request: Payload, *, note: str = "", filed: bool = False
) -> ChangeEnded:
    """Return the end of a change that waits for a request with its own intent.

    `filed`: this run has filed it, so nobody knows of it yet.
    """
    return ChangeEnded(
        Result.WAITING,
        change_request=str(request.get("id") or change.gate.change_request),
        awaits=tools.replanner.describe_awaited(change, request) if request else None,
        note=note,
        filed=request if filed else None,
    )


def end_filed(
    tools: WorkerContext, progress: Progress, error: ApprovalRequiredError
) -> ChangeEnded:
    """Return the end of a change after a 409: a request was filed, or another one is open."""
    change, id_ = progress.change, error.change_request_id
    project = tools.names.scope_ids(change.address)["project"]
    try:
        open_requests = _list_open(tools, progress, project)
        request = next(
            (open_request for open_request in open_requests if str(open_request["id"]) == id_), None
        )
        if request is None:
            request = change_requests.get(tools.writer, project, id_)
    except NotFoundError:
        return ChangeEnded(Result.FAILED, _describe_rolled_back(error))
    except ApiError:  # it is filed, but this key may not read it: believe the answer
        open_requests, request = (), {**error.change_request, "id": id_}
    return _judge_request(tools, progress, error, request, open_requests)


def _judge_request(
    tools: WorkerContext,
    progress: Progress,
    error: ApprovalRequiredError,
    request: Payload,
    open_requests: Iterable[Payload],
) -> ChangeEnded:
    change, state = progress.change, request.get("state")
    if not _is_about_object(progress, request):
        return _end_out_of_turn(tools, change, request)
    pending = isinstance(error, ChangeRequestPendingError)
    if pending and not tools.replanner.is_same_intent(request, change, progress.payload):
        return _end_other_intent(tools, change, request)
    notes = []
    if not pending and change.gate.request_plan is RequestPlan.FILE_AGAIN:
        notes.append(change.gate.note)
    if state is not None and state not in _KNOWN:
        notes.append(f"its state {state!r} is not known to this program: it counts as open")
    same = [request, *_find_duplicates(tools, progress, request, open_requests)]
    if len(same) > 1:
        same.sort(key=lambda duplicate: (str(duplicate.get("created_at")), str(duplicate["id"])))
        notes.append(_describe_duplicates(same))
        request = same[0]
    filed = not pending and str(request["id"]) == error.change_request_id
    stop = end_waiting(tools, change, request, note="; ".join(notes), filed=filed)
    passes = change.gate.verdict in {Verdict.NONE, Verdict.BYPASS}
    if passes and change.gate.confidence is not Confidence.UNKNOWN:
        stop.detail = Detail.GATE_UNFORESEEN
        stop.note = "; ".join((*notes, "the forecast was wrong: it said that nothing would wait"))
    return stop


def _find_duplicates(
    tools: WorkerContext, progress: Progress, request: Payload, open_requests: Iterable[Payload]
) -> Iterator[Payload]:
    """Yield other open requests of the same intent, filed at the same time (contract 12)."""
    for other in open_requests:
        if other["id"] == request["id"] or other.get("action_key") != request.get("action_key"):
            continue
        if tools.replanner.is_same_intent(other, progress.change, progress.payload):
            yield other


def _describe_duplicates(same: Sequence[Payload]) -> str:
    several = ", ".join(str(request["id"]) for request in same)
    return (
        f"the same was filed more than once, by two runs at a time: {several}; one approval is "
        "enough, and the others can be cancelled: reconciler requests cancel ID"
    )


def _list_open(tools: WorkerContext, progress: Progress, project: str) -> tuple[Payload, ...]:
    """List the open requests about the object, of those that this key could have filed.

    PostHog finds those of an experiment's own calls by no filter (contract 7.6): for the flag of an
    experiment, as for one that does not exist yet, those of the whole project are listed.
    """
    if progress.id is not None and not (progress.payload or {}).get("experiment_set"):
        listed = change_requests.list_all(
            tools.writer, project, state=change_requests.OPEN, resource_id=progress.id
        )
    else:
        listed = change_requests.list_open(tools.writer, project)
    return tuple(request for request in listed if _is_about_object(progress, request))


def find_same_intent(tools: WorkerContext, progress: Progress, project: str) -> Payload | None:
    """Return the oldest open request with the intent of a change, or None."""
    same = [
        request
        for request in _list_open(tools, progress, project)
        if tools.replanner.is_same_intent(request, progress.change, progress.payload)
    ]
    return min(
        same, key=lambda request: (str(request.get("created_at")), str(request["id"])), default=None
    )


def _is_about_object(progress: Progress, request: Payload) -> bool:
    """Return whether a request is about this object.

    A gated create has only a key (contract 5.4). Objects of two kinds may have the same id.
    """
    resource_type = KINDS[progress.change.address.kind].resource_type
    if request.get("resource_type", resource_type) != resource_type:
        return False
    id_ = change_requests.get_object_id(request)
    if progress.id is None or progress.change.action is Action.CREATE or id_ is None:
        intent = request.get("intent") or {}
        return intent.get("flag_key") in (None, progress.change.address.name)
    return id_ == progress.id


def _end_out_of_turn(tools: WorkerContext, change: Change, request: Payload) -> ChangeEnded:
    """Return the end of a create while another flag's create is open (contract 5.4)."""
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
        awaits=tools.replanner.describe_awaited(change, request),
    )


def _end_other_intent(tools: WorkerContext, change: Change, request: Payload) -> ChangeEnded:
    requester = (request.get("created_by") or {}).get("email", "somebody")
    return ChangeEnded(
        Result.WAITING,
        Problem(
            f"an open change request of {requester} proposes something else",
            "PostHog holds one request per action and object",
            "not applied",
            f"have it decided or cancelled: reconciler requests show {request['id']}",
        ),
        change_request=str(request["id"]),
        awaits=tools.replanner.describe_awaited(change, request),
    )


def _describe_rolled_back(error: ApprovalRequiredError) -> Problem:
    return Problem(
        "PostHog answered with a change request that does not exist",
        error.detail,
        "not applied",
        f"{APPLY_AGAIN}; if it happens again, report it to PostHog",
    )


def _list_ids(ids: tuple[str, ...]) -> str:
    many = "change request" if len(ids) == 1 else "change requests"
    return f"{many} {', '.join(ids)}"
