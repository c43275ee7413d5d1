"""Add to each flag what PostHog will change in it by itself, and warn where the file differs.

A scheduled change writes at its time whatever the files say (contract 18). Then the flag has
drifted, and the next apply reverts it.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    ADD_CONDITION,
    Action,
    Address,
    Change,
    Finding,
    Live,
    ScheduledChange,
    Severity,
    Spec,
    format_time,
)
from reconciler.plan.approvals import change_requests, request_matching
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.diff import three_way

CODE: Final = "schedule-differs"
_NAMED: Final = 3  # fields of a warning
_OPEN: Final = frozenset({"", "pending"})  # a request that may still need votes


def attach_schedules(changes: tuple[Change, ...], live: Live) -> tuple[Change, ...]:
    """Return the changes with the scheduled changes of their flags, and warnings about them."""
    if not live.schedules:
        return changes
    describer = _Describer(changes, live)
    return tuple(
        describer.attach(change, schedules)
        if (schedules := _find_schedules(change, live))
        else change
        for change in changes
    )


def list_waiting_projects(changes: Iterable[Change], live: Live) -> Collection[Address]:
    """Return the projects in which the schedule of a declared flag may wait for approval."""
    if not live.schedules:
        return set()
    return {
        Address("Project", change.address.parts[:-1])
        for change in changes
        for scheduled in _find_schedules(change, live)
        if scheduled.change_request is not None and scheduled.state in _OPEN
    }


def _find_schedules(change: Change, live: Live) -> tuple[ScheduledChange, ...]:
    if change.live_id is None or not KINDS[change.address.kind].gates:
        return ()
    schedules = live.schedules.get((change.address.parts[:-1], change.live_id), ())
    return tuple(scheduled for scheduled in schedules if not scheduled.is_over)


class _Describer:
    """What is known of schedules and their requests, indexed once per plan."""

    def __init__(self, changes: tuple[Change, ...], live: Live) -> None:
        self._changes, self._live = changes, live
        self._requests = {request.id: request for request in live.change_requests}

    @cached_property
    def _evaluator(self) -> GateEvaluator:
        return GateEvaluator(self._changes, self._live)

    def attach(self, change: Change, schedules: Iterable[ScheduledChange]) -> Change:
        """Return the change with the schedules of its flag, and warnings about them."""
        scheduled = tuple(self._add_people(change, each) for each in schedules)
        warnings = [
            _warn(change, each, paths)
            for each in scheduled
            if (paths := _list_conflicts(change, each))
        ]
        return replace(change, scheduled=scheduled, warnings=(*change.warnings, *warnings))

    def _add_people(self, change: Change, scheduled: ScheduledChange) -> ScheduledChange:
        """Return the schedule with the people whom its request waits for, if that was read."""
        request = self._requests.get(scheduled.change_request or "")
        if request is None:
            return scheduled
        state = scheduled.state or request.state
        if request.state != "pending":
            return replace(scheduled, state=state)
        awaits = change_requests.describe_awaited(
            request, change.before, self._evaluator, self._live
        )
        return replace(scheduled, state=state, awaits=awaits)


def _list_conflicts(change: Change, scheduled: ScheduledChange) -> tuple[str, ...]:
    """Return the declared fields that will not be as the files say, once both have been written."""
    resource, live = change.desired, change.before
    if resource is None or live is None or change.action is Action.DELETE:
        return ()
    if scheduled.state in request_matching.CLOSED - {"applied"} or not scheduled.writes:
        return ()
    if scheduled.awaits is not None and scheduled.awaits.unappliable is not None:
        return ()  # it will not happen
    kind = KINDS[change.address.kind]
    applied = {**live.spec, **resource.spec}
    for name in applied.keys() & scheduled.writes.keys():
        before = live.spec.get(name)
        if isinstance(before, dict) and isinstance(resource.spec.get(name), dict):
            applied[name] = {**before, **resource.spec[name]}
    future = kind.canonical(_carry_out(applied, scheduled))
    compared = three_way.compare_resource(resource, None, replace(live, spec=future))
    roots = tuple(scheduled.writes)
    return tuple(field.path for field in compared.fields if field.path.startswith(roots))


def _carry_out(spec: Spec, scheduled: ScheduledChange) -> Spec:
    """Return the flag after the scheduled change."""
    filters = scheduled.writes.get("filters")
    if filters is None:
        return {**spec, **scheduled.writes}
    before: dict[str, Any] = dict(spec.get("filters") or {})
    if scheduled.operation == ADD_CONDITION:
        groups = [*(before.get("groups") or ()), *filters["groups"]]
        return {**spec, "filters": {**before, "groups": groups}}
    return {**spec, "filters": {**before, **filters}}


def _warn(change: Change, scheduled: ScheduledChange, paths: tuple[str, ...]) -> Finding:
    at = format_time(scheduled.at)
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    fields = f"{', '.join(paths[:_NAMED])}{more}"
    return Finding(
        code=CODE,
        severity=Severity.WARNING,
        message=f"{change.address}: the change scheduled for {at} sets {fields} to another value "
        "than the file declares",
        why="from then on the file and PostHog differ: `drift` reports it, and the next `apply` "
        "writes the file's value back",
        fix="change the file when the schedule is due, or delete the schedule in PostHog",
        source=change.source,
        address=change.address,
    )


def is_warning(finding: Finding) -> bool:
    """Return whether a warning is about a schedule: it concerns `drift` as much as `plan`."""
    return finding.code == CODE
