"""Recognize objects that the first calls of a create have left behind."""

from collections.abc import Iterator
from typing import Any

from reconciler.kinds import KINDS
from reconciler.model import ABSENT, Action, Change, Kind, LiveResource, Spec
from reconciler.plan.diff import values


def is_partly_created(change: Change, live_object: LiveResource) -> bool:
    """Return whether an object is what the first calls of its create leave behind."""
    kind = KINDS[change.address.kind]
    spec = change.desired.spec if change.desired is not None else {}
    return any(
        all(
            _is_written(kind, live_object, name, value, spec.get(name, kind.defaults.get(name)))
            for name, value in state.items()
        )
        for state in _list_partial_states(kind, spec)
    )


def _is_written(kind: Kind, live_object: LiveResource, name: str, value: Any, planned: Any) -> bool:
    """Return whether a field is what a call wrote, or closer to the plan."""
    live_value = live_object.spec.get(name, ABSENT)
    managed = values.select_managed(live_value, value, whole=name in kind.atomic)
    return values.is_same(managed, value) or is_as_planned(kind, name, value, live_value, planned)


def _list_partial_states(kind: Kind, spec: Spec) -> Iterator[Spec]:
    """Yield the state after each call of a create except the last, for both ways to send it."""
    for is_split in (False, True):
        state = {name: value for name, value in kind.defaults.items() if name in spec}
        for stage in kind.stages(Action.CREATE, spec, split=is_split)[:-1]:
            state = {**state, **stage}
            yield state


def is_as_planned(kind: Kind, name: str, old_value: Any, live_value: Any, planned: Any) -> bool:
    """Return whether a field is as planned, or partly: members are added one by one."""
    if values.is_same(
        values.select_managed(live_value, planned, whole=name in kind.atomic), planned
    ):
        return True
    return name in kind.apart and _is_set_between(old_value, live_value, planned)


def _is_set_between(old_value: Any, live_value: Any, planned: Any) -> bool:
    lists = [value if isinstance(value, list) else [] for value in (old_value, live_value, planned)]
    old_items, live_items, planned_items = map(set[Any], lists)
    return old_items & planned_items <= live_items <= old_items | planned_items
