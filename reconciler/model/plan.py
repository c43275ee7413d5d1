"""The nouns. Values only, all frozen; nothing here reads, sends or prints."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.address import ABSENT, Address
from reconciler.model.approvals import NO_GATE, ChangeRequest, Gate, Refusal
from reconciler.model.attribution import Attribution, Hold
from reconciler.model.findings import Finding, Severity
from reconciler.model.list_changes import ListChange
from reconciler.model.resources import LiveResource, Resource
from reconciler.model.snapshot import PlanSnapshot
from reconciler.model.source import Source


class Action(StrEnum):
    """What a change does to its resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NONE = "none"


class Cause(StrEnum):
    """Which side moved (docs/concepts.md, Causes)."""

    INTENT = "intent"
    DRIFT = "drift"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: what the base, the live side and the files say, and which side moved."""

    path: str
    live: Any
    desired: Any
    base: Any = ABSENT
    cause: Cause = Cause.UNKNOWN
    attribution: Attribution | None = None  # who moved the live side; only drift asks


@dataclass(frozen=True, slots=True)
class Change:
    """One resource's step from live to desired, its gate, and what it waits for."""

    address: Address
    action: Action
    fields: tuple[FieldChange, ...] = ()
    gate: Gate = NO_GATE
    live_id: str | None = None
    live_fingerprint: str | None = None  # what apply compares before it writes
    source: Source | None = None
    depends_on: tuple[Address, ...] = ()
    late: tuple[Address, ...] = ()  # what only its last call waits for
    warnings: tuple[Finding, ...] = ()
    desired: Resource | None = None  # None for a delete of what is in no file
    before: LiveResource | None = field(default=None, compare=False)  # what it was compared with
    removed: bool = False  # a delete because it left the files; `desired` is what the base said
    pruned: bool = False  # a delete because it is in no file and was asked for with --prune
    url: str | None = None  # its page in PostHog, for people; nothing is ever sent there
    attribution: Attribution | None = None  # of what has gone, or come back, as a whole
    hold: Hold | None = None  # drift that does not fail, until then
    lists: tuple[ListChange, ...] = ()  # which items of lists moved, by content: for people


@dataclass(frozen=True, slots=True)
class Ignored:
    """What the files or the settings say to leave alone; without a path the whole resource."""

    address: Address
    path: str = ""
    desired: Any = ABSENT
    live: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Released:
    """A field that left the files: reported, not written."""

    address: Address
    path: str
    base: Any
    live: Any


@dataclass(frozen=True, slots=True)
class Requests:
    """What a plan cost, and what its apply will cost."""

    reads: int = 0  # GETs that were sent
    expected_writes: int = 0
    minimum_seconds: int = 0  # what the rate limit alone makes the writes take


@dataclass(frozen=True, slots=True)
class Plan:
    """What apply would do, in order. Nothing outside it may change what apply does."""

    changes: tuple[Change, ...]  # in the order of apply; `none` rows at their place
    target: str = "default"
    host: str = ""
    created_at: str = ""
    base_ref: str | None = None
    base_commit: str | None = None
    desired_digest: str = ""
    unmanaged: tuple[Address, ...] = ()
    released: tuple[Released, ...] = ()
    findings: tuple[Finding, ...] = ()
    requests: Requests = Requests()
    change_requests: tuple[ChangeRequest, ...] = ()  # those that a gate speaks of, oldest first
    ignored: tuple[Ignored, ...] = ()  # only drift lists them
    not_applied: tuple[Change, ...] = ()  # as above: merged, and not live yet, which is not drift
    basis: PlanSnapshot | None = None  # what it was made from, if it is to be applied later
    unrelated_drift: tuple[Address, ...] = ()  # a pull request has nothing to do with it
    refusal: Refusal | None = None  # what `apply` refuses of it, known before anything is sent

    @property
    def writes(self) -> tuple[Change, ...]:
        """The changes that are not `none`."""
        return tuple(change for change in self.changes if change.action is not Action.NONE)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the plan end with an error."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)
