"""Check that the previous values of a run were live: the files may never have been applied.

The activity log has the value of a field before its last change. Where it does not, the applied ref
must show that the commit before the run was applied.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.drift.activity_replay import WHOLE, LogEvent, ObjectHistory
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Cause,
    Change,
    FieldChange,
    Kind,
    Plan,
    get_value,
    parse_path,
)
from reconciler.operations.history.undone import UndoInputs
from reconciler.operations.plan import World
from reconciler.plan.diff import matching, values


@dataclass(frozen=True, slots=True)
class PreviousValues:
    """What the log says about the previous values of a plan.

    Attributes:
        contradicted: fields that had another value before; ABSENT: they were created as they are.
        unconfirmed: fields of which neither the log nor the applied ref says what they were.

    """

    contradicted: Mapping[Address, Mapping[str, Any]]
    unconfirmed: Mapping[Address, tuple[str, ...]]


def list_updates(planned: Plan) -> list[Change]:
    """List the changes of a plan that put previous values back, with these fields only."""
    changes = [_select_fields(change) for change in planned.changes]
    return [change for change in changes if change.fields]


def check_values(
    given: UndoInputs,
    world: World,
    changes: Iterable[Change],
    histories: Mapping[Address, ObjectHistory],
) -> PreviousValues:
    """Compare the previous values of changes with the activity log."""
    contradicted, unconfirmed = dict[Address, dict[str, Any]](), dict[Address, tuple[str, ...]]()
    is_recorded = all(undone.run.is_recorded for undone in given.runs)
    for change in changes:
        between = tuple(_list_declared_values(given, world, change.address))
        unclear = []
        for edit in change.fields:
            event = histories[change.address].events.get(edit.path)
            if event is not None and confirms(change, edit.path, event):
                continue
            if event is None or _is_unclear(KINDS[change.address.kind], edit, event, between):
                unclear.append(edit.path)
            else:
                was = ABSENT if event.values is None else event.values[0]
                contradicted.setdefault(change.address, {})[edit.path] = was
        if unclear and not is_recorded:
            unconfirmed[change.address] = tuple(unclear)
    return PreviousValues(contradicted, unconfirmed)


def _select_fields(change: Change) -> Change:
    """Return a change with the fields that are reverted, without those that name the object."""
    edits = (
        edit
        for edit in change.fields
        if edit.cause is not Cause.CONFLICT and not edit.path.startswith("metadata")
    )
    return replace(change, fields=tuple(edits) if change.action is Action.UPDATE else ())


def _list_declared_values(
    given: UndoInputs, world: World, address: Address
) -> Iterator[Mapping[str, Any]]:
    """Yield what was declared between the runs: a later run changed these values."""
    for declared in given.list_middle(matching.list_project_names(world.live)):
        resource = declared.resources.get(address)
        if resource is not None:
            yield resource.spec


def confirms(change: Change, path: str, event: LogEvent) -> bool:
    """Return whether an entry changed a field from the planned value to the one that is live.

    For an object as a whole its newest entry counts.
    """
    if path == WHOLE:
        return True
    edit = next(edit for edit in change.fields if edit.path == path)
    if event.values is None:
        return False
    was, now = event.values
    if path not in KINDS[change.address.kind].sets:
        return _is_equal(was, edit.desired) and _is_equal(now, edit.live)
    before, after = _make_set(was), _make_set(now)
    added, removed = _make_set(edit.live), _make_set(edit.desired)
    added, removed = added - removed, removed - added
    return added <= after - before and removed <= before - after


def _is_unclear(
    kind: Kind, edit: FieldChange, event: LogEvent, between: tuple[Mapping[str, Any], ...]
) -> bool:
    """Return whether the last change of a field does not show its value before the runs."""
    if event.values is None:  # the object was created with the value that it has
        return False
    was, now = event.values
    if edit.path in kind.sets:
        added = _make_set(edit.live) - _make_set(edit.desired)
        return not added or not added <= _make_set(now) - _make_set(was)
    path = parse_path(edit.path)
    return not event.fits or any(_is_equal(was, get_value(spec, path, ABSENT)) for spec in between)


def _make_set(value: Any) -> frozenset[Any]:
    return frozenset(value) if isinstance(value, list | tuple) else frozenset()


def _is_equal(value: Any, planned: Any) -> bool:
    managed = values.select_managed(value, planned)
    return values.are_same(managed, planned)
