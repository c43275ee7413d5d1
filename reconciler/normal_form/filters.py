"""Normalize a flag's `filters` (contract 9.2) as PostHog keeps them. Pure.

What PostHog or its editor adds is left out, and so are the keys that it drops on the next save.
"""

import marshal
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.model import MAPPINGS
from reconciler.normal_form import values as normal_form_values

# Added by the server or the editor for display (contract 9.2); never sent or compared.
DISPLAY_ONLY: Final = frozenset({"cohort_name", "group_key_names", "label", "sort_key"})
DROPPED: Final = ("holdout_groups", "super_groups")  # by the next save of any field (contract 9.2)
INDEX: Final = "aggregation_group_type_index"
# Keys that need more than a copy; most mappings have none of them.
_RARE: Final = frozenset({*DROPPED, INDEX, "multivariate", "holdout", "payloads"})
_NOT_NULL: Final = frozenset({*DROPPED, "payloads"})  # those in which null is not normal
_NEVER_IN_GROUP: Final = DISPLAY_ONLY | {INDEX}
_RARE_OF_GROUP: Final = _NEVER_IN_GROUP | {"variant", "description"}
_RARE_OF_PROPERTY: Final = DISPLAY_ONLY | {"negation", "group_type_index"}
# Equal groups are one object, since specs are never changed: a group of a flag without changes is
# in a file and in PostHog.
_groups: Final[dict[bytes, dict[str, Any]]] = {}
_MOST_GROUPS: Final = 100_000
_BY_VALUE: Final = 2  # the version of `marshal` in which equal values are equal bytes
OPERATORS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("is", "eq", "equals", "=", "=="), "exact"),
    **dict.fromkeys(("neq", "!="), "is_not"),
    ">": "gt",
    "<": "lt",
    ">=": "gte",
    "<=": "lte",
    "min": "gte",
    "max": "lte",
    "contains": "icontains",
    "not_contains": "not_icontains",
}
"""Other spellings of operators, and those that PostHog keeps (contract 9.2)."""


def drop_nulls(filters: Any) -> Any:
    """Return live filters without the null aggregation that the server writes everywhere.

    In a file a null means something: the flag no longer aggregates by a group.
    """
    if not isinstance(filters, MAPPINGS) or filters.get(INDEX) is not None:
        return filters
    kept = {**filters}
    kept.pop(INDEX, None)
    if isinstance(groups := kept.get("groups"), list):
        kept["groups"] = [*map(_drop_null, groups)]
    return kept


def _drop_null(group: Any) -> Any:
    if INDEX not in group or group[INDEX] is not None:
        return group
    rest = {**group}
    del rest[INDEX]
    return rest


def normalize_filters(filters: Mapping[str, Any], *, live: bool = False) -> dict[str, Any]:
    """Return filters in normal form; applying it twice changes nothing.

    Those of `live` flags lose null aggregations on the way, as if `drop_nulls` had been called.
    """
    normal = {**filters}
    if live and normal.get(INDEX, 0) is None:
        del normal[INDEX]
    if isinstance(groups := normal.get("groups"), list):
        if INDEX in normal or _have_index(groups, live=live):
            _set_groups(normal, groups)
        else:  # the groups of most flags bucket people, and nobody writes it
            normal["groups"] = [*map(_normalize_group, groups)]
    for name, value in filters.items():
        if name in _RARE and (value is not None or name in _NOT_NULL):
            _normalize_rare(normal, name, value)
    return normal


def _normalize_rare(normal: dict[str, Any], name: str, value: Any) -> None:
    """Normalize the value of one of the names that files of most flags do not have."""
    if name == "payloads":
        if value is None or value == {}:
            normal[name] = {}
        elif isinstance(value, MAPPINGS):
            normal[name] = {
                str(key): normal_form_values.normalize_json(payload)
                for key, payload in value.items()
            }
    elif name == "multivariate":
        normal[name] = _normalize_multivariate(value)
    elif name == "holdout":
        if isinstance(value, MAPPINGS):
            normal[name] = {
                key: normal_form_values.normalize_number(number) for key, number in value.items()
            }
    elif name != INDEX:
        del normal[name]
    elif not isinstance(normal.get("groups"), list):  # else it is set together with them
        normal[name] = normal_form_values.normalize_number(value)


def merge_filters(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return live filters with the wanted ones, all in normal form: what a write sends.

    Mappings are merged key by key, as they are managed. A payload goes with its variant, since the
    server refuses a payload that nobody gets.
    """
    whole = {**live, **wanted}
    for name, value in wanted.items():
        if isinstance(value, MAPPINGS) and isinstance(before := live.get(name), Mapping):
            whole[name] = {**before, **value}
    if isinstance(payloads := whole.get("payloads"), Mapping):
        multivariate = whole.get("multivariate") or {}
        keys = {str(variant.get("key")) for variant in multivariate.get("variants") or ()} or {
            "true"
        }
        declared = wanted.get("payloads") or {}
        whole["payloads"] = {
            name: v for name, v in payloads.items() if name in keys or name in declared
        }
    return whole


def list_dropped(filters: Any) -> Iterator[str]:
    """Yield non-empty keys of live filters that the next save removes."""
    if isinstance(filters, MAPPINGS):
        yield from (name for name in sorted(DROPPED) if filters.get(name))


def _have_index(groups: list[Any], *, live: bool) -> bool:
    """Return whether a group has an aggregation; in a file, a null is one."""
    for group in groups:  # noqa: SIM110  a loop is faster than a generator
        if INDEX in group and not (live and group[INDEX] is None):
            return True
    return False


def _set_groups(normal: dict[str, Any], groups: list[Any]) -> None:
    """Set the groups and their aggregation: for the whole flag if all groups agree.

    The server writes the flag's own aggregation into each group, and derives it from them.
    """
    whole = normal_form_values.normalize_number(normal.get(INDEX))
    indexes = [normal_form_values.normalize_number(group.get(INDEX, whole)) for group in groups]
    agree = all(index == indexes[0] for index in indexes[1:])
    shared = indexes[0] if indexes else whole
    normal[INDEX] = shared if agree else None
    normal["groups"] = [
        _normalize_group(group, None if agree else index)
        for group, index in zip(groups, indexes, strict=True)
    ]


def _normalize_group(group: Mapping[str, Any], index: Any = None) -> dict[str, Any]:
    normal = {**group}
    for name in group:
        if name in _RARE_OF_GROUP:
            value = group[name]
            if name in _NEVER_IN_GROUP or value is None or (name == "variant" and not value):
                del normal[name]
    if index is not None:
        normal[INDEX] = index
    if type(share := normal.get("rollout_percentage")) is not int and isinstance(share, float):
        normal["rollout_percentage"] = normal_form_values.normalize_number(share)
    properties = normal.get("properties")
    normal["properties"] = [*map(_normalize_property, properties)] if properties else []
    try:
        packed = marshal.dumps(normal, _BY_VALUE)
    except ValueError:  # a value is not plain
        return normal
    if len(_groups) >= _MOST_GROUPS:
        _groups.clear()
    return _groups.setdefault(packed, normal)


def _normalize_property(item: Mapping[str, Any]) -> dict[str, Any]:
    normal = {**item}
    if "operator" in normal:
        written = normal["operator"]
        operator = OPERATORS.get(written, written)
        if operator is None or operator == "exact":
            del normal["operator"]
        elif operator is not written:
            normal["operator"] = operator
    value = normal.get("value")
    if isinstance(value, list):
        if type(value) is not list:  # a file's list knows where it is written
            normal["value"] = [*value]
    elif isinstance(value, float) and normal.get("type") == "cohort":
        normal["value"] = normal_form_values.normalize_number(value)
    if not _RARE_OF_PROPERTY.isdisjoint(item):
        for name in _RARE_OF_PROPERTY.intersection(item):
            value = item[name]
            if name in DISPLAY_ONLY or value is None or (name == "negation" and not value):
                del normal[name]
    return normal


def _normalize_multivariate(value: Any) -> Any:
    """Return the variants; without any, the flag is on or off in any spelling."""
    if not isinstance(value, MAPPINGS):
        return value
    variants = value.get("variants")
    if not variants:
        rest = {name: kept for name, kept in value.items() if name != "variants"}
        return {**rest, "variants": []} if rest else None
    return {**value, "variants": [_normalize_variant(variant) for variant in variants]}


def _normalize_variant(variant: Mapping[str, Any]) -> dict[str, Any]:
    normal = dict(variant)
    if normal.get("name", "") is None:
        del normal["name"]
    if "rollout_percentage" in normal:
        normal["rollout_percentage"] = normal_form_values.normalize_number(
            normal["rollout_percentage"]
        )
    return normal
