"""What the walk must know about a kind: data and pure functions, nothing that sends."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from reconciler.model import Action, Payload, Spec


class Scope(Enum):
    """Where a kind lives. The value is the number of parts in its address."""

    INSTANCE = 1  # Kind/organization: the organization itself
    ORGANIZATION = 2  # Kind/organization/name
    PROJECT = 3  # Kind/organization/project/name


@dataclass(frozen=True, slots=True)
class Reference:
    """A spec field that names another resource.

    Attributes:
        path: where in the spec, `[]` for each item of a list: `approvers.roles[]`.
        kind: the kind that is named; a Member is named by email, a Role by name.
        id_field: which id of it the API wants: `id`, or `uuid` for people in memberships.
        orders: whether the named resource has to be written first.

    """

    path: str
    kind: str
    id_field: str = "id"
    orders: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """One call as a value; only `apply.write` sends it. `path` is filled in."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """What one stage of a change has to achieve, references already turned into ids."""

    action: Action
    spec: Spec  # the fields of this stage; empty for a delete
    live: Payload | None  # the object as last read; None before it exists
    ids: Mapping[str, str]  # organization, project, id: as far as they are known
    name: str | None = None  # the natural key, where this stage sets it


def no_change(spec: Spec) -> Spec:
    """Normal form of a kind that has none of its own."""
    return spec


def one_stage(action: Action, fields: Iterable[str]) -> tuple[tuple[str, ...], ...]:  # noqa: ARG001
    """All fields in one call."""
    return (tuple(fields),)


@dataclass(frozen=True, slots=True)
class Kind:
    """Everything the walk knows about a kind. A new kind is one of these and a schema."""

    name: str
    scope: Scope
    rank: int  # place in listings and plans, ascending; dependencies come from references
    key: str  # the metadata field that names it
    collection: str  # "/api/projects/{project}/feature_flags/"
    item: str  # the same with {id}
    to_spec: Callable[[Payload], Spec]  # live payload -> spec, ids where references are
    to_payload: Callable[[Spec], Payload]  # and back
    canonical: Callable[[Spec], Spec] = no_change  # normal form; both sides go through it
    identify: Callable[[Payload], str] = field(default=lambda payload: str(payload["name"]))
    identity: Callable[[Payload], str] = field(default=lambda payload: str(payload["id"]))
    key_payload: str | None = None  # the payload field of the natural key; None: not writable
    references: tuple[Reference, ...] = ()
    after: tuple[str, ...] = ()  # kinds of the same scope whose changes go first
    atomic: tuple[str, ...] = ()  # fields compared and sent as a whole, also what is not written
    defaults: Mapping[str, Any] = field(default_factory=dict)  # what the server takes if not sent
    folds_case: bool = False  # natural keys are compared case-insensitively
    unique: bool = True  # the server itself refuses a second one of the same natural key
    cannot_create: str = ""  # why not, if so: a sentence for people
    protected: bool = False  # prevent_destroy unless the file says otherwise
    stages: Callable[[Action, Iterable[str]], tuple[tuple[str, ...], ...]] = one_stage
    requests: Callable[["Kind", Write], tuple[Request, ...]] | None = None
    gated: bool = False  # approval policies may hold its writes back
    versioned: bool = False  # the server compares and swaps by itself: no read before a write
    activity_scope: str = ""  # its name in the activity log

    def path(self, template: str, ids: Mapping[str, str]) -> str:
        """Fill `{organization}`, `{project}` and `{id}` in."""
        return template.format_map(ids)

    def calls(self, write: Write) -> tuple[Request, ...]:
        """The requests that carry out one stage."""
        if self.requests is not None:
            return self.requests(self, write)
        return plain_requests(self, write)


def plain_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """POST to the collection, PATCH of the item, DELETE of the item."""
    if write.action is Action.DELETE:
        return (Request("DELETE", kind.path(kind.item, write.ids)),)
    body = dict(kind.to_payload(write.spec))
    if write.name is not None and kind.key_payload is not None:
        body[kind.key_payload] = write.name
    if write.action is Action.CREATE:
        return (Request("POST", kind.path(kind.collection, write.ids), body),)
    return (Request("PATCH", kind.path(kind.item, write.ids), body),) if body else ()
