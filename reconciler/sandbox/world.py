"""The world: one database, one clock, one schedule of faults, and every operation on them.

A request is one transaction. Sockets are the server's business.
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
from reconciler.sandbox.faults.injection import (
    DrawnFaults,
    Fault,
    RequestFacts,
    Schedule,
    find_seen_status,
)
from reconciler.sandbox.protocol.errors import SandboxError, server_error
from reconciler.sandbox.protocol.messages import IncomingRequest, Response
from reconciler.sandbox.requests.call import FaultEffect
from reconciler.sandbox.requests.dispatch import Dispatcher, Outcome, Refused
from reconciler.sandbox.requests.rate_limit import RateLimiter
from reconciler.sandbox.requests.routes import RouteTable
from reconciler.sandbox.rules import periodic_tasks
from reconciler.sandbox.seed import document, export, load
from reconciler.sandbox.store import clock, generation, tables
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Token, User
from reconciler.sandbox.store.response_cache import ResponseCache
from reconciler.sandbox.store.transaction import Transaction

_BUSY_S = 30.0


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Options with which a sandbox is started."""

    seed_text: str | None = None
    data: Path | None = None
    reset: bool = False
    faults: str | None = None
    rng_seed: int = 0
    options: load.SeedOverrides = field(default_factory=load.SeedOverrides)


@dataclass(slots=True)
class _LateCommit:
    """A write that the caller takes for failed, and that is committed later."""

    requests_left: int
    number: int
    incoming: IncomingRequest


class World:
    """Everything behind the server. Not thread-safe."""

    def __init__(self, settings: StartOptions) -> None:
        self.settings = settings
        self._limiter = RateLimiter()
        self._since = clock.wall_time()
        self._dispatchers: dict[str, Dispatcher] = {}  # by the profile's name
        self._first_schedule = settings.faults
        self._schedule = self._read_start_schedule()
        self._late: list[_LateCommit] = []
        self._past: deque[sqlite3.Connection] = deque()
        self._response_cache = ResponseCache()
        self._version = 0  # of the file: SQLite counts the writes of other processes
        self.answered_at = 0.0  # when the last request was answered, by the sandbox's clock
        self._connection = _open_database(settings)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # -- start and end

    def _read_start_schedule(self) -> Schedule:
        text = self._first_schedule
        return schedule.read_option(text) if text else Schedule()

    def _start(self) -> None:
        where = str(self.settings.data or "the database")
        again = self.settings.reset
        new = tables.prepare_database(self._connection, where=where, reset=again)
        text = self.settings.seed_text
        if new or again or self._read_stored_seed() is None:
            chosen = text if text is not None else document.read_default_seed()
            self._fill(chosen, start=chosen, options=self.settings.options)
            return
        if text is not None:
            raise SandboxError(
                f"{where} already contains a world: --seed together with --data needs --reset"
            )
        with self._transaction() as tx:
            load.apply_overrides(tx, self.settings.options)

    def close(self) -> None:
        """Close the database."""
        self._close_past_states()
        self._connection.close()

    def reset(self, text: str | None) -> dict[str, Any]:
        """Replace the whole world; None is the seed it was started with.

        Raises:
            SeedError: and everything stays as it was.
        """
        start = self._read_stored_seed() or ""
        given = self.settings.options
        if text is None:
            self._fill(start, start=start, options=given)
        else:
            self._fill(text, start=start, options=None)
        self._limiter.reset()
        self._schedule = self._read_start_schedule()
        self._late.clear()
        self._close_past_states()
        return self.read_clock()

    def _read_stored_seed(self) -> str | None:
        with self._transaction() as tx:
            return tx.read_meta("seed")

    def _fill(self, text: str, *, start: str, options: load.SeedOverrides | None) -> None:
        """Replace the world. `start` is what a reset without a seed returns to."""
        with document.pause_garbage_collection():
            self._load(document.parse_seed(text), start, options)

    def _load(self, parsed: Any, start: str, options: load.SeedOverrides | None) -> None:
        chosen = options or load.defer_to_seed(self.settings.options, parsed)
        with self._transaction() as tx:
            tables.clear_tables(self._connection)
            tx.begin_quietly()
            tx.set_meta("seed", start)
            load.load_seed(tx, parsed, chosen)

    # -- transactions

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with _begin(self._connection):
            if self._was_changed_elsewhere():
                self._response_cache.clear()
            tx = Transaction(
                self._connection, seed=self.settings.rng_seed, response_cache=self._response_cache
            )
            try:
                yield tx
                tx.save_settings()
            except BaseException:
                self._response_cache.clear()
                raise

    def _was_changed_elsewhere(self) -> bool:
        if self.settings.data is None:
            return False
        before = self._version
        self._version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return before != self._version

    # -- the emulated API

    def draw_faults(self, incoming: IncomingRequest) -> DrawnFaults:
        """Return the faults of a request, by the schedule."""
        if not self._schedule.rules:
            return DrawnFaults()
        match = self.table.find_match(incoming.path)
        matched = match.find_route(incoming.method) if match else None
        route = matched[0].name if matched else "unknown.unknown"
        user = self._find_user(incoming)
        return self._schedule.draw_faults(RequestFacts(incoming.method, route, incoming.path, user))

    def _find_user(self, incoming: IncomingRequest) -> str | None:
        key = (incoming.get_header("authorization") or "").removeprefix("Bearer ").strip()
        tx = self._read_only()
        token = tx.get(Token, key)
        user = tx.get(User, token.user) if token else None
        return user.email if user else None

    def serve(self, incoming: IncomingRequest, drawn: DrawnFaults) -> Response | None:
        """Carry out a request with its faults; return None when a fault prevents a response."""
        self._remember_state(incoming)
        wire = drawn.wire
        with self._transaction() as tx:
            periodic_tasks.run_due_tasks(tx, _read_profile(tx))
            number = tx.open_request(
                method=incoming.method, path=incoming.path, query=incoming.query_text
            )
            for fault in drawn.before:
                self._apply_fault(tx, incoming, fault)
            outcome = (
                self._answer_call(tx, incoming, drawn)
                if wire is None or wire.is_carried_out
                else None
            )
            for fault in drawn.after:
                self._apply_fault(tx, incoming, fault)
            response = outcome.response if outcome else None
            user = outcome.user if outcome else None
            email = user.email if user else self._find_user(incoming) if outcome is None else None
            status = find_seen_status(response.status if response else None, wire)
            tx.close_request(number, status=status, user=email, fault=drawn.label)
            self.answered_at = tx.now.timestamp()
        if wire is not None and wire.point == "late_commit":
            self._late.append(_LateCommit(wire.later + 1, number, incoming))
        self._commit_late_writes()
        return response

    def _answer_call(
        self, tx: Transaction, incoming: IncomingRequest, drawn: DrawnFaults
    ) -> Outcome:
        """Answer a call inside a savepoint: a refusal leaves nothing behind."""
        effect = _read_fault_effect(drawn)
        stale = drawn.find_call_effect("stale")
        if stale is not None and self._past and incoming.method == "GET":
            back = min(int(stale.effect.args["writes"]), len(self._past))
            with _begin(self._past[-back], keep=False):
                old = Transaction(self._past[-back], seed=self.settings.rng_seed)
                return self._dispatch_safely(old, incoming, effect)
        with tx.savepoint(undo=drawn.find_call_effect("forget") is not None):
            return self._dispatch_safely(tx, incoming, effect)

    def _dispatch_safely(
        self, tx: Transaction, incoming: IncomingRequest, effect: FaultEffect
    ) -> Outcome:
        try:
            with tx.savepoint():
                return self._find_dispatcher(tx).dispatch(tx, incoming, effect)
        except Refused as refusal:
            return refusal.outcome
        except OverflowError:  # a number too large for the database
            return Outcome(server_error().to_response())

    def _apply_fault(self, tx: Transaction, incoming: IncomingRequest, fault: Fault) -> None:
        """Apply what another actor does, or what happens, around a request."""
        actor = tx.actor
        call = actors.perform_effect(tx, incoming, fault.effect, _read_profile(tx))
        if call is not None:
            self._dispatch_safely(tx, call.incoming, FaultEffect(session=call.user))
        tx.actor = actor

    def _commit_late_writes(self) -> None:
        for late in list(self._late):
            late.requests_left -= 1
            if late.requests_left > 0:
                continue
            self._late.remove(late)
            with self._transaction() as tx:
                tx.request = late.number
                self._dispatch_safely(tx, late.incoming, FaultEffect())

    # -- earlier states, for stale reads

    def _remember_state(self, incoming: IncomingRequest) -> None:
        kept_states = self._schedule.kept_states
        if not kept_states or incoming.method == "GET":
            return
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.backup(copy)
        self._past.append(copy)
        while len(self._past) > kept_states:
            self._past.popleft().close()

    def _close_past_states(self) -> None:
        while self._past:
            self._past.pop().close()

    # -- control

    def set_clock(self, *, advance: str | None, to: str | None) -> dict[str, Any]:
        """Move the clock, and run the periodic tasks that are due."""
        with self._transaction() as tx:
            tx.set_time(clock.resolve_time(tx.now, advance=advance, to=to))
            periodic_tasks.run_due_tasks(tx, _read_profile(tx))
            return {"now": clock.format_time(tx.at)}

    def read_clock(self) -> dict[str, Any]:
        """Return the time."""
        with self._transaction() as tx:
            return {"now": clock.format_time(tx.at)}

    def run_task(self, name: str) -> dict[str, Any]:
        """Run one periodic task now."""
        with self._transaction() as tx:
            changed = periodic_tasks.run_task(tx, _read_profile(tx), name)
            return {"run": name, "changed": changed, "now": clock.format_time(tx.at)}

    def set_faults(self, text: str) -> dict[str, Any]:
        """Replace the schedule of faults; an empty text ends them."""
        self._schedule = schedule.parse_schedule(text)
        self._close_past_states()
        return self.describe_faults()

    def describe_faults(self) -> dict[str, Any]:
        """Return how many rules there are, and how often each was hit."""
        return {"rules": len(self._schedule.rules), "hits": list(self._schedule.hits)}

    def list_ledger(self) -> list[dict[str, Any]]:
        """Return every committed effect."""
        with self._transaction() as tx:
            return tx.list_ledger()

    def list_requests(self) -> list[dict[str, Any]]:
        """Return every call so far."""
        with self._transaction() as tx:
            return tx.list_requests()

    def clear_requests(self) -> dict[str, Any]:
        """Empty the request log."""
        with self._transaction() as tx:
            tx.clear_requests()
        return {"requests": 0}

    def export_state(self) -> dict[str, Any]:
        """Return the whole world as a seed."""
        with self._transaction() as tx:
            return export.export_world(tx)

    @property
    def profile(self) -> Profile:
        """Return the generation that is emulated."""
        return _read_profile(self._read_only())

    @property
    def table(self) -> RouteTable:
        """Return the routes that are served."""
        return self._find_dispatcher(self._read_only()).table

    def _read_only(self) -> Transaction:
        return Transaction(self._connection, seed=self.settings.rng_seed)

    def _find_dispatcher(self, tx: Transaction) -> Dispatcher:
        """Return the dispatcher of the profile that the world has now."""
        profile = _read_profile(tx)
        if profile.name not in self._dispatchers:
            table = RouteTable(api.list_routes(), profile.name)
            dispatcher = Dispatcher(table, profile, self._limiter, self._since)
            self._dispatchers[profile.name] = dispatcher
        return self._dispatchers[profile.name]


def _read_profile(tx: Transaction) -> Profile:
    name = tx.settings.profile
    return generation.find_profile(name) if name is not None else generation.DEFAULT


def _read_fault_effect(drawn: DrawnFaults) -> FaultEffect:
    """Return the drawn effects that change the call itself."""

    def given(name: str, argument: str) -> Any:
        fault = drawn.find_call_effect(name)
        return fault.effect.args[argument] if fault else None

    return FaultEffect(
        shift=int(given("shift_page", "rows") or 0),
        empty=drawn.find_call_effect("empty_list") is not None,
        race=drawn.find_call_effect("race") is not None,
        without_scope=given("forbid_scope", "scope"),
        without_fields=tuple(given("drop_fields", "names") or ()),
    )


@contextmanager
def _begin(connection: sqlite3.Connection, *, keep: bool = True) -> Iterator[None]:
    """Run a transaction that is committed, or rolled back on an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT" if keep else "ROLLBACK")


def _open_database(settings: StartOptions) -> sqlite3.Connection:
    place = str(settings.data) if settings.data is not None else ":memory:"
    try:
        return sqlite3.connect(
            place, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
        )
    except sqlite3.Error as error:
        raise SandboxError(f"{place}: cannot be opened ({error})") from error
