"""Loading a seed document. Objects are stored unchanged: nothing is gated or logged."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from reconciler.sandbox.api.organization import make_free_slug
from reconciler.sandbox.protocol.errors import SandboxError, SeedError
from reconciler.sandbox.protocol.validators import parse_uuid
from reconciler.sandbox.rules import periodic_tasks
from reconciler.sandbox.seed.names import SeedNames, parse_level
from reconciler.sandbox.seed.project import load_policy, load_project
from reconciler.sandbox.seed.values import read_time, read_uuid, require_new_id
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.model import (
    Cohort,
    Flag,
    LogEntry,
    Membership,
    Organization,
    Project,
    Role,
    RoleMember,
    Token,
    User,
    WorldSettings,
)
from reconciler.sandbox.store.transaction import Transaction

_FEATURE_NAMES = {
    "approvals": "Approvals",
    "audit_logs": "Audit logs",
    "organizations_projects": "Organizations and projects",
}
_NOT_SETTINGS = {
    *("id", "name", "slug", "created_at", "updated_at", "available_product_features"),
    "evaluation_contexts_enabled",
}
_SETTING_NAMES = tuple(
    field.name for field in fields(Organization) if field.name not in _NOT_SETTINGS
)


@dataclass(frozen=True, slots=True)
class SeedOverrides:
    """Options of the start that override the seed; None leaves the seed's value."""

    now: str | None = None
    cloud: bool | None = None
    rate_limit: dict[str, int] | None = None


def defer_to_seed(given: SeedOverrides, document: dict[str, Any]) -> SeedOverrides:
    """Return the options of the start that the seed of a reset does not set itself."""
    return SeedOverrides(
        now=None if "now" in document else given.now,
        cloud=None if "cloud" in document else given.cloud,
        rate_limit=None if "rate_limit" in document else given.rate_limit,
    )


def apply_overrides(tx: Transaction, given: SeedOverrides) -> None:
    """Apply the options of the start to an existing world."""
    if given.now is not None:
        tx.settings = clock.freeze_clock(tx.settings, read_time(given.now, "--now"))
        tx.refresh_time()
    if given.cloud is not None:
        tx.change_settings(cloud=given.cloud)
    if given.rate_limit is not None:
        tx.change_settings(**{"per_minute": None, "per_hour": None, **given.rate_limit})


def load_seed(tx: Transaction, document: dict[str, Any], options: SeedOverrides) -> None:
    """Fill an empty world.

    Raises:
        SeedError: with the place in the document.
    """
    _set_up_world(tx, document, options)
    for kind, number in _list_given_ids(document):
        tx.reserve_id(kind, number)
    names = SeedNames()
    for place, user in enumerate(document.get("users") or ()):
        _load_user(tx, names, user, f"users[{place}]")
    for place, organization in enumerate(document.get("organizations") or ()):
        _load_organization(tx, names, organization, f"organizations[{place}]")
    for place, user in enumerate(document.get("users") or ()):
        path = f"users[{place}]"
        for number, token in enumerate(user.get("tokens") or ()):
            _load_token(tx, names.people[user["email"]], token, f"{path}.tokens[{number}]")
        _set_current_place(tx, names.people[user["email"]], user, path)
    periodic_tasks.skip_current_hour(tx)


def _set_up_world(tx: Transaction, document: dict[str, Any], options: SeedOverrides) -> None:
    """Set the clock, the plan and the limits; options of the start override the seed."""
    limits = options.rate_limit or document.get("rate_limit") or {}
    cloud = options.cloud if options.cloud is not None else bool(document.get("cloud"))
    counters = document.get("counters") or {}
    tx.settings = WorldSettings(
        cloud=cloud,
        per_minute=limits.get("per_minute"),
        per_hour=limits.get("per_hour"),
        serial=counters.get("serial", 0),
        last_ids=dict(counters.get("last_ids") or {}),
        offset_us=round(document.get("clock_offset", 0) * 1_000_000),
    )
    now = options.now or document.get("now")
    if now is not None:
        tx.change_settings(frozen_at=read_time(now, "now"))
    try:
        tx.refresh_time()
    except OverflowError as error:
        raise SeedError("clock_offset: beyond the last possible date") from error


def _list_given_ids(document: dict[str, Any]) -> Iterator[tuple[type, int]]:
    """Yield every integer id in the document; new ids begin after them."""
    for user in document.get("users") or ():
        yield User, user.get("id", 0)
    for organization in document.get("organizations") or ():
        for project in organization.get("projects") or ():
            yield Project, project.get("id", 0)
            for flag in project.get("feature_flags") or ():
                yield Flag, flag.get("id", 0)
            for cohort in project.get("cohorts") or ():
                yield Cohort, cohort.get("id", 0)


def _load_user(tx: Transaction, names: SeedNames, values: dict[str, Any], path: str) -> None:
    if values["email"] in names.people:
        raise SeedError(f"{path}.email: {values['email']!r} is used twice")
    number = values.get("id") or tx.make_id(User)
    require_new_id(tx, User, number, path)
    given = {name: values[name] for name in _USER_FIELDS if name in values}
    uuid = parse_uuid(values.get("uuid")) if "uuid" in values else tx.make_uuid()
    if uuid is None or tx.find_first(User, uuid=uuid) is not None:
        raise SeedError(f"{path}.uuid: {values['uuid']!r} is not a uuid, or used twice")
    last = values.get("last_login")
    user = User(
        id=number,
        uuid=uuid,
        email=values["email"],
        distinct_id=values.get("distinct_id", f"d{number}"),
        created_at=read_time(values.get("created_at", tx.at), f"{path}.created_at"),
        last_login=read_time(last, f"{path}.last_login") if last else None,
        **given,
    )
    tx.insert(user)
    names.people[user.email] = user.id


_USER_FIELDS = (
    "first_name",
    "last_name",
    "is_active",
    "is_email_verified",
    "hedgehog_config",
    "role_at_organization",
    "is_2fa_enabled",
    "has_social_auth",
)


def _load_token(tx: Transaction, user: int, values: dict[str, Any], path: str) -> None:
    require_new_id(tx, Token, values["token"], path, field="token")
    teams = [
        _find_project_id(tx, ref, f"{path}.scoped_teams[{place}]")
        for place, ref in enumerate(values.get("scoped_teams") or ())
    ]
    wide = [
        find_organization_id(tx, ref, f"{path}.scoped_organizations[{place}]")
        for place, ref in enumerate(values.get("scoped_organizations") or ())
    ]
    tx.insert(Token(values["token"], user, values.get("scopes", ["*"]), teams, wide))


def _find_project_id(tx: Transaction, ref: Any, path: str) -> int:
    for project in tx.find_all(Project):
        if ref in (project.id, project.name):
            return project.id
    raise SeedError(f"{path}: no project is called {ref!r}")


def find_organization_id(tx: Transaction, ref: Any, path: str) -> str:
    """Return an organization's id, from its id, slug or name."""
    for organization in tx.find_all(Organization):
        if ref in (organization.id, organization.slug, organization.name):
            return organization.id
    raise SeedError(f"{path}: no organization is called {ref!r}")


def _set_current_place(tx: Transaction, number: int, values: dict[str, Any], path: str) -> None:
    """Set a user's current project: as in the seed, otherwise the first one."""
    user = tx.require(User, number)
    place: str | None
    if "current_organization" in values:
        ref = values["current_organization"]
        place = find_organization_id(tx, ref, f"{path}.current_organization") if ref else None
    else:
        member = tx.find_first(Membership, user=number)
        place = member.organization if member else None
    if "current_project" in values:
        ref = values["current_project"]
        current = _find_project_id(tx, ref, f"{path}.current_project") if ref else None
    else:
        first = tx.find_first(Project, organization=place) if place else None
        current = first.id if first else None
    tx.update(replace(user, current_organization=place, current_project=current))


def _load_organization(
    tx: Transaction, names: SeedNames, values: dict[str, Any], path: str
) -> None:
    number = read_uuid(values, tx, path)
    require_new_id(tx, Organization, number, path)
    slug = values.get("slug") or make_free_slug(tx, values["name"])
    if tx.find_first(Organization, slug=slug) is not None:
        raise SeedError(f"{path}.slug: {slug!r} is used twice")
    chosen = dict(values.get("settings") or {})
    default_role = chosen.pop("default_role", None)
    created = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    organization = tx.insert(
        Organization(
            id=number,
            name=values["name"],
            slug=slug,
            created_at=created,
            updated_at=read_time(values.get("updated_at", created), f"{path}.updated_at"),
            available_product_features=_read_features(values.get("features", [])),
            evaluation_contexts_enabled=values.get("evaluation_contexts_enabled", True),
            **{name: chosen[name] for name in _SETTING_NAMES if name in chosen},
        )
    )
    for place, member in enumerate(values.get("members") or ()):
        _load_member(tx, names, organization, member, f"{path}.members[{place}]")
    roles: dict[str, str] = {}
    for place, role in enumerate(values.get("roles") or ()):
        _load_role(tx, names, organization, role, roles=roles, path=f"{path}.roles[{place}]")
    inner = names.with_roles(roles)
    if default_role is not None:
        role_id = inner.find_role(default_role, f"{path}.settings.default_role")
        tx.update(replace(organization, default_role_id=role_id))
    for place, policy in enumerate(values.get("approval_policies") or ()):
        where = f"{path}.approval_policies[{place}]"
        load_policy(tx, inner, policy, where, organization=number, project=None)
    for place, project in enumerate(values.get("projects") or ()):
        load_project(tx, inner, project, f"{path}.projects[{place}]", organization=number)
    for place, entry in enumerate(values.get("activity") or ()):
        _load_entry(tx, inner, organization, entry, f"{path}.activity[{place}]")


def _read_features(given: list[Any] | None) -> list[Any] | None:
    if given is None:
        return None
    return [
        {"key": feature, "name": _FEATURE_NAMES.get(feature, feature)}
        if isinstance(feature, str)
        else feature
        for feature in given
    ]


def _load_member(
    tx: Transaction, names: SeedNames, organization: Organization, values: dict[str, Any], path: str
) -> None:
    user = names.require_person(values["email"], f"{path}.email")
    if tx.find_first(Membership, organization=organization.id, user=user) is not None:
        raise SeedError(f"{path}.email: {values['email']!r} is a member twice")
    number = read_uuid(values, tx, path)
    require_new_id(tx, Membership, number, path)
    joined = read_time(values.get("joined_at", tx.at), f"{path}.joined_at")
    updated = read_time(values.get("updated_at", joined), f"{path}.updated_at")
    tx.insert(
        Membership(
            number, organization.id, user, parse_level(values.get("level", 1)), joined, updated
        )
    )


def _load_role(
    tx: Transaction,
    names: SeedNames,
    organization: Organization,
    values: dict[str, Any],
    *,
    roles: dict[str, str],
    path: str,
) -> None:
    if values["name"] in roles:
        raise SeedError(f"{path}.name: {values['name']!r} is used twice")
    number = read_uuid(values, tx, path)
    require_new_id(tx, Role, number, path)
    author = names.find_person(values.get("created_by"), f"{path}.created_by")
    created = read_time(values.get("created_at", tx.at), f"{path}.created_at")
    tx.insert(Role(number, organization.id, values["name"], created, author))
    roles[values["name"]] = number
    for place, given in enumerate(values.get("members") or ()):
        held = {"email": given} if isinstance(given, str) else given
        where = f"{path}.members[{place}]"
        user = names.require_person(held["email"], where)
        if tx.find_first(Membership, organization=organization.id, user=user) is None:
            raise SeedError(f"{where}: {held['email']!r} is not a member of the organization")
        if tx.find_first(RoleMember, role=number, user=user) is not None:
            raise SeedError(f"{where}: {held['email']!r} is in the role twice")
        joined = read_time(held.get("joined_at", tx.at), f"{where}.joined_at")
        updated = read_time(held.get("updated_at", joined), f"{where}.updated_at")
        own = read_uuid(held, tx, where)
        require_new_id(tx, RoleMember, own, where)
        tx.insert(RoleMember(own, number, user, joined, updated))


def _load_entry(
    tx: Transaction, names: SeedNames, organization: Organization, values: dict[str, Any], path: str
) -> None:
    given = {name: values[name] for name in _ENTRY_FIELDS if name in values}
    item = values.get("item_id")
    number = read_uuid(values, tx, path)
    require_new_id(tx, LogEntry, number, path)
    tx.insert(
        LogEntry(
            id=number,
            organization=organization.id,
            project=values.get("team_id"),
            scope=values["scope"],
            activity=values["activity"],
            created_at=read_time(values.get("created_at", tx.at), f"{path}.created_at"),
            item_id=str(item) if item is not None else None,
            user=names.find_person(values.get("user"), f"{path}.user"),
            **given,
        )
    )


_ENTRY_FIELDS = ("detail", "client", "ip_address", "is_system", "was_impersonated")


def parse_rate_limit(text: str) -> dict[str, int]:
    """Read `480/4800`, per minute and per hour; the second may be left out.

    Raises:
        SandboxError: the text has another form.
    """
    parts = text.split("/")
    names = ("per_minute", "per_hour")
    if len(parts) > len(names) or not all(part.strip().isdigit() for part in parts):
        raise SandboxError(f"{text!r} is not a rate limit: write PER_MINUTE or PER_MINUTE/PER_HOUR")
    limits = {name: int(part) for name, part in zip(names, parts, strict=False)}
    if any(number < 1 for number in limits.values()):
        raise SandboxError(f"{text!r}: a rate limit is at least 1")
    return limits
