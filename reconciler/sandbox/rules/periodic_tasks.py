"""PostHog's periodic tasks (contract 3.8, 7.3, 7.5, 18), run by the sandbox's clock."""

from collections.abc import Callable
from dataclasses import replace

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.rules.experiment_policies import sync_experiment_policies
from reconciler.sandbox.rules.products.scheduled_changes import process_scheduled_changes
from reconciler.sandbox.rules.validity import Mark, derive_mark, explain_staleness
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest
from reconciler.sandbox.store.transaction import Transaction

_MINUTE, _HOUR = 60, 3600


def expire_change_requests(tx: Transaction, profile: Profile) -> int:
    """Expire open requests whose time is over. Until then they can still be approved."""
    closed = 0
    for state in ("pending", "approved"):
        for request in tx.find_all(ChangeRequest, state=state):
            if request.expires_at <= tx.at:
                status = "expired" if profile.marks_expired else request.validation_status
                tx.update(
                    replace(request, state="expired", validation_status=status, updated_at=tx.at)
                )
                closed += 1
    return closed


def check_staleness(tx: Transaction, profile: Profile) -> int:
    """Mark requests whose flag has changed; the mark is not a state.

    In G3 it also covers approved requests and the requester's access, and it recovers.
    """
    marked = 0
    for state in ("pending", "approved") if profile.rechecks_requests else ("pending",):
        for request in tx.find_all(ChangeRequest, state=state):
            mark = _find_mark(tx, profile, request)
            if mark != Mark(request.validation_status, request.validation_errors):
                _write_mark(tx, request, mark)
                marked += 1
    return marked


def _find_mark(tx: Transaction, profile: Profile, request: ChangeRequest) -> Mark:
    """Return the mark that a request should have; before G3 a stale one keeps its mark."""
    kept = Mark(request.validation_status, request.validation_errors)
    if profile.rechecks_requests:
        return derive_mark(tx, request)
    why = explain_staleness(tx, request, by_owner=False)
    if why is None or request.validation_status == "stale":
        return kept
    return Mark("stale", {"staleness": why})


def _write_mark(tx: Transaction, request: ChangeRequest, mark: Mark) -> None:
    tx.update(
        replace(
            request,
            validation_status=mark.status,
            validation_errors=mark.errors,
            validated_at=tx.at,
            updated_at=tx.at,
        )
    )


TASKS: dict[str, Callable[[Transaction, Profile], int]] = {
    "expire_change_requests": expire_change_requests,
    "check_staleness": check_staleness,
    "sync_experiment_policies": sync_experiment_policies,
}
_EVERY_MINUTE = {"process_scheduled_changes": process_scheduled_changes}


def run_task(tx: Transaction, profile: Profile, name: str) -> int:
    """Run one task now, and say how many objects it touched.

    Raises:
        SandboxError: the task is unknown.
    """
    tasks = TASKS | _EVERY_MINUTE
    if name not in tasks:
        raise SandboxError(f"unknown task {name!r}: choose {' or '.join(tasks)}")
    return tasks[name](tx, profile)


def run_due_tasks(tx: Transaction, profile: Profile) -> None:
    """Run the tasks of each minute and of each hour that the clock has entered."""
    minute = int(tx.now.timestamp()) // _MINUTE
    if minute != tx.settings.scheduled_minute:
        tx.change_settings(scheduled_minute=minute)
        process_scheduled_changes(tx, profile)
    hour = int(tx.now.timestamp()) // _HOUR
    if hour == tx.settings.swept_hour:
        return
    tx.change_settings(swept_hour=hour)
    for task in TASKS.values():
        task(tx, profile)


def skip_current_hour(tx: Transaction) -> None:
    """Skip the runs of the current hour: loading a seed changes no request."""
    now = int(tx.now.timestamp())
    tx.change_settings(swept_hour=now // _HOUR, scheduled_minute=now // _MINUTE)
