"""How two unequal values differ, field by field. `==` decides, DeepDiff explains.

deepdiff is known to this module alone, and imported when something differs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.model import ABSENT
from reconciler.paths import Path
from reconciler.source import bare

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
    elif _structured(live) and _structured(desired):
        yield from _explained(live, desired, path)
    else:
        yield path, live, desired


def _structured(value: Any) -> bool:
    """A list of mappings: its items have fields of their own worth naming."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _explained(live: list[Any], desired: list[Any], path: Path) -> Iterator[tuple[Path, Any, Any]]:
    from deepdiff import DeepDiff

    # It would take a container that knows its place for a difference.
    tree = DeepDiff(bare(live), bare(desired), zip_ordered_iterables=True, view="tree")
    found: dict[Path, tuple[Any, Any]] = {}
    for report in tree.values():
        for level in report:
            here = (*path, *level.path(output_format="list"))
            removed = "removed" in level.report_type
            added = "added" in level.report_type
            found[here] = (
                ABSENT if added else level.t1,
                ABSENT if removed else level.t2,
            )
    for here in sorted(
        found, key=lambda steps: [(isinstance(s, str), str(s).zfill(6)) for s in steps]
    ):
        yield here, *found[here]
