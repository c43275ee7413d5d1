"""How far one change has come, and how it can end."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field, replace
from typing import Protocol

from reconciler.apply.ids import IdTable
from reconciler.apply.journal import Journal
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Awaited,
    Change,
    Detail,
    Kind,
    Outcome,
    Payload,
    Problem,
    Result,
    Spec,
    Verdict,
    Write,
    build_change_spec,
    join_sentences,
)
from reconciler.posthog.client import Writer


class Replanner(Protocol):
    """What apply asks of planning while it runs. Pure; nothing in it sends."""

    def is_same_intent(self, request: Payload, change: Change, seen: Payload | None) -> bool:
        """Return whether a request proposes what the change wants of the object as last seen."""
        ...

    def replan(self, change: Change, payload: Payload | None) -> Change:
        """Return the change as planned for the object as it is now; None: it does not exist."""
        ...

    def list_superseded(self, change: Change) -> tuple[str, ...]:
        """List open requests of this key's user that the change replaces: to be cancelled."""
        ...

    def get_request(self, id_: str) -> Payload:
        """Return a change request as the plan saw it; empty if it did not."""
        ...

    def describe_awaited(self, change: Change, request: Payload) -> Awaited:
        """Return whom a request waits for, by name."""
        ...

    def remark_on_approval(self, change: Change, request: Payload) -> str:
        """Return a remark on an approved request: who approved what they wrote themselves."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What every worker gets."""

    writer: Writer
    journal: Journal
    names: IdTable
    replanner: Replanner
    request_url: Callable[[Address, str], str]
    slots: AbstractContextManager[object] = field(default_factory=nullcontext)  # one a call


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one change has come."""

    change: Change
    payload: Payload | None  # the object as last seen
    id: str | None
    stages: tuple[Spec, ...]
    done: int = 0  # stages finished
    attempts: int = 0
    written: frozenset[str] = frozenset()  # fields that PostHog has taken, in whichever call
    dropped: frozenset[str] = frozenset()  # fields that PostHog took and did not keep
    planned: Change | None = None  # as people saw it, where it was planned again since
    note: str = ""
    uncertain: bool = False  # an answer got lost: what is there may be of our own making
    deferred: bool = False  # nothing was sent, because PostHog is not well: to be tried later
    troubled: bool = False  # PostHog, or the way to it, was at fault
    halt: Problem | None = None  # why nothing more of the whole run makes sense
    outcome: Outcome | None = None  # set when nothing more will be sent

    @property
    def consent(self) -> Change:
        """Return the change as people saw it in the plan."""
        return self.planned or self.change


class ChangeEnded(Exception):  # noqa: N818  no error: the change ends here
    """Nothing more is sent for this change, and why."""

    def __init__(
        self,
        result: Result,
        problem: Problem | None = None,
        *,
        detail: Detail | None = None,
        change_request: str | None = None,
        awaits: Awaited | None = None,
        payload: Payload | None = None,
        note: str = "",
        filed: Payload | None = None,
    ) -> None:
        super().__init__(result)
        self.result = result
        self.problem = problem
        self.detail = detail
        self.change_request = change_request
        self.awaits = awaits
        self.payload = payload  # the object as it was found, if it was
        self.note = note
        self.filed = filed  # the change request, if this run has filed it


def begin_change(change: Change) -> Progress:
    """Return the stages of a change, none of them sent."""
    kind = KINDS[change.address.kind]
    payload = change.before.payload if change.before is not None else None
    split = change.gate.verdict is Verdict.SPLIT
    if change.action is Action.DELETE:
        stages: tuple[Spec, ...] = ({},)
    else:
        stages = kind.stages(change.action, build_change_spec(change), split=split) or ({},)
    return Progress(change, payload, change.live_id, stages)


def begin_again(progress: Progress, change: Change) -> Progress:
    """Begin a change that was planned again; what was sent and written before still counts."""
    fresh = begin_change(change)
    return replace(fresh, attempts=progress.attempts, written=progress.written, note=progress.note)


def list_written_fields(
    progress: Progress, kind: Kind, write: Write, *, whole: bool
) -> frozenset[str]:
    """Return the fields that one call of the current stage brings to their last value.

    `whole`: it is a call for the object itself, not for a field with its own calls. A field
    that a later stage sets again is not there yet: a flag that is born inactive.
    """
    set_later = {name for stage in progress.stages[progress.done + 1 :] for name in stage}
    names = {name for name in write.spec if (name in kind.apart) is not whole} - set_later
    return frozenset({*names, f"metadata.{kind.key}"} if whole and write.name else names)


def list_partly_written(progress: Progress, result: Result) -> tuple[str, ...]:
    """Return the fields that are written of a change that is not at its end, in their order.

    A new object is named by its key only while nothing else of it is there.
    """
    change = progress.consent
    if result in {Result.DONE, Result.UNCHANGED} or change.action is Action.DELETE:
        return ()
    kind = KINDS[change.address.kind]
    key = f"metadata.{kind.key}"
    names = progress.written
    if change.action is Action.CREATE and names != {key}:
        names -= {key}
    place = {name: number for number, name in enumerate((key, *kind.defaults))}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(place)), name)))


def end_change(progress: Progress, tools: WorkerContext, stop: ChangeEnded) -> Progress:
    """Return the progress with its outcome."""
    change, request, id_ = progress.consent, stop.change_request, progress.id
    if id_ is None and stop.payload is not None:
        id_ = KINDS[change.address.kind].identity(stop.payload)
    outcome = Outcome(
        address=change.address,
        action=change.action,
        result=stop.result,
        id=id_,
        change_request=request,
        url=tools.request_url(change.address, request) if request else None,
        attempts=progress.attempts,
        problem=stop.problem,
        detail=stop.detail,
        note=join_sentences(progress.note, stop.note),
        awaits=stop.awaits,
        written=list_partly_written(progress, stop.result),
        filed=stop.filed,
    )
    return replace(progress, id=id_, outcome=outcome)
