"""Compare a document with its live object: what differs, and what only the object has."""

from collections.abc import Mapping
from typing import Any

from reconciler.model import ABSENT, Kind, Spec
from reconciler.plan.diff import values


def compare_specs(
    desired: Spec, live: Spec, kind: Kind
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the live values that differ, as far as they are managed, and undeclared live fields.

    Every resource comes here, and nearly all of its fields are equal: so whole values are compared
    first, and only those that differ are looked into.
    """
    different = _list_different(desired, live)
    if not different and len(desired) == len(live):
        return {}, ()
    unequal: dict[str, Any] = {}
    undeclared: list[str] = []
    missing = 0
    for name in different:
        value, whole = desired[name], name in kind.atomic
        if name in live:
            live_value = live[name]
            if not whole and isinstance(value, dict) and isinstance(live_value, dict):
                _note_undeclared(name, value, live_value, undeclared)
        else:
            live_value = kind.defaults.get(name, ABSENT)
            missing += 1
        if not values.is_managed_equal(live_value, value, whole=whole, complete=kind.complete):
            unequal[name] = values.select_managed(
                live_value, value, whole=whole, complete=kind.complete
            )
    if len(live) > len(desired) - missing:
        undeclared += [
            name
            for name, value in live.items()
            if name not in desired and not _is_usual(kind.defaults, name, value)
        ]
    return unequal, tuple(undeclared)


def _list_different(desired: Spec, live: Spec) -> list[str]:
    """List the declared fields whose live values are missing, or not equal as a whole."""
    different = []
    try:
        for name, value in desired.items():
            if live[name] != value:
                different.append(name)
    except KeyError:  # some field is missing, as on an older server
        return [name for name, value in desired.items() if live.get(name, ABSENT) != value]
    return different


def _note_undeclared(name: str, written: Spec, live: Spec, undeclared: list[str]) -> None:
    """Add the keys that only the live side of a declared mapping has, unless they are empty."""
    for key, value in live.items():
        if key not in written and (value or value == 0):  # zero and false are values
            undeclared.append(f"{name}.{key}")


def _is_usual(defaults: Mapping[str, Any], name: str, value: Any) -> bool:
    """Return whether a live value is the default; off, empty and unset count as the same."""
    return name not in defaults or defaults[name] == value or not (defaults[name] or value)
