"""Say how two unequal values differ, field by field; lists by the position of their items."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from reconciler.model import ABSENT, Path

_EMPTY: tuple[Any, ...] = (None, {}, [], "")


def managed(live: Any, desired: Any, *, whole: bool = False) -> Any:
    """`live` cut down to what `desired` writes: what is not written is not managed.

    `whole` keeps everything: for fields that are compared as one value. Lists always are.
    """
    if whole or live == desired or not isinstance(desired, dict) or not isinstance(live, dict):
        return live
    return {
        name: managed(live[name], value) if name in live else ABSENT
        for name, value in desired.items()
    }


def same(live: Any, desired: Any) -> bool:
    """Equal in meaning: what is empty and what is not there are the same."""
    if live == desired:
        return True
    if live is ABSENT:
        return any(desired == empty for empty in _EMPTY)
    if isinstance(live, Mapping) and isinstance(desired, Mapping) and live.keys() == desired.keys():
        return all(same(live[name], desired[name]) for name in desired)
    return False


def differences(live: Any, desired: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """(path, live, desired) of each field that differs below `path`; lists by position."""
    if same(live, desired):
        return
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        for name in sorted({*live, *desired}):
            yield from differences(live.get(name, ABSENT), desired.get(name, ABSENT), (*path, name))
    elif structured(live) and structured(desired):
        yield from _by_position(live, desired, path)
    else:
        yield path, live, desired


def structured(value: Any) -> bool:
    """Return whether a value is a list of mappings, whose fields are worth naming."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _by_position(live: Any, desired: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Compare items of a list, where every difference counts, also null and missing."""
    if live == desired:
        return
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        for name in sorted({*live, *desired}):
            here = (*path, name)
            yield from _by_position(live.get(name, ABSENT), desired.get(name, ABSENT), here)
    elif isinstance(live, list) and isinstance(desired, list):
        for number, (old, new) in enumerate(zip_longest(live, desired, fillvalue=ABSENT)):
            yield from _by_position(old, new, (*path, number))
    else:
        yield path, live, desired
