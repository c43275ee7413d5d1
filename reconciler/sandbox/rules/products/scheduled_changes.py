"""Scheduled changes: gated when they are made, carried out at their time (contract 18)."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.sandbox.protocol.errors import ApiError
from reconciler.sandbox.protocol.messages import IncomingRequest, Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import apply_request, flags, gate
from reconciler.sandbox.rules.gated_changes import FlagWrite
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import (
    ChangeRequest,
    Flag,
    Organization,
    Project,
    Token,
    User,
)
from reconciler.sandbox.store.products import ScheduledChange
from reconciler.sandbox.store.transaction import Transaction

OPEN = ("pending", "approved")
_GUIDANCE = (
    "Split your changes into separate scheduled changes to address each policy independently"
)
_DECEMBER = 12


@dataclass(frozen=True, slots=True)
class GateResult:
    """The request that a scheduled change waits for, or the answer that refuses it."""

    change_request: str | None = None
    refusal: Response | None = None


def make_flag_change(flag: Flag, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the body that a payload stands for; None if it is malformed."""
    operation, value = payload.get("operation"), payload.get("value")
    if operation == "update_status" and "value" in payload:
        return {"active": value}
    if not isinstance(value, dict):
        return None
    if operation == "add_release_condition":
        added = value.get("groups")
        groups = [*(flag.filters.get("groups") or ()), *(added if isinstance(added, list) else ())]
        return {"filters": {**flag.filters, "groups": groups}}
    if operation == "update_variants":
        split = {**(flag.filters.get("multivariate") or {}), "variants": value.get("variants", [])}
        payloads = value.get("payloads", {})
        return {"filters": {**flag.filters, "multivariate": split, "payloads": payloads}}
    return None


def check_schedule(
    call: Call, flag: Flag, payload: Mapping[str, Any], *, own: ChangeRequest | None = None
) -> GateResult:
    """Gate what a schedule would write, as the caller; of several actions the first counts.

    `own` is the pending request of the schedule itself, which a new one would replace.
    """
    data = make_flag_change(flag, payload)
    if data is None:
        return GateResult()
    try:
        values = flags.validate_write(
            call.tx, call.profile, call.project, data, flag=flag, partial=True
        )
    except ApiError:
        return GateResult()  # it fails at its time
    replaced = own.id if own is not None and own.state == "pending" else None
    attempt = FlagWrite(flag, flag.key, values, data, replaces=replaced)
    held = gate.check_write(call, attempt, first_only=True)
    if held is None:
        return GateResult()
    if held.body["code"] == "approval_required":
        return GateResult(held.body["change_request_id"])
    if held.body["code"] == "policy_conflict":
        held = replace(held, body={**held.body, "guidance": _GUIDANCE})
    return GateResult(refusal=held)


def expire_request(tx: Transaction, identity: str | None, *states: str) -> None:
    """Expire the request of a schedule, if it is in one of these states."""
    request = tx.get(ChangeRequest, identity) if identity is not None else None
    if request is not None and request.state in states:
        tx.update(replace(request, state="expired", updated_at=tx.at))


def is_scheduled(tx: Transaction, request: ChangeRequest) -> bool:
    """Return whether a request waits for the time of a scheduled change."""
    return tx.find_first(ScheduledChange, change_request=request.id) is not None


# -- at the time


def process_scheduled_changes(tx: Transaction, profile: Profile) -> int:
    """Carry out every scheduled change whose time has come."""
    if not profile.schedules_changes:
        return 0
    waiting = tx.find_all(ScheduledChange, executed_at=None)
    due = [change for change in waiting if change.scheduled_at <= tx.at]
    for change in sorted(due, key=lambda change: change.scheduled_at):
        _fire(tx, profile, change)
    return len(due)


def _fire(tx: Transaction, profile: Profile, change: ScheduledChange) -> None:
    call = _make_call(tx, profile, change)
    flag = tx.get(Flag, change.flag)
    if call is None or flag is None or flag.deleted:
        reason = "The feature flag or the person who scheduled the change no longer exists"
        tx.update(_finish(tx, change, reason))
        return
    if change.change_request is None:
        failure = _write_flag(call, flag, change)
    else:
        failure = _settle_request(call, change.change_request)
    if not change.is_recurring:
        tx.update(_finish(tx, change, failure))
        return
    _schedule_next(call, change, failure)


def _finish(tx: Transaction, change: ScheduledChange, failure: str | None) -> ScheduledChange:
    count = change.failure_count + (failure is not None)
    return replace(
        change, executed_at=tx.at, failure_reason=failure, failure_count=count, updated_at=tx.at
    )


def _make_call(tx: Transaction, profile: Profile, change: ScheduledChange) -> Call | None:
    """Return a call by the person who made the schedule, or None if they are gone."""
    user = tx.get(User, change.created_by) if change.created_by is not None else None
    if user is None:
        return None
    project = tx.require(Project, change.project)
    organization = tx.require(Organization, project.organization)
    return Call(
        tx=tx,
        incoming=IncomingRequest("PATCH", "/", {}, {}, b"", ""),
        profile=profile,
        user=user,
        token=Token("scheduler", user.id, ["*"]),
        params={},
        membership=people.find_membership(tx, organization.id, user.id),
        in_organization=organization,
        in_project=project,
    )


def _write_flag(call: Call, flag: Flag, change: ScheduledChange) -> str | None:
    """Write an ungated change; return the reason of a failure."""
    data = make_flag_change(flag, change.payload)
    if data is None:
        return "Invalid payload"
    try:
        values = flags.validate_write(
            call.tx, call.profile, call.project, data, flag=flag, partial=True
        )
    except ApiError as error:
        return error.detail
    flags.update_flag(call.tx, call.actor, call.project, flag=flag, values=values)
    return None


def _settle_request(call: Call, identity: str) -> str | None:
    """Apply an approved request, expire a pending one; return the reason of a failure."""
    request = call.tx.get(ChangeRequest, identity)
    if request is not None and request.state == "approved" and request.validation_status != "stale":
        return apply_request.apply_request(call, request).failure
    expire_request(call.tx, identity, "pending")
    return None


def _schedule_next(call: Call, change: ScheduledChange, failure: str | None) -> None:
    """Move a recurring change to its next time, with a request of its own (contract 18)."""
    tx = call.tx
    following = _find_next_time(change, tx.at)
    if change.end_date is not None and following > change.end_date:
        tx.update(replace(_finish(tx, change, failure), last_executed_at=tx.at))
        return
    gated = check_schedule(call, tx.require(Flag, change.flag), change.payload)
    if gated.refusal is not None:
        reason = str(gated.refusal.body.get("error") or gated.refusal.body.get("detail"))
        count = change.failure_count + 1
        tx.update(replace(change, failure_reason=reason, failure_count=count, updated_at=tx.at))
        return
    tx.update(
        replace(
            change,
            scheduled_at=following,
            last_executed_at=tx.at,
            failure_reason=failure,
            change_request=gated.change_request,
            updated_at=tx.at,
        )
    )


def _find_next_time(change: ScheduledChange, now: str) -> str:
    moment = clock.parse_stored(change.scheduled_at)
    while (text := clock.format_stored(moment)) <= now:
        moment = _step(moment, change.recurrence_interval)
    return text


def _step(moment: datetime, interval: str | None) -> datetime:
    if interval in ("monthly", "yearly"):
        months = 1 if interval == "monthly" else _DECEMBER
        year, month = divmod(moment.month - 1 + months, _DECEMBER)
        year, month = moment.year + year, month + 1
        day = min(moment.day, calendar.monthrange(year, month)[1])
        return moment.replace(year=year, month=month, day=day)
    return moment + timedelta(days=7 if interval == "weekly" else 1)
