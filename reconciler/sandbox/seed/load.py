"""Loading a seed document. Objects are stored unchanged: nothing is gated or logged."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from reconciler.sandbox.api.organization import make_free_slug
from reconciler.sandbox.protocol.errors import SandboxError, SeedError
from reconciler.sandbox.protocol.validators import parse_uuid
from reconciler.sandbox.rules import periodic_tasks
from reconciler.sandbox.seed.names import SeedNames, parse_level
from reconciler.sandbox.seed.products import list_product_ids
from reconciler.sandbox.seed.project import load_policy, load_project
from reconciler.sandbox.seed.values import SeedItem, read_time
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.model import (
    HIDDEN_SETTINGS,
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
    *HIDDEN_SETTINGS,
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
    profile: str | None = None
    withhold_payloads: bool | None = None


def defer_to_seed(given: SeedOverrides, document: dict[str, Any]) -> SeedOverrides:
    """Return the options of the start that the seed of a reset does not set itself."""
    return SeedOverrides(
        now=None if "now" in document else given.now,
        cloud=None if "cloud" in document else given.cloud,
        rate_limit=None if "rate_limit" in document else given.rate_limit,
        profile=None if "profile" in document else given.profile,
        withhold_payloads=None if "withhold_payloads" in document else given.withhold_payloads,
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
    if given.profile is not None:
        tx.change_settings(profile=given.profile)
    if given.withhold_payloads is not None:
        tx.change_settings(withhold_payloads=given.withhold_payloads)


def load_seed(tx: Transaction, document: dict[str, Any], options: SeedOverrides) -> None:
    """Fill an empty world.

    Raises:
        SeedError: with the place in the document.
    """
    _set_up_world(tx, document, options)
    for kind, number in _list_given_ids(document):
        tx.reserve_id(kind, number)
    seed = SeedItem(tx, SeedNames(), document, "")
    for user in seed.list_items("users"):
        _load_user(user)
    for organization in seed.list_items("organizations"):
        _load_organization(organization)
    for user in seed.list_items("users"):
        for token in user.list_items("tokens"):
            _load_token(token, seed.names.people[user["email"]])
        _set_current_place(user)
    periodic_tasks.skip_current_hour(tx)


def _set_up_world(tx: Transaction, document: dict[str, Any], options: SeedOverrides) -> None:
    """Set the clock, the plan and the limits; options of the start override the seed."""
    limits = options.rate_limit or document.get("rate_limit") or {}
    cloud = options.cloud if options.cloud is not None else bool(document.get("cloud"))
    withhold = document.get("withhold_payloads", False)
    counters = document.get("counters") or {}
    tx.settings = WorldSettings(
        cloud=cloud,
        per_minute=limits.get("per_minute"),
        per_hour=limits.get("per_hour"),
        serial=counters.get("serial", 0),
        last_ids=dict(counters.get("last_ids") or {}),
        offset_us=round(document.get("clock_offset", 0) * 1_000_000),
        profile=options.profile or document.get("profile"),
        withhold_payloads=withhold if (given := options.withhold_payloads) is None else given,
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
            yield from list_product_ids(project)


def _load_user(item: SeedItem) -> None:
    email = item["email"]
    if email in item.names.people:
        raise item.make_error("email", f"{email!r} is used twice")
    number = item.read_id(User)
    uuid = parse_uuid(item["uuid"]) if "uuid" in item.values else item.tx.make_uuid()
    if uuid is None or item.tx.find_first(User, uuid=uuid) is not None:
        raise item.make_error("uuid", f"{item['uuid']!r} is not a uuid, or used twice")
    user = User(
        id=number,
        uuid=uuid,
        email=email,
        distinct_id=item.get("distinct_id", f"d{number}"),
        created_at=item.read_time("created_at"),
        last_login=item.read_optional_time("last_login"),
        **item.pick(_USER_FIELDS),
    )
    item.tx.insert(user)
    item.names.people[email] = user.id


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


def _load_token(item: SeedItem, user: int) -> None:
    item.require_new(Token, item["token"], "token")
    projects = [
        _find_project_id(item.tx, ref, f"{item.path}.scoped_teams[{number}]")
        for number, ref in enumerate(item.get("scoped_teams") or ())
    ]
    organizations = [
        _find_organization_id(item.tx, ref, f"{item.path}.scoped_organizations[{number}]")
        for number, ref in enumerate(item.get("scoped_organizations") or ())
    ]
    item.tx.insert(Token(item["token"], user, item.get("scopes", ["*"]), projects, organizations))


def _find_project_id(tx: Transaction, ref: Any, path: str) -> int:
    for project in tx.find_all(Project):
        if ref in (project.id, project.name):
            return project.id
    raise SeedError(f"{path}: no project is called {ref!r}")


def _find_organization_id(tx: Transaction, ref: Any, path: str) -> str:
    for organization in tx.find_all(Organization):
        if ref in (organization.id, organization.slug, organization.name):
            return organization.id
    raise SeedError(f"{path}: no organization is called {ref!r}")


def _set_current_place(item: SeedItem) -> None:
    """Set a user's current project: as in the seed, otherwise the first one."""
    tx, path = item.tx, item.path
    user = tx.require(User, item.names.people[item["email"]])
    organization: str | None
    if "current_organization" in item.values:
        ref = item["current_organization"]
        organization = (
            _find_organization_id(tx, ref, f"{path}.current_organization") if ref else None
        )
    else:
        member = tx.find_first(Membership, user=user.id)
        organization = member.organization if member else None
    if "current_project" in item.values:
        ref = item["current_project"]
        current = _find_project_id(tx, ref, f"{path}.current_project") if ref else None
    else:
        first = tx.find_first(Project, organization=organization) if organization else None
        current = first.id if first else None
    tx.update(replace(user, current_organization=organization, current_project=current))


def _load_organization(item: SeedItem) -> None:
    tx = item.tx
    identity = item.read_uuid(Organization)
    slug = item.get("slug") or make_free_slug(tx, item["name"])
    if tx.find_first(Organization, slug=slug) is not None:
        raise item.make_error("slug", f"{slug!r} is used twice")
    settings = dict(item.get("settings") or {})
    default_role = settings.pop("default_role", None)
    created = item.read_time("created_at")
    organization = tx.insert(
        Organization(
            id=identity,
            name=item["name"],
            slug=slug,
            created_at=created,
            updated_at=item.read_time("updated_at", created),
            available_product_features=_read_features(item.get("features", [])),
            domains=[{"is_verified": False, **domain} for domain in item.get("domains") or ()],
            **item.pick(name for name in HIDDEN_SETTINGS if name != "domains"),
            **{name: settings[name] for name in _SETTING_NAMES if name in settings},
        )
    )
    for member in item.list_items("members"):
        _load_member(member, identity)
    roles: dict[str, str] = {}
    for role in item.list_items("roles"):
        _load_role(role, identity, roles)
    item = replace(item, names=item.names.with_roles(roles))
    if default_role is not None:
        role_id = item.names.find_role(default_role, f"{item.path}.settings.default_role")
        tx.update(replace(organization, default_role_id=role_id))
    for policy in item.list_items("approval_policies"):
        load_policy(policy, organization=identity, project=None)
    for project in item.list_items("projects"):
        load_project(project, identity)
    for entry in item.list_items("activity"):
        _load_entry(entry, identity)


def _read_features(given: list[Any] | None) -> list[Any] | None:
    if given is None:
        return None
    return [
        {"key": feature, "name": _FEATURE_NAMES.get(feature, feature)}
        if isinstance(feature, str)
        else feature
        for feature in given
    ]


def _load_member(item: SeedItem, organization: str) -> None:
    user = item.require_person("email")
    if item.tx.find_first(Membership, organization=organization, user=user) is not None:
        raise item.make_error("email", f"{item['email']!r} is a member twice")
    identity = item.read_uuid(Membership)
    joined = item.read_time("joined_at")
    updated = item.read_time("updated_at", joined)
    level = parse_level(item.get("level", 1))
    item.tx.insert(Membership(identity, organization, user, level, joined, updated))


def _load_role(item: SeedItem, organization: str, roles: dict[str, str]) -> None:
    if item["name"] in roles:
        raise item.make_error("name", f"{item['name']!r} is used twice")
    identity = item.read_uuid(Role)
    author = item.find_person("created_by")
    created = item.read_time("created_at")
    item.tx.insert(Role(identity, organization, item["name"], created, author))
    roles[item["name"]] = identity
    for member in item.list_items("members"):
        _load_role_member(member, organization, identity)


def _load_role_member(item: SeedItem, organization: str, role: str) -> None:
    user = item.names.require_person(item["email"], item.path)
    if item.tx.find_first(Membership, organization=organization, user=user) is None:
        raise SeedError(f"{item.path}: {item['email']!r} is not a member of the organization")
    if item.tx.find_first(RoleMember, role=role, user=user) is not None:
        raise SeedError(f"{item.path}: {item['email']!r} is in the role twice")
    joined = item.read_time("joined_at")
    updated = item.read_time("updated_at", joined)
    item.tx.insert(RoleMember(item.read_uuid(RoleMember), role, user, joined, updated))


def _load_entry(item: SeedItem, organization: str) -> None:
    item_id = item.get("item_id")
    item.tx.insert(
        LogEntry(
            id=item.read_uuid(LogEntry),
            organization=organization,
            project=item.get("team_id"),
            scope=item["scope"],
            activity=item["activity"],
            created_at=item.read_time("created_at"),
            item_id=str(item_id) if item_id is not None else None,
            user=item.find_person("user"),
            **item.pick(_ENTRY_FIELDS),
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
