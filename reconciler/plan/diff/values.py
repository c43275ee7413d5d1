"""Find how two unequal values differ, field by field; lists by the position of their items."""

from collections.abc import Container, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from reconciler.model import ABSENT, Path

_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def select_managed(
    live: Any, desired: Any, *, whole: bool = False, complete: Container[str] = ()
) -> Any:
    """Return the part of `live` that `desired` writes: what is not written is not managed.

    `whole` keeps everything: for fields that are compared as one value. Lists always are, and so
    are the mappings in `complete`.
    """
    if whole or live == desired or not isinstance(desired, dict) or not isinstance(live, dict):
        return live
    return {
        name: select_managed(live[name], value, whole=name in complete, complete=complete)
        if name in live
        else ABSENT
        for name, value in desired.items()
    }


def is_managed_equal(
    live: Any, desired: Any, *, whole: bool = False, complete: Container[str] = ()
) -> bool:
    """Return whether the part of `live` that `select_managed` returns is equal to `desired`."""
    if live == desired:
        return True
    if whole or not isinstance(desired, dict) or not isinstance(live, dict):
        return False
    return desired.items() <= live.items() or all(
        name in live
        and is_managed_equal(live[name], value, whole=name in complete, complete=complete)
        for name, value in desired.items()
    )


def is_same(live: Any, desired: Any) -> bool:
    """Return whether two values mean the same: an empty value equals a missing one."""
    if live == desired:
        return True
    if live is ABSENT:
        return any(desired == empty for empty in _EMPTY)
    if isinstance(live, Mapping) and isinstance(desired, Mapping) and live.keys() == desired.keys():
        return all(is_same(live[name], desired[name]) for name in desired)
    return False


def are_same(first: Any, second: Any) -> bool:
    """Return whether two values mean the same, whichever of them is missing."""
    return is_same(first, second) or is_same(second, first)


def find_differences(live: Any, desired: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Yield (path, live, desired) of each field that differs below `path`; lists by position."""
    if is_same(live, desired):
        return
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        for name in sorted({*live, *desired}):
            yield from find_differences(
                live.get(name, ABSENT), desired.get(name, ABSENT), (*path, name)
            )
    elif is_list_of_mappings(live) and is_list_of_mappings(desired):
        yield from _compare_by_position(live, desired, path)
    else:
        yield path, live, desired


def is_list_of_mappings(value: Any) -> bool:
    """Return whether a value is a list of mappings, whose fields are worth naming."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _compare_by_position(live: Any, desired: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Yield what differs in the items of a list, where null and missing are differences, too."""
    if live == desired:
        return
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        for name in sorted({*live, *desired}):
            item_path = (*path, name)
            yield from _compare_by_position(
                live.get(name, ABSENT), desired.get(name, ABSENT), item_path
            )
    elif isinstance(live, list) and isinstance(desired, list):
        for number, (old, new) in enumerate(zip_longest(live, desired, fillvalue=ABSENT)):
            yield from _compare_by_position(old, new, (*path, number))
    else:
        yield path, live, desired
