"""Match change requests to changes: whether a request is the one that a change would file.

A request matches if everything that it proposes is what the files want; it may propose a part of
the change, since a flag is written in several calls.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Action,
    Change,
    ChangeRequest,
    Kind,
    LiveResource,
    Payload,
    Spec,
    format_path,
    get_root,
)
from reconciler.normal_form.encrypted_payloads import reveal
from reconciler.plan.diff import secrets, values

CLOSED: Final = frozenset({"applied", "rejected", "expired", "failed"})  # contract 7.3


def is_open_on_object(request: ChangeRequest, change: Change) -> bool:
    """Return whether the request is open on this object, so that any write would make it stale.

    An unknown state counts as open.
    """
    return request.state not in CLOSED and is_about(request, change)


def is_about(request: ChangeRequest, change: Change) -> bool:
    """Return whether the request is about the object of this change, whatever it proposes.

    A gated create has no id, so a flag that does not exist yet is known by its key (contract 5.4).
    Creates of other kinds are not gated.
    """
    if (request.organization, request.project) != change.address.parts[:2]:
        return False
    if request.kind != change.address.kind:  # others have their own ids (contract 7.1)
        return False
    if change.action is Action.CREATE:
        return request.name == change.address.name and bool(KINDS[request.kind].gates)
    return request.resource_id is not None and request.resource_id == change.live_id


def has_same_intent(request: ChangeRequest, change: Change, live: LiveResource | None) -> bool:
    """Return whether the request proposes what the change writes, and nothing else.

    Both generations of servers are supported: a raw body that is replayed as it was sent, and a
    validated one whose filters are merged into the stored ones (contract 7.2). `live` is the object
    as last read; without it, fields that the files do not write cannot be compared and must be
    empty.
    """
    if not is_about(request, change):
        return False
    try:
        if change.action is Action.DELETE:
            return _deletes(request)
        return change.desired is not None and _proposes_same(request, change, live)
    except _MALFORMED:  # the body of the request is not an object as this program knows it
        return False


_MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def _deletes(request: ChangeRequest) -> bool:
    """Return whether the request is for a delete, which is gated for some kinds."""
    kind = KINDS[request.kind]
    gated = kind.find_write_gate(Action.DELETE, ()) is not None
    return gated and bool(_read_request_body(request).get("deleted"))


def _proposes_same(request: ChangeRequest, change: Change, live: LiveResource | None) -> bool:
    kind, data = KINDS[request.kind], _read_request_body(request)
    name = data.get(kind.key_payload or "", change.address.name)
    if data.get("deleted") or name != change.address.name:
        return False
    before = live.spec if live is not None else {}
    proposed = _build_proposal(kind, data, before, creates=request.resource_id is None)
    if request.resource_id is not None and not proposed.keys() & _list_changed_fields(change):
        return False
    skipped = {
        *(change.desired.lifecycle.ignore if change.desired is not None else ()),
        *kind.hidden(live.payload if live is not None else {}),
        *kind.hidden(data),
    }
    goal = _build_goal(change)
    return bool(proposed) and all(
        _is_wanted(name, value, goal, before, skipped, kind=kind)
        or _is_inactive_create(name, value, goal, request)
        for name, value in proposed.items()
    )


def list_proposed_fields(request: ChangeRequest) -> frozenset[str]:
    """Return the fields that a request would write, as a file names them."""
    return frozenset(KINDS[request.kind].to_spec(_read_request_body(request)))


def _read_request_body(request: ChangeRequest) -> Payload:
    """Return the body that is replayed when the request is applied."""
    body = KINDS[request.kind].proposal(request.payload.get("intent") or {})
    return dict(reveal(body))  # compared, never shown


def _build_proposal(kind: Kind, data: Payload, before: Spec, *, creates: bool) -> Spec:
    """Return the managed fields after the request, in normal form; only those that it writes."""
    spec = dict(kind.to_spec(data))
    if isinstance(spec.get("filters"), Mapping):
        spec["filters"] = {**(before.get("filters") or {}), **spec["filters"]}
    if creates:
        spec.setdefault("active", True)  # flags are created active (contract 5.2)
    return kind.canonical(spec)


def _list_changed_fields(change: Change) -> frozenset[str]:
    """Return the top-level fields of the change; all of them while the flag does not exist."""
    if change.action is Action.CREATE:
        return frozenset(_build_goal(change))
    return frozenset(get_root(field.path) for field in change.fields)


def _build_goal(change: Change) -> Spec:
    """Return the desired spec; for a flag that does not exist, with what the server adds."""
    written = change.desired.spec if change.desired is not None else {}
    defaults = KINDS[change.address.kind].defaults
    return {**defaults, **written} if change.action is Action.CREATE else written


def _is_inactive_create(name: str, value: Any, goal: Spec, request: ChangeRequest) -> bool:
    """Return whether this creates the flag inactive, to be enabled later (contract 5.7)."""
    return request.resource_id is None and name == "active" and not value and bool(goal.get(name))


def _is_wanted(
    name: str, value: Any, goal: Spec, before: Spec, skipped: set[str], *, kind: Kind
) -> bool:
    """Return whether this value is what the files want; unwritten fields must not change."""
    if name not in goal:
        return _is_equivalent(before.get(name), value)
    desired = goal[name]
    if any(
        not secrets.is_covered(skipped, format_path(path))
        for path, _, _ in _find_differences(kind, name, value, desired, before)
    ):
        return _is_equivalent(desired, value)
    return True


def _find_differences(
    kind: Kind, name: str, value: Any, desired: Any, before: Spec
) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Yield where the proposal differs from the files, or changes what they do not write."""
    managed = values.select_managed(value, desired, whole=name in kind.atomic)
    yield from values.find_differences(managed, desired, (name,))
    if isinstance(value, Mapping) and isinstance(desired, Mapping):
        live_value = before.get(name) or {}
        for key in value.keys() - desired.keys():
            if not _is_equivalent(live_value.get(key), value[key]):
                yield (name, key), value[key], live_value.get(key, ABSENT)


def _is_equivalent(left: Any, right: Any) -> bool:
    """Return whether two values are equal or both empty: null, false and empty mean the same."""
    return left == right or (
        not left and not right and 0 not in (_to_number(left), _to_number(right))
    )


def _to_number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
