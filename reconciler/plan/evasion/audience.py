"""What filters mean: whom a flag reaches, and to which percentage, wherever that is written.

The gate compares positions such as `groups[0].rollout_percentage`. A flag reaches audiences: the
people who have all properties of a group. A missing or null percentage means 100 (contract 9.2).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass

_INDEX: Final = "aggregation_group_type_index"
_FULL: Final = 100


@dataclass(frozen=True, slots=True)
class Audience:
    """The people of one group of release conditions: all of its properties hold."""

    properties: tuple[str, ...] = ()  # each as JSON, sorted
    by: Any = None  # the group type that is counted by; None: people

    def includes(self, other: "Audience") -> bool:
        """Return whether everybody of the other audience is certainly in this one."""
        if self.by != other.by:
            return False
        narrower = [json.loads(item) for item in other.properties]
        return all(
            any(implies_property(narrow, json.loads(item)) for narrow in narrower)
            for item in self.properties
        )

    def __str__(self) -> str:
        return " and ".join(map(_describe_property, self.properties)) or "everybody"


def compute_reach(filters: Mapping[str, Any]) -> Mapping[Audience, float]:
    """Return the percentage of each audience; the larger one where two groups mean the same."""
    canonical = KINDS["FeatureFlag"].canonical({"filters": filters})["filters"] or {}
    default_index, reach = canonical.get(_INDEX), dict[Audience, float]()
    for group in canonical.get("groups") or ():
        items = sorted(
            json.dumps(item, sort_keys=True, default=str) for item in group["properties"]
        )
        audience = Audience(tuple(items), group.get(_INDEX, default_index))
        written = group.get("rollout_percentage")
        percentage = _FULL if written is None else written
        reach[audience] = max(percentage, reach.get(audience, 0))
    return reach


def reaches_nobody(filters: Mapping[str, Any]) -> bool:
    """Return whether an active flag with these filters is off for everybody."""
    percentages = (group.get("rollout_percentage") for group in filters.get("groups") or ())
    return all(percentage is not None and not percentage for percentage in percentages)


def compute_share_outside_holdout(filters: Mapping[str, Any]) -> float:
    """Return the percentage that no holdout excludes: it falls as the excluded one rises."""
    holdout = filters.get("holdout")
    excluded = holdout.get("exclusion_percentage") if isinstance(holdout, Mapping) else None
    return _FULL - excluded if isinstance(excluded, int | float) else _FULL


def read_variant_shares(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the percentage of each variant by its key."""
    multivariate = filters.get("multivariate")
    variants: Iterable[Any] = (multivariate or {}).get("variants") or ()
    return {str(variant.get("key")): variant.get("rollout_percentage") for variant in variants}


def find_newly_reached(
    before: Mapping[Audience, float], after: Mapping[Audience, float]
) -> Iterable[tuple[Audience, Audience | None]]:
    """Find audiences that no group reached so far, each with the narrower one that it replaces."""
    for audience, percentage in after.items():
        if audience in before or not percentage:
            continue
        if any(
            old.includes(audience) and old_percentage >= percentage
            for old, old_percentage in before.items()
        ):
            continue
        replaced = (old for old in before if old not in after and audience.includes(old))
        yield audience, next(replaced, None)


def _describe_property(item: str) -> str:
    prop = json.loads(item)
    key, operator, value = prop.get("key"), prop.get("operator", "exact"), prop.get("value")
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return f"{key} {operator} {shown}" if value is not None else f"{key} {operator}"


Property = Mapping[str, Any]
_MUST_AGREE: Final = frozenset({"key", "type", "group_type_index", "negation"})
_HOLD_WITHOUT_VALUE: Final = frozenset({"is_not_set", "is_not", "not_icontains", "not_regex"})


def implies_property(narrow: Property, wide: Property) -> bool:
    """Return whether everybody with `narrow` certainly has `wide` too."""
    if narrow == wide:
        return True
    if any(narrow.get(name) != wide.get(name) for name in _MUST_AGREE):
        return False
    narrow_operator, wide_operator = _read_operator(narrow), _read_operator(wide)
    if wide_operator == "is_set":
        return narrow_operator not in _HOLD_WITHOUT_VALUE
    test = _TESTS.get(narrow_operator) if narrow_operator == wide_operator else None
    return test is not None and test(narrow.get("value"), wide.get("value"))


def _read_operator(prop: Property) -> str:
    return str(prop.get("operator") or "exact")


def _is_subset(narrow: Any, wide: Any) -> bool:
    return _list_values(narrow) <= _list_values(wide)


def _is_superset(narrow: Any, wide: Any) -> bool:
    return _list_values(wide) <= _list_values(narrow)


def _list_values(value: Any) -> set[str]:
    """Return values as text, as PostHog compares them."""
    return {str(item) for item in (value if isinstance(value, list) else [value])}


def _is_at_least(narrow: Any, wide: Any) -> bool:
    narrow_number, wide_number = _read_number(narrow), _read_number(wide)
    return narrow_number is not None and wide_number is not None and narrow_number >= wide_number


def _is_at_most(narrow: Any, wide: Any) -> bool:
    return _is_at_least(wide, narrow)


def _read_number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool | list) else float(value)
    except (TypeError, ValueError):
        return None


def _contains(narrow: Any, wide: Any) -> bool:
    return str(wide).casefold() in str(narrow).casefold()


def _is_contained(narrow: Any, wide: Any) -> bool:
    return _contains(wide, narrow)


_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "exact": _is_subset,
    "is_not": _is_superset,
    "gt": _is_at_least,
    "gte": _is_at_least,
    "lt": _is_at_most,
    "lte": _is_at_most,
    "icontains": _contains,
    "not_icontains": _is_contained,
}
