"""Entries of the activity log, for every write that PostHog logs (contract 6.3, 8.3, 9.6)."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.sandbox.requests.call import Actor
from reconciler.sandbox.store.model import LogEntry, Project
from reconciler.sandbox.store.transaction import Transaction

Change = dict[str, Any]


def list_changes(
    kind: str, before: Mapping[str, Any], after: Mapping[str, Any], names: Sequence[str]
) -> list[Change]:
    """Return the differences between two states of an item, as `detail.changes`."""
    return [
        make_change(kind, name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def make_change(kind: str, name: str, before: Any, after: Any) -> Change:
    """Return one line of `detail.changes`."""
    action = "created" if before is None else "deleted" if after is None else "changed"
    return {"type": kind, "action": action, "field": name, "before": before, "after": after}


def record_entry(
    tx: Transaction,
    actor: Actor,
    *,
    scope: str,
    activity: str,
    organization: str,
    project: Project | None,
    item: str,
    name: str,
    changed: list[Change] | None = None,
) -> None:
    """Write one entry. An update that changed nothing is not logged."""
    if activity == "updated" and not changed:
        return
    detail = {
        "name": name,
        "short_id": None,
        "type": None,
        "changes": changed or [],
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
            item_id=item,
            user=actor.user.id,
            detail=detail,
            client=actor.client,
            ip_address=actor.ip,
        )
    )
