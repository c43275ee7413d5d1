"""What planning and applying must know about a kind: data and pure functions; nothing sends."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from reconciler.model.address import Address
from reconciler.model.plan import Action, Change
from reconciler.model.resources import Payload
from reconciler.model.spec_path import RejectedValue, Spec, parse_path, put_back, root


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
        scope: where the named resource lives.
        takes_ids: whether files may contain the id instead of the name; it is checked.

    """

    path: str
    kind: str
    id_field: str = "id"
    orders: bool = True
    scope: Scope = Scope.ORGANIZATION
    takes_ids: bool = False

    def target(self, address: Address, name: object) -> Address:
        """Return the address of what the resource at `address` names."""
        return Address(self.kind, (*address.parts[: self.scope.value - 1], str(name)))

    def place(self, address: Address) -> tuple[str, tuple[str, ...]]:
        """Return the collection that the named resource is in: its kind and scope."""
        return self.kind, address.parts[: self.scope.value - 1]


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


def field_at(*path: str) -> Callable[[Payload], str]:
    """Read a name or an id at a place of a payload; a TypeError where neither is there."""

    def read(payload: Payload) -> str:
        value: Any = payload
        for name in path:
            value = value[name]
        if type(value) not in {str, int}:
            raise TypeError(f"{'.'.join(path)} should be text or a number, not {value!r:.40}")
        return str(value)

    return read


def no_change(spec: Spec) -> Spec:
    """Normal form of a kind that has none of its own."""
    return spec


def nothing_missing(spec: Spec) -> str:
    """A create needs nothing but its name."""
    return ""


def nothing_refused(spec: Spec) -> Iterable[RejectedValue]:
    """Refuse nothing: PostHog takes whatever the schema takes."""
    return ()


class Stages(Protocol):
    """What each call of a change sets, in turn. `split`: one call would meet two gates."""

    def __call__(self, action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
        """The specs, one a call."""
        ...


def one_stage(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """All fields in one call."""
    return (spec,)


def kept_as_written(name: str, spec: Spec) -> str:
    """Return a name as the server keeps it: every text is trimmed (contract 1.3)."""
    return name.strip()


def nothing_hidden(payload: Payload) -> tuple[str, ...]:
    """Every field reads back as it was sent."""
    return ()


def nothing_dropped(payload: Payload, spec: Spec) -> tuple[str, ...]:
    """Return the paths of a live object that vanish although a write of `spec` does not say so."""
    return ()


def any_echo(request: Request, body: Payload) -> bool:
    """The answer to a call for a part of an object tells nothing."""
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """Everything that planning and applying know about a kind."""

    name: str
    scope: Scope
    rank: int  # place in listings and plans, ascending; dependencies come from references
    key: str  # the metadata field that names it
    collection: str  # "/api/projects/{project}/feature_flags/"
    item: str  # the same with {id}
    plural: str  # how `pull` calls a file or folder of it: "feature_flags"
    api_scope: str  # what a key needs `:read` and `:write` of (contract 2)
    to_spec: Callable[[Payload], Spec]  # live payload -> spec, ids where references are
    to_payload: Callable[[Spec], Payload]  # and back
    canonical: Callable[[Spec], Spec] = no_change  # normal form; both sides go through it
    identify: Callable[[Payload], str] = field(default=field_at("name"))
    identity: Callable[[Payload], str] = field(default=field_at("id"))
    key_payload: str | None = None  # the payload field of the natural key; None: not writable
    renamable: bool = False  # whether `renamed_from` gives a live one another name
    references: tuple[Reference, ...] = ()
    after: tuple[str, ...] = ()  # kinds of the same scope whose changes go first
    sets: tuple[str, ...] = ()  # paths of lists whose order means nothing, compared item by item
    atomic: tuple[str, ...] = ()  # fields compared and sent as a whole, also what is not written
    defaults: Mapping[str, Any] = field(default_factory=dict)  # what the server takes if not sent
    folds_case: bool = False  # natural keys are compared case-insensitively
    unique: bool = True  # the server itself refuses a second one of the same natural key
    made_as: Callable[[str, Spec], str] = kept_as_written  # the name that a create would have
    cannot_create: str = ""  # why not, if so: a sentence for people
    for_admins: bool = False  # members may read it, and write none (contract 2)
    protected: bool = False  # prevent_destroy unless the file says otherwise
    stages: Stages = one_stage
    requests: Callable[["Kind", Write], tuple[Request, ...]] | None = None
    listed: frozenset[str] = frozenset()  # payload fields kept of a listing; none named: all
    search: str | None = None  # the query parameter that finds one by its natural key
    params: Mapping[str, str] = field(default_factory=dict)  # what every listing asks for
    declared: bool = True  # whether files declare it; what they only name is read for its ids
    point_read: bool = True  # whether GET of one item is offered
    fallback_params: Mapping[str, str] | None = (
        None  # a second listing, if a declared one is missing
    )
    of_people: tuple[str, ...] = ()  # fields that show only people whom the key may see
    apart: tuple[str, ...] = ()  # fields that have calls of their own, not in the object's body
    incomplete: Callable[[Spec], str] = nothing_missing  # why a create would be refused, or ""
    refusals: Callable[[Spec], Iterable[RejectedValue]] = (
        nothing_refused  # of what the schema takes
    )
    hidden: Callable[[Payload], tuple[str, ...]] = nothing_hidden  # paths the API does not show
    dropped: Callable[[Payload, Spec], tuple[str, ...]] = nothing_dropped  # see there
    droppable: tuple[str, ...] = ()  # fields whose writes the server may drop silently
    gated: bool = False  # approval policies may hold its writes back
    gates: Mapping[str, str] = field(default_factory=dict)  # policy action -> the field it is about
    echoes: Callable[[Request, Payload], bool] = any_echo  # whether a part is as it was sent
    versioned: bool = False  # the server compares and swaps by itself: no read before a write
    page: str = ""  # its page in PostHog, below the host: "/project/{project}/feature_flags/{id}"
    activity_scopes: tuple[str, ...] = ()  # its names in the activity log; none: never logged
    activity_ids: Callable[[Payload], tuple[str, ...]] = field(
        default=lambda payload: (str(payload["id"]),)
    )  # by which the log may know the object
    written_at: Callable[[Payload], str | None] = field(
        default=lambda payload: payload.get("updated_at")
    )  # when it was last written, of whichever field, as far as it says so
    unlogged: tuple[str, ...] = ()  # spec fields whose changes the log never shows

    def path(self, template: str, ids: Mapping[str, str]) -> str:
        """Fill `{organization}`, `{project}` and `{id}` in."""
        return template.format_map(ids)

    def calls(self, write: Write) -> tuple[Request, ...]:
        """The requests that carry out one stage."""
        if self.requests is not None:
            return self.requests(self, write)
        return plain_requests(self, write)


def moving(change: Change) -> Spec:
    """The smallest spec that makes the change: whole top-level fields, ignored parts as live."""
    resource = change.desired
    if resource is None or change.action is Action.CREATE:
        return resource.spec if resource is not None else {}
    roots = dict.fromkeys(root(one.path) for one in change.fields)
    spec: Spec = {name: resource.spec[name] for name in roots if name in resource.spec}
    live = change.before.spec if change.before is not None else {}
    for path in resource.lifecycle.ignore:
        spec = put_back(spec, live, parse_path(path))
    return spec


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


ID: Final = "id:"  # how a reference is written that has no name, or whose name several have


def is_nameable(name: str) -> bool:
    """Return whether a reference can contain this name: no file can hold some, others are ids."""
    return bool(name) and name == name.strip() and not name.startswith(ID)


def id_of(name: Any, *, digits: bool = False) -> str | None:
    """Return the id that a reference consists of: `id:7`, or 7; None for a name.

    With `digits`, text of digits is an id as well, which only the live side can decide.
    """
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    if not isinstance(name, str):
        return None
    if name.startswith(ID):
        return name.removeprefix(ID)
    return name if digits and name.isascii() and name.isdecimal() else None


USER: Final = "User"  # what cannot be read, where it is whose key this is: not a kind of the files
FOREIGN: Final = "iac:"  # how other tools tag what they manage


def is_foreign(spec: Spec) -> bool:
    """Whether another tool says that it manages the object."""
    tags = spec.get("tags") or ()
    return any(isinstance(tag, str) and tag.startswith(FOREIGN) for tag in tags)
