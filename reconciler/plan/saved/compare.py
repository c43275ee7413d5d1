"""A saved plan against the live side: what still holds, what is done already, what has moved.

What is carried out is never taken from the plan: it is compared anew from the files, the base and
the live side, and has to be what the plan says. An object that moved is refused, not repaired;
unless it moved to where the plan wants it, for then an apply of this plan was there before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import GuardrailError
from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Change,
    FieldChange,
    Finding,
    Kind,
    Live,
    LiveResource,
    ObservedObject,
    Severity,
    Spec,
    print_path,
)
from reconciler.plan.diff import secrets, three_way, values
from reconciler.planfile.codec import Saved, plain

_WHOLE: Final = "this plan does not follow from the files that are checked out"
_AGAIN: Final = "make the plan again and look at it"


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of the plan that is not carried out, and how its object moved.

    Attributes:
        change: as the plan has it.
        fields: what moved: `desired` is what it was, `live` what it is.
        there: the object as it is; None if it is gone.
        why: instead of fields, where the object as a whole is another.

    """

    change: Change
    fields: tuple[FieldChange, ...] = ()
    there: LiveResource | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """A plan, held against the live side."""

    todo: tuple[Change, ...] = ()  # compared anew, and as the plan says
    done: tuple[Address, ...] = ()  # as the plan wants it already
    moved: tuple[Moved, ...] = ()


class Present:
    """What there is now: the changes compared anew, the live side, and what stands in the way."""

    def __init__(
        self, changes: Iterable[Change], live: Live, problems: Iterable[Finding] = ()
    ) -> None:
        self.changes = {change.address: change for change in changes}
        self.problems = {
            one.address: one
            for one in problems
            if one.address is not None and one.severity is Severity.ERROR
        }
        self._closed = {(gap.kind, gap.scope): gap.reason for gap in live.unreadable}
        self._objects = {
            (one.address.kind, one.id): one
            for group in (*((one,) for one in live.resources.values()), *live.duplicates.values())
            for one in group
        }

    def object(self, kind: str, id_: str | None) -> LiveResource | None:
        """A live object by its id, whatever it is called now."""
        return self._objects.get((kind, id_ or ""))

    def obstacle(self, address: Address) -> str:
        """Why nothing can be said of an address, if so."""
        if (problem := self.problems.get(address)) is not None:
            return problem.message
        reason = self._closed.get((address.kind, address.parts[:-1]))
        return f"it cannot be read: {reason}" if reason is not None else ""


def split(saved: Saved, now: Present) -> Split:
    """Each change of the plan: still to be done, done, or moved.

    Raises GuardrailError if the plan says something else than the files: then it is no plan of
    theirs, whatever its digest says.
    """
    before = {} if saved.basis is None else {_key(seen): seen for seen in saved.basis.before}
    todo, done, moved = list[Change](), list[Address](), list[Moved]()
    for change in saved.writes:
        seen = before.get((change.address.kind, change.live_id or ""))
        found = _judged(change, seen, now)
        match found:
            case Moved():
                moved.append(found)
            case Change():
                todo.append(found)
            case None:
                done.append(change.address)
    return Split(tuple(todo), tuple(done), tuple(moved))


def _key(seen: ObservedObject) -> tuple[str, str]:
    return Address.parse(seen.address).kind, seen.id


def _judged(change: Change, seen: ObservedObject | None, now: Present) -> Change | Moved | None:
    fresh = now.changes.get(change.address)
    if obstacle := now.obstacle(change.address):
        return Moved(change, why=obstacle)
    match change.action:
        case Action.CREATE:
            return _created(change, fresh)
        case Action.UPDATE:
            return _updated(change, seen, fresh, now)
        case _:
            return _deleted(change, seen, fresh, now)


def _created(change: Change, fresh: Change | None) -> Change | Moved | None:
    if fresh is None:
        raise _foreign(change)
    if fresh.action is Action.NONE:
        return None
    if fresh.action is Action.CREATE:
        return _as_planned(change, fresh)
    if fresh.before is not None and is_begun(fresh, fresh.before):
        return fresh
    return Moved(change, _sides(fresh), fresh.before, "it is there already, and is another")


def _updated(
    change: Change, seen: ObservedObject | None, fresh: Change | None, now: Present
) -> Change | Moved | None:
    there = now.object(change.address.kind, change.live_id)
    if seen is None or fresh is None:
        raise _foreign(change)
    if there is None:
        return Moved(change, why="it is gone")
    if fresh.before is not None and fresh.before.id != change.live_id:
        return Moved(change, why=f"{fresh.before.id} has its name now")
    if fresh.action is Action.NONE:
        return None
    if not _has_moved(seen, there):
        return _as_planned(change, fresh)
    fields = tuple(_moved(seen, there, fresh))
    return Moved(change, fields, there) if fields or fresh.before is None else fresh


def _deleted(
    change: Change, seen: ObservedObject | None, fresh: Change | None, now: Present
) -> Change | Moved | None:
    there = now.object(change.address.kind, change.live_id)
    if there is None:
        return None
    if seen is None:
        raise _foreign(change)
    if _has_moved(seen, there):
        return Moved(change, tuple(_moved(seen, there, None)), there)
    if fresh is None:
        raise _foreign(change)
    return _as_planned(change, fresh)


def _has_moved(seen: ObservedObject, there: LiveResource) -> bool:
    name = Address.parse(seen.address).name
    return there.address.name != name or three_way.compute_fingerprint(there) != seen.fingerprint


def _as_planned(change: Change, fresh: Change) -> Change:
    """The change compared anew, if that is what the plan says to the letter."""
    if fresh.action is not change.action or _told(secrets.mask_hidden(fresh)) != _told(change):
        raise _foreign(change)
    return fresh


def _told(change: Change) -> list[Any]:
    return [
        [one.path, plain(one.base), plain(one.live), plain(one.desired), one.cause]
        for one in change.fields
    ]


def _foreign(change: Change) -> GuardrailError:
    return GuardrailError(_WHOLE, why=f"{change.address} is planned otherwise", fix=_AGAIN)


# --- how an object moved ---


def _moved(
    seen: ObservedObject, there: LiveResource, fresh: Change | None
) -> Iterator[FieldChange]:
    """What is neither as it was nor as the plan wants it: `desired` was, `live` is."""
    kind = KINDS[there.address.kind]
    was_called, is_called = Address.parse(seen.address).name, there.address.name
    wanted = fresh.address.name if fresh is not None else was_called
    if is_called not in {was_called, wanted}:
        yield FieldChange(f"metadata.{kind.key}", is_called, was_called)
    now: Spec = plain(secrets.remove_hidden(there))
    target = fresh.desired.spec if fresh is not None and fresh.desired is not None else {}
    for name in sorted({*seen.spec, *now}):
        was, is_ = seen.spec.get(name, ABSENT), now.get(name, ABSENT)
        if was == is_ or (name in target and _arrived(kind, name, was, is_, target[name])):
            continue
        for path, live, before in values.find_differences(is_, was, (name,)):
            yield FieldChange(print_path(path), live, before)


def _arrived(kind: Kind, name: str, was: Any, is_: Any, wanted: Any) -> bool:
    """Whether a field is where the plan wants it, or on the way: members come one by one."""
    if values.is_same(values.select_managed(is_, wanted, whole=name in kind.atomic), wanted):
        return True
    return name in kind.apart and _between(was, is_, wanted)


def _between(was: Any, is_: Any, wanted: Any) -> bool:
    lists = [value if isinstance(value, list) else [] for value in (was, is_, wanted)]
    old, now, new = map(set[Any], lists)
    return old & new <= now <= old | new


def is_begun(fresh: Change, there: LiveResource) -> bool:
    """Return whether an object is what the first calls of its create leave behind."""
    kind = KINDS[fresh.address.kind]
    spec = fresh.desired.spec if fresh.desired is not None else {}
    return any(
        all(_is(kind, there, name, value, spec[name]) for name, value in state.items())
        for state in _left_behind(kind, spec)
    )


def _is(kind: Kind, there: LiveResource, name: str, value: Any, wanted: Any) -> bool:
    """Whether a field is what a call left behind, or further on."""
    is_ = there.spec.get(name, ABSENT)
    left = values.select_managed(is_, value, whole=name in kind.atomic)
    return values.is_same(left, value) or _arrived(kind, name, value, is_, wanted)


def _left_behind(kind: Kind, spec: Spec) -> Iterator[Spec]:
    """What is there after each call of a create but the last, sent in either way."""
    for split_ in (False, True):
        state = {name: value for name, value in kind.defaults.items() if name in spec}
        for stage in kind.stages(Action.CREATE, spec, split=split_)[:-1]:
            state = {**state, **stage}
            yield state


def _sides(fresh: Change) -> tuple[FieldChange, ...]:
    """How what is there differs from what was to be created."""
    return tuple(
        FieldChange(one.path, one.live, one.desired) for one in secrets.mask_hidden(fresh).fields
    )
