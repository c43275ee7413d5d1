"""The names of the tz database: what PostHog takes as a time zone (contract 10)."""

import zoneinfo
from functools import cache
from typing import Any, Final

from reconciler.model import RejectedValue
from reconciler.suggest import closest_match

_OF_A_MACHINE: Final = frozenset({"localtime", "posixrules"})  # in no copy but a system's own


@cache
def load_names() -> frozenset[str]:
    """Return every name: of the system's copy of the database, and of the package `tzdata`."""
    return frozenset(zoneinfo.available_timezones()) - _OF_A_MACHINE


def check_time_zone(zone: Any) -> RejectedValue | None:
    """Return why PostHog refuses a time zone; None if it takes it, or no database is at hand."""
    zones = load_names()
    if not isinstance(zone, str) or zone in zones or not zones:
        return None
    match = _find_closest(zone, zones)
    fix = f'did you mean "{match}"?' if match else "write a name such as `Europe/Berlin`"
    why = "PostHog takes the names of the tz database, in their exact spelling"
    return RejectedValue(("timezone",), f'unknown time zone "{zone}"', why, fix)


def _find_closest(zone: str, known: frozenset[str]) -> str:
    """Return the name in another case, of the same city, or the one that is spelled most alike."""
    folded = zone.strip().replace(" ", "_").casefold()
    city = folded.rpartition("/")[2]
    by_case = {name.casefold(): name for name in sorted(known)}
    if folded in by_case:
        return by_case[folded]
    same = [name for name in sorted(known) if city and name.casefold().endswith(f"/{city}")]
    similar = closest_match(folded, by_case)
    return same[0] if same else by_case[similar] if similar is not None else ""
