"""Define the workflows: what is done in which order, also when workers are killed.

One workflow per target and mode, so that two runs of an apply are never under way at a time. The
worker that holds the lease of a key executes all runs with that key: rate limits count per key.
Everything here is replayed from the history: no clock, no disk, no network.
"""

import asyncio
from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as SilenceError

from reconciler.fleet.engine.messages import (
    KeyUse,
    Lease,
    RunOutcome,
    RunRequest,
    ScheduledFleet,
    ScheduledResult,
    TargetState,
    WatchedChange,
    WatchedChanges,
    WatchResult,
)
from reconciler.model import ExitCode

# Names of activities. The functions are in `activities`, which imports this module.
CLAIM_KEY: Final = "reconciler-claim-key"
HOLD_KEY: Final = "reconciler-hold-key"
RUN_TARGET: Final = "reconciler-run-target"
CHECK_REQUESTS: Final = "reconciler-check-requests"
WAIT_FOR_NEEDS: Final = "reconciler-wait-for-needs"
RUN_SCHEDULED: Final = "reconciler-run-scheduled"

MOVED: Final = "moved"  # the type of the error of a worker that stops, or does not hold the lease
MAX_ATTEMPTS: Final = 3  # of a run that PostHog turned away
_ALIVE: Final = timedelta(seconds=10)  # a worker that is silent for longer has died
_TAKEN: Final = timedelta(seconds=5)  # a worker that accepts no work for longer has died
_ENDLESS: Final = timedelta(days=3650)  # for what has a limit of its own, and heartbeats
_PAUSE: Final = timedelta(seconds=1)
_ANYWHERE: Final = RetryPolicy(initial_interval=_PAUSE, maximum_interval=timedelta(minutes=1))
_HERE: Final = RetryPolicy(initial_interval=_PAUSE, maximum_attempts=MAX_ATTEMPTS)
_ONCE: Final = RetryPolicy(maximum_attempts=1)


@workflow.defn(name="reconciler-target", sandboxed=False)
class TargetWorkflow:
    """Run what is requested for one target, one run after the other.

    An apply that waits for approvals stays here, and runs again when they are given.
    """

    def __init__(self) -> None:
        self._queue: deque[RunRequest] = deque()
        self._running: RunRequest | None = None
        self._same: dict[str, str] = {}  # requests that are answered by the run of another
        self._outcomes: dict[str, RunOutcome] = {}
        self._worker: str | None = None  # the queue of the worker that holds the key's lease

    @workflow.run
    async def run(self, state: TargetState | None = None) -> dict[str, RunOutcome]:
        """Return the outcome of each request."""
        waiting = state.waiting if state else None
        if state:
            self._outcomes[state.waiting.id] = state.outcome
        try:
            while self._queue or waiting:
                if waiting and not await self._wait_for_work(waiting):
                    break
                request = self._queue.popleft() if self._queue else waiting
                if request is not None:
                    outcome = await self._run_request(request)
                    if outcome.exit_code is not None:  # else an older apply still waits
                        waiting = request if outcome.waiting_for else None
        except Exception as error:
            if not is_cancelled_exception(error):
                raise
            self._interrupt_all()
        except asyncio.CancelledError:
            self._interrupt_all()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._outcomes

    @workflow.signal(name="request")
    def request(self, request: RunRequest) -> None:
        """Add a request; the run that is under way, or queued, answers an equal one as well."""
        if self._is_known(request.id):
            return
        due = self._list_due()
        same = next((each for each in due if each.is_same_run(request)), None)
        if same is None:
            self._queue.append(request)
        else:
            self._same[request.id] = same.id

    @workflow.update(name="outcome")
    async def outcome(self, id_: str) -> RunOutcome:
        """Return the outcome of a request, when its first run has ended."""
        await workflow.wait_condition(lambda: id_ in self._outcomes)
        return self._outcomes[id_]

    @outcome.validator
    def check_id(self, id_: str) -> None:
        """Refuse to wait for a request that has not been made: the workflow would never end."""
        if not self._is_known(id_):
            raise ApplicationError("no such request", non_retryable=True)

    def _is_known(self, id_: str) -> bool:
        return id_ in {*self._outcomes, *self._same, *(each.id for each in self._list_due())}

    def _list_due(self) -> list[RunRequest]:
        """Return the requests whose run is under way, or has not begun."""
        return [*([self._running] if self._running else []), *self._queue]

    async def _run_request(self, request: RunRequest) -> RunOutcome:
        self._running = request
        outcome: RunOutcome | None = None
        if request.needs and request.id not in self._outcomes:
            outcome = await _execute(WAIT_FOR_NEEDS, request, RunOutcome)
        if outcome is None:
            outcome = await self._run_target(request)
        self._running = None
        self._set_outcome(request.id, outcome)
        if outcome.is_interrupted or workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError  # the run may have ended before it could be stopped
        return outcome

    async def _run_target(self, request: RunRequest) -> RunOutcome:
        try:
            outcome: RunOutcome = await self._call(RUN_TARGET, request, request, RunOutcome)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return RunOutcome(ExitCode.FAILED)  # it could not even write a report
        return outcome

    def _set_outcome(self, id_: str, outcome: RunOutcome) -> None:
        same = [each for each, other in self._same.items() if other == id_]
        self._outcomes |= dict.fromkeys([id_, *same], outcome)
        for each in same:
            del self._same[each]

    def _interrupt_all(self) -> None:
        for request in self._list_due():
            self._set_outcome(request.id, RunOutcome(None))
        self._queue.clear()

    async def _wait_for_work(self, waiting: RunRequest) -> bool:
        """Return True when there is something to run, and False if nothing is left to wait for."""
        changes = self._outcomes[waiting.id].waiting_for
        while not self._queue:
            pause = timedelta(seconds=waiting.poll_s)
            try:
                await workflow.wait_condition(lambda: bool(self._queue), timeout=pause)
            except TimeoutError:
                watch = await self._look(waiting, changes)
                changes = watch.open
                if watch.runs:
                    return True
                if not changes:
                    return bool(self._queue)
            if workflow.info().is_continue_as_new_suggested() and not self._queue:
                await workflow.wait_condition(workflow.all_handlers_finished)
                outcome = replace(self._outcomes[waiting.id], waiting_for=changes)
                workflow.continue_as_new(TargetState(waiting, outcome))
        return True

    async def _look(self, waiting: RunRequest, changes: tuple[WatchedChange, ...]) -> WatchResult:
        """Return what became of change requests. A look that fails decides nothing."""
        watched = WatchedChanges(waiting, changes)
        try:
            watch: WatchResult = await self._call(CHECK_REQUESTS, waiting, watched, WatchResult)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return WatchResult(open=changes)
        return watch

    async def _call(self, name: str, request: RunRequest, argument: Any, result: type) -> Any:
        """Call an activity on the worker that holds the lease of the request's key."""
        while True:
            if self._worker is None:
                self._worker = await _execute(CLAIM_KEY, request, str)
            try:
                return await workflow.execute_activity(
                    name,
                    argument,
                    result_type=result,
                    task_queue=self._worker,
                    schedule_to_start_timeout=_TAKEN,
                    start_to_close_timeout=_ENDLESS,
                    heartbeat_timeout=_ALIVE,
                    retry_policy=_HERE,
                    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                    priority=Priority(fairness_key=request.fairness_key),
                )
            except ActivityError as error:
                if not _has_moved(error.cause):
                    raise
                self._worker = None
                if workflow.cancellation_reason() is not None:
                    raise asyncio.CancelledError from None
                await workflow.sleep(_PAUSE)


async def _execute(name: str, request: RunRequest, result: Any) -> Any:
    """Call an activity on any worker, as often as it takes."""
    return await workflow.execute_activity(
        name,
        request,
        result_type=result,
        start_to_close_timeout=_ENDLESS,
        heartbeat_timeout=_ALIVE,
        retry_policy=_ANYWHERE,
        priority=Priority(fairness_key=request.fairness_key),
    )


def _has_moved(cause: BaseException | None) -> bool:
    """Return whether another worker has to do it: this one stops, is silent, or lost the lease."""
    is_gone = isinstance(cause, SilenceError)
    return is_gone or (isinstance(cause, ApplicationError) and cause.type == MOVED)


@workflow.defn(name="reconciler-key", sandboxed=False)
class KeyWorkflow:
    """Exist for as long as a worker holds the lease of a key: while that worker lives."""

    @workflow.run
    async def run(self, lease: Lease) -> KeyUse:
        """Return what the worker has sent, when it has stopped or has not been heard of."""
        try:
            use: KeyUse = await workflow.execute_activity(
                HOLD_KEY,
                lease,
                result_type=KeyUse,
                task_queue=lease.queue,
                schedule_to_start_timeout=_TAKEN,
                start_to_close_timeout=_ENDLESS,
                heartbeat_timeout=_ALIVE,
                retry_policy=_ONCE,
            )
        except ActivityError as error:
            if not isinstance(error.cause, SilenceError):
                raise
            details = error.cause.last_heartbeat_details
            use = KeyUse(**details[0]) if details else lease.use
        return use


@workflow.defn(name="reconciler-schedule", sandboxed=False)
class ScheduledWorkflow:
    """Run a fleet at the newest commit; while it lasts, the ticks of its schedule are skipped."""

    @workflow.run
    async def run(self, fleet: ScheduledFleet) -> ScheduledResult:
        """Return what became of it."""
        result: ScheduledResult = await workflow.execute_activity(
            RUN_SCHEDULED,
            fleet,
            result_type=ScheduledResult,
            start_to_close_timeout=_ENDLESS,
            heartbeat_timeout=_ALIVE,
            retry_policy=_ANYWHERE,
        )
        return result
