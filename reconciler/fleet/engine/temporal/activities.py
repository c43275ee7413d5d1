"""Define the activities: what a worker does for the workflows, with heartbeats."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Final, TypeVar
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from reconciler.fleet import waves
from reconciler.fleet.engine.messages import (
    KeyUse,
    Lease,
    RunOutcome,
    RunRequest,
    ScheduledFleet,
    ScheduledResult,
    WatchedChanges,
    WatchResult,
)
from reconciler.fleet.engine.temporal import service, workflows
from reconciler.fleet.engine.worker_host import HostControl, WorkerHost
from reconciler.model import FleetMode

_EXPECTED: Final = ApplicationErrorCategory.BENIGN  # nothing that the log of a worker has to show
_NO_KEY: Final = "none"  # of targets whose key no worker has: their runs say so
_BEAT_S: Final = 1.0
_QUEUED_BEAT_S: Final = 4.0  # hundreds of runs may wait for their turn
_UNHEARD_S: Final = 3.0  # so long may a worker send requests after its last heartbeat
_LEASE_S: Final = 5.0  # until a worker knows that it holds a lease that it has just taken
_STARTS_S: Final = 30.0  # until a target that is needed is started

_T = TypeVar("_T")


class Activities:
    """What workflows have a worker do."""

    def __init__(self, client: Client, host: WorkerHost, shared_queue: str) -> None:
        self._client = client
        self._host = host
        self._shared_queue = shared_queue
        self.queue = f"{shared_queue}/{uuid4().hex}"  # of this worker, whom only it serves
        self.stopping = asyncio.Event()
        self._held: dict[str, asyncio.Event] = {}
        self._holders: dict[str, asyncio.Future[str]] = {}  # of leases that are being looked up

    @activity.defn(name=workflows.CLAIM_KEY)
    async def claim_key(self, request: RunRequest) -> str:
        """Return the queue of the worker that holds the lease of a key; take it if it is free."""
        key = await _with_heartbeats(self._host.identify_key(request))
        if key is None and activity.info().attempt < workflows.MAX_ATTEMPTS:
            raise ApplicationError("the key is not on this worker", category=_EXPECTED)
        return await _with_heartbeats(self._find_holder(key or _NO_KEY))

    async def _find_holder(self, key: str) -> str:
        """Return the queue of the worker that holds a lease; concurrent calls share one lookup."""
        holder = self._holders.get(key)
        if holder is None:
            now = activity.info().current_attempt_scheduled_time
            holder = self._holders[key] = asyncio.ensure_future(
                service.claim_lease(self._client, self._shared_queue, key, self.queue, now)
            )
            holder.add_done_callback(lambda _: self._holders.pop(key))
        return await asyncio.shield(holder)

    @activity.defn(name=workflows.HOLD_KEY)
    async def hold_key(self, lease: Lease) -> KeyUse:
        """Hold the lease of a key until this worker stops; return what it has sent."""
        self._host.take_over(lease.key, lease.use)
        self._held.setdefault(lease.key, asyncio.Event()).set()
        try:
            while not self.stopping.is_set():
                activity.heartbeat(self._host.count_use(lease.key, _UNHEARD_S))
                await _sleep(self.stopping)
        finally:
            self._held.pop(lease.key).clear()
        return self._host.count_use(lease.key)

    @activity.defn(name=workflows.RUN_TARGET)
    async def run_target(self, request: RunRequest) -> RunOutcome:
        """Run a target to its end; heartbeats say how many requests it has sent."""
        key = await self._check_lease(request)
        control = HostControl()
        running = asyncio.ensure_future(self._host.run(request, key, control))
        outcome, retry_s = await self._finish(running, control)
        if retry_s is not None and activity.info().attempt < workflows.MAX_ATTEMPTS:
            delay = timedelta(seconds=retry_s)
            raise ApplicationError("turned away", next_retry_delay=delay, category=_EXPECTED)
        return outcome

    async def _finish(
        self, running: "asyncio.Future[tuple[RunOutcome, float | None]]", control: HostControl
    ) -> tuple[RunOutcome, float | None]:
        """Wait for a run. If it is cancelled, it ends as by Ctrl-C, which takes a moment."""
        loop = asyncio.get_running_loop()
        next_beat = loop.time()
        while not running.done():
            try:
                await asyncio.wait({running}, timeout=_BEAT_S)
                if loop.time() >= next_beat:
                    activity.heartbeat(control.requests)
                    next_beat = loop.time() + (_BEAT_S if control.has_begun else _QUEUED_BEAT_S)
            except asyncio.CancelledError:
                control.stop()
            if self.stopping.is_set():
                control.stop()
        outcome = running.result()
        if outcome[0].is_interrupted and self.stopping.is_set():
            raise _hand_over("this worker stops")
        return outcome

    async def _check_lease(self, request: RunRequest) -> str:
        """Return the digest of a key whose lease this worker holds; raise if it does not."""
        key = await _with_heartbeats(self._host.identify_key(request)) or _NO_KEY
        try:
            async with asyncio.timeout(_LEASE_S):
                await self._held.setdefault(key, asyncio.Event()).wait()
        except TimeoutError:
            raise _hand_over("another worker holds the lease") from None
        return key

    @activity.defn(name=workflows.CHECK_REQUESTS)
    async def check(self, watched: WatchedChanges) -> WatchResult:
        """Look whether change requests have been decided."""
        key = await self._check_lease(watched.request)
        return await _with_heartbeats(self._host.check(watched, key), self.stopping)

    @activity.defn(name=workflows.WAIT_FOR_NEEDS)
    async def wait_for_needs(self, request: RunRequest) -> RunOutcome | None:
        """Wait for the targets that a target needs; return an outcome if it may not run."""
        for target in request.needs:
            named = (request.mode, target, request.id)
            fetching = service.fetch_outcome(self._client, *named, patience_s=_STARTS_S)
            outcome = await _with_heartbeats(fetching)
            if not waves.is_success(FleetMode(request.mode), outcome.exit_code):
                return RunOutcome(None, unmet=target, unmet_code=outcome.exit_code)
        return None

    @activity.defn(name=workflows.RUN_SCHEDULED)
    async def run_scheduled(self, fleet: ScheduledFleet) -> ScheduledResult:
        """Start the runs of a schedule, and wait for them."""
        id_ = activity.info().workflow_run_id or ""
        requests = await _with_heartbeats(self._host.list_scheduled(fleet, id_))
        await _with_heartbeats(service.start_runs(self._client, self._shared_queue, requests))
        outcomes = await _with_heartbeats(
            asyncio.gather(
                *(
                    service.fetch_outcome(self._client, each.mode, each.target, id_)
                    for each in requests
                )
            )
        )
        codes: dict[str, int] = {}
        for outcome in outcomes:
            codes[str(outcome.exit_code)] = codes.get(str(outcome.exit_code), 0) + 1
        return ScheduledResult(requests[0].commit if requests else "", codes)


def _hand_over(why: str) -> ApplicationError:
    """Return the error that has another worker do the same."""
    return ApplicationError(why, type=workflows.MOVED, non_retryable=True, category=_EXPECTED)


async def _with_heartbeats(work: Awaitable[_T], stopping: asyncio.Event | None = None) -> _T:
    """Return what is awaited, and send heartbeats meanwhile; give up when the worker stops."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_BEAT_S))[0]:
            activity.heartbeat()
            if stopping is not None and stopping.is_set():
                task.cancel()
                raise _hand_over("this worker stops")
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    return await task


async def _sleep(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_BEAT_S):
            await stopping.wait()
    except TimeoutError:
        pass
