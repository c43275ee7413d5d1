"""Talk to a Temporal server: connect, start runs, fetch outcomes, and manage schedules."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
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
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.exceptions import is_cancelled_exception
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from reconciler.errors import EngineError
from reconciler.fleet.engine.connection import Connection
from reconciler.fleet.engine.diagnosis import TlsSettings, diagnose_address
from reconciler.fleet.engine.messages import (
    KeyUse,
    Lease,
    RunOutcome,
    RunRequest,
    ScheduledFleet,
    ScheduleEntry,
    name_key,
    name_schedule,
    name_workflow,
)
from reconciler.fleet.engine.temporal.workflows import (
    KeyWorkflow,
    ScheduledWorkflow,
    TargetWorkflow,
)
from reconciler.model import ExitCode

_CALLS: Final = 32  # to the server at a time
_PAUSE_S: Final = 0.5
_SILENCE: Final = timedelta(seconds=5)  # more than twice the time between two heartbeats
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
        client = await Client.connect(**values)
    except (RuntimeError, ValueError, RPCError) as error:
        address, tls = values["target_host"], _read_tls(values)
        diagnosis = await asyncio.to_thread(diagnose_address, address, tls)
        raise EngineError(
            f"cannot connect to the Temporal server at {address}",
            why=diagnosis.why,
            fix=diagnosis.fix,
        ) from error
    await _require_namespace(client)
    return client


async def _require_namespace(client: Client) -> None:
    """Raise EngineError if the server does not have the namespace, as far as it says so."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise EngineError(
                f'the Temporal server has no namespace "{client.namespace}"',
                fix="set TEMPORAL_NAMESPACE, or fleet.namespace in reconciler.yaml, to another, or "
                f"create it: temporal operator namespace create -n {client.namespace}",
            ) from error


def _read_tls(values: ClientConnectConfig) -> TlsSettings | None:
    """Return what the SDK was given; an API key switches TLS on."""
    tls = values.get("tls")
    if isinstance(tls, TLSConfig):
        return TlsSettings(tls.server_root_ca_cert, tls.domain)
    return TlsSettings() if tls or (tls is None and values.get("api_key")) else None


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
    while True:
        try:
            outcome: RunOutcome = await handle.execute_update(
                "outcome", id_, id=id_, result_type=RunOutcome
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
        except WorkflowUpdateFailedError:  # it ended just now
            return None
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        else:
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


async def claim_lease(client: Client, task_queue: str, key: str, queue: str, now: datetime) -> str:
    """Return the queue of the worker that holds the lease of a key: `queue` if it was free.

    `now` is the time of the server. Waits while the holder has not been heard of: either it lives,
    or its lease ends soon.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        use = await _read_last_use(client, key, now)
        handle = await client.start_workflow(
            KeyWorkflow.run,
            Lease(key, queue, use),
            id=name_key(key),
            task_queue=task_queue,
            memo={"queue": queue},
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        described = await handle.describe()
        heard_until = now + timedelta(seconds=loop.time() - started) - _SILENCE
        if _is_held(described, heard_until):
            return str((await described.memo())["queue"])
        await asyncio.sleep(_PAUSE_S)


def _is_held(described: WorkflowExecutionDescription, heard_until: datetime) -> bool:
    """Return whether a lease is held, by a worker that has been heard of since then."""
    if described.status is not WorkflowExecutionStatus.RUNNING:
        return False
    return not any(
        pending.HasField("last_heartbeat_time")
        and pending.last_heartbeat_time.ToDatetime(UTC) < heard_until
        for pending in described.raw_description.pending_activities
    )


async def _read_last_use(client: Client, key: str, now: datetime) -> KeyUse:
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
