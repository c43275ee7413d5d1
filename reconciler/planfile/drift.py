"""Write and read parts of a plan document: attribution, holds, ignored fields, list changes.

`attribution` has only the keys of schemas/plan.schema.json; other facts are in `evidence`.
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


def encode_attribution(change: FieldChange | Change) -> Row:
    """Return the rows about who changed a field or an object; none without attribution."""
    row: Row = {}
    if (attribution := change.attribution) is not None:
        row["attribution"] = {
            "person": attribution.person,
            "at": attribution.at,
            "client": attribution.client,
            "impersonated": attribution.impersonated,
            "class": attribution.approval_class,
            "change_request": attribution.change_request,
        }
        row["evidence"] = {
            "action": attribution.action,
            "change": _encode_values(attribution.change),
            "policy": attribution.policy,
            "url": attribution.url,
            "note": attribution.note,
        }
    return row


def _encode_values(values: tuple[Any, Any] | None) -> Row | None:
    """Return before and after; a missing side is left out."""
    if values is None:
        return None
    sides = zip(("before", "after"), values, strict=True)
    return {name: value for name, value in sides if value is not ABSENT}


def encode_lists(change: Change) -> Row:
    """Return the row about items of lists, matched by content, without a missing side."""
    rows = [
        {
            "path": list_change.path,
            "fields": list_change.fields,
            "items": [
                {"path": item.path}
                | {
                    side: value
                    for side in ("live", "desired")
                    if (value := getattr(item, side)) is not ABSENT
                }
                | ({"moved_from": item.moved_from} if item.moved_from is not None else {})
                | {name: value for name in ("down", "up") if (value := getattr(item, name))}
                for item in list_change.items
            ],
        }
        for list_change in change.lists
    ]
    return {"lists": rows} if rows else {}


def read_lists(node: Node) -> tuple[ListChange, ...]:
    """Read the row about items of lists."""

    def read_item(row: Node) -> ItemChange:
        path, was = row["path"].text(), row["moved_from"].maybe(Node.count)
        live, desired = (row.value.get(side, ABSENT) for side in ("live", "desired"))
        down, up = (row[way].maybe(Node.count) or 0 for way in ("down", "up"))
        return ItemChange(path, live, desired, was, down, up)

    def read_list(row: Node) -> ListChange:
        return ListChange(row["path"].text(), row["items"].each(read_item), row["fields"].count())

    return node["lists"].maybe(lambda rows: rows.each(read_list)) or ()


def encode_hold(hold: Hold | None) -> Row:
    """Return the row about a hold, if there is one."""
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


def encode_ignored(ignored: Iterable[Ignored]) -> Row:
    """Return the rows about ignored fields, if there are any."""
    rows = [
        {
            "address": field.address,
            "path": field.path or None,
            "desired": field.desired,
            "live": field.live,
        }
        for field in ignored
    ]
    return {"ignored": rows} if rows else {}


def encode_unrelated(addresses: tuple[Address, ...]) -> Row:
    """Return the row of drift that a pull request does not concern, if there is any."""
    return {"unrelated_drift": addresses} if addresses else {}


def read_attribution(node: Node) -> Attribution | None:
    """Read who changed an object or field; None without attribution."""
    about, more = node["attribution"], node["evidence"]
    if about.value is None or more.value is None:
        return None
    return Attribution(
        person=about["person"].maybe(Node.text),
        at=about["at"].maybe(Node.text),
        client=about["client"].maybe(Node.text),
        impersonated=about["impersonated"].maybe(Node.flag),
        approval_class=about["class"].word(ApprovalClass),
        change_request=about["change_request"].maybe(Node.text),
        action=more["action"].word(LogAction),
        change=more["change"].maybe(_read_values),
        policy=more["policy"].maybe(Node.text),
        url=more["url"].maybe(Node.text),
        note=more["note"].text(),
    )


def _read_values(node: Node) -> tuple[Any, Any]:
    sides = node.values(lambda side: side.value)
    return sides.get("before", ABSENT), sides.get("after", ABSENT)


def read_hold(node: Node) -> Hold | None:
    """Read the hold of a row."""
    return node["hold"].maybe(_read_hold)


def _read_hold(node: Node) -> Hold:
    return Hold(
        address=node["address"].text(),
        until=node["ends"].moment(),
        written=node["until"].text(),
        reason=node["reason"].text(),
        source=node["source"].maybe(lambda at: Source(at["file"].text(), at["line"].count() or 1)),
    )


def read_ignored(node: Node) -> tuple[Ignored, ...]:
    """Read the ignored fields of the whole document."""
    return node["ignored"].maybe(lambda rows: rows.each(_read_ignored)) or ()


def _read_ignored(node: Node) -> Ignored:
    path = node["path"].maybe(Node.text) or ""
    sides = {"desired": node["desired"].value, "live": node["live"].value} if path else {}
    return Ignored(node["address"].address(), path, **sides)
