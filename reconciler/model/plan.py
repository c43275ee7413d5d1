"""Define plans and changes. Frozen values only; nothing here reads, sends or prints."""

from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum
from typing import Any

from reconciler.lazy_dataclass import dataclass
from reconciler.model.address import ABSENT, Address
from reconciler.model.approvals import NO_GATE, ChangeRequest, Gate, Refusal
from reconciler.model.attribution import Attribution, Hold
from reconciler.model.findings import Finding, Severity
from reconciler.model.list_changes import ListChange
from reconciler.model.resources import LiveResource, Resource
from reconciler.model.schedules import ScheduledChange
from reconciler.model.snapshot import PlanSnapshot
from reconciler.model.source import Source


class Action(StrEnum):
    """Name what a change does to its resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NONE = "none"


class Cause(StrEnum):
    """Name the side that changed (docs/concepts.md, Causes)."""

    INTENT = "intent"
    DRIFT = "drift"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """Hold the base, live and desired values of one field, and which side changed."""

    path: str
    live: Any
    desired: Any
    base: Any = ABSENT
    cause: Cause = Cause.UNKNOWN
    attribution: Attribution | None = None  # who changed the live side; only drift needs it


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one resource's step from live to desired, its gate, and what it waits for."""

    address: Address
    action: Action
    fields: tuple[FieldChange, ...] = ()
    gate: Gate = NO_GATE
    live_id: str | None = None
    live_fingerprint: str | None = None  # what apply compares before it writes
    source: Source | None = None
    depends_on: tuple[Address, ...] = ()
    late: tuple[Address, ...] = ()  # resources that only its last call waits for
    warnings: tuple[Finding, ...] = ()
    desired: Resource | None = None  # None for a delete of an undeclared object
    before: LiveResource | None = field(
        default=None, compare=False
    )  # the live object that it was compared with
    removed: bool = False  # deleted because it left the files; `desired` is from the base
    pruned: bool = False  # deleted by --prune because it is not declared
    url: str | None = None  # its page in PostHog, for people; nothing is sent there
    attribution: Attribution | None = None  # of an object that was deleted, or created again
    hold: Hold | None = None  # drift that does not fail, until then
    scheduled: tuple[ScheduledChange, ...] = ()  # what PostHog will change in the flag by itself
    lists: tuple[ListChange, ...] = ()  # changed items of lists, by content: for people
    undeclared: tuple[str, ...] = field(
        default=(), compare=False
    )  # live values that no file declares: not changed

    @property
    def is_shown(self) -> bool:
        """Return whether there is anything to say about it."""
        return self.action is not Action.NONE or bool(self.warnings or self.scheduled)


def select_written(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes that write something: all but those with the action `none`."""
    none = Action.NONE  # to look a member up takes longer than everything else here
    return tuple([change for change in changes if change.action is not none])


@dataclass(frozen=True, slots=True)
class Ignored:
    """Hold what the files or the settings ignore; without a path the whole resource."""

    address: Address
    path: str = ""
    desired: Any = ABSENT
    live: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Released:
    """Hold a field that left the files: reported, not written."""

    address: Address
    path: str
    base: Any
    live: Any


@dataclass(frozen=True, slots=True)
class Requests:
    """Hold the requests that a plan sent, and those that its apply will send."""

    reads: int = 0  # GETs that were sent
    expected_writes: int = 0
    minimum_seconds: int = 0  # the least time of the writes under the rate limit


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold what apply would do, in order. Apply does nothing that is not in the plan."""

    changes: tuple[Change, ...]  # in the order of apply, `none` included
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
    change_requests: tuple[ChangeRequest, ...] = ()  # those that a gate names, oldest first
    ignored: tuple[Ignored, ...] = ()  # only drift lists them
    not_applied: tuple[Change, ...] = ()  # only drift: merged, but not live yet, which is not drift
    basis: PlanSnapshot | None = None  # what a saved plan was made from
    unrelated_drift: tuple[Address, ...] = ()  # drift that a pull request does not concern
    refusal: Refusal | None = None  # what `apply` will refuse, known before anything is sent
    writes: tuple[Change, ...] = field(init=False, repr=False, compare=False)  # all but `none`

    def __post_init__(self) -> None:
        """Pick the changes that are written: a command looks at them a dozen times."""
        object.__setattr__(self, "writes", select_written(self.changes))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that make the plan end with an error."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)
