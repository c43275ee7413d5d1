"""Turn ids into names, and payloads into resources. Pure: it gets everything that was read."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from reconciler.kinds import KINDS, READ
from reconciler.live.listed_payload import ListedPayload, build_picker, read_id, read_name
from reconciler.model import (
    ID,
    Address,
    ChangeRequest,
    Kind,
    Live,
    LiveResource,
    Payload,
    Person,
    Reference,
    Spec,
    Vote,
    is_nameable,
    map_values,
    parse_id,
)
from reconciler.normal_form.encrypted_payloads import MARK, reveal
from reconciler.posthog import change_requests, response_shapes
from reconciler.posthog.pagination import keep_whole
from reconciler.posthog.response_shapes import MALFORMED, Shape

_Scope = tuple[str, ...]
_NAMED = frozenset(one.kind for kind in KINDS.values() for one in kind.references) - {"Member"}
_BY_ID = frozenset(o.kind for kind in KINDS.values() for o in kind.references if o.takes_ids)


class Names:
    """Map ids to names: people by id and by uuid, everything else by id.

    A name that several objects of a scope share is not used: their ids are kept.
    """

    def __init__(
        self,
        payloads: Mapping[tuple[str, tuple[str, ...]], tuple[Payload, ...]],
        before: Live | None,
        partial: Collection[str] = (),
    ) -> None:
        self.partial = frozenset(partial) | (before.partial if before is not None else frozenset())
        self.people: dict[str, dict[str, Person]] = defaultdict(dict)
        self._before = before
        self._listed = {place: items for place, items in payloads.items() if place[0] in _NAMED}
        self._by_id: dict[tuple[str, str, _Scope], dict[str, str]] = {}
        self._remembered: dict[str, dict[_Scope, dict[str, str]]] = {}  # by kind, of `before`
        for organization, people in before.people.items() if before is not None else ():
            for person in people.values():
                self._add_person(organization, person)
        for (kind, scope), items in payloads.items():
            for payload in items if kind == "Role" else ():
                for membership in payload.get("members") or ():
                    self._add_user(scope[0], membership["user"], None)
        for (kind, scope), items in payloads.items():
            if kind == "Member":
                for payload in items:
                    membership = str(payload.get("id") or "")
                    self._add_user(scope[0], payload["user"], payload.get("level"), membership)

    def _find_names(self, kind: str, id_field: str, scope: _Scope) -> dict[str, str]:
        """Return the names of one collection by id, collected when they are first asked for.

        Most are never asked for. Threads that collect them at once continue with the same ones.
        """
        place = (kind, id_field, scope)
        known = self._by_id.get(place)
        if known is None:
            names = dict(self._list_names(kind, scope)) if kind in _NAMED else {}
            known = self._by_id.setdefault(place, names)
        return known

    def _list_names(self, kind: str, scope: _Scope) -> Iterator[tuple[str, str]]:
        """Yield ids with names: those that were known before, then those that were listed."""
        if kind not in self._remembered:
            self._remembered[kind] = self._remember(kind)
        yield from self._remembered[kind].get(scope, {}).items()
        items, read = self._listed.get((kind, scope), ()), READ[kind]
        count = Counter(read_name(read, payload) for payload in items if not read.unique)
        for payload in items:
            name = read_name(read, payload)
            if name and count[name] < 2 and _can_stand_for_id(kind, name):  # noqa: PLR2004  a unique name
                yield read_id(read, payload), name

    def _remember(self, kind: str) -> dict[_Scope, dict[str, str]]:
        """Return the names of a kind that were known before, by scope and id."""
        names: dict[_Scope, dict[str, str]] = defaultdict(dict)
        for address, ids in self._before.ids.items() if self._before is not None else ():
            if address.kind != kind or not _can_stand_for_id(kind, address.name):
                continue
            if len(ids) == 1 or READ[kind].unique:
                names[address.parts[:-1]] |= dict.fromkeys(ids, address.name)
        return names

    def _add_user(
        self, organization: str, user: Mapping[str, Any], level: int | None, membership: str = ""
    ) -> None:
        ids = int(user["id"]), str(user["uuid"])
        person = Person(*ids, str(user["email"]), level, membership)
        self._add_person(organization, person)

    def _add_person(self, organization: str, person: Person) -> None:
        known = self.people[organization].get(person.email.lower())
        if person.level is None and known is not None:  # only a listing of members has it
            person = replace(person, level=known.level, membership=known.membership)
        self.people[organization][person.email.lower()] = person
        ids = {"id": str(person.id), "uuid": person.uuid, "membership": person.membership}
        for id_field, id_ in ids.items():
            if id_:
                self._find_names("Member", id_field, (organization,))[id_] = person.email

    def learn(self, address: Address, id_: str) -> None:
        """Remember the id of an object that was created after the read."""
        if address.kind in _NAMED and _can_stand_for_id(address.kind, address.name):
            self._find_names(address.kind, "id", address.parts[:-1])[id_] = address.name

    def build_lookup(self, reference: Reference, address: Address) -> Callable[[Any], Any]:
        """Return a function from an id to its name, or to `id:…` for an unknown id."""
        kind, scope = reference.place(address)

        def name(id_: Any) -> Any:
            if reference.takes_ids and parse_id(id_, digits=True) is None:
                return id_  # a log or a request may contain any value here
            known = self._find_names(kind, reference.id_field, scope).get(str(id_))
            return known if known is not None else f"{ID}{id_}"

        return name


def _can_stand_for_id(kind: str, name: str) -> bool:
    """Return whether a reference to an object of a kind can contain this name."""
    return kind not in _BY_ID or is_nameable(name)


def build_taker(kind: Kind) -> Callable[[Payload], Payload]:
    """Return a function that reduces each listed item while other pages are being read."""
    if kind.name in _PEOPLE:
        return keep_whole  # the people in each item are read in any case

    pick, read_plain = build_picker(kind.listed), kind.plain or partial(_read_plain, kind)

    def take(payload: Payload) -> Payload:
        try:
            name, id_ = kind.identify(payload), kind.identity(payload)
        except MALFORMED:
            return payload  # reported when the collection is checked
        taken = ListedPayload(*pick(payload), name, id_)
        try:
            taken.spec = read_plain(payload)
        except MALFORMED:
            return taken  # reported when its resource is built
        return taken

    return take


def _read_plain(kind: Kind, payload: Payload) -> Spec | None:
    """Return the normal form of an object that names no other; None if it may name one."""
    spec = kind.to_spec(payload)
    return None if kind.list_references(spec) else kind.canonical(spec)


def build_resources(
    kind: Kind, scope: tuple[str, ...], payloads: Sequence[Payload], names: Names
) -> list[LiveResource]:
    """Return the live objects of a collection in the terms of the files."""
    name, new = kind.name, tuple.__new__  # without the call that `Address` makes of it
    return [
        LiveResource(
            new(Address, (name, (*scope, payload.name))), payload.id, payload.spec, payload
        )
        if isinstance(payload, ListedPayload) and payload.spec is not None
        else build_resource(kind, scope, payload, names)
        for payload in payloads
    ]


def build_resource(
    kind: Kind, scope: tuple[str, ...], payload: Payload, names: Names
) -> LiveResource:
    """Return one live object in the terms of the files."""
    address = Address(kind.name, (*scope, read_name(kind, payload)))
    fields = payload.unpack() if isinstance(payload, ListedPayload) else payload
    spec = kind.canonical(name_references(kind, address, kind.to_spec(fields), names))
    if kind.of_people and address.organization in names.partial:  # a partial list proves nothing
        spec = {name: value for name, value in spec.items() if name not in kind.of_people}
    return LiveResource(address, read_id(kind, payload), spec, payload)


def name_references(kind: Kind, address: Address, spec: Spec, names: Names) -> Spec:
    """Return a spec, or a body of the API, with names where its references are ids."""
    for reference in kind.references if kind.refers(spec) else ():
        spec = map_values(spec, reference.path, names.build_lookup(reference, address))
    return spec


def build_change_request(
    payload: Payload, organization: str, project: str, *, names: Names | None = None
) -> ChangeRequest:
    """Return a change request as a value; with `names`, what it proposes is in names."""
    if names is not None:
        payload = _name_proposal(payload, (organization, project), names)
    requester = payload.get("created_by") or {}
    kind = find_request_kind(payload)
    intent = payload.get("intent") or {}
    return ChangeRequest(
        id=str(payload["id"]),
        action_key=str(payload.get("action_key", "")),
        state=str(payload.get("state", "")),
        resource_id=change_requests.get_object_id(payload),
        name=str(intent.get(kind.intent_name) or "") if kind is not None else "",
        kind=kind.name if kind is not None else str(payload.get("resource_type")),
        organization=organization,
        project=project,
        requester=requester.get("email"),
        requester_id=requester.get("id"),
        payload=payload,
        created_at=str(payload.get("created_at") or ""),
        expires_at=str(payload.get("expires_at") or ""),
        votes=_build_votes(payload),
        validation_status=str(payload.get("validation_status") or ""),
        validation_errors=payload.get("validation_errors"),
    )


_BY_RESOURCE_TYPE: Final = {kind.resource_type: kind for kind in KINDS.values() if kind.gated}


def find_request_kind(payload: Payload) -> Kind | None:
    """Return the kind that a request is about; None for a type that this program does not know."""
    resource_type = payload.get("resource_type", KINDS["FeatureFlag"].resource_type)
    return _BY_RESOURCE_TYPE.get(resource_type) if isinstance(resource_type, str) else None


def _name_proposal(payload: Payload, scope: _Scope, names: Names) -> Payload:
    """Return the payload with names in what would be replayed (contract 7.2)."""
    intent = payload.get("intent")
    data = intent.get("full_request_data") if isinstance(intent, Mapping) else None
    if not isinstance(intent, Mapping) or not isinstance(data, Mapping):
        return payload
    named = name_references(KINDS["FeatureFlag"], Address("FeatureFlag", (*scope, "")), data, names)
    return {**payload, "intent": {**intent, "full_request_data": named}}


def _build_votes(payload: Payload) -> tuple[Vote, ...]:
    """Return the votes, oldest first, because the order of the server is not reliable."""
    votes = (
        Vote(
            person=str((vote.get("created_by") or {}).get("email") or "unknown"),
            approved=vote.get("decision") == "approved",
            at=str(vote.get("created_at") or ""),
            reason=str(vote.get("reason") or ""),
        )
        for vote in payload.get("approvals") or ()
    )
    return tuple(sorted(votes, key=lambda vote: (vote.at, vote.person)))


def build_speller(live: Live) -> Callable[[Address, str, Any], Spec]:
    """Return a function from a logged field of the API to spec fields, or to none.

    A log may have values that no response of the API has; values that do not parse are ignored.
    """
    names = Names({}, live)

    def spell(address: Address, name: str, value: Any) -> Spec:
        kind = KINDS[address.kind]
        resource = live.resources.get(address)
        if resource is not None and not resource.payload.get(MARK):
            value = reveal(value)
        try:
            spec = kind.to_spec({name: value})
            normal = kind.canonical(name_references(kind, address, spec, names))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return {}
        return {field: normal[field] for field in normal if field not in kind.unlogged}

    return spell


_PEOPLE: Final[Mapping[str, Shape]] = {
    "Member": {**response_shapes.MEMBER, "level": response_shapes.Plain.NUMBER},
    "Role": {"members": response_shapes.Maybe(response_shapes.Each(response_shapes.MEMBER))},
}


def find_mismatch(kind_name: str, items: Iterable[Payload]) -> str:
    """Describe the first row that does not have the shape of its kind; empty if there is none.

    Only the key and the id of each row are checked, and the people in it.
    """
    kind, people = READ.get(kind_name), _PEOPLE.get(kind_name)
    for payload in items:
        try:
            if kind is not None and not isinstance(payload, ListedPayload):
                kind.identify(payload), kind.identity(payload)
            if people is not None and (mismatch := response_shapes.find_mismatch(payload, people)):
                return _describe_mismatch(kind_name, mismatch)
        except MALFORMED as error:
            return describe_malformed(kind_name, error)
    return ""


def describe_malformed(kind_name: str, error: Exception) -> str:
    """Describe an exception that a row of a listing raised."""
    return _describe_mismatch(kind_name, response_shapes.describe_error(error))


def _describe_mismatch(kind_name: str, mismatch: str) -> str:
    return f"an item of the listing is not a {kind_name} as this program knows it: {mismatch}"
