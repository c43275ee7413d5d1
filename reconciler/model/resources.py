"""Define resources as files declare them and as PostHog has them. Values only."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model.address import Address
from reconciler.model.approvals import ChangeRequest
from reconciler.model.findings import Finding
from reconciler.model.schedules import Schedules
from reconciler.model.source import Source, WrittenMapping, locate_value
from reconciler.model.spec_path import Path, Spec

Payload = Mapping[str, Any]  # in the terms of the API: ids, numbers


def read_revision(payload: Payload) -> Any:
    """Return what changes with every write of an object: its version, or when it was written."""
    return payload.get("version", payload.get("updated_at"))


_NOWHERE: Final = WrittenMapping({})  # of a resource that is not from a file


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Hold `metadata.lifecycle`: how a resource may be treated."""

    prevent_destroy: bool | None = None  # None: the kind's default
    ignore: tuple[str, ...] = ()  # field paths that are never compared
    absent: bool = False  # `state: absent`
    renamed_from: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """Hold one declared resource, in the terms of the files."""

    address: Address
    spec: Spec  # the fields in the file, in the kind's normal form
    source: Source | None = field(default=None, compare=False)
    lifecycle: Lifecycle = Lifecycle()
    id: str | None = None  # metadata.id: distinguishes two live objects with one name
    origin: WrittenMapping = field(default=_NOWHERE, compare=False, repr=False)
    may_refer: bool = field(  # False: it names no other resource
        default=True, init=False, compare=False, repr=False
    )

    def mark_unreferring(self) -> None:
        """Note that neither the spec nor what is written names another resource: most do not.

        The note is of this object only: a copy with another spec may refer to something.
        """
        object.__setattr__(self, "may_refer", False)

    @property
    def written(self) -> Spec:
        """Return the spec as it is in the file, with positions."""
        return self.origin.node

    def locate(self, path: Path) -> Source | None:
        """Return the position of the deepest written part of `path`, or of the document."""
        return locate_value(self.written, path, self.source)


@dataclass(frozen=True, slots=True)
class Declared:
    """Hold what the files declare at one commit. `desired` and `base` both have this type."""

    resources: Mapping[Address, Resource]
    origin: str  # "working tree", or the commit
    findings: tuple[Finding, ...] = ()  # warnings and notices; errors are raised as ConfigError


@dataclass(frozen=True, slots=True)
class Person:
    """Hold a user of the API; `level` is the one in the organization it was read from."""

    id: int
    uuid: str
    email: str
    level: int | None = None
    membership: str = ""  # id of the membership in the organization, if it was read


@dataclass(frozen=True, slots=True)
class LiveResource:
    """Hold one live object: its spec in the terms of the files, and its payload."""

    address: Address
    id: str
    spec: Spec  # every field that can be managed, in the kind's normal form
    payload: Payload = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Name a collection that could not be read: nothing in it may be created or deleted."""

    kind: str
    scope: tuple[str, ...]  # (organization,) or (organization, project)
    reason: str
    status: int | None = None
    fix: str = ""
    is_offered: bool = True  # False: this PostHog does not have such objects

    def describe(self) -> str:
        """Return `Role of acme cannot be read`."""
        return f"{self.kind} of {'/'.join(self.scope)} cannot be read"


@dataclass(frozen=True, slots=True)
class RewrittenObject:
    """Name an object that PostHog writes together with another one, and what connects the two."""

    address: Address
    id: str  # empty if it is not known
    through: str  # id of the connecting object


@dataclass(frozen=True, slots=True)
class Live:
    """Hold the live state in the terms of the files. Read once, never changed."""

    resources: Mapping[Address, LiveResource]
    ids: Mapping[Address, tuple[str, ...]]  # every live id of this address; two: ambiguous
    duplicates: Mapping[Address, tuple[LiveResource, ...]]  # objects that share one address
    people: Mapping[str, Mapping[str, Person]]  # organization -> lower-case email -> person
    change_requests: tuple[ChangeRequest, ...] = ()  # open ones of the projects that were read
    rejections: tuple[ChangeRequest, ...] = ()  # of the same projects: rejected, expired, failed
    unreadable: tuple[Unreadable, ...] = ()
    listed: frozenset[tuple[str, tuple[str, ...]]] = frozenset()  # (kind, scope) read completely
    counts: Mapping[tuple[str, tuple[str, ...]], int] = field(
        default_factory=dict
    )  # of partly read ones
    schedules: Schedules = field(default_factory=dict)  # what PostHog will change in flags
    domains: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # organization -> verified email domains in lower case, where they were read
    me: Person | None = None
    partial: frozenset[str] = frozenset()  # organizations that show only some of their members
    rewritten: Mapping[tuple[str, tuple[str, ...], str], tuple[RewrittenObject, ...]] = field(
        default_factory=dict
    )  # kind, scope and id of an object -> what its writes rewrite, where that was read
