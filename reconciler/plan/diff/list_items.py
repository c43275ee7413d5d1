"""Match the items of two lists by content, so that an inserted item does not change all others.

Equal items are matched first, by their text; the others are paired by position, then by
similarity.
"""

import json
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from reconciler.model import (
    ABSENT,
    FieldChange,
    ItemChange,
    ListChange,
    Path,
    Spec,
    format_path,
    get_value,
    parse_path,
    sort_keys,
)
from reconciler.plan.diff import secrets, values

Pair = tuple[int, int]  # the position of an item in the live list, and in the desired one

_MIN_SIMILARITY: Final = 0.5  # the equal part of two items, for one to be an edit of the other
_MAX_COMPARISONS: Final = 2_500  # for similarity; a longer list is paired by position
_ENCODER: Final = json.JSONEncoder(sort_keys=True, default=str)


def find_list_changes(
    live: Spec, desired: Spec, fields: Iterable[FieldChange], skipped: Iterable[str]
) -> tuple[ListChange, ...]:
    """Find every list with items that were added, removed or moved.

    A list that the run ignores a part of is described by position.
    """
    counts: dict[Path, int] = defaultdict(int)
    for field in fields:
        if "[" in field.path and (path := _find_outer_list(field.path)):
            counts[path] += 1
    lists = []
    for path, number in counts.items():
        text = format_path(path)
        if any(
            secrets.is_covered((text,), skipped_path) or secrets.is_covered((skipped_path,), text)
            for skipped_path in skipped
        ):
            continue
        sides = get_value(live, path), get_value(desired, path)
        if all(map(values.is_list_of_mappings, sides)) and (items := _compare_items(*sides, path)):
            lists.append(ListChange(text, items, number))
    return tuple(lists)


@lru_cache(maxsize=1024)  # the same fields change in many resources
def _find_outer_list(text: str) -> Path:
    """Return the outermost list that a path leads through; empty if there is none."""
    path = parse_path(text)
    for number, step in enumerate(path):
        if isinstance(step, int):
            return path[:number]
    return ()


def _compare_items(live: list[Any], desired: list[Any], path: Path) -> tuple[ItemChange, ...]:
    """Return what happened to each item; nothing if no item was added, removed or moved."""
    pairs = match_items(live, desired)
    if len(live) == len(desired) == len(pairs) and all(i == j for i, j in pairs):
        return ()
    return tuple(_describe_items(live, desired, path, pairs))


def _describe_items(
    live: list[Any], desired: list[Any], path: Path, pairs: list[Pair]
) -> Iterator[ItemChange]:
    in_order = _find_longest_increasing(pairs)
    desired_positions, live_positions = dict(pairs), {j: i for i, j in pairs}
    entries: list[tuple[int, int, ItemChange]] = []
    for i, item in enumerate(live):
        if i not in desired_positions:
            entries.append((i, 0, ItemChange(format_path((*path, i)), sort_keys(item), ABSENT)))
    for j, item in enumerate(desired):
        item_path, old_position = format_path((*path, j)), live_positions.get(j)
        if old_position is None:
            entries.append((j, 1, ItemChange(item_path, ABSENT, sort_keys(item))))
        elif (old_position, j) not in in_order:
            entries.append(
                (j, 1, ItemChange(item_path, sort_keys(item), sort_keys(item), old_position))
            )
    item_changes = [row for _, _, row in sorted(entries, key=lambda entry: entry[:2])]
    if item_changes:
        down, up = (sum(1 for i, j in in_order if (j - i) * sign > 0) for sign in (1, -1))
        yield replace(item_changes[0], down=down, up=up)
    yield from item_changes[1:]
    for i, j in pairs:
        yield from _compare_item(live[i], desired[j], (*path, j))


def _compare_item(live: Any, desired: Any, path: Path) -> Iterator[ItemChange]:
    """Yield the changed fields of an item; lists inside it by content, too."""
    if live == desired:
        return
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        for name in sorted({*live, *desired}):
            yield from _compare_item(
                live.get(name, ABSENT), desired.get(name, ABSENT), (*path, name)
            )
    elif values.is_list_of_mappings(live) and values.is_list_of_mappings(desired):
        yield from _describe_items(live, desired, path, match_items(live, desired))
    else:
        yield ItemChange(format_path(path), sort_keys(live), sort_keys(desired))


def match_items(live: Sequence[Any], desired: Sequence[Any]) -> list[Pair]:
    """Match each desired item, by its position, to the live item that it was."""
    short = min(len(live), len(desired))
    head = next((n for n in range(short) if live[n] != desired[n]), short)
    remaining = short - head
    tail = next((n for n in range(remaining) if live[-1 - n] != desired[-1 - n]), remaining)
    ends = len(live) - tail, len(desired) - tail
    middle = _match_middle(live, desired, (head, ends[0]), (head, ends[1]))
    return [
        *((n, n) for n in range(head)),
        *middle,
        *((ends[0] + n, ends[1] + n) for n in range(tail)),
    ]


def _match_middle(
    live: Sequence[Any], desired: Sequence[Any], left: Pair, right: Pair
) -> list[Pair]:
    """Pair the items between the equal ends."""
    if left[1] - left[0] == right[1] - right[0] == 1:  # mostly one item is edited
        return [(left[0], right[0])]
    positions: dict[str, deque[int]] = defaultdict(deque)
    for i in range(*left):
        positions[_serialize(live[i])].append(i)
    equal, new = list[Pair](), list[int]()
    for j in range(*right):
        equal_indexes = positions.get(_serialize(desired[j]))
        if equal_indexes:
            equal.append((equal_indexes.popleft(), j))
        else:
            new.append(j)
    old = sorted(i for indexes in positions.values() for i in indexes)
    pairs = list(equal)
    if old and new:
        fences = [
            (left[0] - 1, right[0] - 1),
            *sorted(_find_longest_increasing(equal)),
            (left[1], right[1]),
        ]
        for (i, j), (k, m) in pairwise(fences):
            inside = [n for n in old if i < n < k], [n for n in new if j < n < m]
            pairs += _pair_edited(live, desired, *inside, least=0)
        taken = {i for i, _ in pairs}, {j for _, j in pairs}
        ends = [n for n in old if n not in taken[0]], [n for n in new if n not in taken[1]]
        pairs += _pair_edited(live, desired, *ends, least=_MIN_SIMILARITY)
    return sorted(pairs, key=lambda pair: pair[1])


def _pair_edited(
    live: Sequence[Any], desired: Sequence[Any], old: list[int], new: list[int], *, least: float
) -> list[Pair]:
    """Pair edited items: in order if there are as many of them, else the most alike."""
    if (not least and len(old) == len(new)) or len(old) * len(new) > _MAX_COMPARISONS:
        return list(zip(old, new, strict=False))
    scores = ((_measure_similarity(live[i], desired[j]), i, j) for i in old for j in new)
    best = sorted(
        (score for score in scores if score[0] > least), key=lambda score: (-score[0], score[1:])
    )
    pairs = dict[int, int]()
    for _, i, j in best:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return list(pairs.items())


def _measure_similarity(left: Any, right: Any) -> float:
    """Return which part of two items is equal, from 0 to 1."""
    return _count_equal_text(left, right) / max(len(_serialize(left)), len(_serialize(right)))


def _count_equal_text(left: Any, right: Any) -> int:
    """Count how much text two values share."""
    if left == right:
        return len(_serialize(left))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return sum(
            _count_equal_text(left[name], right[name]) for name in left.keys() & right.keys()
        )
    if isinstance(left, list) and isinstance(right, list):
        unmatched = list(map(_serialize, right))
        total = 0
        for text in map(_serialize, left):
            if text in unmatched:
                unmatched.remove(text)
                total += len(text)
        return total
    return 0


def _find_longest_increasing(pairs: Iterable[Pair]) -> set[Pair]:
    """Return the longest series of pairs whose positions rise on both sides."""
    tops, ends, predecessors = list[int](), list[Pair](), dict[Pair, Pair | None]()
    for pair in sorted(pairs, key=lambda entry: entry[1]):
        index = bisect_left(tops, pair[0])
        predecessors[pair] = ends[index - 1] if index else None
        tops[index : index + 1] = [pair[0]]
        ends[index : index + 1] = [pair]
    series = set[Pair]()
    last = ends[-1] if ends else None
    while last is not None:
        series.add(last)
        last = predecessors[last]
    return series


def _serialize(value: Any) -> str:
    return _ENCODER.encode(value)
