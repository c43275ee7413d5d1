"""Scheduled changes of flags (contract 18)."""

from dataclasses import replace
from functools import partial
from typing import Any

from reconciler.sandbox.protocol.errors import NotModelled, invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_object,
    make_choice_check,
    make_text_check,
    parse_id,
    read_fields,
)
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import make_newest_route
from reconciler.sandbox.rules.products import scheduled_changes
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import ChangeRequest, Flag
from reconciler.sandbox.store.products import ScheduledChange
from reconciler.sandbox.store.transaction import Clause

_MODEL = "FeatureFlag"
_LONGEST_ID = 200
_TIMING = ("scheduled_at", "recurrence_interval", "end_date", "is_recurring")
_STORED = ("payload", *_TIMING)
_LOCKED = (
    "Cannot change the timing of a scheduled change while its approval request is pending or"
    " approved. Delete this schedule and create a new one to reschedule."
)


def check_time(value: Any, name: str) -> str:
    """Return a time as it is stored."""
    try:
        return clock.format_stored(clock.parse_time(str(value)))
    except ValueError as error:
        raise invalid("Datetime has wrong format.", name) from error


WRITABLE = (
    Field("record_id", make_text_check(longest=_LONGEST_ID), required=True),
    Field("model_name", make_choice_check(_MODEL), required=True),
    Field("payload", check_object, required=True),
    Field("scheduled_at", check_time, required=True),
    Field("is_recurring", check_boolean),
    Field(
        "recurrence_interval",
        make_choice_check("daily", "weekly", "monthly", "yearly"),
        nullable=True,
    ),
    Field("end_date", check_time, nullable=True),
    Field("cron_expression", make_text_check(blank=True), nullable=True),
)


def list_scheduled_changes(call: Call) -> Response:
    """List a project's scheduled changes, newest first."""
    clauses: list[Clause] = [("project = ?", (call.project.id,))]
    if (record := call.get_query("record_id")) is not None:
        clauses.append(("flag = ?", (parse_id(record) or 0,)))
    if call.get_query("model_name") not in (None, _MODEL):
        clauses.append(("0", ()))
    envelope, page = read_page(call, ScheduledChange, clauses)
    return make_page(envelope, [_render_change(call, change) for change in page])


def create_scheduled_change(call: Call) -> Response:
    """Schedule a change; what needs approval gets its request now (contract 18)."""
    values = _read_values(call, partial=False)
    flag = _find_flag(call, values["record_id"])
    stored = {name: values[name] for name in _STORED if name in values}
    _check_recurrence(stored, creating=True)
    gated = scheduled_changes.check_schedule(call, flag, stored["payload"])
    if gated.refusal is not None:
        return gated.refusal
    change = call.tx.insert(
        ScheduledChange(
            id=call.tx.make_id(ScheduledChange),
            project=call.project.id,
            flag=flag.id,
            created_at=call.tx.at,
            updated_at=call.tx.at,
            created_by=call.user.id,
            change_request=gated.change_request,
            **stored,
        )
    )
    return Response(201, _render_change(call, change))


def retrieve_scheduled_change(call: Call) -> Response:
    """Return one scheduled change."""
    return Response(200, _render_change(call, _find_change(call)))


def update_scheduled_change(call: Call) -> Response:
    """Change a schedule; another payload is gated again, as the caller."""
    change = _find_change(call)
    values = _read_values(call, partial=call.incoming.method == "PATCH")
    own = call.tx.get(ChangeRequest, change.change_request) if change.change_request else None
    _check_target(change, values)
    stored = {name: values[name] for name in _STORED if name in values}
    if own is not None and own.state in scheduled_changes.OPEN:
        _require_same_time(change, stored)
    after = replace(change, **stored, updated_at=call.tx.at)
    _check_recurrence({name: getattr(after, name) for name in _STORED}, creating=False)
    if after.payload != change.payload:
        flag = _find_flag(call, str(change.flag))
        gated = scheduled_changes.check_schedule(call, flag, after.payload, own=own)
        if gated.refusal is not None:
            return gated.refusal
        scheduled_changes.expire_request(call.tx, change.change_request, "pending")
        after = replace(after, change_request=gated.change_request)
    return Response(200, _render_change(call, call.tx.update(after)))


def delete_scheduled_change(call: Call) -> Response:
    """Delete a schedule; its open request expires."""
    change = _find_change(call)
    call.tx.delete(change)
    scheduled_changes.expire_request(call.tx, change.change_request, *scheduled_changes.OPEN)
    return Response(204)


def _read_values(call: Call, *, partial: bool) -> dict[str, Any]:
    values = read_fields(call.data, WRITABLE, partial=partial)
    if values.pop("cron_expression", None):
        raise NotModelled
    return values


def _check_target(change: ScheduledChange, values: dict[str, Any]) -> None:
    if "record_id" in values and values["record_id"] != str(change.flag):
        detail = "Cannot change the target record of an existing scheduled change."
        raise invalid(detail, "record_id")
    if change.executed_at is not None and not change.is_recurring:
        raise invalid("Cannot modify a scheduled change that has already executed.")


def _require_same_time(change: ScheduledChange, stored: dict[str, Any]) -> None:
    for name in _TIMING:
        if name in stored and stored[name] != getattr(change, name):
            raise invalid(_LOCKED, name)


def _check_recurrence(stored: dict[str, Any], *, creating: bool) -> None:
    interval, end = stored.get("recurrence_interval"), stored.get("end_date")
    if stored.get("is_recurring"):
        if interval is None:
            detail = "Either recurrence_interval or cron_expression is required."
            raise invalid(detail, "recurrence_interval")
        if stored["payload"].get("operation") == "add_release_condition":
            detail = "Recurring schedules are not supported for add_release_condition."
            raise invalid(detail, "payload")
    elif creating and interval is not None:
        detail = "Cannot set recurrence_interval when is_recurring is false."
        raise invalid(detail, "recurrence_interval")
    if end is not None and end <= stored["scheduled_at"]:
        raise invalid("End date must be after the scheduled start date.", "end_date")


def _find_flag(call: Call, record: str) -> Flag:
    number = parse_id(record)
    flag = call.tx.get(Flag, number) if number is not None else None
    if flag is None or flag.deleted or flag.project != call.project.id:
        raise invalid("Feature flag not found")
    return flag


def _find_change(call: Call) -> ScheduledChange:
    number = parse_id(call.params["id"])
    change = call.tx.get(ScheduledChange, number) if number is not None else None
    if change is None or change.project != call.project.id:
        raise not_found()
    return change


def _render_change(call: Call, change: ScheduledChange) -> dict[str, Any]:
    request = call.tx.get(ChangeRequest, change.change_request) if change.change_request else None
    return {
        "id": change.id,
        "team_id": change.project,
        "record_id": str(change.flag),
        "model_name": _MODEL,
        "payload": change.payload,
        "scheduled_at": format_time(change.scheduled_at),
        "executed_at": format_time(change.executed_at),
        "failure_reason": change.failure_reason,
        "created_at": format_time(change.created_at),
        "created_by": people.render_user(call.tx, change.created_by),
        "updated_at": format_time(change.updated_at),
        "is_recurring": change.is_recurring,
        "recurrence_interval": change.recurrence_interval,
        "cron_expression": None,
        "last_executed_at": format_time(change.last_executed_at),
        "end_date": format_time(change.end_date),
        "timezone": call.project.timezone,
        "change_request": {"id": request.id, "state": request.state} if request else None,
    }


_make_route = partial(make_newest_route, resource="scheduled_changes", scope="feature_flag")
_COLLECTION = "/api/projects/:project/scheduled_changes"
_ITEM = f"{_COLLECTION}/:id"
ROUTES = (
    _make_route("GET", _COLLECTION, "list", list_scheduled_changes),
    _make_route("POST", _COLLECTION, "create", create_scheduled_change),
    _make_route("GET", _ITEM, "retrieve", retrieve_scheduled_change),
    _make_route("PATCH", _ITEM, "update", update_scheduled_change),
    _make_route("PUT", _ITEM, "update", update_scheduled_change),
    _make_route("DELETE", _ITEM, "delete", delete_scheduled_change),
)
