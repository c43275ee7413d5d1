"""Talk to a Temporal server: connect, start runs, fetch outcomes, and manage schedules."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.exceptions import is_cancelled_exception
from temporalio.service import RPCError, RPCStatusCode

from reconciler.errors import EngineError
from reconciler.fleet.engine.connection import Connection
from reconciler.fleet.engine.messages import (
    KeyUse,
    RunOutcome,
    RunRequest,
    ScheduledFleet,
    ScheduleEntry,
    name_key,
    name_schedule,
    name_workflow,
)
from reconciler.fleet.engine.temporal.workflows import ScheduledWorkflow, TargetWorkflow
from reconciler.model import ExitCode

_CALLS: Final = 32  # to the server at a time
_PAUSE_S: Final = 0.5
_HOUR: Final = timedelta(hours=1)  # the longer of the windows in which PostHog counts

_TargetHandle = WorkflowHandle[TargetWorkflow, dict[str, RunOutcome]]


async def connect(connection: Connection) -> Client:
    """Return a client. TLS, the API key and what else the SDK reads comes from its variables.

    Raises EngineError if these settings cannot be used, or the server cannot be reached.
    """
    values = _read_sdk_settings(connection)
    values.setdefault("target_host", connection.address)
    values.setdefault("namespace", connection.namespace)
    try:
        return await Client.connect(**values)
    except (RuntimeError, ValueError, RPCError) as error:
        raise EngineError(
            f"cannot connect to the Temporal server at {values['target_host']}",
            why=str(error).splitlines()[0][:300],
            fix="start it, or set TEMPORAL_ADDRESS (TLS: TEMPORAL_TLS=true) to where it is",
        ) from error


def _read_sdk_settings(connection: Connection) -> ClientConnectConfig:
    """Return what the variables, the profile and the files of the SDK say."""
    environ = dict(connection.environ)
    try:
        return ClientConfig.load_client_connect_config(override_env_vars=environ)
    except (OSError, RuntimeError, ValueError) as error:  # a file, the profile, a value
        raise EngineError(
            "the settings of Temporal's SDK cannot be used",
            why=str(error).splitlines()[0][:300],
            fix="correct the variables TEMPORAL_… and the files that they name",
        ) from error


async def start_runs(client: Client, task_queue: str, requests: Iterable[RunRequest]) -> None:
    """Request runs. A workflow that exists for a target already takes the request as well."""
    slots = asyncio.Semaphore(_CALLS)

    async def start(request: RunRequest) -> None:
        async with slots:
            await client.start_workflow(
                TargetWorkflow.run,
                id=name_workflow(request.mode, request.target),
                task_queue=task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="request",
                start_signal_args=[request],
                priority=Priority(fairness_key=request.fairness_key),
            )

    await asyncio.gather(*map(start, requests))


async def fetch_outcome(
    client: Client, mode: str, target: str, id_: str, patience_s: float = 0.0
) -> RunOutcome:
    """Return the outcome of a request when its first run has ended.

    `patience_s`: how long the workflow may not exist yet.
    """
    handle = client.get_workflow_handle_for(TargetWorkflow.run, name_workflow(mode, target))
    until = asyncio.get_running_loop().time() + patience_s
    while True:
        outcome = await _ask_workflow(handle, id_) or await _read_result(handle, id_)
        if outcome is not None:
            return outcome
        if asyncio.get_running_loop().time() >= until:
            return RunOutcome(ExitCode.FAILED)
        await asyncio.sleep(_PAUSE_S)


async def _ask_workflow(handle: _TargetHandle, id_: str) -> RunOutcome | None:
    """Wait for an outcome; return None if the workflow has ended, or does not exist."""
    try:
        outcome: RunOutcome = await handle.execute_update(
            "outcome", id_, id=id_, result_type=RunOutcome
        )
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from None
        return await _ask_workflow(handle, id_)
    except WorkflowUpdateFailedError:  # it ended just now
        return None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
    return outcome


async def _read_result(handle: _TargetHandle, id_: str) -> RunOutcome | None:
    """Return an outcome from the result of a workflow; None if it does not exist."""
    try:
        return (await handle.result()).get(id_)
    except WorkflowFailureError as error:
        return RunOutcome(None if is_cancelled_exception(error.cause) else ExitCode.FAILED)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def cancel_runs(client: Client, mode: str, targets: Iterable[str]) -> None:
    """Ask that runs end as by Ctrl-C; those that have ended stay as they are."""
    for target in targets:
        try:
            await client.get_workflow_handle(name_workflow(mode, target)).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


async def read_last_use(client: Client, key: str, now: datetime) -> KeyUse:
    """Return what was sent with a key under a lease that ended less than an hour ago."""
    handle = client.get_workflow_handle(name_key(key), result_type=KeyUse)
    try:
        described = await handle.describe()
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return KeyUse()
        if described.close_time is None or now - described.close_time > _HOUR:
            return KeyUse()
        use: KeyUse = await handle.result()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return KeyUse()
    return use


async def count_workers(client: Client, task_queue: str) -> int:
    """Return how many workers have asked for work lately."""
    response = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    return len(response.pollers)


async def set_schedule(
    client: Client, task_queue: str, fleet: ScheduledFleet, every: timedelta
) -> None:
    """Make or replace the schedule of a mode. A tick is skipped while a run is under way."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ScheduledWorkflow.run, fleet, id=name_schedule(fleet.mode), task_queue=task_queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(name_schedule(fleet.mode), schedule)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(name_schedule(fleet.mode))
        await handle.update(lambda _: ScheduleUpdate(schedule))


async def list_schedules(client: Client, modes: Sequence[str]) -> list[ScheduleEntry]:
    """Return the schedules that exist for some modes."""
    entries = []
    for mode in modes:
        try:
            described = await client.get_schedule_handle(name_schedule(mode)).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            continue
        info, spec = described.info, described.schedule.spec
        action = described.schedule.action
        fleet = ScheduledFleet(mode, "")
        if isinstance(action, ScheduleActionStartWorkflow) and action.args:
            fleet = (await client.data_converter.decode(action.args, [ScheduledFleet]))[0]
        entries.append(
            ScheduleEntry(
                name_schedule(mode),
                fleet,
                spec.intervals[0].every.total_seconds() if spec.intervals else 0.0,
                info.next_action_times[0].isoformat() if info.next_action_times else None,
                info.num_actions,
                info.num_actions_skipped_overlap,
            )
        )
    return entries


async def delete_schedule(client: Client, mode: str) -> bool:
    """Delete the schedule of a mode; return False if there is none."""
    try:
        await client.get_schedule_handle(name_schedule(mode)).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
