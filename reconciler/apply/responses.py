"""What an answer to a write means for its change, where no request for approval is in it."""

from dataclasses import replace
from typing import Final

from reconciler.apply import readback
from reconciler.apply.progress import AGAIN, ChangeEnded, Progress, WorkerContext, again, problem
from reconciler.errors import (
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
from reconciler.lookalikes import escaped, yaml_scalar
from reconciler.model import (
    Action,
    Change,
    Detail,
    FieldChange,
    Kind,
    Payload,
    Problem,
    Result,
    Verdict,
    Write,
)
from reconciler.posthog.retry import CIRCUIT, STOPPED

_PASSES: Final = frozenset({Verdict.NONE, Verdict.BYPASS})
_SHORT: Final = 40


def refused(progress: Progress, error: ApiError) -> ChangeEnded:
    """A definite no."""
    return (
        _unsure(progress, error) if progress.unsure else ChangeEnded(Result.FAILED, problem(error))
    )


def advise(kind: Kind, write: Write, error: ApiError) -> None:
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


def _unsure(progress: Progress, error: ReconcilerError) -> ChangeEnded:
    """An earlier try lost its answer, and may still be carried out: whatever came of this one."""
    state = "unknown: an answer was lost before, and what became of that write is not sure"
    trouble = Problem(f"{progress.change.address}: {error.what}", error.why, state, AGAIN)
    return ChangeEnded(Result.FAILED, trouble, detail=Detail.UNKNOWN)


def exists(
    tools: WorkerContext,
    kind: Kind,
    progress: Progress,
    write: Write,
    error: InvalidRequestError | None,
) -> Progress:
    """A create that meets its own name: adopted if it is as wanted, as far as it goes.

    The refusal of a second one is the point read of every kind whose names PostHog keeps unique;
    of the others the object was looked for before.
    """
    change = progress.change
    payload = readback.find(tools, kind, change.address.name, write.ids)
    if payload is None:
        if error is None:
            return progress
        if progress.unsure:
            raise refused(progress, error) from error
        raise ChangeEnded(Result.FAILED, _taken(tools, kind, write, error)) from error
    ours = Result.DONE if progress.unsure else Result.UNCHANGED
    spec = change.desired.spec if change.desired is not None else {}
    whole = tools.names.resolve(kind, change.address, spec)
    named = kind.identify(payload) == change.address.name
    if named and not readback.different(kind, whole, payload):
        raise ChangeEnded(ours, payload=payload)
    adopted = replace(progress, payload=payload, id=kind.identity(payload), done=1)
    if readback.has(kind, write, payload) and _only_adds(tools, kind, adopted):
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


def _taken(tools: WorkerContext, kind: Kind, write: Write, error: InvalidRequestError) -> Problem:
    """Say why a create was refused; where PostHog takes another name for the same, which one."""
    found = readback.find_lookalike(tools, kind, str(write.name), write.ids)
    if found is None:
        return problem(error)
    name = kind.identify(found)
    return Problem(
        error.what,
        f"{error.why}; {escaped(name)} is there (id {kind.identity(found)}), and looks the same "
        f"as {escaped(str(write.name))}",
        error.state,
        f"write {yaml_scalar(name)} if that one is meant, else choose another name",
    )


def _only_adds(tools: WorkerContext, kind: Kind, progress: Progress) -> bool:
    """Whether the stages that are left take nothing away from what somebody else has made."""
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


def replanned(tools: WorkerContext, progress: Progress, payload: Payload) -> Progress:
    """The object has moved: planned anew, once, if nobody has to be asked again."""
    change = tools.counsel.again(progress.change, payload)
    if change.action is Action.NONE:
        raise ChangeEnded(Result.DONE if progress.done else Result.UNCHANGED, payload=payload)
    if progress.planned is not None or not _agreed(progress.consent, change):
        raise ChangeEnded(Result.REFUSED, _has_moved(progress.consent, change), payload=payload)
    return replace(again(progress, change), planned=progress.consent, payload=payload)


def _agreed(seen: Change, now: Change) -> bool:
    """Whether people have seen all of it: each field with the same two sides, and no gate."""
    if now.action is not Action.UPDATE or seen.action is not Action.UPDATE:
        return False
    if now.gate.verdict not in _PASSES or now.gate.verdict is not seen.gate.verdict:
        return False
    shown = {one.path: (one.live, one.desired) for one in seen.fields}
    return all(shown.get(one.path) == (one.live, one.desired) for one in now.fields)


def _has_moved(seen: Change, now: Change) -> Problem:
    shown = {one.path: one for one in seen.fields}
    moved = [one for one in now.fields if not _is_shown(one, shown.get(one.path))]
    names = ", ".join(_was(one, shown.get(one.path)) for one in moved[:3]) or "its gate"
    return Problem(
        f"{seen.address} has moved since the plan was made: {names}",
        "somebody changed it in between",
        "not applied",
        "run plan again and look at what moved",
    )


def _was(one: FieldChange, seen: FieldChange | None) -> str:
    """A field, with both values where they are short."""
    sides = (seen.live if seen is not None else one.desired, one.live)
    plain = all(
        isinstance(side, str | int | float | bool) and len(str(side)) < _SHORT for side in sides
    )
    return f"{one.path} (was {sides[0]}, is {sides[1]})" if plain else one.path


def _is_shown(one: FieldChange, seen: FieldChange | None) -> bool:
    return seen is not None and (one.live, one.desired) == (seen.live, seen.desired)


def ending(progress: Progress, error: ReconcilerError) -> ChangeEnded:
    """How a change ends that was broken off by something that is not about it alone."""
    if progress.unsure:
        return _unsure(progress, error)
    stopped = isinstance(error, UnreachableError) and error.code in {CIRCUIT, STOPPED}
    if not stopped and not isinstance(error, JournalError):
        return ChangeEnded(Result.FAILED, problem(error))
    if not progress.attempts:
        what = Problem("not started", error.what, "not sent", AGAIN)
        return ChangeEnded(Result.SKIPPED, what, detail=Detail.NOT_STARTED)
    state = f"{progress.attempts} of its calls were sent, the rest was not"
    return ChangeEnded(Result.SKIPPED, Problem("cut short", error.what, state, AGAIN))


def is_early(progress: Progress, error: ReconcilerError) -> bool:
    """Whether nothing was sent because PostHog is not well: to be tried again later."""
    refused = isinstance(error, UnreachableError) and error.code == CIRCUIT
    return refused and not progress.attempts


def halt(error: ReconcilerError) -> Problem | None:
    """Why nothing more of the whole run makes sense after this error, if so."""
    everywhere = (AuthenticationError, ThrottledError, JournalError)
    return problem(error) if isinstance(error, everywhere) else None


def is_trouble(error: ReconcilerError) -> bool:
    """Whether PostHog, or the way to it, is at fault, and not the change."""
    return isinstance(error, (AmbiguousError, ServerError, UnreachableError, UnreadableError))
