"""Put the previous values of a change back into a spec that may have changed since."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Kind,
    Path,
    Spec,
    format_path,
    get_value,
    normalize_set,
    put_back,
)
from reconciler.plan.diff import three_way, values


@dataclass(frozen=True, slots=True)
class RevertedSpec:
    """A spec with the previous values on top.

    Attributes:
        spec: the spec with every previous value, also where it has changed since.
        changed: paths whose value has changed since: neither as before nor as after the change.
        unknown: paths that were first declared by the change: their previous value is not known.

    """

    spec: Spec
    changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class _Differences:
    """What a change of the files wrote: path -> the values after it and before it."""

    reverted: dict[Path, tuple[Any, Any]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def revert_spec(current: Spec, after: Spec, before: Spec, kind: Kind) -> RevertedSpec:
    """Return `current` without the change from `before` to `after`.

    Lists whose order has no meaning are reverted item by item: what others added or removed stays.
    """
    differences = _find_differences(after, before, kind)
    result: Any = current
    changed = []
    for path, (new, old) in _merge_resized_lists(
        differences.reverted, current, after, before
    ).items():
        present = get_value(current, path, ABSENT)
        if format_path(path) in kind.sets:
            result = _put_value(result, path, _revert_set(present, new, old))
        elif not values.are_same(present, old):
            if not values.are_same(present, new):
                changed.append(format_path(path))
            result = _put_value(result, path, old)
    return RevertedSpec(result, tuple(changed), tuple(differences.unknown))


def _find_differences(after: Spec, before: Spec, kind: Kind) -> _Differences:
    """Find what a change wrote. What left the files was not written: it stays as it is."""
    differences = _Differences()
    for name, value in after.items():
        if name not in before:
            differences.unknown.append(name)
            continue
        for path, new, old in values.find_differences(value, before[name], (name,)):
            if old is ABSENT and not three_way.is_decided_by_base(before, path, kind):
                differences.unknown.append(format_path(path))
            elif new is not ABSENT or three_way.is_decided_by_base(after, path, kind):
                differences.reverted[path] = (new, old)
    return differences


def _merge_resized_lists(
    reverted: dict[Path, tuple[Any, Any]], current: Spec, after: Spec, before: Spec
) -> dict[Path, tuple[Any, Any]]:
    """Return the differences with one for each list whose length differs on any side.

    A position in such a list may mean another item on each side.
    """
    merged: dict[Path, tuple[Any, Any]] = {}
    for path, pair in reverted.items():
        for end in _list_parents(path):
            sides = [get_value(side, end, ABSENT) for side in (current, after, before)]
            lengths = {len(side) if isinstance(side, list) else None for side in sides}
            if len(lengths) > 1:
                merged[end] = (sides[1], sides[2])
                break
        else:
            merged[path] = pair
    return merged


def _list_parents(path: Path) -> Iterator[Path]:
    """Yield the paths of the lists that a path is in, outermost first."""
    return (path[:number] for number, step in enumerate(path) if isinstance(step, int))


def _revert_set(present: Any, new: Any, old: Any) -> list[Any]:
    """Return a list without the items that the change added, and with those that it removed."""
    items, added, kept = (
        list(side) if isinstance(side, list) else [] for side in (present, new, old)
    )
    left = [item for item in items if item not in added or item in kept]
    return normalize_set([*left, *(item for item in kept if item not in left)])


def _put_value(spec: Any, path: Path, value: Any) -> Any:
    """Return a copy of a spec with a value at a path; without the path if the value is ABSENT."""
    if value is ABSENT:
        return _drop_value(spec, path)
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(spec) if isinstance(spec, list) else []
        return [
            _put_value(item, rest, value)
            if number == step and rest
            else value
            if number == step
            else item
            for number, item in enumerate(items)
        ]
    known = spec if isinstance(spec, Mapping) else {}
    inner = _put_value(known.get(step, {}), rest, value) if rest else value
    return {**known, step: inner}


def _drop_value(spec: Any, path: Path) -> Any:
    return put_back(spec, {}, path)
