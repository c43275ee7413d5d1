"""Define what is known about drift: who, when, through which client; and holds.

Values only, in the terms of the files where a person reads them.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model.source import Source

OWN_CLIENT: Final = "reconciler"  # marks our own writes in the log
IDENTITIES: Final = ("full", "initials", "none")  # how people are named
SYSTEM: Final = "PostHog"  # not a person, so always named
LEFT_OUT: Final = frozenset({"drift-older", "drift-left-out"})  # findings: there is more drift


class ApprovalClass(StrEnum):
    """Classify how a drifted value came to be live (`attribution.class` of the document)."""

    APPROVED = "approved"  # through the gate: git is behind
    UNAPPROVED = "unapproved"  # no gate covered it
    BYPASS = "bypass"  # a gate covered it and was bypassed
    UNKNOWN = "unknown"


class LogAction(StrEnum):
    """Name what was done to the object."""

    CHANGED = "changed"
    CREATED = "created"
    DELETED = "deleted"
    RESTORED = "restored"
    UNAPPLIED = "unapplied"  # nobody did it: git has changed, and was not applied yet


@dataclass(frozen=True, slots=True)
class Attribution:
    """Hold who changed a drifted field, when, through what, and whether a gate covered it.

    For `approved` the person is the requester. What is None is not known.
    """

    person: str | None = None
    at: str | None = None  # as the server wrote it
    client: str | None = None
    impersonated: bool | None = None
    approval_class: ApprovalClass = ApprovalClass.UNKNOWN
    change_request: str | None = None
    action: LogAction = LogAction.CHANGED
    change: tuple[Any, Any] | None = None  # before and after, as the log has them
    policy: str | None = None  # the policy that covered it
    url: str | None = None  # where a person looks at it in PostHog
    note: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold drift that is shown and does not fail, until a time."""

    address: str  # a pattern
    until: datetime
    written: str  # `until`, as it is in the file
    reason: str
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cover:
    """Hold whether a gate would have covered a past write; `covered` is None if unknown."""

    covered: bool | None
    policy: str | None = None  # address of the policy
    note: str = ""


@dataclass(frozen=True, slots=True)
class FieldMove:
    """Hold one line of `changes` of an entry, in the terms of the API."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one entry of the activity log (contract 11.2)."""

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
    moves: tuple[FieldMove, ...] = ()


@dataclass(frozen=True, slots=True)
class FlagWrite:
    """Hold one write of a flag, as far as the log shows it, in the terms of the API.

    Attributes:
        entry: its entry in the log.
        action: what it did to the flag.
        key: the flag's key after the write; of a deleted flag, before it.
        before: the fields that it changed, as they were; None: it created the flag.
        after: the same fields, as it left them; of a new flag, all that is known.
        missing: fields whose values are needed and not known.

    """

    entry: Entry
    action: LogAction
    key: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """Ask for one filtered listing of one log: by id, by name, or, without either, for all."""

    organization: str
    scopes: tuple[str, ...]
    projects: tuple[
        str, ...
    ] = ()  # whose own logs are read if the log of the organization is closed
    items: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    only_projects: bool = False  # the log of the organization without those of other projects


@dataclass(frozen=True, slots=True)
class Gap:
    """Name a part of the log that could not be read."""

    organization: str
    what: str
    why: str
    fix: str = ""


def mask_person(person: str | None, identities: str) -> str | None:
    """Return `dana.smith@acme.test` as it is, as `D.S.`, or None."""
    if person is None or person == SYSTEM or identities == "full":
        return person
    if identities == "none":
        return None
    words = re.split(r"[\W_]+", person.partition("@")[0])
    return "".join(f"{word[0].upper()}." for word in words if word) or None
