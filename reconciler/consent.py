"""What people were asked, and what they answered. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote on a change request."""

    person: str  # email
    approved: bool
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A change request (contract 7.1), people by email where the API sent them."""

    id: str
    action_key: str
    state: str
    resource_id: str | None
    flag_key: str
    organization: str
    project: str
    requester: str | None  # email
    requester_id: int | None
    payload: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    created_at: str = ""
    expires_at: str = ""
    votes: tuple[Vote, ...] = ()  # oldest first
    url: str | None = None  # its page in PostHog


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may approve: people by email, roles by name with their members."""

    users: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NOBODY: Final = Approvers()
# How a gate's note begins where the same was asked before, and nobody said no to it.
FILED_AGAIN: Final = "filed once more: "
# What a gate's note says where it was asked twice, and nobody said yes or no.
LAPSED: Final = "it was asked twice, and ran out or could not be applied both times"
# What a gate's note says of an open request that does not stay in the way.
MAKES_WAY: Final = (
    "an open request of this key's own user proposes something else, or cannot be applied any "
    "more, and nobody has voted: apply takes it back"
)
FILES_ANEW: Final = "what is written then waits for approval itself"


@dataclass(frozen=True, slots=True)
class Awaited:
    """Whom a change request waits for, as it says itself."""

    quorum: int | None = None
    approvers: Approvers = NOBODY  # who can still vote
    approved_by: tuple[str, ...] = ()
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What `apply` refuses of a plan, known before anything is sent.

    Attributes:
        whole: whether it writes nothing at all.
        changes: how many changes it refuses.
        rest: whether something is left to do beside them and what depends on them.
        go_on: whether --continue was given: a guardrail concerns its own resources only.

    """

    whole: bool
    changes: int
    rest: bool
    go_on: bool = False
