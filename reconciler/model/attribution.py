"""What is known of how drift came to be: who, when, through what; and what is held until when.

Values only, in the language of the files where a person reads them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from reconciler.model.source import Source

OWN_CLIENT: Final = "reconciler"  # how our own writes are marked, and known again in the log
LEFT_OUT: Final = frozenset({"drift-older", "drift-left-out"})  # findings: there is more drift


class ApprovalClass(StrEnum):
    """How a drifted value came to be live (`attribution.class` of the document)."""

    APPROVED = "approved"  # through the gate: git lags behind
    UNAPPROVED = "unapproved"  # no gate covered it
    BYPASS = "bypass"  # a gate covered it and was passed by
    UNKNOWN = "unknown"


class LogAction(StrEnum):
    """What was done to the object."""

    CHANGED = "changed"
    CREATED = "created"
    DELETED = "deleted"
    RESTORED = "restored"
    UNAPPLIED = "unapplied"  # nobody did it: git has moved, and was not applied yet


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who moved a drifted field, when, through what, and whether a gate was asked.

    For `approved` the person is the requester. What is None is not known.
    """

    person: str | None = None
    at: str | None = None  # as the server wrote it
    client: str | None = None
    impersonated: bool | None = None
    way: ApprovalClass = ApprovalClass.UNKNOWN
    change_request: str | None = None
    deed: LogAction = LogAction.CHANGED
    moved: tuple[Any, Any] | None = None  # before and after, as the log has them
    policy: str | None = None  # the policy that covered it
    url: str | None = None  # where a person looks at it in PostHog
    note: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """Drift that is shown and does not fail, until a time."""

    address: str  # a pattern
    until: datetime
    written: str  # `until`, as it is in the file
    reason: str
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cover:
    """What a gate would have said to a write of the past; `covered` is None: cannot be told."""

    covered: bool | None
    policy: str | None = None  # address of the policy
    note: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One line of an entry's `changes`, in the language of the API."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the activity log (contract 11.2)."""

    id: str
    at: datetime
    written: str  # `at`, as the server wrote it
    organization: str  # slug
    project: str | None  # id
    scope: str
    activity: str
    item: str
    name: str
    person: str | None  # email
    user_id: int | None
    client: str | None
    impersonated: bool
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One filtered listing of one organization's log: by id, or by name where the id is gone."""

    organization: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...] = ()  # whose own logs would answer, where the whole is closed
    items: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """What of the log could not be read."""

    organization: str
    what: str
    why: str
    fix: str = ""
