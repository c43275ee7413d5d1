"""Read back a write whose response was lost or says too little; never guess.

Read, and adopt what is there. What is not there is sent again only if no answer came and PostHog
itself makes a second one impossible, after a quiet time, and never without a read in between. The
call that was lost may still be carried out late: then the second one meets a key that is taken, or
a version that has moved, and both are looked at in turn.
"""

import json
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import field
from typing import Any, Final, TypeVar

from reconciler.apply import approval_requests, readback
from reconciler.apply.progress import ChangeEnded, Progress, WorkerContext
from reconciler.errors import (
    APPLY_AGAIN,
    AmbiguousError,
    ApiError,
    ServerError,
    UnreachableError,
    UnreadableError,
)
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Detail,
    Kind,
    Payload,
    Problem,
    Request,
    Result,
    Spec,
    Write,
)

MOST: Final = 3  # sends of one write, each after a read
_QUIET_S: Final = (0.5, 2.0, 4.0)  # for what is still on its way
_T = TypeVar("_T")


def resolve_lost_write(
    tools: WorkerContext,
    kind: Kind,
    progress: Progress,
    write: Write,
    lost: tuple[Request, AmbiguousError],
    *,
    sent: int,
) -> Payload | None:
    """Return the object as it is now, if the write may be sent again.

    Args:
        tools: what a worker has.
        kind: of the object.
        progress: of the change.
        write: the stage that was being sent.
        lost: the call without an answer, and the error that says so.
        sent: how often the stage was sent.

    Raises AlreadyApplied if the stage is carried out after all, ChangeEnded otherwise.

    """
    request, error = lost
    tools.writer.sleep(_QUIET_S[min(sent, len(_QUIET_S)) - 1])
    try:
        payload = _wait_for_circuit(tools, lambda: readback.read_current(tools, kind, progress))
        if _is_done(kind, write, payload):
            raise AlreadyApplied(payload)
        if kind.gates_write(write.action):
            request_found = _wait_for_circuit(
                tools,
                lambda: approval_requests.find_same_intent(tools, progress, write.ids["project"]),
            )
            if request_found is not None:
                raise approval_requests.end_waiting(
                    tools, progress.change, request_found, filed=True
                )
        stop = readback.check_contradiction(tools, kind, progress, write, error, payload=payload)
        if stop is not None:
            raise stop from error
    except ApiError as again:
        raise _end_unknown(progress, error, f"and reading back: {again.what}", sent) from again
    if payload is None and write.action is Action.UPDATE:
        raise ChangeEnded(Result.REFUSED, readback.describe_deleted(progress.change.address))
    if payload is not None and write.action is not Action.CREATE:
        require_unchanged(kind, progress, write, payload)
    whole = readback.is_object_call(kind, request, write)
    if sent >= MOST or (whole and _is_answered(error)) or not _is_repeatable(kind, write, request):
        raise _end_unknown(progress, error, "", sent)
    return payload


class AlreadyApplied(Exception):  # noqa: N818  no error: the write was carried out
    """The stage is carried out, although its answer never came."""

    def __init__(self, payload: Payload | None) -> None:
        super().__init__("carried out")
        self.payload = payload


def _is_done(kind: Kind, write: Write, payload: Payload | None) -> bool:
    if write.action is Action.DELETE:
        return payload is None
    return payload is not None and readback.holds_write(kind, write, payload)


@dataclass(slots=True)
class SentCalls:
    """The calls of one stage: the last of them, and those that PostHog has confirmed."""

    last: Request | None = None
    _confirmed: set[str] = field(default_factory=set)

    def confirm(self, request: Request) -> None:
        """Note that an answer shows that a call was carried out."""
        self._confirmed.add(_format_call(request))

    def require_kept(self, address: Address, calls: Iterable[Request]) -> None:
        """End the change if a confirmed call is needed again: somebody else has undone it."""
        if not self._confirmed:
            return
        undone = [call for call in calls if _format_call(call) in self._confirmed]
        if undone:
            raise ChangeEnded(
                Result.REFUSED,
                Problem(
                    f"{address}: somebody undid a part of this change meanwhile",
                    f"{undone[0].method} {undone[0].path} was confirmed, and is not live any more",
                    "the other parts were written",
                    "run plan and look at what has changed",
                ),
            )


def _format_call(call: Request) -> str:
    return json.dumps([call.method, call.path, call.body], sort_keys=True)


def require_unchanged(kind: Kind, progress: Progress, write: Write, payload: Payload) -> None:
    """End the change if somebody else has changed what the stage was about to change.

    Parts with their own calls may be written in part: that was this program.
    """
    before = readback.to_managed_spec(kind, progress.payload or {})
    now = readback.to_managed_spec(kind, payload)
    wanted = kind.canonical(write.spec)
    unset: Spec = kind.defaults if kind.parts else {}
    changed = []
    for name in wanted:
        old, new = before.get(name, unset.get(name)), now.get(name, unset.get(name))
        is_ours = name in kind.apart and _is_ours(old, new, wanted[name], kind.complete)
        if old != new and not is_ours:
            changed.append(name)
    if changed:
        raise ChangeEnded(
            Result.REFUSED,
            Problem(
                f"{progress.change.address}: somebody changed {', '.join(changed)} meanwhile",
                "what is there is neither as before nor as this run wrote it",
                "unknown: ours may have been carried out before theirs",
                "run plan and look at what has changed",
            ),
        )


def _is_ours(
    before: Any, now: Any, wanted: Any, complete: Container[str], *, whole: bool = False
) -> bool:
    """Return whether a value is as before or as wanted, part by part; lists by item."""
    if now in (before, wanted):
        return True
    sides = (before, now, wanted)
    if all(isinstance(side, Mapping) for side in sides):
        names = {*before, *now, *wanted} if whole else wanted
        return all(
            _is_ours(
                before.get(name),
                now.get(name),
                wanted.get(name),
                complete,
                whole=name in complete,
            )
            for name in names
        )
    if all(isinstance(side, list) for side in sides):
        return {*before} & {*wanted} <= {*now} <= {*before} | {*wanted}
    return False


def _is_answered(error: AmbiguousError) -> bool:
    """Return whether PostHog may have meant an answer: then asking again brings the same."""
    return error.status is not None and error.status < _FAILURES and error.status != _TIMED_OUT


_FAILURES: Final = 500
_TIMED_OUT: Final = 408


def _is_repeatable(kind: Kind, write: Write, request: Request) -> bool:
    """Return whether PostHog itself keeps a second write from doing harm.

    A key that it keeps unique, a version that it compares, an id that is gone, or a part that is
    replaced: anything else
    is not sent a second time in one run.
    """
    match request.method:
        case "POST":
            creates = request.path == kind.path(kind.collection, write.ids)
            return kind.unique or not creates
        case "DELETE" | "PUT":
            return True
        case _:
            return kind.versioned and "version" in (request.body or {})


def _end_unknown(progress: Progress, error: AmbiguousError, more: str, sent: int) -> ChangeEnded:
    times = "once" if sent == 1 else f"{sent} times"
    return ChangeEnded(
        Result.FAILED,
        Problem(
            f"{progress.change.address}: {error.what}",
            "; ".join(text for text in (error.why, more) if text),
            f"unknown: sent {times}, looked for, and neither there nor surely not",
            APPLY_AGAIN,
        ),
        detail=Detail.UNKNOWN,
    )


def _wait_for_circuit(tools: WorkerContext, read: Callable[[], _T]) -> _T:
    """Read once more after the circuit has closed: the fate of a write is worth half a minute."""
    try:
        return read()
    except (UnreachableError, UnreadableError, ServerError):
        pause = tools.writer.circuit_open_for_s()
        if not pause or not tools.writer.sleep(pause):
            raise
    return read()
