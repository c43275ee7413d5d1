"""One change: read back, send once, judge the answer. One outcome; never an exception.

A write is never repeated without a read in between (reliability R-WRITE).
"""

from dataclasses import dataclass, replace
from typing import Any

from reconciler.apply import answers
from reconciler.apply.names import UnknownNameError
from reconciler.apply.progress import Progress, Stop, Tools, ended, problem
from reconciler.errors import (
    ApiError,
    NotFoundError,
    PolicyConflictError,
    ReconcilerError,
)
from reconciler.kind import Kind, Request, Write
from reconciler.kinds import KINDS
from reconciler.model import Action, Problem, Result, Verdict


@dataclass
class _Sent:
    """Writes of one stage, counted as they leave."""

    count: int = 0


def advance(tools: Tools, progress: Progress, *, but_last: bool) -> Progress:
    """Send the stages that are left, or all but the last one. Never raises."""
    try:
        _hold(progress)
        while progress.done < len(progress.stages) - but_last:
            progress = _stage(tools, progress)
    except Stop as stop:
        progress = ended(progress, tools, stop)
    except UnknownNameError as error:
        progress = ended(
            progress,
            tools,
            Stop(
                Result.FAILED,
                Problem(
                    str(error), "it was known when the plan was made", "not sent", "run plan again"
                ),
            ),
        )
    except ReconcilerError as error:
        progress = ended(progress, tools, Stop(Result.FAILED, problem(error)))
    if progress.outcome is None and progress.done == len(progress.stages):
        result = Result.DONE if progress.attempts else Result.UNCHANGED
        progress = ended(progress, tools, Stop(result))
    return progress


def _hold(progress: Progress) -> None:
    """What an open change request says about this object, before anything is sent."""
    change, gate = progress.change, progress.change.gate
    if progress.done or gate.change_request is None:
        return
    match gate.verdict:
        case Verdict.PENDING:
            raise Stop(Result.WAITING, change_request=gate.change_request)
        case Verdict.BLOCKED:
            raise Stop(
                Result.WAITING,
                Problem(
                    f"{change.address} is held by a change request that proposes something else",
                    gate.note or "a write to the flag would make that request unappliable",
                    "not sent",
                    f"have it decided or cancelled: reconciler requests show {gate.change_request}",
                ),
                change_request=gate.change_request,
            )
        case _:
            return


def _stage(tools: Tools, progress: Progress) -> Progress:
    change, kind = progress.change, KINDS[progress.change.address.kind]
    if progress.done == 0 and change.action is not Action.CREATE and not kind.versioned:
        progress = _fresh(tools, kind, progress)
    spec = tools.names.resolve(kind, change.address.organization, progress.stages[progress.done])
    action = change.action
    if progress.done and action is Action.CREATE:
        action = Action.UPDATE
    ids = tools.names.scope_ids(change.address)
    if progress.id is not None:
        ids["id"] = progress.id
    write = Write(action, spec, progress.payload, ids, _name(progress, action, kind))
    sent = _Sent()
    payload, id_ = progress.payload, progress.id
    try:
        for request in kind.calls(write):
            body = _send(tools, progress, request, sent)
            if request.method != "DELETE" and _is_object(kind, request, write):
                payload, id_ = body, kind.identity(body)
                answers.verify(kind, change, write, body)
    except PolicyConflictError as error:
        if action is not Action.CREATE:
            raise
        return _create_in_parts(kind, progress, sent.count, error)
    except ApiError as error:
        seen = replace(progress, payload=payload, id=id_)
        stop = answers.judge(tools, kind, seen, write, error)
        stop.sent = sent.count
        raise stop from error
    except Stop as stop:
        stop.sent = sent.count
        raise
    return replace(
        progress,
        payload=payload,
        id=id_,
        done=progress.done + 1,
        attempts=progress.attempts + sent.count,
    )


def _name(progress: Progress, action: Action, kind: Kind) -> str | None:
    """The natural key, where this stage has to send it."""
    if progress.done:
        return None
    if action is Action.CREATE:
        return progress.change.address.name
    renamed = any(one.path == f"metadata.{kind.key}" for one in progress.change.fields)
    return progress.change.address.name if renamed else None


def _is_object(kind: Kind, request: Request, write: Write) -> bool:
    """Whether the answer is the object itself, not one of its parts."""
    if request.method == "POST":
        return request.path == kind.path(kind.collection, write.ids)
    return request.path == kind.path(kind.item, write.ids)


def _send(tools: Tools, progress: Progress, request: Request, sent: _Sent) -> Any:
    address = progress.change.address
    facts: dict[str, Any] = {
        "address": str(address),
        "method": request.method,
        "path": request.path,
        "fields": sorted(request.body or ()),
    }
    tools.journal.record("write", **facts)
    sent.count += 1
    try:
        body = tools.writer.send(request)
    except ReconcilerError as error:
        status = getattr(error, "status", None)
        code = getattr(error, "code", "")
        tools.journal.record(
            "answer", **facts, status=status, code=code, error=type(error).__name__
        )
        raise
    tools.journal.record("answer", **facts, status="ok")
    return body


def _fresh(tools: Tools, kind: Kind, progress: Progress) -> Progress:
    """Re-read the object just before writing: what moved since the plan is not overwritten."""
    address, before = progress.change.address, progress.payload
    ids = {**tools.names.scope_ids(address), "id": progress.id or ""}
    try:
        payload = (
            tools.writer.get(kind.path(kind.item, ids))
            if kind.point_read
            else answers.find(tools, kind, address, ids)
        )
    except NotFoundError:
        payload = None
    if payload is None:
        if progress.change.action is Action.DELETE:
            raise Stop(Result.UNCHANGED)
        raise Stop(
            Result.REFUSED,
            Problem(
                f"{address} is gone",
                "it was deleted since the plan was made",
                "not sent",
                "run plan again",
            ),
        )
    if before is not None and answers.spec_of(kind, before) != answers.spec_of(kind, payload):
        raise Stop(
            Result.REFUSED,
            Problem(
                f"{address} has moved since the plan was made",
                "somebody changed it in between",
                "not sent",
                "run plan again and look at what moved",
            ),
        )
    return replace(progress, payload=payload)


def _create_in_parts(
    kind: Kind, progress: Progress, sent: int, error: PolicyConflictError
) -> Progress:
    """The create met two policies at once: start it inactive, enable it in a call of its own."""
    spec = progress.change.desired.spec if progress.change.desired else {}
    parts = kind.stages(Action.CREATE, spec, split=True)
    if len(parts) <= len(progress.stages):
        raise error
    return replace(progress, stages=parts, attempts=progress.attempts + sent)
