"""The world: one database, one clock, one schedule of faults, and every way in.

A request is one transaction. Nothing here knows about sockets.
"""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.sandbox import api
from reconciler.sandbox.faults import actors, schedule
from reconciler.sandbox.faults.injection import Drawn, Fault, Request, Schedule, seen_status
from reconciler.sandbox.protocol.errors import SandboxError, server_error
from reconciler.sandbox.protocol.messages import Answer, Incoming
from reconciler.sandbox.requests.call import Bend
from reconciler.sandbox.requests.dispatch import Desk, Outcome, Refused, dispatch
from reconciler.sandbox.requests.rate_limit import Throttle
from reconciler.sandbox.requests.routes import Table
from reconciler.sandbox.rules import periodic_tasks
from reconciler.sandbox.seed import document, export, load
from reconciler.sandbox.store import clock, tables
from reconciler.sandbox.store.generation import G2, Profile
from reconciler.sandbox.store.model import Token, User
from reconciler.sandbox.store.response_cache import Shelf
from reconciler.sandbox.store.transaction import Transaction

_BUSY_S = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a sandbox is started."""

    profile: Profile = G2
    seed_text: str | None = None
    data: Path | None = None
    reset: bool = False
    faults: str | None = None
    rng_seed: int = 0
    options: load.Options = field(default_factory=load.Options)


@dataclass(slots=True)
class _Late:
    """A write that the caller was told nothing good about, and that will land yet."""

    requests_left: int
    number: int
    incoming: Incoming


class World:
    """Everything behind the server. Not to be used by two threads at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._desk = Desk(Table(api.routes(), settings.profile.name), settings.profile, Throttle())
        self._first_schedule = settings.faults
        self._schedule = self._starting_schedule()
        self._late: list[_Late] = []
        self._past: deque[sqlite3.Connection] = deque()
        self._shelf = Shelf()
        self._version = 0  # of the file, as SQLite counts the writes of others
        self.answered_at = 0.0  # when the last request was answered, by the sandbox's clock
        self._connection = _open(settings)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # -- beginning and end

    def _starting_schedule(self) -> Schedule:
        text = self._first_schedule
        return schedule.from_option(text) if text else Schedule()

    def _start(self) -> None:
        where = str(self.settings.data or "the database")
        again = self.settings.reset
        new = tables.prepare(self._connection, where=where, reset=again)
        text = self.settings.seed_text
        if new or again or self._stored_seed() is None:
            chosen = text if text is not None else document.default_text()
            self._fill(chosen, start=chosen, options=self.settings.options)
            return
        if text is not None:
            raise SandboxError(
                f"{where} holds a world already: --seed together with --data needs --reset"
            )
        with self._transaction() as tx:
            load.override(tx, self.settings.options)

    def close(self) -> None:
        """Let the database go."""
        self._forget_past()
        self._connection.close()

    def reset(self, text: str | None) -> dict[str, Any]:
        """Replace the whole world; None is the one it was started with.

        Raises:
            SeedError: and everything stays as it was.
        """
        start = self._stored_seed() or ""
        given = self.settings.options
        if text is None:
            self._fill(start, start=start, options=given)
        else:
            self._fill(text, start=start, options=None)
        self._desk.throttle.forget()
        self._schedule = self._starting_schedule()
        self._late.clear()
        self._forget_past()
        return self.now()

    def _stored_seed(self) -> str | None:
        with self._transaction() as tx:
            return tx.meta("seed")

    def _fill(self, text: str, *, start: str, options: load.Options | None) -> None:
        """Empty the world and begin it anew. `start` is what an empty reset goes back to."""
        parsed = document.parse(text)
        chosen = options or load.milder(self.settings.options, parsed)
        with self._transaction() as tx:
            tables.clear(self._connection)
            tx.begin_quietly()
            tx.set_meta("seed", start)
            load.load(tx, parsed, chosen)

    # -- transactions

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with _begun(self._connection):
            if self._others_wrote():
                self._shelf.clear()
            tx = Transaction(self._connection, seed=self.settings.rng_seed, shelf=self._shelf)
            try:
                yield tx
                tx.flush()
            except BaseException:
                self._shelf.clear()
                raise

    def _others_wrote(self) -> bool:
        if self.settings.data is None:
            return False
        before = self._version
        self._version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return before != self._version

    # -- the emulated API

    def draw(self, incoming: Incoming) -> Drawn:
        """What befalls a request, by the schedule."""
        if not self._schedule.rules:
            return Drawn()
        match = self._desk.table.match(incoming.path)
        found = match.route(incoming.method) if match else None
        route = found[0].name if found else "unknown.unknown"
        user = self._user_of(incoming)
        return self._schedule.draw(Request(incoming.method, route, incoming.path, user))

    def _user_of(self, incoming: Incoming) -> str | None:
        key = (incoming.header("authorization") or "").removeprefix("Bearer ").strip()
        tx = Transaction(self._connection, seed=self.settings.rng_seed)
        token = tx.get(Token, key)
        user = tx.get(User, token.user) if token else None
        return user.email if user else None

    def serve(self, incoming: Incoming, drawn: Drawn) -> Answer | None:
        """Carry a request out, with what befalls it; None when a fault keeps it from acting."""
        self._remember(incoming)
        wire = drawn.wire
        with self._transaction() as tx:
            periodic_tasks.sweep(tx, self.settings.profile)
            number = tx.open_request(
                method=incoming.method, path=incoming.path, query=incoming.query_text
            )
            for fault in drawn.before:
                self._befall(tx, incoming, fault)
            outcome = self._run(tx, incoming, drawn) if wire is None or wire.acts else None
            for fault in drawn.after:
                self._befall(tx, incoming, fault)
            answer = outcome.answer if outcome else None
            user = outcome.user if outcome else None
            email = user.email if user else self._user_of(incoming) if outcome is None else None
            status = seen_status(answer.status if answer else None, wire)
            tx.close_request(number, status=status, user=email, fault=drawn.label)
            self.answered_at = tx.now.timestamp()
        if wire is not None and wire.point == "late_commit":
            self._late.append(_Late(wire.later + 1, number, incoming))
        self._land_late()
        return answer

    def _run(self, tx: Transaction, incoming: Incoming, drawn: Drawn) -> Outcome:
        """One call inside a savepoint: a refusal leaves nothing behind."""
        bend = _bend(drawn)
        stale = drawn.bend("stale")
        if stale is not None and self._past and incoming.method == "GET":
            back = min(int(stale.effect.args["writes"]), len(self._past))
            with _begun(self._past[-back], keep=False):
                old = Transaction(self._past[-back], seed=self.settings.rng_seed)
                return self._guarded(old, incoming, bend)
        with tx.savepoint(undo=drawn.bend("forget") is not None):
            return self._guarded(tx, incoming, bend)

    def _guarded(self, tx: Transaction, incoming: Incoming, bend: Bend) -> Outcome:
        try:
            with tx.savepoint():
                return dispatch(self._desk, tx, incoming, bend)
        except Refused as refusal:
            return refusal.outcome
        except OverflowError:  # a number that no database holds
            return Outcome(server_error().answer())

    def _befall(self, tx: Transaction, incoming: Incoming, fault: Fault) -> None:
        """Something that somebody else does, or that happens, around a request."""
        actor = tx.actor
        call = actors.prepare(tx, incoming, fault.effect, self.settings.profile)
        if call is not None:
            self._guarded(tx, call.incoming, Bend(session=call.user))
        tx.actor = actor

    def _land_late(self) -> None:
        for late in list(self._late):
            late.requests_left -= 1
            if late.requests_left > 0:
                continue
            self._late.remove(late)
            with self._transaction() as tx:
                tx.request = late.number
                self._guarded(tx, late.incoming, Bend())

    # -- earlier states, for stale reads

    def _remember(self, incoming: Incoming) -> None:
        memory = self._schedule.memory
        if not memory or incoming.method == "GET":
            return
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.backup(copy)
        self._past.append(copy)
        while len(self._past) > memory:
            self._past.popleft().close()

    def _forget_past(self) -> None:
        while self._past:
            self._past.pop().close()

    # -- control

    def set_clock(self, *, advance: str | None, to: str | None) -> dict[str, Any]:
        """Move the clock, and run the periodic tasks that came due."""
        with self._transaction() as tx:
            tx.set_time(clock.target(tx.now, advance=advance, to=to))
            periodic_tasks.sweep(tx, self.settings.profile)
            return {"now": clock.shown(tx.at)}

    def now(self) -> dict[str, Any]:
        """What time it is."""
        with self._transaction() as tx:
            return {"now": clock.shown(tx.at)}

    def run_task(self, name: str) -> dict[str, Any]:
        """Run one periodic task now."""
        with self._transaction() as tx:
            changed = periodic_tasks.run(tx, self.settings.profile, name)
            return {"run": name, "changed": changed, "now": clock.shown(tx.at)}

    def set_faults(self, text: str) -> dict[str, Any]:
        """Replace the schedule of faults; an empty text ends them."""
        self._schedule = schedule.parse(text)
        self._forget_past()
        return self.faults()

    def faults(self) -> dict[str, Any]:
        """How many rules there are, and how often each was hit."""
        return {"rules": len(self._schedule.rules), "hits": list(self._schedule.hits)}

    def ledger(self) -> list[dict[str, Any]]:
        """Every committed effect."""
        with self._transaction() as tx:
            return tx.ledger()

    def requests(self) -> list[dict[str, Any]]:
        """Every call so far."""
        with self._transaction() as tx:
            return tx.requests()

    def forget_requests(self) -> dict[str, Any]:
        """Empty the request log."""
        with self._transaction() as tx:
            tx.forget_requests()
        return {"requests": 0}

    def state(self) -> dict[str, Any]:
        """The whole world as a seed."""
        with self._transaction() as tx:
            return export.dump(tx)

    @property
    def table(self) -> Table:
        """The routes that are served."""
        return self._desk.table


def _bend(drawn: Drawn) -> Bend:
    """The bends that were drawn, as a call knows them."""

    def given(name: str, argument: str) -> Any:
        fault = drawn.bend(name)
        return fault.effect.args[argument] if fault else None

    return Bend(
        shift=int(given("shift_page", "rows") or 0),
        empty=drawn.bend("empty_list") is not None,
        race=drawn.bend("race") is not None,
        without_scope=given("forbid_scope", "scope"),
        without_fields=tuple(given("drop_fields", "names") or ()),
    )


@contextmanager
def _begun(connection: sqlite3.Connection, *, keep: bool = True) -> Iterator[None]:
    """A transaction that is committed, or undone on the way out of an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT" if keep else "ROLLBACK")


def _open(settings: Settings) -> sqlite3.Connection:
    place = str(settings.data) if settings.data is not None else ":memory:"
    try:
        return sqlite3.connect(
            place, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
        )
    except sqlite3.Error as error:
        raise SandboxError(f"{place}: cannot be opened ({error})") from error
