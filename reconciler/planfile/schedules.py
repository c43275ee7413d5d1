"""Write and read the scheduled changes of a row."""

from collections.abc import Iterable
from typing import Any, Final

from reconciler.model import Approvers, Awaited, ScheduledChange, Unappliable
from reconciler.planfile.reader import Node

_OPTIONAL: Final = {name: name for name in ("id", "repeats", "state")} | {"waits_for": "awaits"}


def encode_schedules(scheduled: Iterable[ScheduledChange]) -> dict[str, Any]:
    """Return the row about scheduled changes, if there are any."""
    rows = [
        {name: getattr(each, name) for name in ("at", "operation", "value", "change_request")}
        | {key: value for key, name in _OPTIONAL.items() if (value := getattr(each, name))}
        for each in scheduled
    ]
    return {"scheduled": rows} if rows else {}


def read_schedules(row: Node) -> tuple[ScheduledChange, ...]:
    """Read the scheduled changes of a row."""
    return row["scheduled"].maybe(lambda rows: rows.each(_read_schedule)) or ()


def _read_schedule(row: Node) -> ScheduledChange:
    return ScheduledChange(
        at=row["at"].text(),
        operation=row["operation"].text(),
        value=row["value"].value,
        change_request=row["change_request"].maybe(Node.text),
        id=row["id"].maybe(Node.text) or "",
        repeats=row["repeats"].maybe(Node.text) or "",
        state=row["state"].maybe(Node.text) or "",
        awaits=row["waits_for"].maybe(_read_awaited),
    )


def _read_awaited(row: Node) -> Awaited:
    users, roles = row["approvers"]["users"], row["approvers"]["roles"]
    return Awaited(
        row["quorum"].maybe(Node.count),
        Approvers(users.each(Node.text), roles.values(lambda members: members.each(Node.text))),
        row["approved_by"].each(Node.text),
        row["expires_at"].text(),
        row["unappliable"].maybe(
            lambda trouble: Unappliable(trouble["why"].text(), trouble["fix"].text())
        ),
    )
