"""Define gates, change requests and votes. Values only."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from itertools import chain
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model.address import Address
from reconciler.model.validity import Unappliable, Validity


@dataclass(frozen=True, slots=True)
class Vote:
    """Hold one vote on a change request."""

    person: str  # email
    approved: bool
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Hold a change request (contract 7.1), people by email if the API sent it."""

    id: str
    action_key: str
    state: str
    resource_id: str | None
    name: str  # of the object, as the intent says: the key of a flag
    organization: str
    project: str
    requester: str | None  # email
    requester_id: int | None
    payload: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    created_at: str = ""
    expires_at: str = ""
    votes: tuple[Vote, ...] = ()  # oldest first
    url: str | None = None  # its page in PostHog
    kind: str = "FeatureFlag"  # of the object
    validation_status: str = ""
    validation_errors: Any = field(default=None, compare=False)
    scheduled_at: str = ""  # when a scheduled change waits for it: it is not applied before

    def get_validity(self, *, is_own: bool = False, noun: str = "flag") -> Validity:
        """Return whether the request can be applied; `is_own`: this key's user filed it."""
        return Validity(
            self.validation_status,
            self.validation_errors,
            self.state,
            self.requester,
            is_own=is_own,
            has_approvals=any(vote.approved for vote in self.votes),
            apply_error=str(self.payload.get("apply_error") or ""),
            noun=noun,
        )

    @property
    def address(self) -> Address:
        """Return the address of what it is about."""
        return Address(self.kind, (self.organization, self.project, self.name))


@dataclass(frozen=True, slots=True)
class Approvers:
    """Hold who may approve: people by email, roles by name with their members."""

    users: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def list_emails(self) -> tuple[str, ...]:
        """Return everybody who is named, or holds a role that is, once."""
        return tuple(dict.fromkeys(chain(self.users, *self.roles.values())))


NOBODY: Final = Approvers()


class RequestPlan(StrEnum):
    """Name what earlier change requests mean for the one that a write would file."""

    FILE_AGAIN = "file_again"  # an equal one expired or failed, without a rejection: file it again
    EXHAUSTED = "exhausted"  # that happened twice: nothing is filed
    REPLACE = "replace"  # an open one is canceled; the write needs no approval
    REPLACE_AND_WAIT = "replace_and_wait"  # the same, and the write waits for approval


REPLACES: Final = frozenset({RequestPlan.REPLACE, RequestPlan.REPLACE_AND_WAIT})


@dataclass(frozen=True, slots=True)
class Awaited:
    """Hold what a change request waits for, as it says itself."""

    quorum: int | None = None
    approvers: Approvers = NOBODY  # who can still vote
    approved_by: tuple[str, ...] = ()
    expires_at: str = ""
    unappliable: Unappliable | None = None  # why it cannot be applied as things are


@dataclass(frozen=True, slots=True)
class Refusal:
    """Hold what `apply` will refuse of a plan, known before anything is sent.

    Attributes:
        whole: whether it writes nothing at all.
        changes: how many changes it refuses.
        rest: whether changes remain that do not depend on the refused ones.
        go_on: whether --continue was given: a guardrail concerns only its own resources.

    """

    whole: bool
    changes: int
    rest: bool
    go_on: bool = False


class Verdict(StrEnum):
    """Name what the gate will do with a write (docs/plan.md)."""

    NONE = "none"
    APPROVAL = "approval"
    BYPASS = "bypass"
    PENDING = "pending"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    SPLIT = "split"


class Confidence(StrEnum):
    """Name how sure the forecast is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GateStep:
    """Hold what happens to one of the several calls that a change is sent as."""

    fields: tuple[str, ...]  # fields of the resource that the call writes
    verdict: Verdict = Verdict.NONE  # none, approval or bypass
    policy: str | None = None  # address, unless the verdict is none
    quorum: int | None = None
    approvers: Approvers = NOBODY
    expires_after: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold the forecast for one write: whether it will wait, and for whom."""

    verdict: Verdict = Verdict.NONE
    confidence: Confidence = Confidence.CERTAIN
    policy: str | None = None  # address of the policy
    condition: str | None = None
    quorum: int | None = None
    approvers: Approvers = NOBODY
    expires_after: str | None = None
    change_request: str | None = None  # id, if one is open
    note: str = ""
    cannot_approve: Mapping[str, str] = field(
        default_factory=dict
    )  # of named approvers: email -> why
    request_plan: RequestPlan | None = None  # None: earlier requests make no difference
    bypassed_policies: tuple[str, ...] = ()  # addresses; they let this key's user pass
    steps: tuple[GateStep, ...] = ()  # the calls, in their order; empty if there is only one

    @property
    def bypassed(self) -> bool:
        """Return whether a call passes without approval because of who sends it."""
        return self.verdict is Verdict.BYPASS or bool(self.bypassed_policies)

    @property
    def waits(self) -> bool:
        """Return whether a call waits for approval, or will; the calls of a split may also pass."""
        if self.verdict is Verdict.SPLIT:
            return self.quorum is not None or self.expires_after is not None
        return self.verdict in {Verdict.APPROVAL, Verdict.PENDING}


NO_GATE: Final = Gate()
