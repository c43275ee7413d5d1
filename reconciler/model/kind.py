"""Define what the program knows about a kind: data and pure functions, nothing that sends."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Any, Final, Protocol

from reconciler.lazy_dataclass import dataclass
from reconciler.model.address import Address
from reconciler.model.gated_writes import (
    Rewrites,
    WriteGate,
    has_moved_version,
    read_full_request,
)
from reconciler.model.plan import Action, Change
from reconciler.model.resources import Payload
from reconciler.model.spec_path import (
    Path,
    RejectedValue,
    Spec,
    build_search,
    get_root,
    iterate_values,
    parse_path,
    put_back,
)


class Scope(Enum):
    """Name the level of a kind. The value is the number of parts in its address."""

    INSTANCE = 1  # Kind/organization: the organization itself
    ORGANIZATION = 2  # Kind/organization/name
    PROJECT = 3  # Kind/organization/project/name


@dataclass(frozen=True, slots=True)
class Reference:
    """Describe a spec field that names another resource.

    Attributes:
        path: its path in the spec, `[]` for each item of a list: `approvers.roles[]`.
        kind: the kind of the named resource; a Member is named by email, a Role by name.
        id_field: the id that the API requires: `id`; for people also `uuid`, or `membership`.
        orders: whether the named resource has to be written first.
        scope: the scope of the named resource.
        takes_ids: whether files may contain the id instead of the name; it is checked.

    """

    path: str
    kind: str
    id_field: str = "id"
    orders: bool = True
    scope: Scope = Scope.ORGANIZATION
    takes_ids: bool = False

    def target(self, address: Address, name: object) -> Address:
        """Return the address of the resource that the resource at `address` names."""
        return Address(self.kind, (*address.parts[: self.scope.value - 1], str(name)))

    def place(self, address: Address) -> tuple[str, tuple[str, ...]]:
        """Return the collection that the named resource is in: its kind and scope."""
        return self.kind, address.parts[: self.scope.value - 1]


@dataclass(frozen=True, slots=True)
class Widening:
    """Describe a setting that widens what people can do or see.

    Attributes:
        field: the spec field.
        values: what it can be, from narrow to wide; values of one group mean the same.
        text: what people can do once it is wider.

    """

    field: str
    values: tuple[tuple[Any, ...], ...]
    text: str

    def is_wider(self, before: Any, after: Any) -> bool:
        """Return whether the setting is wider after a change than before it."""
        return self._rank(before) < self._rank(after)

    def _rank(self, value: Any) -> int:
        ranks = (rank for rank, group in enumerate(self.values) if value in group)
        return next(ranks, len(self.values))  # an unknown value may allow everything


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one call as a value; only `apply` sends it. `path` is complete."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """Hold what one stage of a change has to achieve, with ids for references."""

    action: Action
    spec: Spec  # the fields of this stage; empty for a delete
    live: Payload | None  # the object as it was last read; None before it exists
    ids: Mapping[str, str]  # organization, project, id, if known
    name: str | None = None  # the natural key, if this stage sets it


def build_field_reader(first: str, *below: str) -> Callable[[Payload], str]:
    """Return a reader of a name or an id in a payload; it raises TypeError if it is missing."""
    path = (first, *below)

    def read_text(payload: Payload) -> str:
        value: Any = payload[first]
        for name in below:
            value = value[name]
        if type(value) is str:
            return value
        if type(value) is not int:
            raise TypeError(f"{'.'.join(path)} should be text or a number, not {value!r:.40}")
        return str(value)

    return read_text


def keep_spec(spec: Spec) -> Spec:
    """Return a spec as it is: the normal form of a kind that defines none."""
    return spec


def find_nothing_missing(spec: Spec) -> str:
    """Return nothing: a create needs only its name."""
    return ""


def refuse_nothing(spec: Spec) -> Iterable[RejectedValue]:
    """Refuse nothing: PostHog accepts whatever the schema accepts."""
    return ()


class Stages(Protocol):
    """Split a change into calls. `split`: one call would meet two gates."""

    def __call__(self, action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
        """Return the specs, one per call."""
        ...


def plan_one_stage(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Return all fields for one call."""
    return (spec,)


def trim_name(name: str, spec: Spec) -> str:
    """Return a name as the server keeps it: every text is trimmed (contract 1.3)."""
    return name.strip()


def explain_nothing(name: str, attr: str | None) -> str:
    """Return nothing: a refused create has no reason that this program knows."""
    return ""


def hide_nothing(payload: Payload) -> tuple[str, ...]:
    """Return nothing: every field reads back as it was sent."""
    return ()


def lock_nothing(payload: Payload) -> str:
    """Return nothing: every object can be updated."""
    return ""


def drop_nothing(payload: Payload, spec: Spec) -> tuple[str, ...]:
    """Return the paths of a live object that a write of `spec` would silently remove."""
    return ()


def has_content(payload: Payload) -> bool:
    """Return False: an object that exists is never blank."""
    return False


def accept_any_echo(request: Request, body: Payload) -> bool:
    """Accept any response to a call for a part of an object."""
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """Hold what the program knows about a kind. A new kind is one of these and a schema."""

    name: str
    scope: Scope
    rank: int  # place in listings and plans, ascending; dependencies come from references
    key: str  # the metadata field that names it
    collection: str  # "/api/projects/{project}/feature_flags/"
    item: str  # the same with {id}
    plural: str  # the name that `pull` gives its file or folder: "feature_flags"
    noun: str  # for messages: "flag"
    api_scope: str  # the scope of keys, with `:read` and `:write` (contract 2)
    to_spec: Callable[[Payload], Spec]  # live payload -> spec, ids where references are
    to_payload: Callable[[Spec], Payload]  # and back
    canonical: Callable[[Spec], Spec] = keep_spec  # normal form; both sides go through it
    plain: Callable[[Payload], Spec | None] | None = (
        None  # payload -> normal form in one pass, or None if it may name another object
    )
    identify: Callable[[Payload], str] = field(default=build_field_reader("name"))
    identity: Callable[[Payload], str] = field(default=build_field_reader("id"))
    key_payload: str | None = None  # the payload field of the natural key; None: not writable
    renamable: bool = False  # whether `renamed_from` can rename a live object
    references: tuple[Reference, ...] = ()
    after: tuple[str, ...] = ()  # kinds of the same scope whose changes go first
    sets: tuple[str, ...] = ()  # paths of lists whose order means nothing, compared item by item
    atomic: tuple[str, ...] = ()  # fields compared and sent as a whole, unwritten parts too
    defaults: Mapping[str, Any] = field(default_factory=dict)  # what the server uses if not sent
    folds_case: bool = False  # natural keys are compared case-insensitively
    unique: bool = True  # the server refuses a second object with the same natural key
    made_as: Callable[[str, Spec], str] = trim_name  # the name that a create would get
    cannot_create: str = ""  # why objects cannot be created, if so: a sentence for people
    unavailable: Callable[[str, str | None], str] = (
        explain_nothing  # name, attr of a 400 -> why no object with this name can be created yet
    )
    for_admins: bool = False  # members may read but not write it (contract 2)
    protected: bool = False  # prevent_destroy unless the file says otherwise
    stages: Stages = plan_one_stage
    requests: Callable[["Kind", Write], tuple[Request, ...]] | None = None
    listed: frozenset[str] = frozenset()  # payload fields kept of a listing; empty: all
    search: str | None = None  # the query parameter that finds an object by its natural key
    params: Mapping[str, str] = field(default_factory=dict)  # query parameters of every listing
    declared: bool = True  # whether files declare it; others are read only for their ids
    introduced: str = ""  # since when PostHog offers it, if servers without it are in use
    point_read: bool = True  # whether GET of one item is offered
    fallback_params: Mapping[str, str] | None = (
        None  # of a second listing, if a declared object is missing
    )
    of_people: tuple[str, ...] = ()  # fields with only those people whom the key may see
    apart: tuple[str, ...] = ()  # fields with their own calls, not in the object's body
    incomplete: Callable[[Spec], str] = find_nothing_missing  # why a create would be refused, or ""
    refusals: Callable[[Spec], Iterable[RejectedValue]] = (
        refuse_nothing  # of what the schema accepts
    )
    hidden: Callable[[Payload], tuple[str, ...]] = hide_nothing  # paths the API does not show
    dropped: Callable[[Payload, Spec], tuple[str, ...]] = drop_nothing
    locked: Callable[[Payload], str] = lock_nothing  # why an object is never updated, or ""
    droppable: Mapping[str, str] = field(
        default_factory=dict
    )  # fields whose writes the server may drop silently -> why it does
    part_of: str = ""  # the kind whose object it is a part of, with the same name and id
    parts: Mapping[str, str] = field(
        default_factory=dict
    )  # of an object that no single response shows: key of the payload -> path with {id}
    complete: frozenset[str] = frozenset()  # names of mappings whose keys are managed as a whole
    blank: Callable[[Payload], bool] = has_content  # whether a part is as if nobody had set it
    details: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # spec fields that listings lack -> their fields in the response of the item
    gates: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # policy action -> the fields that it covers, where conditions look at positions in them
    write_gates: tuple[WriteGate, ...] = ()  # of kinds whose writes are gated as a whole
    widenings: tuple[Widening, ...] = ()  # settings that count as weakened when they get wider
    rewrites: Rewrites | None = None  # what PostHog writes together with a gated write
    resource_type: str = ""  # of its change requests (contract 7.1)
    intent_name: str = ""  # the key of a request's intent that has the natural key
    proposal: Callable[[Payload], Payload] = read_full_request  # intent -> the proposed body
    outdates: Callable[[Payload, Payload], bool] = (
        has_moved_version  # intent, live payload -> whether the request can no longer be applied
    )
    recovers: bool = False  # whether a stale request becomes valid when the object is as before
    echoes: Callable[[Request, Payload], bool] = (
        accept_any_echo  # whether a response shows what was sent
    )
    versioned: bool = False  # the server compares versions itself: no read before a write
    page: str = ""  # its page in PostHog, below the host: "/project/{project}/feature_flags/{id}"
    activity_scopes: tuple[str, ...] = ()  # its names in the activity log; empty: never logged
    activity_ids: Callable[[Payload], tuple[str, ...]] = field(
        default=lambda payload: (str(payload["id"]),)
    )  # ids that the log may have for the object
    written_at: Callable[[Payload], str | None] = field(
        default=lambda payload: payload.get("updated_at")
    )  # when any of its fields was last written, if it says so
    unlogged: tuple[str, ...] = ()  # spec fields whose changes the log never shows
    refers: Callable[[Spec], bool] = field(
        init=False, repr=False
    )  # False: a spec names no other resource; True: it may

    def __post_init__(self) -> None:
        """Build the search for references once: each resource is searched several times."""
        search = build_search(*(reference.path for reference in self.references))
        object.__setattr__(self, "refers", search)

    def list_references(self, spec: Spec) -> Sequence[tuple[Reference, Path, Any]]:
        """List the names and ids in a spec, with their paths, in the order of `references`."""
        if not self.refers(spec):
            return ()
        return [
            (reference, path, value)
            for reference in self.references
            for path, value in iterate_values(spec, reference.path)
        ]

    @property
    def gated(self) -> bool:
        """Return whether approval policies may cover its writes."""
        return bool(self.gates or self.write_gates)

    def gates_write(self, action: Action) -> bool:
        """Return whether policies may cover such a write: of flags, every one but a delete."""
        if action is not Action.DELETE and self.gates:
            return True
        return any(gate.write is action for gate in self.write_gates)

    def find_write_gate(self, action: Action, names: Container[str]) -> WriteGate | None:
        """Return what gates a write of these fields as a whole, if anything does."""
        return next(
            (
                gate
                for gate in self.write_gates
                if gate.write is action
                and (not gate.fields or any(name in names for name in gate.fields))
            ),
            None,
        )

    def path(self, template: str, ids: Mapping[str, str]) -> str:
        """Fill `{organization}`, `{project}` and `{id}` in."""
        return template.format_map(ids)

    def calls(self, write: Write) -> tuple[Request, ...]:
        """Return the requests that carry out one stage."""
        if self.requests is not None:
            return self.requests(self, write)
        return build_plain_requests(self, write)


def build_change_spec(change: Change) -> Spec:
    """Return the smallest spec that makes the change: whole fields, ignored parts as live."""
    resource = change.desired
    if resource is None:
        return {}
    if change.action is Action.CREATE:  # in an order that does not depend on the file
        return dict(sorted(resource.spec.items()))
    roots = dict.fromkeys(get_root(field_change.path) for field_change in change.fields)
    spec: Spec = {name: resource.spec[name] for name in roots if name in resource.spec}
    live = change.before.spec if change.before is not None else {}
    for path in resource.lifecycle.ignore:
        spec = put_back(spec, live, parse_path(path))
    return spec


def build_plain_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Return a POST to the collection, a PATCH of the item, or a DELETE of the item."""
    if write.action is Action.DELETE:
        return (Request("DELETE", kind.path(kind.item, write.ids)),)
    body = dict(kind.to_payload(write.spec))
    if write.name is not None and kind.key_payload is not None:
        body[kind.key_payload] = write.name
    if write.action is Action.CREATE:
        return (Request("POST", kind.path(kind.collection, write.ids), body),)
    return (Request("PATCH", kind.path(kind.item, write.ids), body),) if body else ()


ID: Final = "id:"  # prefix of a reference without a unique name


def is_nameable(name: str) -> bool:
    """Return whether a reference can contain this name: no id, and no spaces around it."""
    return bool(name) and name == name.strip() and not name.startswith(ID)


def parse_id(name: Any, *, digits: bool = False) -> str | None:
    """Return the id that a reference consists of: `id:7`, or 7; None for a name.

    With `digits`, text of digits is an id as well, which only the live state can decide.
    """
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    if not isinstance(name, str):
        return None
    if name.startswith(ID):
        return name.removeprefix(ID)
    return name if digits and name.isascii() and name.isdecimal() else None


USER: Final = "User"  # the kind of the key's own user in Unreadable; files have no such kind
FOREIGN: Final = "iac:"  # prefix of the tags by which other tools mark what they manage


def is_foreign(spec: Spec) -> bool:
    """Return whether another tool manages the object, according to its tags."""
    tags = spec.get("tags") or ()
    return any(isinstance(tag, str) and tag.startswith(FOREIGN) for tag in tags)
