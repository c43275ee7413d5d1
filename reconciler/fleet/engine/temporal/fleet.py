"""Run a fleet from the command line: start its runs, wait for them, and cancel them on request.

Each function is one call for code that is not asynchronous.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field
from datetime import timedelta
from typing import Final, TypeVar

from temporalio.client import Client
from temporalio.service import RPCError

from reconciler.errors import EngineError
from reconciler.fleet.engine.connection import Connection
from reconciler.fleet.engine.messages import RunOutcome, RunRequest, ScheduledFleet, ScheduleEntry
from reconciler.fleet.engine.temporal import service, worker
from reconciler.fleet.engine.worker_host import WorkerHost
from reconciler.lazy_dataclass import dataclass

_PATIENCE_S: Final = 5.0  # until somebody who waits learns that there is no worker
_T = TypeVar("_T")


@dataclass
class StopSignal:
    """Let a signal handler, or another thread, stop what an event loop waits for."""

    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _is_set: bool = False

    def set(self) -> None:
        """Ask to stop."""
        self._is_set = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait until somebody asks to stop."""
        self._loop = asyncio.get_running_loop()
        if self._is_set:
            self._event.set()
        await self._event.wait()


def start(connection: Connection, requests: Sequence[RunRequest]) -> None:
    """Start runs and leave them to the workers. Raises EngineError."""

    async def call(client: Client) -> None:
        await service.start_runs(client, connection.task_queue, requests)

    _call(connection, call)


def run(
    connection: Connection,
    requests: Sequence[RunRequest],
    *,
    on_outcome: Callable[[RunRequest, RunOutcome], None],
    on_no_worker: Callable[[], None],
    stop: StopSignal,
) -> None:
    """Start runs and wait until each has ended; `stop` cancels them. Raises EngineError."""

    async def follow(client: Client, request: RunRequest) -> None:
        named = (request.mode, request.target, request.id)
        on_outcome(request, await service.fetch_outcome(client, *named))

    async def cancel_when_stopped(client: Client) -> None:
        await stop.wait()
        for mode in {each.mode for each in requests}:
            targets = [each.target for each in requests if each.mode == mode]
            await service.cancel_runs(client, mode, targets)

    async def watch_workers(client: Client) -> None:
        await asyncio.sleep(_PATIENCE_S)
        if not await service.count_workers(client, connection.task_queue):
            on_no_worker()

    async def call(client: Client) -> None:
        await service.start_runs(client, connection.task_queue, requests)
        beside = [asyncio.ensure_future(cancel_when_stopped(client))]
        beside.append(asyncio.ensure_future(watch_workers(client)))
        try:
            await asyncio.gather(*(follow(client, request) for request in requests))
        finally:
            for task in beside:
                task.cancel()

    _call(connection, call)


def serve(
    connection: Connection,
    host: WorkerHost,
    *,
    stop: StopSignal,
    on_ready: Callable[[], None],
) -> None:
    """Run a worker until `stop` is set. Raises EngineError if there is no server."""
    worker.forward_log()

    async def call(client: Client) -> None:
        await worker.serve(client, connection.task_queue, host, stop=stop.wait(), on_ready=on_ready)

    _call(connection, call)


def set_schedule(connection: Connection, fleet: ScheduledFleet, every: timedelta) -> None:
    """Make or replace the schedule of a mode. Raises EngineError."""

    async def call(client: Client) -> None:
        await service.set_schedule(client, connection.task_queue, fleet, every)

    _call(connection, call)


def list_schedules(connection: Connection, modes: Sequence[str]) -> list[ScheduleEntry]:
    """Return the schedules of some modes. Raises EngineError."""

    async def call(client: Client) -> list[ScheduleEntry]:
        return await service.list_schedules(client, modes)

    return _call(connection, call)


def delete_schedule(connection: Connection, mode: str) -> bool:
    """Delete the schedule of a mode; return False if there is none. Raises EngineError."""

    async def call(client: Client) -> bool:
        return await service.delete_schedule(client, mode)

    return _call(connection, call)


def _call(connection: Connection, function: Callable[[Client], Awaitable[_T]]) -> _T:
    """Connect, and call a function in an event loop of its own."""

    async def main() -> _T:
        return await function(await service.connect(connection))

    try:
        return asyncio.run(main())
    except RPCError as error:
        raise EngineError(
            "a call to the Temporal server failed",
            why=f"{error.status.name}: {error.message}",
            state="runs that have started continue",
            fix="check the server, the namespace and the rights of TEMPORAL_API_KEY",
        ) from error
