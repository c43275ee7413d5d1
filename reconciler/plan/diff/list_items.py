"""Match the items of two lists by content, so that an inserted item is not a change of them all.

Equal items first, by a hash of their text; what is left is paired by place, then by likeness.
"""

import json
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from reconciler.model import (
    ABSENT,
    FieldChange,
    ItemChange,
    ListChange,
    Path,
    Spec,
    ordered,
    parse_path,
    print_path,
    value_at,
)
from reconciler.plan.diff import secrets, values

Pair = tuple[int, int]  # the position of an item in the live list, and in the desired one

_ALIKE: Final = 0.5  # the part of two items that has to be equal for one to be the other, edited
_MOST: Final = 2_500  # comparisons of items for likeness; a longer list is paired by place


def find(
    live: Spec, desired: Spec, fields: Iterable[FieldChange], skipped: Iterable[str]
) -> tuple[ListChange, ...]:
    """Find every list of which items were added, removed or moved.

    A list of which the run leaves a part alone is described by position.
    """
    counts: dict[Path, int] = defaultdict(int)
    for one in fields:
        if "[" in one.path and (path := _list_of(parse_path(one.path))):
            counts[path] += 1
    found = []
    for path, number in counts.items():
        text = print_path(path)
        if any(secrets.covers((text,), one) or secrets.covers((one,), text) for one in skipped):
            continue
        sides = value_at(live, path), value_at(desired, path)
        if all(map(values.structured, sides)) and (items := _items(*sides, path)):
            found.append(ListChange(text, items, number))
    return tuple(found)


def _list_of(path: Path) -> Path:
    """Return the outermost list that a path leads through; empty if there is none."""
    for number, step in enumerate(path):
        if isinstance(step, int):
            return path[:number]
    return ()


def _items(live: list[Any], desired: list[Any], path: Path) -> tuple[ItemChange, ...]:
    """Return what became of each item; nothing if all items are where they were."""
    pairs = match(live, desired)
    if len(live) == len(desired) == len(pairs) and all(i == j for i, j in pairs):
        return ()
    return tuple(_described(live, desired, path, pairs))


def _described(
    live: list[Any], desired: list[Any], path: Path, pairs: list[Pair]
) -> Iterator[ItemChange]:
    steady = _increasing(pairs)
    before, after = dict(pairs), {j: i for i, j in pairs}
    rows: list[tuple[int, int, ItemChange]] = []
    for i, item in enumerate(live):
        if i not in before:
            rows.append((i, 0, ItemChange(print_path((*path, i)), ordered(item), ABSENT)))
    for j, item in enumerate(desired):
        here, was = print_path((*path, j)), after.get(j)
        if was is None:
            rows.append((j, 1, ItemChange(here, ABSENT, ordered(item))))
        elif (was, j) not in steady:
            rows.append((j, 1, ItemChange(here, ordered(item), ordered(item), was)))
    moved = [row for _, _, row in sorted(rows, key=lambda one: one[:2])]
    if moved:
        down, up = (sum(1 for i, j in steady if (j - i) * way > 0) for way in (1, -1))
        yield replace(moved[0], down=down, up=up)
    yield from moved[1:]
    for i, j in pairs:
        yield from _edited(live[i], desired[j], (*path, j))


def _edited(live: Any, desired: Any, path: Path) -> Iterator[ItemChange]:
    """Yield the fields of an edited item; lists inside of it by content, too."""
    if live == desired:
        return
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        for name in sorted({*live, *desired}):
            yield from _edited(live.get(name, ABSENT), desired.get(name, ABSENT), (*path, name))
    elif values.structured(live) and values.structured(desired):
        yield from _described(live, desired, path, match(live, desired))
    else:
        yield ItemChange(print_path(path), ordered(live), ordered(desired))


def match(live: Sequence[Any], desired: Sequence[Any]) -> list[Pair]:
    """Match each desired item, by its position, to the live item that it was."""
    short = min(len(live), len(desired))
    head = next((n for n in range(short) if live[n] != desired[n]), short)
    rest = short - head
    tail = next((n for n in range(rest) if live[-1 - n] != desired[-1 - n]), rest)
    ends = len(live) - tail, len(desired) - tail
    middle = _matched(live, desired, (head, ends[0]), (head, ends[1]))
    return [
        *((n, n) for n in range(head)),
        *middle,
        *((ends[0] + n, ends[1] + n) for n in range(tail)),
    ]


def _matched(live: Sequence[Any], desired: Sequence[Any], left: Pair, right: Pair) -> list[Pair]:
    """Pair what is between the equal ends."""
    places: dict[str, deque[int]] = defaultdict(deque)
    for i in range(*left):
        places[_text(live[i])].append(i)
    equal, new = list[Pair](), list[int]()
    for j in range(*right):
        same = places.get(_text(desired[j]))
        if same:
            equal.append((same.popleft(), j))
        else:
            new.append(j)
    old = sorted(i for rest in places.values() for i in rest)
    pairs = list(equal)
    if old and new:
        fences = [(left[0] - 1, right[0] - 1), *sorted(_increasing(equal)), (left[1], right[1])]
        for (i, j), (k, m) in pairwise(fences):
            inside = [n for n in old if i < n < k], [n for n in new if j < n < m]
            pairs += _paired(live, desired, *inside, least=0)
        taken = {i for i, _ in pairs}, {j for _, j in pairs}
        ends = [n for n in old if n not in taken[0]], [n for n in new if n not in taken[1]]
        pairs += _paired(live, desired, *ends, least=_ALIKE)
    return sorted(pairs, key=lambda pair: pair[1])


def _paired(
    live: Sequence[Any], desired: Sequence[Any], old: list[int], new: list[int], *, least: float
) -> list[Pair]:
    """Pair edited items: in order if there are as many of them, else the most alike."""
    if (not least and len(old) == len(new)) or len(old) * len(new) > _MOST:
        return list(zip(old, new, strict=False))
    scores = ((_likeness(live[i], desired[j]), i, j) for i in old for j in new)
    best = sorted((one for one in scores if one[0] > least), key=lambda one: (-one[0], one[1:]))
    pairs = dict[int, int]()
    for _, i, j in best:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return list(pairs.items())


def _likeness(one: Any, other: Any) -> float:
    """Return the part of two items that is equal, from 0 to 1."""
    return _equal(one, other) / max(len(_text(one)), len(_text(other)))


def _equal(one: Any, other: Any) -> int:
    """Count how much text two values share."""
    if one == other:
        return len(_text(one))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return sum(_equal(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        rest = list(map(_text, other))
        total = 0
        for text in map(_text, one):
            if text in rest:
                rest.remove(text)
                total += len(text)
        return total
    return 0


def _increasing(pairs: Iterable[Pair]) -> set[Pair]:
    """Return the most pairs whose positions rise on both sides: what stays in order."""
    tops, ends, before = list[int](), list[Pair](), dict[Pair, Pair | None]()
    for pair in sorted(pairs, key=lambda one: one[1]):
        place = bisect_left(tops, pair[0])
        before[pair] = ends[place - 1] if place else None
        tops[place : place + 1] = [pair[0]]
        ends[place : place + 1] = [pair]
    found = set[Pair]()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
