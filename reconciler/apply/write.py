"""One change: read back, send once, judge the answer. One outcome; never an exception.

A write is never repeated without a read in between (reliability R-WRITE).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from reconciler.apply import answers
from reconciler.apply.names import UnknownNameError
from reconciler.apply.progress import Progress, Stop, Tools, ended, problem
from reconciler.errors import (
    AmbiguousError,
    ApiError,
    JournalError,
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
    """Send the stages that are left, or all but the last one. Whatever happens is an outcome."""
    try:
        _hold(progress)
        _check_names(tools, progress, but_last=but_last)
        while progress.done < len(progress.stages) - but_last:
            progress = _stage(tools, progress)
    except Stop as stop:
        return ended(progress, tools, stop)
    except UnknownNameError as error:
        return ended(progress, tools, Stop(Result.FAILED, _unknown_name(progress, error)))
    except ReconcilerError as error:
        return ended(progress, tools, Stop(Result.FAILED, problem(error)))
    except Exception as error:  # noqa: BLE001  one odd answer must not end the run of the others
        return ended(progress, tools, Stop(Result.FAILED, _defect(progress, error)))
    if progress.done == len(progress.stages):
        result = Result.DONE if progress.attempts else Result.UNCHANGED
        return ended(progress, tools, Stop(result))
    return progress


def _check_names(tools: Tools, progress: Progress, *, but_last: bool) -> None:
    """Every name of every stage has an id before the first call: no half-written object."""
    change = progress.change
    last = len(progress.stages) - but_last
    for spec in progress.stages[progress.done : last]:
        tools.names.resolve(KINDS[change.address.kind], change.address.organization, spec)
    tools.names.scope_ids(change.address)


def _unknown_name(progress: Progress, error: UnknownNameError) -> Problem:
    state = f"{progress.attempts} of its calls were sent" if progress.attempts else "not sent"
    return Problem(str(error), "it was known when the plan was made", state, "run plan again")


def _defect(progress: Progress, error: Exception) -> Problem:
    return Problem(
        f"{progress.change.address}: the answer could not be used ({type(error).__name__})",
        "PostHog answered in a shape that is not known",
        "unknown: the last call may have been carried out",
        "run apply again: it reads first; report what the journal holds",
    )


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
                    f"{change.address} is held by an open change request",
                    gate.note or "a write to the flag would make that request unappliable",
                    "not sent",
                    f"have it decided or cancelled: reconciler requests show {gate.change_request}",
                ),
                change_request=gate.change_request,
            )
        case Verdict.REJECTED:
            raise Stop(
                Result.REFUSED,
                Problem(
                    f"{change.address}: the same proposal was rejected",
                    gate.note or f"change request {gate.change_request}",
                    "not sent: nobody is asked twice",
                    "change the document and commit it, or agree with who rejected it",
                ),
                change_request=gate.change_request,
            )
        case _:
            return


def _stage(tools: Tools, progress: Progress) -> Progress:
    """One stage: its precondition, its calls, and what their answers mean."""
    change, kind = progress.change, KINDS[progress.change.address.kind]
    if progress.done == 0 and change.action is not Action.CREATE and _looks_first(kind, progress):
        progress = _fresh(tools, kind, progress)
    write = _write(tools, kind, progress)
    sent = _Sent()
    try:
        progress = _calls(tools, kind, progress, write, sent)
    except PolicyConflictError as error:
        if write.action is not Action.CREATE:
            raise
        return _create_in_parts(kind, progress, sent.count, error)
    except ApiError as error:
        stop = answers.judge(tools, kind, progress, write, error)
        stop.sent = sent.count
        raise stop from error
    except Stop as stop:
        stop.sent = sent.count
        raise
    return replace(progress, done=progress.done + 1, attempts=progress.attempts + sent.count)


def _looks_first(kind: Kind, progress: Progress) -> bool:
    """Whether the server does not compare by itself: it never does for a delete (9.4)."""
    versioned = kind.versioned and "version" in (progress.payload or {})
    return not versioned or progress.change.action is Action.DELETE


def _write(tools: Tools, kind: Kind, progress: Progress) -> Write:
    """What the next stage has to achieve, names turned into ids."""
    change = progress.change
    spec = tools.names.resolve(kind, change.address.organization, progress.stages[progress.done])
    created = progress.done and change.action is Action.CREATE
    action = Action.UPDATE if created else change.action
    ids = tools.names.scope_ids(change.address)
    if progress.id is not None:
        ids["id"] = progress.id
    return Write(action, spec, progress.payload, ids, _name(progress, action, kind))


def _calls(tools: Tools, kind: Kind, progress: Progress, write: Write, sent: _Sent) -> Progress:
    """Send the calls of a stage; the progress knows the object as last answered."""
    for request in kind.calls(write):
        body = _send(tools, progress, request, sent)
        if request.method == "DELETE" or not _is_object(kind, request, write):
            continue
        if not isinstance(body, Mapping):
            raise AmbiguousError(
                f"{request.method} {request.path}: PostHog answered without a body",
                why="a success has to show what was written",
            )
        progress = replace(progress, payload=body, id=kind.identity(body))
        answers.verify(kind, progress.change, write, body)
    return progress


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
    facts: dict[str, Any] = {
        "address": str(progress.change.address),
        "method": request.method,
        "path": request.path,
        "fields": sorted(request.body or ()),
    }
    tools.journal.record("write", **facts)
    sent.count += 1
    try:
        body = tools.writer.send(request)
    except ApiError as error:
        answer = {"status": error.status, "code": error.code, "error": type(error).__name__}
        _note(tools, facts | answer)
        raise
    _note(tools, facts | {"status": "ok"})
    return body


def _note(tools: Tools, facts: dict[str, Any]) -> None:
    """Journal an answer. A broken journal stops what has not begun; it changes no answer."""
    with suppress(JournalError):
        tools.journal.record("answer", **facts)


def _fresh(tools: Tools, kind: Kind, progress: Progress) -> Progress:
    """Re-read the object just before writing: what moved since the plan is not overwritten."""
    address, before = progress.change.address, progress.payload
    payload = answers.reread(tools, kind, progress)
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
