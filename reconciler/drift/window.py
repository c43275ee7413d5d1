"""`--since`: drift that is known to be older is left out; what is not known stays."""

from dataclasses import replace
from datetime import datetime

from reconciler.evidence import Attribution
from reconciler.model import Action, Change


def narrowed(changes: tuple[Change, ...], since: datetime) -> tuple[tuple[Change, ...], int]:
    """The changes without what happened before, and how many fields or objects that was."""
    kept, left_out = [], 0
    for change in changes:
        narrow = _narrow(change, since)
        if change.action is not Action.UPDATE:
            left_out += narrow.action is not change.action
        else:
            left_out += len(change.fields) - len(narrow.fields)
        kept.append(narrow)
    return tuple(kept), left_out


def _narrow(change: Change, since: datetime) -> Change:
    if change.action is Action.NONE:
        return change
    if change.action is not Action.UPDATE:
        return without(change, {""}) if _is_older(change.attribution, since) else change
    return without(change, {one.path for one in change.fields if _is_older(one.attribution, since)})


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


def _is_older(found: Attribution | None, since: datetime) -> bool:
    if found is None or found.at is None:
        return False
    try:
        return datetime.fromisoformat(found.at) < since
    except (ValueError, TypeError):
        return False
