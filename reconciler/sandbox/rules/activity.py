"""Entries of the activity log, for every write that PostHog logs (contract 6.3, 8.3, 9.6)."""

from collections.abc import Iterable
from typing import Any

from reconciler.sandbox.requests.call import Actor
from reconciler.sandbox.store.model import LogEntry, Project
from reconciler.sandbox.store.transaction import Transaction

Change = dict[str, Any]


def list_changes(
    kind: str, before: object | None, after: object, names: Iterable[str]
) -> list[Change]:
    """Return the differences between two states of an item, as `detail.changes`."""
    if before is None:
        return []
    values = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return [make_change(kind, name, old, new) for name, old, new in values if old != new]


def make_change(kind: str, name: str, before: Any, after: Any) -> Change:
    """Return one line of `detail.changes`."""
    action = "created" if before is None else "deleted" if after is None else "changed"
    return {"type": kind, "action": action, "field": name, "before": before, "after": after}


def record_entry(
    tx: Transaction,
    actor: Actor,
    activity: str,
    changes: list[Change],
    *,
    scope: str,
    item: tuple[object, str],  # id and name
    organization: str,
    project: Project | None = None,
) -> None:
    """Write one entry. An update that changed nothing is not logged."""
    if activity == "updated" and not changes:
        return
    item_id, name = item
    detail = {
        "name": name,
        "short_id": None,
        "type": None,
        "changes": changes,
        "context": None,
        "trigger": None,
    }
    tx.insert(
        LogEntry(
            id=tx.make_uuid(),
            organization=organization,
            project=project.id if project else None,
            scope=scope,
            activity=activity,
            created_at=tx.at,
            item_id=str(item_id),
            user=actor.user.id,
            detail=detail,
            client=actor.client,
            ip_address=actor.ip,
        )
    )
