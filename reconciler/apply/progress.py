"""How far one change has come, and how it can end."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.apply.journal import Journal
from reconciler.apply.names import Names
from reconciler.errors import ReconcilerError
from reconciler.kind import moving
from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Change,
    Outcome,
    Payload,
    Problem,
    Result,
    Verdict,
)
from reconciler.paths import Spec
from reconciler.posthog.client import Writer

SameIntent = Callable[[Payload, Change, Payload | None], bool]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every worker is handed."""

    writer: Writer
    journal: Journal
    names: Names
    same_intent: SameIntent
    request_url: Callable[[Address, str], str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one change has come."""

    change: Change
    payload: Payload | None  # the object as last seen
    id: str | None
    stages: tuple[Spec, ...]
    done: int = 0  # stages finished
    attempts: int = 0
    outcome: Outcome | None = None  # set when nothing more will be sent


class Stop(Exception):  # noqa: N818  no error: the change ends here
    """Nothing more is sent for this change, and why."""

    def __init__(
        self,
        result: Result,
        problem: Problem | None = None,
        *,
        change_request: str | None = None,
        payload: Payload | None = None,
    ) -> None:
        super().__init__(result)
        self.result = result
        self.problem = problem
        self.change_request = change_request
        self.payload = payload  # the object as it was found, if it was
        self.sent = 0  # writes of the stage that ended here


def begin(change: Change) -> Progress:
    """The stages of a change, none of them sent."""
    kind = KINDS[change.address.kind]
    payload = change.before.payload if change.before is not None else None
    split = change.gate.verdict is Verdict.SPLIT
    if change.action is Action.DELETE:
        stages: tuple[Spec, ...] = ({},)
    else:
        stages = kind.stages(change.action, moving(change), split=split) or ({},)
    return Progress(change, payload, change.live_id, stages)


def problem(error: ReconcilerError) -> Problem:
    """An error as part of an outcome."""
    return Problem(error.what, error.why, error.state, error.fix)


def ended(progress: Progress, tools: Tools, stop: Stop) -> Progress:
    """The progress with its outcome."""
    change, request, id_ = progress.change, stop.change_request, progress.id
    if id_ is None and stop.payload is not None:
        id_ = KINDS[change.address.kind].identity(stop.payload)
    attempts = progress.attempts + stop.sent
    outcome = Outcome(
        address=change.address,
        action=change.action,
        result=stop.result,
        id=id_,
        change_request=request,
        url=tools.request_url(change.address, request) if request else None,
        attempts=attempts,
        problem=stop.problem,
    )
    return replace(progress, id=id_, attempts=attempts, outcome=outcome)
