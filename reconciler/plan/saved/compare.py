"""Compare a saved plan with the live side: what is to do, what is done, what has changed.

Changes are never taken from the plan: they are computed again from the files, the base and the live
side, and have to equal the plan. An object that has changed is refused, unless it has changed to
what the plan wants: then an earlier apply of this plan wrote it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from reconciler.errors import GuardrailError
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Change,
    FieldChange,
    Finding,
    Live,
    LiveResource,
    ObservedObject,
    Severity,
    Spec,
    format_path,
)
from reconciler.plan.diff import partial_creates, secrets, three_way, values
from reconciler.planfile.codec import Saved, make_plain

_WHOLE: Final = "this plan does not follow from the files that are checked out"
_AGAIN: Final = "make the plan again and review it"


@dataclass(frozen=True, slots=True)
class ChangedObject:
    """A change of the plan that is not applied, and how its object has changed.

    Attributes:
        change: the change as in the plan.
        fields: the changed fields: `desired` is the old value, `live` the present one.
        there: the present object; None if it was deleted.
        why: the reason instead of fields, if the whole object is another one.

    """

    change: Change
    fields: tuple[FieldChange, ...] = ()
    there: LiveResource | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """The changes of a plan, compared with the live side."""

    todo: tuple[Change, ...] = ()  # computed again, and equal to the plan
    done: tuple[Address, ...] = ()  # already as the plan wants it
    changed: tuple[ChangedObject, ...] = ()


class PresentState:
    """The present state: the changes computed again, the live objects, and obstacles."""

    def __init__(
        self, changes: Iterable[Change], live: Live, problems: Iterable[Finding] = ()
    ) -> None:
        self.changes = {change.address: change for change in changes}
        self.problems = {
            item.address: item
            for item in problems
            if item.address is not None and item.severity is Severity.ERROR
        }
        self._closed = {(gap.kind, gap.scope): gap.reason for gap in live.unreadable}
        self._objects = {
            (item.address.kind, item.id): item
            for group in (*((item,) for item in live.resources.values()), *live.duplicates.values())
            for item in group
        }

    def object(self, kind: str, id_: str | None) -> LiveResource | None:
        """Return a live object by its id, under any name."""
        return self._objects.get((kind, id_ or ""))

    def obstacle(self, address: Address) -> str:
        """Return why an address cannot be compared; empty if it can."""
        if (problem := self.problems.get(address)) is not None:
            return problem.message
        reason = self._closed.get((address.kind, address.parts[:-1]))
        return f"it cannot be read: {reason}" if reason is not None else ""


def compare_plan(saved: Saved, present: PresentState) -> PlanComparison:
    """Sort the changes of the plan: still to do, done, or on an object that has changed.

    Raises GuardrailError if the plan differs from the files: then it was not made from them.
    """
    observed_before = (
        {}
        if saved.basis is None
        else {_build_key(observed): observed for observed in saved.basis.before}
    )
    todo, done, changed = list[Change](), list[Address](), list[ChangedObject]()
    for change in saved.writes:
        observed = observed_before.get((change.address.kind, change.live_id or ""))
        result = _compare_change(change, observed, present)
        match result:
            case ChangedObject():
                changed.append(result)
            case Change():
                todo.append(result)
            case None:
                done.append(change.address)
    return PlanComparison(tuple(todo), tuple(done), tuple(changed))


def _build_key(observed: ObservedObject) -> tuple[str, str]:
    return Address.parse(observed.address).kind, observed.id


def _compare_change(
    change: Change, observed: ObservedObject | None, present: PresentState
) -> Change | ChangedObject | None:
    fresh = present.changes.get(change.address)
    if obstacle := present.obstacle(change.address):
        return ChangedObject(change, why=obstacle)
    match change.action:
        case Action.CREATE:
            return _compare_create(change, fresh)
        case Action.UPDATE:
            return _compare_update(change, observed, fresh, present)
        case _:
            return _compare_delete(change, observed, fresh, present)


def _compare_create(change: Change, fresh: Change | None) -> Change | ChangedObject | None:
    if fresh is None:
        raise _build_error(change)
    if fresh.action is Action.NONE:
        return None
    if fresh.action is Action.CREATE:
        return _check_equal(change, fresh)
    if fresh.before is not None and partial_creates.is_partly_created(fresh, fresh.before):
        return fresh
    return ChangedObject(
        change, _list_differences(fresh), fresh.before, "it exists already and is different"
    )


def _compare_update(
    change: Change, observed: ObservedObject | None, fresh: Change | None, present: PresentState
) -> Change | ChangedObject | None:
    live_object = present.object(change.address.kind, change.live_id)
    if observed is None or fresh is None:
        raise _build_error(change)
    if live_object is None:
        return ChangedObject(change, why="it was deleted")
    if fresh.before is not None and fresh.before.id != change.live_id:
        return ChangedObject(change, why=f"{fresh.before.id} has its name now")
    if fresh.action is Action.NONE:
        return None
    if not _has_changed(observed, live_object):
        return _check_equal(change, fresh)
    fields = tuple(_list_changed_fields(observed, live_object, fresh))
    return ChangedObject(change, fields, live_object) if fields or fresh.before is None else fresh


def _compare_delete(
    change: Change, observed: ObservedObject | None, fresh: Change | None, present: PresentState
) -> Change | ChangedObject | None:
    live_object = present.object(change.address.kind, change.live_id)
    if live_object is None:
        return None
    if observed is None:
        raise _build_error(change)
    if _has_changed(observed, live_object):
        return ChangedObject(
            change, tuple(_list_changed_fields(observed, live_object, None)), live_object
        )
    if fresh is None:
        raise _build_error(change)
    return _check_equal(change, fresh)


def _has_changed(observed: ObservedObject, live_object: LiveResource) -> bool:
    name = Address.parse(observed.address).name
    return (
        live_object.address.name != name
        or three_way.compute_fingerprint(live_object) != observed.fingerprint
    )


def _check_equal(change: Change, fresh: Change) -> Change:
    """Return the change computed again; GuardrailError if it differs from the plan."""
    if fresh.action is not change.action or _list_fields(
        secrets.mask_hidden(fresh)
    ) != _list_fields(change):
        raise _build_error(change)
    return fresh


def _list_fields(change: Change) -> list[Any]:
    return [
        [
            field.path,
            make_plain(field.base),
            make_plain(field.live),
            make_plain(field.desired),
            field.cause,
        ]
        for field in change.fields
    ]


def _build_error(change: Change) -> GuardrailError:
    return GuardrailError(_WHOLE, why=f"{change.address} is planned otherwise", fix=_AGAIN)


# --- how an object moved ---


def _list_changed_fields(
    observed: ObservedObject, live_object: LiveResource, fresh: Change | None
) -> Iterator[FieldChange]:
    """Yield fields that are neither as before nor as planned: `desired` was, `live` is."""
    kind = KINDS[live_object.address.kind]
    was_called, is_called = Address.parse(observed.address).name, live_object.address.name
    planned_name = fresh.address.name if fresh is not None else was_called
    if is_called not in {was_called, planned_name}:
        yield FieldChange(f"metadata.{kind.key}", is_called, was_called)
    live_spec: Spec = make_plain(secrets.remove_hidden(live_object))
    target = fresh.desired.spec if fresh is not None and fresh.desired is not None else {}
    for name in sorted({*observed.spec, *live_spec}):
        old_value, live_value = observed.spec.get(name, ABSENT), live_spec.get(name, ABSENT)
        if old_value == live_value or (
            name in target
            and partial_creates.is_as_planned(kind, name, old_value, live_value, target[name])
        ):
            continue
        for path, live, before in values.find_differences(live_value, old_value, (name,)):
            yield FieldChange(format_path(path), live, before)


def _list_differences(fresh: Change) -> tuple[FieldChange, ...]:
    """Return how the existing object differs from the one to create."""
    return tuple(
        FieldChange(field.path, field.live, field.desired)
        for field in secrets.mask_hidden(fresh).fields
    )
