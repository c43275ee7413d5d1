"""From a seed document to a world. Objects are stored as they are: nothing is gated or logged."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from reconciler.sandbox.api.organization import free_slug
from reconciler.sandbox.protocol.errors import SandboxError, SeedError
from reconciler.sandbox.protocol.validators import as_uuid
from reconciler.sandbox.rules import periodic_tasks
from reconciler.sandbox.seed.names import Names, level
from reconciler.sandbox.seed.project import load_policy, load_project
from reconciler.sandbox.seed.values import identity, moment, need_new
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.model import (
    Cohort,
    Entry,
    Flag,
    Ground,
    Membership,
    Organization,
    Project,
    Role,
    RoleMember,
    Token,
    User,
)
from reconciler.sandbox.store.transaction import Transaction, settings

_TITLES = {
    "approvals": "Approvals",
    "audit_logs": "Audit logs",
    "organizations_projects": "Organizations and projects",
}
_NO_SETTINGS = {
    *("id", "name", "slug", "created_at", "updated_at", "available_product_features"),
    "evaluation_contexts_enabled",
}
_SETTINGS = tuple(one.name for one in fields(Organization) if one.name not in _NO_SETTINGS)


@dataclass(frozen=True, slots=True)
class Options:
    """What the start of the sandbox says about the world, beside the seed. None: nothing."""

    now: str | None = None
    cloud: bool | None = None
    rate_limit: dict[str, int] | None = None


def milder(given: Options, document: dict[str, Any]) -> Options:
    """What the start said, where a seed that came later says nothing itself."""
    return Options(
        now=None if "now" in document else given.now,
        cloud=None if "cloud" in document else given.cloud,
        rate_limit=None if "rate_limit" in document else given.rate_limit,
    )


def override(tx: Transaction, given: Options) -> None:
    """What the start says about a world that is there already."""
    if given.now is not None:
        tx.ground = clock.frozen(tx.ground, moment(given.now, "--now"))
        tx.read_time()
    if given.cloud is not None:
        settings(tx, cloud=given.cloud)
    if given.rate_limit is not None:
        settings(tx, **{"per_minute": None, "per_hour": None, **given.rate_limit})


def load(tx: Transaction, document: dict[str, Any], options: Options) -> None:
    """Fill an empty world.

    Raises:
        SeedError: with the place in the document.
    """
    _begin(tx, document, options)
    for kind, number in _given_ids(document):
        tx.reserve_id(kind, number)
    names = Names()
    for place, one in enumerate(document.get("users") or ()):
        _user(tx, names, one, f"users[{place}]")
    for place, one in enumerate(document.get("organizations") or ()):
        _organization(tx, names, one, f"organizations[{place}]")
    for place, one in enumerate(document.get("users") or ()):
        path = f"users[{place}]"
        for number, token in enumerate(one.get("tokens") or ()):
            _token(tx, names.people[one["email"]], token, f"{path}.tokens[{number}]")
        _settle(tx, names.people[one["email"]], one, path)
    periodic_tasks.rest(tx)


def _begin(tx: Transaction, document: dict[str, Any], options: Options) -> None:
    """The clock, the plan and the limits; what the start says comes before the seed."""
    limits = options.rate_limit or document.get("rate_limit") or {}
    cloud = options.cloud if options.cloud is not None else bool(document.get("cloud"))
    counters = document.get("counters") or {}
    tx.ground = Ground(
        cloud=cloud,
        per_minute=limits.get("per_minute"),
        per_hour=limits.get("per_hour"),
        serial=counters.get("serial", 0),
        last_ids=dict(counters.get("last_ids") or {}),
        offset_us=round(document.get("clock_offset", 0) * 1_000_000),
    )
    now = options.now or document.get("now")
    if now is not None:
        settings(tx, frozen_at=moment(now, "now"))
    try:
        tx.read_time()
    except OverflowError as error:
        raise SeedError("clock_offset: beyond the end of time") from error


def _given_ids(document: dict[str, Any]) -> Iterator[tuple[type, int]]:
    """Every integer id that the document claims; the others are given beyond them."""
    for user in document.get("users") or ():
        yield User, user.get("id", 0)
    for organization in document.get("organizations") or ():
        for project in organization.get("projects") or ():
            yield Project, project.get("id", 0)
            for flag in project.get("feature_flags") or ():
                yield Flag, flag.get("id", 0)
            for cohort in project.get("cohorts") or ():
                yield Cohort, cohort.get("id", 0)


def _user(tx: Transaction, names: Names, one: dict[str, Any], path: str) -> None:
    if one["email"] in names.people:
        raise SeedError(f"{path}.email: {one['email']!r} is used twice")
    number = one.get("id") or tx.next_id(User)
    need_new(tx, User, number, path)
    given = {name: one[name] for name in _PERSON if name in one}
    uuid = as_uuid(one.get("uuid")) if "uuid" in one else tx.uuid()
    if uuid is None or tx.first(User, uuid=uuid) is not None:
        raise SeedError(f"{path}.uuid: {one['uuid']!r} is no uuid, or used twice")
    last = one.get("last_login")
    user = User(
        id=number,
        uuid=uuid,
        email=one["email"],
        distinct_id=one.get("distinct_id", f"d{number}"),
        created_at=moment(one.get("created_at", tx.at), f"{path}.created_at"),
        last_login=moment(last, f"{path}.last_login") if last else None,
        **given,
    )
    tx.insert(user)
    names.people[user.email] = user.id


_PERSON = (
    "first_name",
    "last_name",
    "is_active",
    "is_email_verified",
    "hedgehog_config",
    "role_at_organization",
    "is_2fa_enabled",
    "has_social_auth",
)


def _token(tx: Transaction, user: int, one: dict[str, Any], path: str) -> None:
    need_new(tx, Token, one["token"], path, field="token")
    teams = [
        _project_ref(tx, ref, f"{path}.scoped_teams[{place}]")
        for place, ref in enumerate(one.get("scoped_teams") or ())
    ]
    wide = [
        organization_ref(tx, ref, f"{path}.scoped_organizations[{place}]")
        for place, ref in enumerate(one.get("scoped_organizations") or ())
    ]
    tx.insert(Token(one["token"], user, one.get("scopes", ["*"]), teams, wide))


def _project_ref(tx: Transaction, ref: Any, path: str) -> int:
    for project in tx.find(Project):
        if ref in (project.id, project.name):
            return project.id
    raise SeedError(f"{path}: no project is called {ref!r}")


def organization_ref(tx: Transaction, ref: Any, path: str) -> str:
    """An organization's id, from its id, slug or name."""
    for organization in tx.find(Organization):
        if ref in (organization.id, organization.slug, organization.name):
            return organization.id
    raise SeedError(f"{path}: no organization is called {ref!r}")


def _settle(tx: Transaction, number: int, one: dict[str, Any], path: str) -> None:
    """Where a user is: as the seed says, else in the first project of the first organization."""
    user = tx.known(User, number)
    place: str | None
    if "current_organization" in one:
        ref = one["current_organization"]
        place = organization_ref(tx, ref, f"{path}.current_organization") if ref else None
    else:
        member = tx.first(Membership, user=number)
        place = member.organization if member else None
    if "current_project" in one:
        ref = one["current_project"]
        current = _project_ref(tx, ref, f"{path}.current_project") if ref else None
    else:
        first = tx.first(Project, organization=place) if place else None
        current = first.id if first else None
    tx.update(replace(user, current_organization=place, current_project=current))


def _organization(tx: Transaction, names: Names, one: dict[str, Any], path: str) -> None:
    number = identity(one, tx, path)
    need_new(tx, Organization, number, path)
    slug = one.get("slug") or free_slug(tx, one["name"])
    if tx.first(Organization, slug=slug) is not None:
        raise SeedError(f"{path}.slug: {slug!r} is used twice")
    chosen = dict(one.get("settings") or {})
    default_role = chosen.pop("default_role", None)
    created = moment(one.get("created_at", tx.at), f"{path}.created_at")
    organization = tx.insert(
        Organization(
            id=number,
            name=one["name"],
            slug=slug,
            created_at=created,
            updated_at=moment(one.get("updated_at", created), f"{path}.updated_at"),
            available_product_features=_features(one.get("features", [])),
            evaluation_contexts_enabled=one.get("evaluation_contexts_enabled", True),
            **{name: chosen[name] for name in _SETTINGS if name in chosen},
        )
    )
    for place, member in enumerate(one.get("members") or ()):
        _member(tx, names, organization, member, f"{path}.members[{place}]")
    roles: dict[str, str] = {}
    for place, role in enumerate(one.get("roles") or ()):
        _role(tx, names, organization, role, roles=roles, path=f"{path}.roles[{place}]")
    inner = names.within(roles)
    if default_role is not None:
        identity_ = inner.role(default_role, f"{path}.settings.default_role")
        tx.update(replace(organization, default_role_id=identity_))
    for place, policy in enumerate(one.get("approval_policies") or ()):
        where = f"{path}.approval_policies[{place}]"
        load_policy(tx, inner, policy, where, organization=number, project=None)
    for place, project in enumerate(one.get("projects") or ()):
        load_project(tx, inner, project, f"{path}.projects[{place}]", organization=number)
    for place, entry in enumerate(one.get("activity") or ()):
        _entry(tx, inner, organization, entry, f"{path}.activity[{place}]")


def _features(given: list[Any] | None) -> list[Any] | None:
    if given is None:
        return None
    return [
        {"key": one, "name": _TITLES.get(one, one)} if isinstance(one, str) else one
        for one in given
    ]


def _member(
    tx: Transaction, names: Names, organization: Organization, one: dict[str, Any], path: str
) -> None:
    user = names.known_person(one["email"], f"{path}.email")
    if tx.first(Membership, organization=organization.id, user=user) is not None:
        raise SeedError(f"{path}.email: {one['email']!r} is a member twice")
    number = identity(one, tx, path)
    need_new(tx, Membership, number, path)
    joined = moment(one.get("joined_at", tx.at), f"{path}.joined_at")
    updated = moment(one.get("updated_at", joined), f"{path}.updated_at")
    tx.insert(
        Membership(number, organization.id, user, level(one.get("level", 1)), joined, updated)
    )


def _role(
    tx: Transaction,
    names: Names,
    organization: Organization,
    one: dict[str, Any],
    *,
    roles: dict[str, str],
    path: str,
) -> None:
    if one["name"] in roles:
        raise SeedError(f"{path}.name: {one['name']!r} is used twice")
    number = identity(one, tx, path)
    need_new(tx, Role, number, path)
    author = names.person(one.get("created_by"), f"{path}.created_by")
    created = moment(one.get("created_at", tx.at), f"{path}.created_at")
    tx.insert(Role(number, organization.id, one["name"], created, author))
    roles[one["name"]] = number
    for place, given in enumerate(one.get("members") or ()):
        held = {"email": given} if isinstance(given, str) else given
        where = f"{path}.members[{place}]"
        user = names.known_person(held["email"], where)
        if tx.first(Membership, organization=organization.id, user=user) is None:
            raise SeedError(f"{where}: {held['email']!r} is no member of the organization")
        if tx.first(RoleMember, role=number, user=user) is not None:
            raise SeedError(f"{where}: {held['email']!r} is in the role twice")
        joined = moment(held.get("joined_at", tx.at), f"{where}.joined_at")
        updated = moment(held.get("updated_at", joined), f"{where}.updated_at")
        own = identity(held, tx, where)
        need_new(tx, RoleMember, own, where)
        tx.insert(RoleMember(own, number, user, joined, updated))


def _entry(
    tx: Transaction, names: Names, organization: Organization, one: dict[str, Any], path: str
) -> None:
    given = {name: one[name] for name in _LOGGED if name in one}
    item = one.get("item_id")
    number = identity(one, tx, path)
    need_new(tx, Entry, number, path)
    tx.insert(
        Entry(
            id=number,
            organization=organization.id,
            project=one.get("team_id"),
            scope=one["scope"],
            activity=one["activity"],
            created_at=moment(one.get("created_at", tx.at), f"{path}.created_at"),
            item_id=str(item) if item is not None else None,
            user=names.person(one.get("user"), f"{path}.user"),
            **given,
        )
    )


_LOGGED = ("detail", "client", "ip_address", "is_system", "was_impersonated")


def rate_limit(text: str) -> dict[str, int]:
    """`480/4800`, per minute and per hour; the second may be left out.

    Raises:
        SandboxError: it is something else.
    """
    parts = text.split("/")
    names = ("per_minute", "per_hour")
    if len(parts) > len(names) or not all(part.strip().isdigit() for part in parts):
        raise SandboxError(f"{text!r} is no rate limit: write PER_MINUTE or PER_MINUTE/PER_HOUR")
    limits = {name: int(part) for name, part in zip(names, parts, strict=False)}
    if any(number < 1 for number in limits.values()):
        raise SandboxError(f"{text!r}: a rate limit is at least 1")
    return limits
