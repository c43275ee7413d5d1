"""Find change requests in the projects that a key can see: by ID, by its beginning, by address."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from reconciler import worker_pool
from reconciler.errors import ApiError, NotFoundError, PermissionDeniedError, ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.live.key_access import Directory
from reconciler.model import Address, Payload, parse_time
from reconciler.normal_form import encrypted_payloads
from reconciler.normal_form.encrypted_payloads import MARK
from reconciler.posthog import change_requests, response_shapes
from reconciler.posthog.client import Reader

WORKERS: Final = 8
UNDECIDED: Final = ("pending",)
_ID_LENGTH: Final = 36  # characters of a UUID
_NAMED: Final = 5  # candidates in a message


@dataclass(frozen=True, slots=True)
class PeopleAndRoles:
    """Names for the IDs in requests: people by user ID, roles with their members by UUID."""

    people: Mapping[int, str]
    roles: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """One project: where change requests live."""

    organization: str
    organization_id: str
    project: str
    id: str


@dataclass(frozen=True, slots=True)
class FoundRequest:
    """A change request and where it is."""

    place: ProjectScope
    payload: Payload

    @property
    def address(self) -> str:
        """Return the address of the flag or holdout that it is about."""
        intent = self.payload.get("intent")
        names = intent if isinstance(intent, Mapping) else {}
        for kind, key in (("FeatureFlag", "flag_key"), ("ExperimentHoldout", "holdout_name")):
            if name := names.get(key):
                parts = (self.place.organization, self.place.project, str(name))
                return str(Address(kind, parts))
        return f"{self.payload.get('resource_type')}/{self.payload.get('resource_id')}"

    def is_named_by(self, text: str) -> bool:
        """Return whether a text is the address, its last part, or the beginning of the ID."""
        if "/" in text:
            return self.address == text
        begins_so = str(self.payload["id"]).casefold().startswith(text.casefold())
        return begins_so or self.address.rpartition("/")[2] == text

    def describe(self) -> str:
        """Return the ID with what it is about, to choose one of several."""
        facts = (self.address, self.payload.get("action_key"), self.payload.get("state"))
        return f"{self.payload['id']} ({', '.join(str(fact) for fact in facts)})"


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """An open change request, and the people and roles of its organization."""

    request: FoundRequest
    names: PeopleAndRoles


def find_projects(
    reader: Reader, organization: str | None, project: str | None
) -> list[ProjectScope]:
    """Return the projects this key can see, narrowed by the options; raise for unknown names."""
    directory = key_access.read_directory(reader)
    places = [
        place
        for place in list_projects(directory)
        if organization in (None, place.organization) and project in (None, place.project, place.id)
    ]
    if not places:
        known = ", ".join(sorted({place.project for place in list_projects(directory)})[:5])
        what = f"no project {project!r}" if project else "no project"
        raise ReconcilerError(
            f"{what} that this key can see" + (f" in {organization}" if organization else ""),
            why="the name is not among those PostHog lists",
            fix=f"known: {known}" if known else "give the key access to a project",
        )
    return places


def list_projects(directory: Directory) -> Iterator[ProjectScope]:
    """Yield every project that the key can see."""
    for slug, projects in directory.projects.items():
        id_ = str(directory.organizations[slug][0]["id"])
        for name, ids in projects.items():
            for project_id in ids:
                yield ProjectScope(slug, id_, name, project_id)


def list_requests(
    reader: Reader, places: Sequence[ProjectScope], states: Sequence[str]
) -> list[FoundRequest]:
    """List the change requests of some projects, newest first; no states means all."""

    def list_place(place: ProjectScope) -> list[FoundRequest]:
        listed = change_requests.list_all(reader, place.id, state=states)
        return [FoundRequest(place, payload) for payload in listed]

    if not places:
        return []
    with worker_pool.open_pool(min(WORKERS, len(places)), "requests") as pool:
        requests = [request for group in pool.map(list_place, places) for request in group]
    requests.sort(key=lambda request: str(request.payload.get("created_at")), reverse=True)
    return requests


def list_by_expiry(
    reader: Reader, places: Sequence[ProjectScope], states: Sequence[str] = UNDECIDED
) -> list[FoundRequest]:
    """List change requests, undecided ones if nothing else is said; the first to expire first."""
    listed = list_requests(reader, places, states)
    return sorted(listed, key=lambda request: str(request.payload.get("expires_at")))


def list_expiring(
    reader: Reader, places: Sequence[ProjectScope], start: datetime, end: datetime
) -> list[OpenRequest]:
    """List the undecided change requests that expire between two times, the first at the top."""

    def expires_then(request: FoundRequest) -> bool:
        expires_at = parse_time(request.payload.get("expires_at"))
        return expires_at is not None and start < expires_at <= end

    return list(add_names(reader, list(filter(expires_then, list_by_expiry(reader, places)))))


def add_names(reader: Reader, requests: Sequence[FoundRequest]) -> Iterator[OpenRequest]:
    """Yield requests with the people and roles of their organizations, each read once."""
    names: dict[str, PeopleAndRoles] = {}
    for request in requests:
        organization = request.place.organization_id
        if organization not in names:
            names[organization] = read_names(reader, request.place)
        yield OpenRequest(request, names[organization])


def find_request(
    reader: Reader, text: str, organization: str | None, project: str | None
) -> FoundRequest:
    """Return the change request with an ID, a unique beginning of one, an address or a key.

    Open requests come first: others are searched only if no open one matches.
    """
    places = find_projects(reader, organization, project)
    if len(text) >= _ID_LENGTH and "/" not in text:
        return _get_request(reader, text, places)
    if "/" in text:
        scope = Address.parse(text).parts[:2]
        places = [place for place in places if (place.organization, place.project) == scope]
    for states in (change_requests.OPEN, ()):
        listed = list_requests(reader, places, states)
        candidates = [request for request in listed if request.is_named_by(text)]
        if len(candidates) == 1:
            place, id_ = candidates[0].place, str(candidates[0].payload["id"])
            return FoundRequest(place, change_requests.get(reader, place.id, id_))
        if candidates:
            raise _make_ambiguous_error(text, candidates)
    raise ReconcilerError(
        f"no change request matches {text!r}",
        why="no change request that this key can see has this address, key or beginning of an ID",
        fix="reconciler requests list --state all",
    )


def _get_request(reader: Reader, id_: str, places: Iterable[ProjectScope]) -> FoundRequest:
    """Return a change request by its whole ID; the projects are asked one after the other."""
    denied: PermissionDeniedError | None = None
    for place in places:
        try:
            return FoundRequest(place, change_requests.get(reader, place.id, id_))
        except NotFoundError:
            continue
        except PermissionDeniedError as error:
            denied = error
    if denied is not None:
        raise denied
    raise ReconcilerError(
        f"no change request {id_}",
        why="none of the projects this key can see has one with this ID",
        fix="reconciler requests list --state all",
    )


def _make_ambiguous_error(text: str, candidates: Sequence[FoundRequest]) -> ReconcilerError:
    shown = "; ".join(candidate.describe() for candidate in candidates[:_NAMED])
    more = f" and {len(candidates) - _NAMED:,} more" if len(candidates) > _NAMED else ""
    return ReconcilerError(
        f"{text!r} matches {len(candidates):,} change requests",
        why=f"candidates: {shown}{more}",
        fix="write more characters of the ID",
    )


def reveal_payloads(reader: Reader, request: FoundRequest) -> Payload:
    """Return the request with its payloads, if its flag can be read and does not encrypt them."""
    intent, payload = request.payload.get("intent") or {}, request.payload
    sent, flag = intent.get("full_request_data") or {}, intent.get("flag_id")
    if not encrypted_payloads.has_concealed(payload) or sent.get(MARK) or type(flag) is not int:
        return payload
    path = f"/api/projects/{request.place.id}/feature_flags/{flag}/"
    try:
        shown_flag = reader.get(path)
    except ApiError:
        return payload
    is_read = isinstance(shown_flag, Mapping) and shown_flag.get("id") == flag
    is_plain = is_read and not shown_flag.get(MARK, True)
    return encrypted_payloads.reveal(payload) if is_plain else payload


def read_names(reader: Reader, place: ProjectScope) -> PeopleAndRoles:
    """Return the names of the people and roles of an organization, as far as they are readable."""
    people: dict[int, str] = {}
    roles: dict[str, dict[str, Any]] = {}
    base = f"/api/organizations/{place.organization_id}"
    try:
        for role in reader.list(f"{base}/roles/").items:
            response_shapes.require_shape(f"{base}/roles/", role, response_shapes.ROLE)
            users = [held["user"] for held in role.get("members") or ()]
            people |= {user["id"]: user["email"] for user in users}
            members = [user["email"] for user in users]
            roles[str(role["id"])] = {"name": role["name"], "members": members}
        for member in reader.list(f"{base}/members/").items:
            user = response_shapes.require_shape(
                f"{base}/members/", member, response_shapes.MEMBER
            )["user"]
            people[user["id"]] = user["email"]
    except PermissionDeniedError:
        pass  # IDs are shown where names cannot be read
    return PeopleAndRoles(people, roles)
