"""Whether an open change request is the one that a change would file. Compared by meaning.

A request counts as ours if all that it proposes is what the files want, and nothing besides;
it may propose a part of the change only, since a flag is written in several calls.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Action,
    Change,
    ChangeRequest,
    LiveResource,
    Spec,
    print_path,
    root,
)
from reconciler.plan.diff import values

CLOSED: Final = frozenset({"applied", "rejected", "expired", "failed"})  # contract 7.3
_FLAG: Final = KINDS["FeatureFlag"]


def holds(request: ChangeRequest, change: Change) -> bool:
    """Whether the request is open on this very flag: any write would make it unappliable.

    A state that is not known counts as open.
    """
    return request.state not in CLOSED and about(request, change)


def about(request: ChangeRequest, change: Change) -> bool:
    """Whether the request is about the flag of this change, whatever it proposes.

    A gated create has no id, so a flag that is not there yet is known by its key (contract 5.4).
    """
    if (request.organization, request.project) != change.address.parts[:2]:
        return False
    if change.action is Action.CREATE:
        return request.flag_key == change.address.name
    return request.resource_id is not None and request.resource_id == change.live_id


def same_intent(request: ChangeRequest, change: Change, live: LiveResource | None) -> bool:
    """Whether the request proposes what the change wants, and nothing else.

    Both generations of servers are understood: a raw body that is replayed as it was sent, and a
    validated one whose filters are merged into the stored ones (contract 7.2). `live` is the flag
    as last seen; without it, what the files do not write cannot be compared and must be empty.
    """
    if change.desired is None or change.action is Action.DELETE or not about(request, change):
        return False
    try:
        return _is_same(request, change, live)
    except _ODD:  # what it would replay is not a flag as this program knows it
        return False


_ODD: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def _is_same(request: ChangeRequest, change: Change, live: LiveResource | None) -> bool:
    data = _data(request)
    if data.get("deleted") or data.get("key", change.address.name) != change.address.name:
        return False
    before = live.spec if live is not None else {}
    proposed = _proposed(data, before, creates=request.resource_id is None)
    if request.resource_id is not None and not proposed.keys() & _moving(change):
        return False
    skipped = {
        *(change.desired.lifecycle.ignore if change.desired is not None else ()),
        *_FLAG.hidden(live.payload if live is not None else {}),
        *_FLAG.hidden(data),
    }
    goal = _goal(change)
    return bool(proposed) and all(
        _wanted(name, value, goal, before, skipped) or _first_step(name, value, goal, request)
        for name, value in proposed.items()
    )


def proposed(request: ChangeRequest) -> frozenset[str]:
    """Return the fields that a request would write, as a file names them."""
    return frozenset(_FLAG.to_spec(_data(request)))


def _data(request: ChangeRequest) -> dict[str, Any]:
    """What would be replayed; a lifecycle call without a body still says `active`."""
    intent = request.payload.get("intent") or {}
    data = dict(intent.get("full_request_data") or {})
    active = (intent.get("gated_changes") or {}).get("active")
    if isinstance(active, bool):
        data.setdefault("active", active)
    return data


def _proposed(data: Mapping[str, Any], before: Spec, *, creates: bool) -> Spec:
    """The managed fields after the request, in normal form; only those that it touches."""
    spec = dict(_FLAG.to_spec(data))
    if isinstance(spec.get("filters"), Mapping):
        spec["filters"] = {**(before.get("filters") or {}), **spec["filters"]}
    if creates:
        spec.setdefault("active", True)  # flags are born active (contract 5.2)
    return _FLAG.canonical(spec)


def _moving(change: Change) -> frozenset[str]:
    """Top-level fields that the change is about; all of them while the flag is not there."""
    if change.action is Action.CREATE:
        return frozenset(_goal(change))
    return frozenset(root(one.path) for one in change.fields)


def _goal(change: Change) -> Spec:
    """What the files want; for a flag that is not there yet, with what the server adds."""
    written = change.desired.spec if change.desired is not None else {}
    return {**_FLAG.defaults, **written} if change.action is Action.CREATE else written


def _first_step(name: str, value: Any, goal: Spec, request: ChangeRequest) -> bool:
    """A create that would meet two policies is born inactive and enabled later (contract 5.7)."""
    return request.resource_id is None and name == "active" and not value and bool(goal.get(name))


def _wanted(name: str, value: Any, goal: Spec, before: Spec, skipped: set[str]) -> bool:
    """Whether this value is what the files want; what they do not write stays as it is."""
    if name not in goal:
        return _alike(before.get(name), value)
    wanted = goal[name]
    if any(
        not _covered(print_path(path), skipped)
        for path, _, _ in _differences(name, value, wanted, before)
    ):
        return _alike(wanted, value)
    return True


def _differences(
    name: str, value: Any, wanted: Any, before: Spec
) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Where the proposal leaves the files' way, and where it touches what they do not write."""
    mine = values.select_managed(value, wanted, whole=name in _FLAG.atomic)
    yield from values.find_differences(mine, wanted, (name,))
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        there = before.get(name) or {}
        for key in value.keys() - wanted.keys():
            if not _alike(there.get(key), value[key]):
                yield (name, key), value[key], there.get(key, ABSENT)


def _covered(path: str, skipped: set[str]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in skipped)


def _alike(one: Any, other: Any) -> bool:
    """Equal, or both nothing: null, false and empty are one where nobody wrote anything."""
    return one == other or (not one and not other and 0 not in (_number(one), _number(other)))


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
