"""One transaction: read nouns, write nouns, and note every effect in the ledger.

A write cannot pass the ledger by, because there is no other way to write.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from reconciler.sandbox.store import clock, random_source
from reconciler.sandbox.store.model import Ground
from reconciler.sandbox.store.response_cache import Shelf
from reconciler.sandbox.store.tables import TABLES, decode, dump, encode

Clause = tuple[str, Sequence[Any]]
T = TypeVar("T")

_NEWEST = "created_at DESC, seq DESC"


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted, and in which order."""

    limit: int
    offset: int
    order: str = _NEWEST


class Transaction:
    """What one request sees and does. It has one instant, and one user to blame."""

    def __init__(
        self, connection: sqlite3.Connection, *, seed: int, shelf: Shelf | None = None
    ) -> None:
        self._connection = connection
        self.shelf = shelf or Shelf()
        self._seed = seed
        self._quiet = False
        self._memo: dict[Any, Any] = {}
        self._stored: Ground | None = self._read_ground()
        self.ground: Ground = self._stored
        self.now: datetime = clock.now(self.ground)
        self.at: str = clock.stamp(self.now)
        self.request: int | None = None
        self.actor: str | None = None

    def begin_quietly(self) -> None:
        """Fill an empty world: a seed is how it begins, not an effect."""
        self._quiet = True
        self._stored = None
        self._memo.clear()
        self.shelf.clear()

    @contextmanager
    def savepoint(self, *, undo: bool = False) -> Iterator[None]:
        """A part that is undone on its own when an error leaves it, or when `undo` says so."""
        before = (self.ground, self.now, self.at)
        self._connection.execute("SAVEPOINT part")
        kept = False
        try:
            yield
            kept = not undo
        finally:
            if not kept:
                self._connection.execute("ROLLBACK TO part")
                self.ground, self.now, self.at = before
                self._memo.clear()
                self.shelf.clear()
            self._connection.execute("RELEASE part")

    # -- the world as a whole

    def _read_ground(self) -> Ground:
        text = self.meta("ground")
        return Ground(**json.loads(text)) if text else Ground()

    def meta(self, name: str) -> str | None:
        """A text kept beside the nouns."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Keep a text beside the nouns."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def set_time(self, moment: datetime) -> None:
        """Move the clock, for this transaction too."""
        self.ground = clock.moved(self.ground, moment)
        self.now = moment
        self.at = clock.stamp(moment)
        self._memo.clear()

    def read_time(self) -> None:
        """Take the time from the clock as it is set now."""
        self.now = clock.now(self.ground)
        self.at = clock.stamp(self.now)

    def flush(self) -> None:
        """Write back what is true of the whole world, if it changed."""
        if self.ground != self._stored:
            self.set_meta("ground", encode(self.ground))
            self._stored = self.ground

    def uuid(self) -> str:
        """A new uuid."""
        return random_source.uuid(self._seed, self._serial())

    def public_token(self) -> str:
        """A new project's public key."""
        return random_source.token(self._seed, self._serial())

    def _serial(self) -> int:
        self.ground = replace(self.ground, serial=self.ground.serial + 1)
        return self.ground.serial

    def next_id(self, kind: type) -> int:
        """The next integer id of a noun; one that was given is never given again."""
        name = TABLES[kind].name
        last = self.ground.last_ids.get(name, 0) + 1
        self.ground = replace(self.ground, last_ids={**self.ground.last_ids, name: last})
        return last

    def reserve_id(self, kind: type, taken: int) -> None:
        """Never give this integer id to another."""
        name = TABLES[kind].name
        if taken > self.ground.last_ids.get(name, 0):
            self.ground = replace(self.ground, last_ids={**self.ground.last_ids, name: taken})

    # -- reading

    def get(self, kind: type[T], key: Any) -> T | None:
        """The noun of this id."""
        row = self._connection.execute(
            f"SELECT doc FROM {TABLES[kind].name} WHERE id = ?",  # noqa: S608 - a fixed name
            (key,),
        ).fetchone()
        return decode(kind, row[0]) if row else None

    def known(self, kind: type[T], key: Any) -> T:
        """The noun of an id that is surely there."""
        found = self.get(kind, key)
        if found is None:
            raise LookupError(f"{kind.__name__} {key} is gone")
        return found

    def find(self, kind: type[T], **equals: Any) -> list[T]:
        """All nouns whose columns have these values, in order of creation."""
        where = " AND ".join(f'"{name}" IS ?' for name in equals) or "1"
        rows = self._connection.execute(
            f"SELECT doc FROM {TABLES[kind].name} WHERE {where} ORDER BY seq",  # noqa: S608  names of our own
            tuple(equals.values()),
        )
        return [decode(kind, row[0]) for row in rows]

    def first(self, kind: type[T], **equals: Any) -> T | None:
        """The oldest of `find`, if any."""
        found = self.find(kind, **equals)
        return found[0] if found else None

    def page(
        self,
        kind: type[T],
        clauses: Sequence[Clause],
        window: Window,
        keep: Callable[[T], bool] | None = None,
    ) -> tuple[int, list[T]]:
        """How many there are, and those inside the window. `keep` is for what SQL cannot say."""
        name = TABLES[kind].name
        where = " AND ".join(text for text, _ in clauses) or "1"
        values = [value for _, some in clauses for value in some]
        ordered = f"FROM {name} WHERE {where} ORDER BY {window.order}"
        if keep is not None:
            rows = self._connection.execute(f"SELECT doc {ordered}", values)
            kept = [one for one in (decode(kind, row[0]) for row in rows) if keep(one)]
            return len(kept), kept[window.offset : window.offset + window.limit]
        count = self._connection.execute(
            f"SELECT count(*) FROM {name} WHERE {where}",  # noqa: S608 - columns are ours
            values,
        ).fetchone()[0]
        rows = self._connection.execute(
            f"SELECT doc {ordered} LIMIT ? OFFSET ?", (*values, window.limit, window.offset)
        )
        return count, [decode(kind, row[0]) for row in rows]

    def memo(self, key: Any, make: Callable[[], Any]) -> Any:
        """A value worked out once in a transaction."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    # -- writing

    def insert(self, value: T) -> T:
        """Add a noun."""
        table = TABLES[type(value)]
        names = ("id", *table.columns)
        row = [getattr(value, name) for name in names]
        listed = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * (len(names) + 1))
        self._connection.execute(
            f"INSERT INTO {table.name} ({listed}, doc) VALUES ({marks})",  # noqa: S608  as above
            (*row, encode(value)),
        )
        self._note("create", value, before=None, after=value)
        return value

    def update(self, value: T) -> T:
        """Put a noun in the place of the one with the same id."""
        table = TABLES[type(value)]
        identity = value.id  # type: ignore[attr-defined] # every noun has one
        before = self.get(type(value), identity)
        if before == value:
            return value
        columns = ", ".join(f'"{name}" = ?' for name in (*table.columns, "doc"))
        row = [getattr(value, name) for name in table.columns]
        self._connection.execute(
            f"UPDATE {table.name} SET {columns} WHERE id = ?",  # noqa: S608 - columns are ours
            (*row, encode(value), identity),
        )
        self._note("update", value, before=before, after=value)
        return value

    def delete(self, value: Any) -> None:
        """Remove a noun."""
        table = TABLES[type(value)]
        self._connection.execute(
            f"DELETE FROM {table.name} WHERE id = ?",  # noqa: S608 - a fixed name
            (value.id,),
        )
        self._note("delete", value, before=value, after=None)

    def _note(self, effect: str, value: Any, *, before: Any, after: Any) -> None:
        self._memo.clear()
        self.shelf.clear()
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
                encode(before) if before is not None else None,
                encode(after) if after is not None else None,
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
        """Complete it."""
        self._connection.execute(
            "UPDATE requests SET status = ?, user = ?, fault = ? WHERE n = ?",
            (status, user, fault, number),
        )

    def requests(self) -> list[dict[str, Any]]:
        """Every call so far."""
        names = ("n", "at", "method", "path", "query", "status", "user", "fault")
        rows = self._connection.execute(f"SELECT {', '.join(names)} FROM requests ORDER BY n")  # noqa: S608  as above
        lines = [dict(zip(names, row, strict=True)) for row in rows]
        return [{**line, "at": clock.shown(line["at"])} for line in lines]

    def forget_requests(self) -> None:
        """Empty the request log; numbers go on."""
        self._connection.execute("DELETE FROM requests")

    def ledger(self) -> list[dict[str, Any]]:
        """Every committed effect, oldest first."""
        names = ("n", "at", "request", "user", "effect", "object", "before", "after")
        rows = self._connection.execute(f"SELECT {', '.join(names)} FROM ledger ORDER BY n")  # noqa: S608  as above
        lines = [dict(zip(names, row, strict=True)) for row in rows]
        for line in lines:
            line["at"] = clock.shown(line["at"])
            line["before"] = json.loads(line["before"]) if line["before"] else None
            line["after"] = json.loads(line["after"]) if line["after"] else None
        return lines


def settings(tx: Transaction, **changes: Any) -> None:
    """Change what is true of the whole world."""
    tx.ground = replace(tx.ground, **changes)


__all__ = ["Clause", "Transaction", "Window", "dump", "settings"]
