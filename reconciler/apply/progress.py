"""How far one change has come, and how it can end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.apply.journal import Journal
from reconciler.apply.names import Names
from reconciler.errors import ReconcilerError
from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Change,
    LiveResource,
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
    ) -> None:
        super().__init__(result)
        self.result = result
        self.problem = problem
        self.change_request = change_request
        self.sent = 0  # writes of the stage that ended here


def begin(change: Change, live: LiveResource | None) -> Progress:
    """The stages of a change, none of them sent."""
    kind = KINDS[change.address.kind]
    payload = live.payload if live is not None else None
    split = change.gate.verdict is Verdict.SPLIT
    if change.action is Action.DELETE:
        stages: tuple[Spec, ...] = ({},)
    else:
        stages = kind.stages(change.action, wanted(change, live), split=split) or ({},)
    return Progress(change, payload, change.live_id, stages)


def wanted(change: Change, live: LiveResource | None) -> Spec:
    """The smallest spec that makes the change: whole top-level fields, ignored parts left out."""
    resource = change.desired
    if resource is None:
        return {}
    if change.action is Action.CREATE:
        return resource.spec
    moved = dict.fromkeys(one.path.split(".")[0].split("[")[0] for one in change.fields)
    spec: dict[str, Any] = {name: resource.spec[name] for name in moved if name in resource.spec}
    for path in resource.lifecycle.ignore:
        _leave(spec, live.spec if live else {}, path.split("."))
    return spec


def _leave(spec: Any, live: Any, steps: list[str]) -> None:
    """Put the live value back at an ignored path, or take the path out."""
    name = steps[0]
    if not isinstance(spec, dict) or name not in spec:
        return
    if len(steps) > 1:
        spec[name] = dict(spec[name]) if isinstance(spec[name], Mapping) else spec[name]
        _leave(spec[name], live.get(name, {}) if isinstance(live, Mapping) else {}, steps[1:])
    elif isinstance(live, Mapping) and name in live:
        spec[name] = live[name]
    else:
        del spec[name]


def problem(error: ReconcilerError) -> Problem:
    """An error as part of an outcome."""
    return Problem(error.what, error.why, error.state, error.fix)


def ended(progress: Progress, tools: Tools, stop: Stop) -> Progress:
    """The progress with its outcome."""
    change = progress.change
    request = stop.change_request
    outcome = Outcome(
        address=change.address,
        action=change.action,
        result=stop.result,
        id=progress.id,
        change_request=request,
        url=tools.request_url(change.address, request) if request else None,
        attempts=progress.attempts + stop.sent,
        problem=stop.problem,
    )
    return replace(progress, outcome=outcome)
