"""How the nouns lie in SQLite: one table a noun, the whole value as JSON, columns to search by.

A column is a copy of the field of the same name, so the JSON stays the only truth.
"""

import json
import sqlite3
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store import model

SCHEMA_VERSION = 2
_APPLICATION = 0x50485342
# from a schema to the next one, as statements; a file goes through all that it lacks
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        """CREATE TABLE cohorts (seq INTEGER PRIMARY KEY AUTOINCREMENT, id, "project", "name",
            "is_static", "deleted", "created_by", "created_at", "doc")""",
        "CREATE UNIQUE INDEX cohorts_id ON cohorts (id)",
        'CREATE INDEX cohorts_project_created_at ON cohorts ("project", "created_at")',
    ),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """Where a noun is kept, and what the ledger calls it."""

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
    model.Entry: Table(
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
}

_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in (*TABLES, model.Ground)}

_FIXED = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE ledger (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, request INTEGER, user TEXT,
    effect TEXT NOT NULL, object TEXT NOT NULL, before TEXT, after TEXT);
CREATE TABLE requests (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, query TEXT NOT NULL, status INTEGER, user TEXT, fault TEXT);
"""


def plain(value: Any) -> dict[str, Any]:
    """A noun's fields by name. What they hold is shared with it, so it is not to be changed."""
    return {name: getattr(value, name) for name in _NAMES[type(value)]}


def encode(value: Any) -> str:
    """A noun as the text of its row."""
    return dump(plain(value))


def decode(kind: type[T], text: str) -> T:
    """A row's text as the noun, which others may hold too: nothing in it is ever changed."""
    found: T = _decoded(kind, text)
    return found


def _made(kind: type, text: str) -> Any:
    return kind(**json.loads(text))


_decoded: Any = lru_cache(maxsize=8192)(_made)


def dump(value: Any) -> str:
    """Compact JSON, the same text for the same value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def prepare(connection: sqlite3.Connection, *, where: str, reset: bool) -> bool:
    """Make the tables unless they are there. Answers whether they were made.

    With `reset`, the tables of another version of the sandbox are replaced.

    Raises:
        SandboxError: the file belongs to something else or to another version.
    """
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            made = _create(connection, where=where, reset=reset)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise SandboxError(f"{where}: not a sandbox file ({error})") from error
    return made


def _create(connection: sqlite3.Connection, *, where: str, reset: bool) -> bool:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application == _APPLICATION and version == SCHEMA_VERSION:
        return False
    if application == _APPLICATION and not reset:
        _migrate(connection, version, where=where)
        return False
    if application == _APPLICATION:
        _drop(connection)
    elif connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise SandboxError(f"{where}: a database, but not of the sandbox")
    for statement in _FIXED.split(";\n"):
        connection.execute(statement)
    for table in TABLES.values():
        _create_table(connection, table)
    connection.execute(f"PRAGMA application_id={_APPLICATION}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    return True


def _migrate(connection: sqlite3.Connection, version: int, *, where: str) -> None:
    """Bring a file of an older version up to this one, in the transaction that looks at it."""
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


def _drop(connection: sqlite3.Connection) -> None:
    found = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    for (name,) in found:
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


def clear(connection: sqlite3.Connection) -> None:
    """Empty every table, the ledger and the request log included."""
    for name in (*(table.name for table in TABLES.values()), "meta", "ledger", "requests"):
        connection.execute(f"DELETE FROM {name}")  # noqa: S608 - the names are those above
    connection.execute("DELETE FROM sqlite_sequence")
