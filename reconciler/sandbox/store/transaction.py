"""Transactions: reading and writing objects, with every effect recorded in the ledger.

This is the only way to write, so no write can bypass the ledger.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from reconciler.sandbox.store import clock, random_source
from reconciler.sandbox.store.model import WorldSettings
from reconciler.sandbox.store.response_cache import ResponseCache
from reconciler.sandbox.store.tables import TABLES, decode_value, encode_value

Clause = tuple[str, Sequence[Any]]
T = TypeVar("T")

_SETTINGS = "ground"  # the name in data files
_NEWEST = "created_at DESC, seq DESC"


@dataclass(frozen=True, slots=True)
class Window:
    """The requested part of a list, and its order."""

    limit: int
    offset: int
    order: str = _NEWEST


class Transaction:
    """The reads and writes of one request, at one instant and by one user."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        seed: int,
        response_cache: ResponseCache | None = None,
    ) -> None:
        self._connection = connection
        self.response_cache = response_cache or ResponseCache()
        self._seed = seed
        self._quiet = False
        self._memo: dict[Any, Any] = {}
        self._last_ids: dict[str, int] = {}  # given since; the settings get them all at once
        self._stored: WorldSettings | None = self._read_settings()
        self.settings: WorldSettings = self._stored
        self.now: datetime = clock.read_clock(self.settings)
        self.at: str = clock.format_stored(self.now)
        self.request: int | None = None
        self.actor: str | None = None

    def begin_quietly(self) -> None:
        """Fill an empty world: a seed is its start, not an effect in the ledger."""
        self._quiet = True
        self._stored = None
        self._memo.clear()
        self.response_cache.clear()

    @contextmanager
    def savepoint(self, *, undo: bool = False) -> Iterator[None]:
        """Undo this part when an error leaves it, or when `undo` says so."""
        before = (self.settings, self.now, self.at)
        last_ids = dict(self._last_ids)
        self._connection.execute("SAVEPOINT part")
        kept = False
        try:
            yield
            kept = not undo
        finally:
            if not kept:
                self._connection.execute("ROLLBACK TO part")
                self.settings, self.now, self.at = before
                self._last_ids = last_ids
                self._memo.clear()
                self.response_cache.clear()
            self._connection.execute("RELEASE part")

    # -- the world as a whole

    def _read_settings(self) -> WorldSettings:
        text = self.read_meta(_SETTINGS)
        return WorldSettings(**json.loads(text)) if text else WorldSettings()

    def read_meta(self, name: str) -> str | None:
        """Return a text that is kept beside the tables."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Keep a text beside the tables."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def set_time(self, moment: datetime) -> None:
        """Move the clock, for this transaction too."""
        self.settings = clock.move_clock(self.settings, moment)
        self.now = moment
        self.at = clock.format_stored(moment)
        self._memo.clear()

    def refresh_time(self) -> None:
        """Take the time from the clock as it is set now."""
        self.now = clock.read_clock(self.settings)
        self.at = clock.format_stored(self.now)

    def save_settings(self) -> None:
        """Write the settings of the world back, if they changed."""
        if self._last_ids:
            self.change_settings(last_ids={**self.settings.last_ids, **self._last_ids})
        if self.settings != self._stored:
            self.set_meta(_SETTINGS, encode_value(self.settings))
            self._stored = self.settings

    def change_settings(self, **changes: Any) -> None:
        """Change what is true of the whole world."""
        self.settings = replace(self.settings, **changes)
        if "last_ids" in changes:
            self._last_ids.clear()

    def make_uuid(self) -> str:
        """Return a new uuid."""
        return random_source.make_uuid(self._seed, self._serial())

    def make_public_token(self) -> str:
        """Return a new project's public key."""
        return random_source.make_token(self._seed, self._serial())

    def _serial(self) -> int:
        self.change_settings(serial=self.settings.serial + 1)
        return self.settings.serial

    def make_id(self, kind: type) -> int:
        """Return the next integer id of a kind; no id is ever given twice."""
        name = TABLES[kind].name
        last = self._last_ids[name] = self._find_last_id(name) + 1
        return last

    def reserve_id(self, kind: type, taken: int) -> None:
        """Never give this integer id to another object."""
        name = TABLES[kind].name
        if taken > self._find_last_id(name):
            self._last_ids[name] = taken

    def _find_last_id(self, name: str) -> int:
        return self._last_ids.get(name, self.settings.last_ids.get(name, 0))

    # -- reading

    def get(self, kind: type[T], key: Any) -> T | None:
        """Return the object with this id."""
        row = self._connection.execute(
            f"SELECT doc FROM {TABLES[kind].name} WHERE id = ?",  # noqa: S608 - a fixed name
            (key,),
        ).fetchone()
        return decode_value(kind, row[0]) if row else None

    def require(self, kind: type[T], key: Any) -> T:
        """Return the object with an id that must exist."""
        value = self.get(kind, key)
        if value is None:
            raise LookupError(f"{kind.__name__} {key} is gone")
        return value

    def find_all(self, kind: type[T], **equals: Any) -> list[T]:
        """Return all objects whose columns have these values, in order of creation."""
        where = " AND ".join(f'"{name}" IS ?' for name in equals) or "1"
        rows = self._connection.execute(
            f"SELECT doc FROM {TABLES[kind].name} WHERE {where} ORDER BY seq",  # noqa: S608  names of our own
            tuple(equals.values()),
        )
        return [decode_value(kind, row[0]) for row in rows]

    def find_first(self, kind: type[T], **equals: Any) -> T | None:
        """Return the oldest of `find_all`, if any."""
        values = self.find_all(kind, **equals)
        return values[0] if values else None

    def read_page(
        self,
        kind: type[T],
        clauses: Sequence[Clause],
        window: Window,
        keep: Callable[[T], bool] | None = None,
    ) -> tuple[int, list[T]]:
        """Return the number of rows, and those in the window. `keep` filters what SQL cannot."""
        name = TABLES[kind].name
        where = " AND ".join(text for text, _ in clauses) or "1"
        values = [value for _, parameters in clauses for value in parameters]
        ordered = f"FROM {name} WHERE {where} ORDER BY {window.order}"
        if keep is not None:
            rows = self._connection.execute(f"SELECT doc {ordered}", values)
            kept = [value for value in (decode_value(kind, row[0]) for row in rows) if keep(value)]
            return len(kept), kept[window.offset : window.offset + window.limit]
        count = self._connection.execute(
            f"SELECT count(*) FROM {name} WHERE {where}",  # noqa: S608 - columns are ours
            values,
        ).fetchone()[0]
        rows = self._connection.execute(
            f"SELECT doc {ordered} LIMIT ? OFFSET ?", (*values, window.limit, window.offset)
        )
        return count, [decode_value(kind, row[0]) for row in rows]

    def memoize(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return a value that is computed once in a transaction."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    # -- writing

    def insert(self, value: T) -> T:
        """Add an object."""
        table = TABLES[type(value)]
        names = ("id", *table.columns)
        row = [getattr(value, name) for name in names]
        listed = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * (len(names) + 1))
        self._connection.execute(
            f"INSERT INTO {table.name} ({listed}, doc) VALUES ({marks})",  # noqa: S608  as above
            (*row, encode_value(value)),
        )
        self._record("create", value, before=None, after=value)
        return value

    def update(self, value: T) -> T:
        """Replace the object with the same id."""
        table = TABLES[type(value)]
        identity = value.id  # type: ignore[attr-defined] # every noun has one
        before = self.get(type(value), identity)
        if before == value:
            return value
        columns = ", ".join(f'"{name}" = ?' for name in (*table.columns, "doc"))
        row = [getattr(value, name) for name in table.columns]
        self._connection.execute(
            f"UPDATE {table.name} SET {columns} WHERE id = ?",  # noqa: S608 - columns are ours
            (*row, encode_value(value), identity),
        )
        self._record("update", value, before=before, after=value)
        return value

    def delete(self, value: Any) -> None:
        """Remove an object."""
        table = TABLES[type(value)]
        self._connection.execute(
            f"DELETE FROM {table.name} WHERE id = ?",  # noqa: S608 - a fixed name
            (value.id,),
        )
        self._record("delete", value, before=value, after=None)

    def _record(self, effect: str, value: Any, *, before: Any, after: Any) -> None:
        self._memo.clear()
        self.response_cache.clear()
        if self._quiet:
            return
        self._connection.execute(
            "INSERT INTO ledger (at, request, user, effect, object, before, after)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.at,
                self.request,
                self.actor,
                effect,
                f"{TABLES[type(value)].label}/{value.id}",
                encode_value(before) if before is not None else None,
                encode_value(after) if after is not None else None,
            ),
        )

    # -- the logs

    def open_request(self, *, method: str, path: str, query: str) -> int:
        """Begin the line of this request in the request log."""
        cursor = self._connection.execute(
            "INSERT INTO requests (at, method, path, query) VALUES (?, ?, ?, ?)",
            (self.at, method, path, query),
        )
        self.request = cursor.lastrowid
        return self.request or 0

    def close_request(
        self, number: int, *, status: int | None, user: str | None, fault: str | None
    ) -> None:
        """Complete the line of this request in the request log."""
        self._connection.execute(
            "UPDATE requests SET status = ?, user = ?, fault = ? WHERE n = ?",
            (status, user, fault, number),
        )

    def list_requests(self) -> list[dict[str, Any]]:
        """Return every call so far."""
        names = ("n", "at", "method", "path", "query", "status", "user", "fault")
        rows = self._connection.execute(f"SELECT {', '.join(names)} FROM requests ORDER BY n")  # noqa: S608  as above
        lines = [dict(zip(names, row, strict=True)) for row in rows]
        return [{**line, "at": clock.format_time(line["at"])} for line in lines]

    def clear_requests(self) -> None:
        """Empty the request log; the numbers continue."""
        self._connection.execute("DELETE FROM requests")

    def list_ledger(self) -> list[dict[str, Any]]:
        """Return every committed effect, oldest first."""
        names = ("n", "at", "request", "user", "effect", "object", "before", "after")
        rows = self._connection.execute(f"SELECT {', '.join(names)} FROM ledger ORDER BY n")  # noqa: S608  as above
        lines = [dict(zip(names, row, strict=True)) for row in rows]
        for line in lines:
            line["at"] = clock.format_time(line["at"])
            line["before"] = json.loads(line["before"]) if line["before"] else None
            line["after"] = json.loads(line["after"]) if line["after"] else None
        return lines
