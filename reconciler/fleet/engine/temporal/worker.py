"""Serve the task queues of a worker until it is asked to stop."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import Worker

from reconciler.fleet.engine.temporal.activities import Activities
from reconciler.fleet.engine.temporal.workflows import (
    KeyWorkflow,
    ScheduledWorkflow,
    TargetWorkflow,
)
from reconciler.fleet.engine.worker_host import WorkerHost

_MOST: Final = 10_000  # activities at a time, of which most wait: the host limits what runs
_GRACE: Final = timedelta(seconds=45)  # to finish what is in flight
_BEATS: Final = timedelta(seconds=1)  # at most so long until a cancellation is known
_STICKY: Final = timedelta(seconds=2)  # until another worker takes the workflows of a dead one


async def serve(
    client: Client,
    task_queue: str,
    host: WorkerHost,
    *,
    stop: Awaitable[None],
    on_ready: Callable[[], None],
) -> None:
    """Serve until `stop` returns; then finish what is in flight."""
    activities = Activities(client, host, task_queue)
    async with (
        _make_own_worker(client, activities),
        _make_shared_worker(client, activities, task_queue),
    ):
        on_ready()
        await stop
        activities.stopping.set()


def forward_log() -> None:
    """Send what the core of the SDK logs to the logger of the SDK, and not straight to stderr."""
    forwarding = LogForwardingConfig(
        logging.getLogger("temporalio"),
        append_target_to_name=False,
        prepend_target_on_message=False,
    )
    levels = TelemetryFilter(core_level="WARN", other_level="ERROR")
    telemetry = TelemetryConfig(logging=LoggingConfig(levels, forwarding=forwarding))
    Runtime.set_default(Runtime(telemetry=telemetry), error_if_already_set=False)


def _make_shared_worker(client: Client, activities: Activities, task_queue: str) -> Worker:
    """Return a worker for what any worker can do."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[TargetWorkflow, KeyWorkflow, ScheduledWorkflow],
        activities=[activities.claim_key, activities.wait_for_needs, activities.run_scheduled],
        max_concurrent_activities=_MOST,
        max_heartbeat_throttle_interval=_BEATS,
        sticky_queue_schedule_to_start_timeout=_STICKY,
    )


def _make_own_worker(client: Client, activities: Activities) -> Worker:
    """Return a worker for what belongs to the keys whose leases this process holds."""
    return Worker(
        client,
        task_queue=activities.queue,
        activities=[activities.hold_key, activities.run_target, activities.check],
        max_concurrent_activities=_MOST,
        max_heartbeat_throttle_interval=_BEATS,
        graceful_shutdown_timeout=_GRACE,
    )
