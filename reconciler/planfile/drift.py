"""Parts of the document of a plan: who moved a field, what is held, ignored, or moved in a list.

`attribution` has the keys that schemas/plan.schema.json promises and no others; what else is known
stands beside it, under `evidence`.
"""

from collections.abc import Iterable
from typing import Any

from reconciler.model import (
    ABSENT,
    Address,
    ApprovalClass,
    Attribution,
    Change,
    FieldChange,
    Hold,
    Ignored,
    ItemChange,
    ListChange,
    LogAction,
    Source,
)
from reconciler.planfile.reader import Node

Row = dict[str, Any]


def told(one: FieldChange | Change) -> Row:
    """The rows about who moved a field or an object; none where nobody asked."""
    row: Row = {}
    if (found := one.attribution) is not None:
        row["attribution"] = {
            "person": found.person,
            "at": found.at,
            "client": found.client,
            "impersonated": found.impersonated,
            "class": found.way,
            "change_request": found.change_request,
        }
        row["evidence"] = {
            "action": found.deed,
            "change": _moved(found.moved),
            "policy": found.policy,
            "url": found.url,
            "note": found.note,
        }
    return row


def _moved(moved: tuple[Any, Any] | None) -> Row | None:
    """Before and after; a side that was not there is left out."""
    if moved is None:
        return None
    sides = zip(("before", "after"), moved, strict=True)
    return {name: value for name, value in sides if value is not ABSENT}


def lists(change: Change) -> Row:
    """Return the row about items of lists, matched by content, without a missing side."""
    found = [
        {
            "path": one.path,
            "fields": one.fields,
            "items": [
                {"path": item.path}
                | {s: v for s in ("live", "desired") if (v := getattr(item, s)) is not ABSENT}
                | ({"moved_from": item.moved_from} if item.moved_from is not None else {})
                | {n: v for n in ("down", "up") if (v := getattr(item, n))}
                for item in one.items
            ],
        }
        for one in change.lists
    ]
    return {"lists": found} if found else {}


def read_lists(node: Node) -> tuple[ListChange, ...]:
    """Read that row back."""

    def item(row: Node) -> ItemChange:
        path, was = row["path"].text(), row["moved_from"].maybe(Node.count)
        live, desired = (row.value.get(side, ABSENT) for side in ("live", "desired"))
        down, up = (row[way].maybe(Node.count) or 0 for way in ("down", "up"))
        return ItemChange(path, live, desired, was, down, up)

    def one(row: Node) -> ListChange:
        return ListChange(row["path"].text(), row["items"].each(item), row["fields"].count())

    return node["lists"].maybe(lambda rows: rows.each(one)) or ()


def held(hold: Hold | None) -> Row:
    """The row about a hold, where there is one."""
    if hold is None:
        return {}
    place = hold.source
    return {
        "hold": {
            "address": hold.address,
            "until": hold.written,
            "ends": hold.until.isoformat(),
            "reason": hold.reason,
            "source": {"file": place.file, "line": place.line} if place else None,
        }
    }


def ignored(found: Iterable[Ignored]) -> Row:
    """The rows about what is left alone, where there is anything."""
    rows = [
        {"address": one.address, "path": one.path or None, "desired": one.desired, "live": one.live}
        for one in found
    ]
    return {"ignored": rows} if rows else {}


def unrelated(found: tuple[Address, ...]) -> Row:
    """Return the row of drift that a pull request has nothing to do with, where there is any."""
    return {"unrelated_drift": found} if found else {}


def read_told(node: Node) -> Attribution | None:
    """Who moved it, as it stands in a row; None where nobody asked."""
    about, more = node["attribution"], node["evidence"]
    if about.value is None or more.value is None:
        return None
    return Attribution(
        person=about["person"].maybe(Node.text),
        at=about["at"].maybe(Node.text),
        client=about["client"].maybe(Node.text),
        impersonated=about["impersonated"].maybe(Node.flag),
        way=about["class"].word(ApprovalClass),
        change_request=about["change_request"].maybe(Node.text),
        deed=more["action"].word(LogAction),
        moved=more["change"].maybe(_read_moved),
        policy=more["policy"].maybe(Node.text),
        url=more["url"].maybe(Node.text),
        note=more["note"].text(),
    )


def _read_moved(node: Node) -> tuple[Any, Any]:
    sides = node.values(lambda side: side.value)
    return sides.get("before", ABSENT), sides.get("after", ABSENT)


def read_held(node: Node) -> Hold | None:
    """The hold of a row."""
    return node["hold"].maybe(_hold)


def _hold(node: Node) -> Hold:
    return Hold(
        address=node["address"].text(),
        until=node["ends"].moment(),
        written=node["until"].text(),
        reason=node["reason"].text(),
        source=node["source"].maybe(lambda at: Source(at["file"].text(), at["line"].count() or 1)),
    )


def read_ignored(node: Node) -> tuple[Ignored, ...]:
    """What is left alone, from the whole document."""
    return node["ignored"].maybe(lambda rows: rows.each(_ignored)) or ()


def _ignored(node: Node) -> Ignored:
    path = node["path"].maybe(Node.text) or ""
    sides = {"desired": node["desired"].value, "live": node["live"].value} if path else {}
    return Ignored(node["address"].address(), path, **sides)
