"""PostHog's periodic tasks over change requests (contract 7.3, 7.5), run by the sandbox's clock."""

from collections.abc import Callable
from dataclasses import replace

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import ChangeRequest, Flag
from reconciler.sandbox.store.transaction import Transaction, settings

_HOUR = 3600


def expire_change_requests(tx: Transaction, profile: Profile) -> int:
    """Close the open requests whose time is over. Until it runs they can still be approved."""
    closed = 0
    for state in ("pending", "approved"):
        for request in tx.find(ChangeRequest, state=state):
            if request.expires_at <= tx.at:
                status = "expired" if profile.marks_expired else request.validation_status
                tx.update(
                    replace(request, state="expired", validation_status=status, updated_at=tx.at)
                )
                closed += 1
    return closed


def check_staleness(tx: Transaction, profile: Profile) -> int:  # noqa: ARG001 - one signature
    """Mark the pending requests whose flag has moved on. Never undone, and never a state."""
    marked = 0
    for request in tx.find(ChangeRequest, state="pending"):
        why = _staleness(tx, request)
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


def _staleness(tx: Transaction, request: ChangeRequest) -> str | None:
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


def run(tx: Transaction, profile: Profile, name: str) -> int:
    """Run one task now, and say how many requests it touched.

    Raises:
        SandboxError: there is no such task.
    """
    if name not in TASKS:
        raise SandboxError(f"unknown task {name!r}: choose {' or '.join(TASKS)}")
    return TASKS[name](tx, profile)


def sweep(tx: Transaction, profile: Profile) -> None:
    """Run what is due: everything, whenever the clock has entered another hour."""
    hour = int(tx.now.timestamp()) // _HOUR
    if hour == tx.ground.swept_hour:
        return
    settings(tx, swept_hour=hour)
    for task in TASKS.values():
        task(tx, profile)


def rest(tx: Transaction) -> None:
    """Take this hour's run for done: a world begins quietly."""
    settings(tx, swept_hour=int(tx.now.timestamp()) // _HOUR)
