"""What filters mean: whom a flag reaches, and to which percentage, wherever that is written.

The gate looks at positions: `groups[0].rollout_percentage`. People are reached by audiences: the
properties that all have to hold. A percentage that is missing or null means 100 (contract 9.2).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.kinds import KINDS

_INDEX: Final = "aggregation_group_type_index"
_FULL: Final = 100


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is meant by one group of release conditions: all of its properties hold."""

    properties: tuple[str, ...] = ()  # each as JSON, sorted
    by: Any = None  # the group type that is counted by; None: people

    def holds(self, other: "Audience") -> bool:
        """Whether everybody of the other audience is in this one, as far as can be told."""
        if self.by != other.by:
            return False
        theirs = [json.loads(item) for item in other.properties]
        return all(
            any(implies(their, json.loads(mine)) for their in theirs) for mine in self.properties
        )

    def __str__(self) -> str:
        return " and ".join(map(_words, self.properties)) or "everybody"


def reach(filters: Mapping[str, Any]) -> Mapping[Audience, float]:
    """The percentage of each audience; the larger one where two groups mean the same."""
    normal = KINDS["FeatureFlag"].canonical({"filters": filters})["filters"] or {}
    whole, found = normal.get(_INDEX), dict[Audience, float]()
    for group in normal.get("groups") or ():
        items = sorted(
            json.dumps(item, sort_keys=True, default=str) for item in group["properties"]
        )
        audience = Audience(tuple(items), group.get(_INDEX, whole))
        percentage = group.get("rollout_percentage")
        there = _FULL if percentage is None else percentage
        found[audience] = max(there, found.get(audience, 0))
    return found


def nobody(filters: Mapping[str, Any]) -> bool:
    """Whether an active flag with these filters is off for everybody."""
    parts = (group.get("rollout_percentage") for group in filters.get("groups") or ())
    return all(part is not None and not part for part in parts)


def outside(filters: Mapping[str, Any]) -> float:
    """The percentage whom no holdout keeps out: it falls as the one that is written rises."""
    held = filters.get("holdout")
    part = held.get("exclusion_percentage") if isinstance(held, Mapping) else None
    return _FULL - part if isinstance(part, int | float) else _FULL


def variants(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The share of each variant by its key."""
    several = filters.get("multivariate")
    listed: Iterable[Any] = (several or {}).get("variants") or () if several else ()
    return {str(item.get("key")): item.get("rollout_percentage") for item in listed}


def newly_reached(
    before: Mapping[Audience, float], after: Mapping[Audience, float]
) -> Iterable[tuple[Audience, Audience | None]]:
    """Audiences that no group reached so far, each with the narrower one that it grew out of."""
    for audience, percentage in after.items():
        if audience in before or not percentage:
            continue
        if any(old.holds(audience) and there >= percentage for old, there in before.items()):
            continue
        gone = (old for old in before if old not in after and audience.holds(old))
        yield audience, next(gone, None)


def _words(item: str) -> str:
    found = json.loads(item)
    key, how, value = found.get("key"), found.get("operator", "exact"), found.get("value")
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return f"{key} {how} {shown}" if value is not None else f"{key} {how}"


Property = Mapping[str, Any]
_NARROWS: Final = frozenset({"key", "type", "group_type_index", "negation"})  # what has to agree
_ABSENT: Final = frozenset({"is_not_set", "is_not", "not_icontains", "not_regex"})


def implies(narrow: Property, wide: Property) -> bool:
    """Whether everybody with `narrow` has `wide` too."""
    if narrow == wide:
        return True
    if any(narrow.get(name) != wide.get(name) for name in _NARROWS):
        return False
    how, than = _operator(narrow), _operator(wide)
    if than == "is_set":
        return how not in _ABSENT
    test = _TESTS.get(how) if how == than else None
    return test is not None and test(narrow.get("value"), wide.get("value"))


def _operator(found: Property) -> str:
    return str(found.get("operator") or "exact")


def _subset(narrow: Any, wide: Any) -> bool:
    return _values(narrow) <= _values(wide)


def _superset(narrow: Any, wide: Any) -> bool:
    return _values(wide) <= _values(narrow)


def _values(value: Any) -> set[str]:
    """Values as text: PostHog compares them so."""
    return {str(one) for one in (value if isinstance(value, list) else [value])}


def _at_least(narrow: Any, wide: Any) -> bool:
    low, lower = _number(narrow), _number(wide)
    return low is not None and lower is not None and low >= lower


def _at_most(narrow: Any, wide: Any) -> bool:
    return _at_least(wide, narrow)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool | list) else float(value)
    except (TypeError, ValueError):
        return None


def _longer(narrow: Any, wide: Any) -> bool:
    return str(wide).casefold() in str(narrow).casefold()


def _shorter(narrow: Any, wide: Any) -> bool:
    return _longer(wide, narrow)


_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "exact": _subset,
    "is_not": _superset,
    "gt": _at_least,
    "gte": _at_least,
    "lt": _at_most,
    "lte": _at_most,
    "icontains": _longer,
    "not_icontains": _shorter,
}
