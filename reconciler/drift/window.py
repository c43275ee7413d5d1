"""What of drift is looked at: `--since` and `--only`, by what is known of who moved it."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from reconciler.evidence import Attribution, Way
from reconciler.kind import instant
from reconciler.model import Action, Change


def since(changes: tuple[Change, ...], start: datetime) -> tuple[tuple[Change, ...], int]:
    """The changes without what is known to have happened before, and how much that was."""
    return _kept(changes, lambda found: not _is_older(found, start))


def only(changes: tuple[Change, ...], ways: Collection[str]) -> tuple[tuple[Change, ...], int]:
    """The changes that came to be in one of these ways, and how much is left out."""
    return _kept(changes, lambda found: (found.way if found else Way.UNKNOWN) in ways)


def _kept(
    changes: tuple[Change, ...], wanted: Callable[[Attribution | None], bool]
) -> tuple[tuple[Change, ...], int]:
    """The changes without the fields, or objects, that are not wanted, and their number."""
    kept, left_out = [], 0
    for change in changes:
        paths = set[str]()
        if change.action is Action.UPDATE:
            paths = {one.path for one in change.fields if not wanted(one.attribution)}
        elif change.action is not Action.NONE and not wanted(change.attribution):
            paths = {""}
        kept.append(without(change, paths))
        left_out += len(paths)
    return tuple(kept), left_out


def without(change: Change, paths: set[str]) -> Change:
    """A change that leaves some fields as they are live; "" is the object as a whole."""
    if not paths:
        return change
    fields = tuple(one for one in change.fields if one.path not in paths and "" not in paths)
    desired = change.desired
    if desired is not None:  # what is left is put back into what is sent, where a revert sends
        ignore = (*desired.lifecycle.ignore, *sorted(paths - {""}))
        desired = replace(desired, lifecycle=replace(desired.lifecycle, ignore=ignore))
    action = change.action if fields else Action.NONE
    return replace(change, fields=fields, action=action, desired=desired)


def alone(change: Change, paths: set[str], attribution: Attribution) -> Change:
    """Return the same change with these fields only, and with who changed them."""
    fields = tuple(
        replace(one, attribution=attribution)
        for one in change.fields
        if one.path in paths or "" in paths
    )
    return replace(change, fields=fields, attribution=attribution if "" in paths else None)


def _is_older(found: Attribution | None, start: datetime) -> bool:
    at = instant(found.at) if found is not None else None
    return at is not None and at < start
