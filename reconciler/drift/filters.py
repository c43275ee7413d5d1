"""What of drift is looked at: `--since` and `--only`, by what is known of who moved it."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciler.model import Action, Address, ApprovalClass, Attribution, Change, Hold, instant


def since(changes: tuple[Change, ...], start: datetime) -> tuple[tuple[Change, ...], int]:
    """The changes without what is known to have happened before, and how much that was."""
    return _kept(changes, lambda found: not _is_older(found, start))


def only(changes: tuple[Change, ...], ways: Collection[str]) -> tuple[tuple[Change, ...], int]:
    """The changes that came to be in one of these ways, and how much is left out."""
    return _kept(changes, lambda found: (found.way if found else ApprovalClass.UNKNOWN) in ways)


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


Matches = Callable[[Address, tuple[str, ...]], bool]


def held(
    changes: tuple[Change, ...], holds: Iterable[Hold], now: datetime, matches: Matches
) -> tuple[Change, ...]:
    """Each drifted change with the hold that is still in force; the longest of several."""
    standing = sorted((one for one in holds if one.until > now), key=lambda one: one.until)
    return tuple(
        change
        if change.action is Action.NONE
        else replace(change, hold=_longest(change, standing, matches))
        for change in changes
    )


def _longest(change: Change, standing: list[Hold], matches: Matches) -> Hold | None:
    found = [one for one in standing if matches(change.address, (one.address,))]
    return found[-1] if found else None


IDENTITIES: Final = ("full", "initials", "none")
SYSTEM: Final = "PostHog"  # no person, so always named


def named(person: str | None, identities: str) -> str | None:
    """`dana.smith@acme.test` as it is, as `D.S.`, or None."""
    if person is None or person == SYSTEM or identities == "full":
        return person
    if identities == "none":
        return None
    words = re.split(r"[\W_]+", person.partition("@")[0])
    return "".join(f"{word[0].upper()}." for word in words if word) or None
