"""Whether one property of a release condition implies another, as far as can be told.

Only what is certain counts: of operators that are not listed, a property implies itself alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

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
