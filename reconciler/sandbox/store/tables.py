"""The tables in SQLite: one per type, with the whole value as JSON, and columns to search by.

A column is a copy of the field of the same name; the JSON is authoritative.
"""

import json
import sqlite3
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store import model, products

SCHEMA_VERSION = 3
_APPLICATION_ID = 0x50485342
# statements from one schema to the next; a file runs all that it lacks
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        """CREATE TABLE cohorts (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, "project", "name",
            "is_static", "deleted", "created_by", "created_at", "doc")""",
        "CREATE UNIQUE INDEX cohorts_id ON cohorts (id)",
        'CREATE INDEX cohorts_project_created_at ON cohorts ("project", "created_at")',
    ),
    2: (
        """CREATE TABLE holdouts (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, "project",
            "name", "created_by", "created_at", "doc")""",
        "CREATE UNIQUE INDEX holdouts_id ON holdouts (id)",
        'CREATE INDEX holdouts_project_created_at ON holdouts ("project", "created_at")',
        """CREATE TABLE experiments (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, "project",
            "name", "flag", "holdout", "archived", "deleted", "created_by", "created_at",
            "doc")""",
        "CREATE UNIQUE INDEX experiments_id ON experiments (id)",
        'CREATE INDEX experiments_project_created_at ON experiments ("project", "created_at")',
        'CREATE INDEX experiments_holdout ON experiments ("holdout")',
        """CREATE TABLE surveys (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, "project",
            "created_at", "doc")""",
        "CREATE UNIQUE INDEX surveys_id ON surveys (id)",
        'CREATE INDEX surveys_project ON surveys ("project")',
        """CREATE TABLE product_tours (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, "project",
            "created_at", "doc")""",
        "CREATE UNIQUE INDEX product_tours_id ON product_tours (id)",
        'CREATE INDEX product_tours_project ON product_tours ("project")',
        """CREATE TABLE early_access_features (seq INTEGER PRIMARY KEY AUTOINCREMENT, id,
            "project", "created_at", "doc")""",
        "CREATE UNIQUE INDEX early_access_features_id ON early_access_features (id)",
        'CREATE INDEX early_access_features_project ON early_access_features ("project")',
        """CREATE TABLE scheduled_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, id,
            "project", "flag", "change_request", "executed_at", "created_by", "scheduled_at",
            "created_at", "doc")""",
        "CREATE UNIQUE INDEX scheduled_changes_id ON scheduled_changes (id)",
        """CREATE INDEX scheduled_changes_project_created_at
            ON scheduled_changes ("project", "created_at")""",
        'CREATE INDEX scheduled_changes_executed_at ON scheduled_changes ("executed_at")',
        'CREATE INDEX scheduled_changes_change_request ON scheduled_changes ("change_request")',
    ),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """The table of a type, and its name in the ledger."""

    name: str
    label: str
    columns: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()


TABLES: dict[type, Table] = {
    model.User: Table("users", "User", ("email", "uuid"), (("uuid",),), (("email",),)),
    model.Token: Table("tokens", "Token", ("user",), (("user",),)),
    model.Organization: Table(
        "organizations", "Organization", ("slug", "created_at"), (), (("slug",),)
    ),
    model.Membership: Table(
        "memberships",
        "OrganizationMembership",
        ("organization", "user", "joined_at"),
        (("user",),),
        (("organization", "user"),),
    ),
    model.Role: Table("roles", "Role", ("organization", "name"), (("organization",),)),
    model.RoleMember: Table(
        "role_members",
        "RoleMembership",
        ("role", "user", "joined_at"),
        (("user",),),
        (("role", "user"),),
    ),
    model.Project: Table("projects", "Project", ("organization",), (("organization",),)),
    model.Policy: Table(
        "policies",
        "ApprovalPolicy",
        ("organization", "project", "action_key", "enabled", "created_at"),
        (("project", "created_at"), ("organization",)),
    ),
    model.Flag: Table(
        "flags",
        "FeatureFlag",
        (
            "project",
            "key",
            "name",
            "active",
            "deleted",
            "archived",
            "created_by",
            "evaluation_runtime",
            "creation_context",
            "created_at",
        ),
        (("project", "created_at"), ("project", "key")),
    ),
    model.Cohort: Table(
        "cohorts",
        "Cohort",
        ("project", "name", "is_static", "deleted", "created_by", "created_at"),
        (("project", "created_at"),),
    ),
    model.ChangeRequest: Table(
        "change_requests",
        "ChangeRequest",
        (
            "project",
            "action_key",
            "resource_type",
            "resource_id",
            "flag_key",
            "state",
            "created_by",
            "created_at",
            "expires_at",
        ),
        (("project", "created_at"), ("state",)),
    ),
    model.Vote: Table(
        "votes", "Vote", ("change_request", "user"), (), (("change_request", "user"),)
    ),
    model.LogEntry: Table(
        "activity",
        "ActivityLog",
        (
            "organization",
            "project",
            "scope",
            "activity",
            "item_id",
            "user",
            "client",
            "is_system",
            "was_impersonated",
            "ip_address",
            "created_at",
        ),
        (("organization", "created_at"),),
    ),
    products.Holdout: Table(
        "holdouts",
        "ExperimentHoldout",
        ("project", "name", "created_by", "created_at"),
        (("project", "created_at"),),
    ),
    products.Experiment: Table(
        "experiments",
        "Experiment",
        ("project", "name", "flag", "holdout", "archived", "deleted", "created_by", "created_at"),
        (("project", "created_at"), ("holdout",)),
    ),
    products.Survey: Table("surveys", "Survey", ("project", "created_at"), (("project",),)),
    products.ProductTour: Table(
        "product_tours", "ProductTour", ("project", "created_at"), (("project",),)
    ),
    products.EarlyAccessFeature: Table(
        "early_access_features", "EarlyAccessFeature", ("project", "created_at"), (("project",),)
    ),
    products.ScheduledChange: Table(
        "scheduled_changes",
        "ScheduledChange",
        (
            "project",
            "flag",
            "change_request",
            "executed_at",
            "created_by",
            "scheduled_at",
            "created_at",
        ),
        (("project", "created_at"), ("executed_at",), ("change_request",)),
    ),
}

_FIELD_NAMES = {
    kind: tuple(field.name for field in fields(kind)) for kind in (*TABLES, model.WorldSettings)
}

_FIXED_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE ledger (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, request INTEGER, user TEXT,
    effect TEXT NOT NULL, object TEXT NOT NULL, before TEXT, after TEXT);
CREATE TABLE requests (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, query TEXT NOT NULL, status INTEGER, user TEXT, fault TEXT);
"""


def get_fields(value: Any) -> dict[str, Any]:
    """Return a value's fields by name. Nested values are shared, so do not change them."""
    return {name: getattr(value, name) for name in _FIELD_NAMES[type(value)]}


def encode_value(value: Any) -> str:
    """Return a value as the text of its row."""
    return dump_json(get_fields(value))


def decode_value(kind: type[T], text: str) -> T:
    """Return the value of a row's text. Others may share it: nothing in it is ever changed."""
    value: T = _parse_cached(kind, text)
    return value


def _parse_value(kind: type, text: str) -> Any:
    return kind(**json.loads(text))


_parse_cached: Any = lru_cache(maxsize=8192)(_parse_value)


def dump_json(value: Any) -> str:
    """Return compact JSON, the same text for the same value."""
    return _encode(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def prepare_database(connection: sqlite3.Connection, *, where: str, reset: bool) -> bool:
    """Create the tables unless they exist; return whether they were created.

    With `reset`, the tables of another version of the sandbox are replaced.

    Raises:
        SandboxError: the file belongs to something else or to another version.
    """
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            created = _create_tables(connection, where=where, reset=reset)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise SandboxError(f"{where}: not a sandbox file ({error})") from error
    return created


def _create_tables(connection: sqlite3.Connection, *, where: str, reset: bool) -> bool:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application == _APPLICATION_ID and version == SCHEMA_VERSION:
        return False
    if application == _APPLICATION_ID and not reset:
        _migrate(connection, version, where=where)
        return False
    if application == _APPLICATION_ID:
        _drop_tables(connection)
    elif connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise SandboxError(f"{where}: a database, but not of the sandbox")
    for statement in _FIXED_TABLES.split(";\n"):
        connection.execute(statement)
    for table in TABLES.values():
        _create_table(connection, table)
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    return True


def _migrate(connection: sqlite3.Connection, version: int, *, where: str) -> None:
    """Bring a file of an older version up to this one, in the same transaction."""
    steps = range(version, SCHEMA_VERSION)
    if not steps or not all(step in MIGRATIONS for step in steps):
        word = "a newer" if version > SCHEMA_VERSION else "another"
        raise SandboxError(
            f"{where}: written by {word} version of the sandbox"
            f" (schema {version}, this one reads {SCHEMA_VERSION}); start it with --reset"
        )
    for step in steps:
        for statement in MIGRATIONS[step]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _drop_tables(connection: sqlite3.Connection) -> None:
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    for (name,) in tables:
        connection.execute(f'DROP TABLE "{name}"')


def _create_table(connection: sqlite3.Connection, table: Table) -> None:
    columns = ", ".join(f'"{name}"' for name in table.columns)
    connection.execute(
        f'CREATE TABLE {table.name} (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, {columns}, "doc")'
    )
    connection.execute(f"CREATE UNIQUE INDEX {table.name}_id ON {table.name} (id)")
    for kind, groups in (("INDEX", table.indexes), ("UNIQUE INDEX", table.unique)):
        for group in groups:
            name = f"{table.name}_{'_'.join(group)}"
            listed = ", ".join(f'"{column}"' for column in group)
            connection.execute(f"CREATE {kind} {name} ON {table.name} ({listed})")


def clear_tables(connection: sqlite3.Connection) -> None:
    """Empty every table, the ledger and the request log included."""
    for name in (*(table.name for table in TABLES.values()), "meta", "ledger", "requests"):
        connection.execute(f"DELETE FROM {name}")  # noqa: S608 - the names are those above
    connection.execute("DELETE FROM sqlite_sequence")
