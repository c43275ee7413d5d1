"""Hold lists: drift that is shown and does not fail, until its time has come."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from reconciler.evidence import Hold
from reconciler.model import Action, Address, Change

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
