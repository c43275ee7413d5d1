"""Judge the response to a write, where it holds no change request."""

from dataclasses import replace
from typing import Final

from reconciler.apply import readback
from reconciler.apply.progress import (
    ChangeEnded,
    Progress,
    WorkerContext,
    begin_again,
)
from reconciler.errors import (
    APPLY_AGAIN,
    AmbiguousError,
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    JournalError,
    ReconcilerError,
    ServerError,
    ThrottledError,
    UnreachableError,
    UnreadableError,
)
from reconciler.lookalikes import escape_name, format_yaml_scalar
from reconciler.model import (
    Action,
    Change,
    Detail,
    FieldChange,
    Gate,
    Kind,
    Payload,
    Problem,
    RequestPlan,
    Result,
    Verdict,
    Write,
    to_problem,
)
from reconciler.posthog.retry import CIRCUIT, STOPPED

_SENT: Final = frozenset({Verdict.NONE, Verdict.BYPASS, Verdict.APPROVAL, Verdict.SPLIT})
_SHORT: Final = 40


def end_refused(progress: Progress, error: ApiError) -> ChangeEnded:
    """Return the end of a change that PostHog has definitely refused."""
    return (
        _end_uncertain(progress, error)
        if progress.uncertain
        else ChangeEnded(Result.FAILED, to_problem(error))
    )


def name_refused_field(kind: Kind, write: Write, error: ApiError) -> None:
    """Name the field of the file that a refusal is about; what nobody can write is never named."""
    if not isinstance(error, InvalidRequestError) or not error.attr or error.has_own_fix:
        return
    first, *rest = error.attr.replace("__", ".").split(".")
    if write.name is not None and first == kind.key_payload:
        error.fix = f"correct metadata.{kind.key} in the files"
    for name, value in write.spec.items():
        if first == name:
            error.fix = f"correct {'.'.join((name, *rest))} in the files"
        elif first in kind.to_payload({name: value}):
            error.fix = f"correct {name} in the files"


def require_available(kind: Kind, progress: Progress, error: InvalidRequestError) -> None:
    """End a create that PostHog refuses because it does not offer the object yet."""
    why = kind.unavailable(progress.change.address.name, error.attr)
    if why:
        fix = "remove the document until PostHog offers it; sending it again does not help"
        raise ChangeEnded(Result.FAILED, Problem(error.what, why, error.state, fix)) from error


def _end_uncertain(progress: Progress, error: ReconcilerError) -> ChangeEnded:
    """Return an unknown end: an earlier try lost its response and may still be carried out."""
    state = "unknown: an answer was lost before, and what became of that write is not sure"
    trouble = Problem(f"{progress.change.address}: {error.what}", error.why, state, APPLY_AGAIN)
    return ChangeEnded(Result.FAILED, trouble, detail=Detail.UNKNOWN)


def adopt_existing(
    tools: WorkerContext,
    kind: Kind,
    progress: Progress,
    write: Write,
    error: InvalidRequestError | None,
) -> Progress:
    """Adopt the object that a create has met under its own name, if it is as wanted so far.

    The refusal of a second one is the point read of every kind whose names PostHog keeps unique;
    of the others the object was looked for before.
    """
    change = progress.change
    payload = readback.find_by_name(tools, kind, change.address.name, write.ids)
    if payload is None:
        if error is None:
            return progress
        if progress.uncertain:
            raise end_refused(progress, error) from error
        raise ChangeEnded(Result.FAILED, _explain_taken_name(tools, kind, write, error)) from error
    ours = Result.DONE if progress.uncertain else Result.UNCHANGED
    spec = change.desired.spec if change.desired is not None else {}
    whole = tools.names.resolve(kind, change.address, spec)
    named = kind.identify(payload) == change.address.name
    if named and not readback.list_differences(kind, whole, payload):
        raise ChangeEnded(ours, payload=payload)
    adopted = replace(progress, payload=payload, id=kind.identity(payload), done=1)
    if readback.holds_write(kind, write, payload) and _only_adds(tools, kind, adopted):
        return adopted
    raise ChangeEnded(
        Result.REFUSED,
        Problem(
            f"{change.address} exists already and differs",
            "it was not there when the plan was made",
            "not applied",
            "run plan again and look at what differs",
        ),
        payload=payload,
    )


def _explain_taken_name(
    tools: WorkerContext, kind: Kind, write: Write, error: InvalidRequestError
) -> Problem:
    """Say why a create was refused; where PostHog takes another name for the same, which one."""
    lookalike = readback.find_lookalike(tools, kind, str(write.name), write.ids)
    if lookalike is None:
        return to_problem(error)
    name = kind.identify(lookalike)
    return Problem(
        error.what,
        f"{error.why}; {escape_name(name)} exists (id {kind.identity(lookalike)}) "
        f"and looks the same as {escape_name(str(write.name))}",
        error.state,
        f"write {format_yaml_scalar(name)} to use that object, or choose another name",
    )


def _only_adds(tools: WorkerContext, kind: Kind, progress: Progress) -> bool:
    """Return whether the remaining stages remove nothing that somebody else has made."""
    if len(progress.stages) <= progress.done:
        return False
    address = progress.change.address
    ids = {**tools.names.scope_ids(address), "id": progress.id or ""}
    for stage in progress.stages[progress.done :]:
        spec = tools.names.resolve(kind, address, stage)
        calls = kind.calls(Write(Action.UPDATE, spec, progress.payload, ids))
        if any(call.method == "DELETE" for call in calls):
            return False
    return True


def replan_changed(tools: WorkerContext, progress: Progress, payload: Payload) -> Progress:
    """Plan a change again, once, for an object that has changed, if people saw what is left.

    A write that still waits for the same approval may be sent again: the stale one filed nothing
    (contract 5.9).
    """
    change = tools.replanner.replan(progress.change, payload)
    if change.action is Action.NONE:
        raise ChangeEnded(Result.DONE if progress.done else Result.UNCHANGED, payload=payload)
    if progress.planned is not None or not _is_agreed(progress.consent, change):
        raise ChangeEnded(
            Result.REFUSED, _describe_change(progress.consent, change), payload=payload
        )
    return replace(begin_again(progress, change), planned=progress.consent, payload=payload)


def _is_agreed(planned: Change, now: Change) -> bool:
    """Return whether the plan already showed the gate, and each field with the same two sides."""
    if now.action is not Action.UPDATE or planned.action is not Action.UPDATE:
        return False
    if not _is_same_gate(planned.gate, now.gate):
        return False
    shown = {field.path: (field.live, field.desired) for field in planned.fields}
    return all(shown.get(field.path) == (field.live, field.desired) for field in now.fields)


def _is_same_gate(planned: Gate, now: Gate) -> bool:
    """Return whether the plan showed the gate; a request that it replaces is cancelled by now."""
    match planned.request_plan:
        case RequestPlan.REPLACE:
            return now.verdict is Verdict.NONE
        case RequestPlan.REPLACE_AND_WAIT:
            return now.waits and now.policy == planned.policy
        case _:
            same = (now.verdict, now.policy) == (planned.verdict, planned.policy)
            return same and now.verdict in _SENT


def _describe_change(planned: Change, now: Change) -> Problem:
    shown = {field.path: field for field in planned.fields}
    changed = [field for field in now.fields if not _is_shown(field, shown.get(field.path))]
    names = (
        ", ".join(_describe_field(field, shown.get(field.path)) for field in changed[:3])
        or "its gate"
    )
    return Problem(
        f"{planned.address} has changed since the plan was made: {names}",
        "somebody changed it in between",
        "not applied",
        "run plan again and look at what has changed",
    )


def _describe_field(field: FieldChange, planned: FieldChange | None) -> str:
    """Describe a field, with both values where they are short."""
    sides = (planned.live if planned is not None else field.desired, field.live)
    plain = all(
        isinstance(side, str | int | float | bool) and len(str(side)) < _SHORT for side in sides
    )
    return f"{field.path} (was {sides[0]}, is {sides[1]})" if plain else field.path


def _is_shown(field: FieldChange, planned: FieldChange | None) -> bool:
    return planned is not None and (field.live, field.desired) == (planned.live, planned.desired)


def end_interrupted(progress: Progress, error: ReconcilerError) -> ChangeEnded:
    """Return the end of a change that was cut short for a reason that is not its own."""
    if progress.uncertain:
        return _end_uncertain(progress, error)
    stopped = isinstance(error, UnreachableError) and error.code in {CIRCUIT, STOPPED}
    if not stopped and not isinstance(error, JournalError):
        return ChangeEnded(Result.FAILED, to_problem(error))
    if not progress.attempts:
        what = Problem("not started", error.what, "not sent", APPLY_AGAIN)
        return ChangeEnded(Result.SKIPPED, what, detail=Detail.NOT_STARTED)
    state = f"requests sent: {progress.attempts}; the others were not sent"
    return ChangeEnded(
        Result.SKIPPED, Problem("stopped before it was complete", error.what, state, APPLY_AGAIN)
    )


def is_early(progress: Progress, error: ReconcilerError) -> bool:
    """Return whether nothing was sent because PostHog is failing: try again later."""
    circuit_open = isinstance(error, UnreachableError) and error.code == CIRCUIT
    return circuit_open and not progress.attempts


def find_halt(error: ReconcilerError) -> Problem | None:
    """Return why the whole run has to stop after this error, or None."""
    everywhere = (AuthenticationError, ThrottledError, JournalError)
    return to_problem(error) if isinstance(error, everywhere) else None


def is_trouble(error: ReconcilerError) -> bool:
    """Return whether PostHog, or the connection to it, is at fault, and not the change."""
    return isinstance(error, (AmbiguousError, ServerError, UnreachableError, UnreadableError))
