"""Filter drift by `--since` and `--only`, and by holds."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime

from reconciler.model import Action, Address, ApprovalClass, Attribution, Change, Hold, parse_time


def drop_older(changes: tuple[Change, ...], start: datetime) -> tuple[tuple[Change, ...], int]:
    """Leave out what is known to have changed before a time; return the rest and the number."""
    return _keep_matching(changes, lambda attribution: not _is_older(attribution, start))


def keep_classes(
    changes: tuple[Change, ...], classes: Collection[str]
) -> tuple[tuple[Change, ...], int]:
    """Keep the changes of some approval classes; return them and the number left out."""
    return _keep_matching(
        changes,
        lambda attribution: (
            (attribution.approval_class if attribution else ApprovalClass.UNKNOWN) in classes
        ),
    )


def _keep_matching(
    changes: tuple[Change, ...], wanted: Callable[[Attribution | None], bool]
) -> tuple[tuple[Change, ...], int]:
    """Leave out the fields, or objects, that do not match; return the rest and their number."""
    kept, left_out = [], 0
    for change in changes:
        paths = set[str]()
        if change.action is Action.UPDATE:
            paths = {
                field_change.path
                for field_change in change.fields
                if not wanted(field_change.attribution)
            }
        elif change.action is not Action.NONE and not wanted(change.attribution):
            paths = {""}
        kept.append(leave_out_fields(change, paths))
        left_out += len(paths)
    return tuple(kept), left_out


def leave_out_fields(change: Change, paths: set[str]) -> Change:
    """Return a change that leaves some fields as they are live; "" is the whole object."""
    if not paths:
        return change
    fields = tuple(
        field_change
        for field_change in change.fields
        if field_change.path not in paths and "" not in paths
    )
    desired = change.desired
    if desired is not None:  # a revert sends the live values of these fields back
        ignore = (*desired.lifecycle.ignore, *sorted(paths - {""}))
        desired = replace(desired, lifecycle=replace(desired.lifecycle, ignore=ignore))
    action = change.action if fields else Action.NONE
    return replace(change, fields=fields, action=action, desired=desired)


def keep_fields(change: Change, paths: set[str], attribution: Attribution) -> Change:
    """Return the change with only these fields, and with who changed them."""
    fields = tuple(
        replace(field_change, attribution=attribution)
        for field_change in change.fields
        if field_change.path in paths or "" in paths
    )
    return replace(change, fields=fields, attribution=attribution if "" in paths else None)


def _is_older(attribution: Attribution | None, start: datetime) -> bool:
    at = parse_time(attribution.at) if attribution is not None else None
    return at is not None and at < start


Matches = Callable[[Address, tuple[str, ...]], bool]


def add_holds(
    changes: tuple[Change, ...], holds: Iterable[Hold], now: datetime, matches: Matches
) -> tuple[Change, ...]:
    """Return each drifted change with the hold that is in force; the longest of several."""
    active = sorted((hold for hold in holds if hold.until > now), key=lambda hold: hold.until)
    return tuple(
        change
        if change.action is Action.NONE
        else replace(change, hold=_find_longest_hold(change, active, matches))
        for change in changes
    )


def _find_longest_hold(change: Change, active: list[Hold], matches: Matches) -> Hold | None:
    matching = [hold for hold in active if matches(change.address, (hold.address,))]
    return matching[-1] if matching else None
