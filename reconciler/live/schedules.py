"""Turn scheduled changes of flags into values (contract 18). Pure: it gets what was read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.live.names import Names, name_references
from reconciler.model import (
    ADD_CONDITION,
    SET_STATUS,
    SET_VARIANTS,
    Address,
    Live,
    Payload,
    ScheduledChange,
    Schedules,
    Spec,
)
from reconciler.normal_form.encrypted_payloads import reveal
from reconciler.posthog.response_shapes import MALFORMED

KIND: Final = "ScheduledChange"
_FLAG: Final = KINDS["FeatureFlag"]


def take_schedules(
    listings: dict[tuple[str, tuple[str, ...]], tuple[Payload, ...]], names: Names
) -> Schedules:
    """Remove the scheduled changes from what was listed, and return them, past ones included.

    They are not separate objects: each belongs to the flag with its id in its project.
    """
    schedules: dict[tuple[tuple[str, ...], str], list[ScheduledChange]] = defaultdict(list)
    for place in [place for place in listings if place[0] == KIND]:
        scope = place[1]
        for payload in listings.pop(place):
            flag = str(payload.get("record_id"))
            schedules[scope, flag].append(_build_schedule(payload, scope, names))
    return {
        key: tuple(sorted(flag_schedules, key=lambda change: (change.at, change.id)))
        for key, flag_schedules in schedules.items()
    }


def add_schedules(live: Live, more: Schedules) -> Live:
    """Return the live state with more schedules, and their times in the requests that they have."""
    schedules = {**live.schedules, **more}
    times = {
        scheduled.change_request: scheduled.at
        for flag_schedules in schedules.values()
        for scheduled in flag_schedules
        if not scheduled.is_over
    }
    requests = tuple(
        replace(request, scheduled_at=times[request.id]) if request.id in times else request
        for request in live.change_requests
    )
    return replace(live, schedules=schedules, change_requests=requests)


def _build_schedule(payload: Payload, scope: tuple[str, ...], names: Names) -> ScheduledChange:
    what = payload.get("payload")
    what = what if isinstance(what, Mapping) else {}
    operation, value = str(what.get("operation", "")), what.get("value")
    request, state = _read_request(payload.get("change_request"))
    return ScheduledChange(
        at=str(payload.get("scheduled_at") or ""),
        operation=operation,
        value=value,
        change_request=request,
        id=str(payload["id"]),
        repeats=_describe_recurrence(payload),
        state=state,
        is_over=payload.get("executed_at") is not None,
        executed_at=_read_execution(payload),
        made_by=_read_user(payload.get("created_by")),
        writes=_build_spec(operation, reveal(value), Address(_FLAG.name, (*scope, "")), names),
    )


def _read_request(shown: Any) -> tuple[str | None, str]:
    """Return the id and the state of the bound request; not every server shows them [U]."""
    if isinstance(shown, Mapping):
        id_ = shown.get("id")
        return (None if id_ is None else str(id_)), str(shown.get("state") or "")
    return (shown if isinstance(shown, str) and shown else None), ""


def _read_execution(payload: Payload) -> str:
    """Return when it was made last; an execution that failed has changed nothing."""
    if payload.get("failure_reason"):
        return ""
    return str(payload.get("last_executed_at") or payload.get("executed_at") or "")


def _read_user(shown: Any) -> int | None:
    id_ = shown.get("id") if isinstance(shown, Mapping) else None
    return id_ if isinstance(id_, int) else None


def _describe_recurrence(payload: Payload) -> str:
    if not payload.get("is_recurring"):
        return ""
    return str(payload.get("recurrence_interval") or payload.get("cron_expression") or "recurring")


def _build_spec(operation: str, value: Any, address: Address, names: Names) -> Spec:
    """Return what the change writes as a file would say it; nothing if PostHog cannot apply it."""
    try:
        body = dict(_build_body(operation, value))
        return _FLAG.canonical(name_references(_FLAG, address, _FLAG.to_spec(body), names))
    except MALFORMED:
        return {}


def _build_body(operation: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of the flag that a payload stands for."""
    if operation == SET_STATUS:
        yield "active", bool(value)
    elif operation == ADD_CONDITION:
        yield "filters", {"groups": list(value["groups"])}
    elif operation == SET_VARIANTS:
        split = {"variants": list(value.get("variants", ()))}
        yield "filters", {"multivariate": split, "payloads": dict(value.get("payloads", {}))}
