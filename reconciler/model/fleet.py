"""Define the report of a fleet: what became of each target, drift by cause, who has to approve.

Values only. A report is computed from the report folders of its targets (`fleet.combine`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model.address import Address
from reconciler.model.findings import Finding
from reconciler.model.outcomes import ExitCode, Outcome, Problem
from reconciler.model.plan import Plan

_WORST_FIRST: Final = (
    ExitCode.FAILED,
    ExitCode.REFUSED,
    ExitCode.WAITING,
    ExitCode.DIFFERENCES,
    ExitCode.DONE,
)


class FleetMode(StrEnum):
    """Name the command that runs for each target."""

    VALIDATE = "validate"
    PLAN = "plan"
    APPLY = "apply"
    DRIFT = "drift"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Hold how many requests a run has sent."""

    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class TargetResult:
    """Hold how the run of one target ended.

    Attributes:
        target: its name in reconciler.yaml.
        exit_code: of the command; None if it was skipped.
        seconds: from start to end.
        requests: that were sent to PostHog.
        summary: the totals of the document that the command writes.
        skipped_because: why it did not run, for people; None if it ran.
        error: why it failed as a whole; the errors of single changes are in its own report.

    """

    target: str
    exit_code: int | None
    seconds: float = 0.0
    requests: RequestCounts = RequestCounts()
    summary: Mapping[str, Any] = field(default_factory=dict)
    skipped_because: str | None = None
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class TargetDetails:
    """Hold what the report folder of one target has beside its result.

    Attributes:
        plan: of plan and apply; of drift, what has drifted. None if there was none.
        outcomes: what became of its changes.
        findings: of validate, or why the files cannot be used.
        status: the document of status.

    """

    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    findings: tuple[Finding, ...] = ()
    status: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DriftCause:
    """Hold equal edits by the same person, in one or several targets.

    Attributes:
        person: who made them; None if that is not known.
        kind: of the resources.
        path: of the field; "" for a whole resource that was deleted, or created again.
        live: the value that all of them have now; for a whole resource, None if it is missing and
            True if it exists although it is declared absent.
        targets: where, by name.
        addresses: of the resources, each once.

    """

    person: str | None
    kind: str
    path: str
    live: Any
    targets: tuple[str, ...]
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """Hold a change that waits, or will wait, for approval.

    Attributes:
        target: where it waits.
        address: of the resource.
        id: of the change request; None for a plan whose `apply` would file one.
        waiting_for: emails of the people who can still approve.
        expires_at: ISO 8601; None if it is not known, or no request is filed yet.
        quorum: how many approvals are required; None if it is not known.
        approved_by: emails of the people who have approved.
        url: its page in PostHog.

    """

    target: str
    address: Address
    id: str | None
    waiting_for: tuple[str, ...]
    expires_at: str | None = None
    quorum: int | None = None
    approved_by: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Hold which part of a fleet a run was for.

    Attributes:
        index: from 1 to `count`.
        count: how many shards there are.
        fleet: the names of the targets of all shards, so that a missing shard is noticed.

    """

    index: int
    count: int
    fleet: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetReport:
    """Hold what became of a fleet. Targets are sorted by name, requests by expiry."""

    mode: FleetMode
    commit: str | None  # whose files were used; None outside git
    targets: tuple[TargetResult, ...]
    causes: tuple[DriftCause, ...] = ()  # only drift
    waiting: tuple[WaitingRequest, ...] = ()
    exit_code: int = 0
    shard: Shard | None = None  # None: the whole fleet, or several shards together
    is_dirty: bool = False  # files that are not as in the commit were planned


def worst_exit_code(codes: Iterable[int | None]) -> int:
    """Return the exit code of a fleet; None is a target that was skipped.

    A code that no command promises, such as that of a killed process, counts as 1.
    """
    ended = {code for code in codes if code is not None}
    if ExitCode.INTERRUPTED in ended:
        return ExitCode.INTERRUPTED
    if not ended <= set(_WORST_FIRST):
        return ExitCode.FAILED
    return next((code for code in _WORST_FIRST if code in ended), ExitCode.DONE)
