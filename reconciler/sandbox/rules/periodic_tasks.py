"""PostHog's periodic tasks over change requests (contract 7.3, 7.5), run by the sandbox's clock."""

from collections.abc import Callable
from dataclasses import replace

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest, Flag
from reconciler.sandbox.store.transaction import Transaction

_HOUR = 3600


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


def check_staleness(tx: Transaction, profile: Profile) -> int:  # noqa: ARG001 - one signature
    """Mark pending requests whose flag has changed. The mark is permanent, and not a state."""
    marked = 0
    for request in tx.find_all(ChangeRequest, state="pending"):
        why = _find_staleness(tx, request)
        if why is None or request.validation_status == "stale":
            continue
        tx.update(
            replace(
                request,
                validation_status="stale",
                validation_errors={"staleness": why},
                validated_at=tx.at,
                updated_at=tx.at,
            )
        )
        marked += 1
    return marked


def _find_staleness(tx: Transaction, request: ChangeRequest) -> str | None:
    number = request.intent.get("flag_id")
    if number is None:
        return None
    flag = tx.get(Flag, number)
    if flag is None or flag.deleted:
        return "The feature flag no longer exists"
    expected = (request.intent.get("preconditions") or {}).get("version")
    if expected is None or expected == flag.version:
        return None
    return f"Flag version mismatch: expected {expected}, got {flag.version}"


TASKS: dict[str, Callable[[Transaction, Profile], int]] = {
    "expire_change_requests": expire_change_requests,
    "check_staleness": check_staleness,
}


def run_task(tx: Transaction, profile: Profile, name: str) -> int:
    """Run one task now, and say how many requests it touched.

    Raises:
        SandboxError: the task is unknown.
    """
    if name not in TASKS:
        raise SandboxError(f"unknown task {name!r}: choose {' or '.join(TASKS)}")
    return TASKS[name](tx, profile)


def run_due_tasks(tx: Transaction, profile: Profile) -> None:
    """Run all tasks if the clock has entered another hour."""
    hour = int(tx.now.timestamp()) // _HOUR
    if hour == tx.settings.swept_hour:
        return
    tx.change_settings(swept_hour=hour)
    for task in TASKS.values():
        task(tx, profile)


def skip_current_hour(tx: Transaction) -> None:
    """Skip the run of the current hour: loading a seed changes no request."""
    tx.change_settings(swept_hour=int(tx.now.timestamp()) // _HOUR)
