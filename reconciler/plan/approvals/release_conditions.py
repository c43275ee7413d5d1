"""List the release conditions of filters as positions, per generation (contract 4)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.normal_form.filters import OPERATORS
from reconciler.plan.approvals.conditions import ROLLOUT, Positions

_FLAG: Final = KINDS["FeatureFlag"]
_INDEX: Final = "aggregation_group_type_index"
_COMPARED: Final = ("key", "value", "type", "operator", "negation", "group_type_index")
_DEFAULT_BUCKETING: Final = "distinct_id"
_ENCODER: Final = json.JSONEncoder(sort_keys=True)
_SPELLER: Final = json.JSONEncoder(sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class CanonicalGroup:
    """A group as G3 compares it: by its JSON text, and not with a text or a number."""

    text: str


def list_canonical_positions(filters: Mapping[str, Any], bucketing: Any) -> Positions:
    """Return what G3 compares: each group without its percentage, early exit, and match-by."""
    default_index = filters.get(_INDEX)
    positions: dict[str, Any] = {
        f"groups[{number}]": CanonicalGroup(
            _ENCODER.encode(
                {
                    "properties": sorted(map(_spell_property, group.get("properties") or ())),
                    _INDEX: group.get(_INDEX, default_index),
                    "variant": group.get("variant") or None,
                }
            )
        )
        for number, group in enumerate(filters.get("groups") or ())
        if isinstance(group, Mapping)
    }
    positions["early_exit"] = filters.get("early_exit") is True
    positions["bucketing_identifier"] = bucketing or _DEFAULT_BUCKETING
    return positions


def _spell_property(item: Mapping[str, Any]) -> str:
    """Return the canonical form of a property as JSON text: 1, 1.0, true and "1" differ."""
    kept = {name: item[name] for name in _COMPARED if item.get(name) is not None}
    if isinstance(key := kept.get("key"), int | float) and not isinstance(key, bool):
        kept["key"] = str(key)
    operator = kept.get("operator")
    if isinstance(operator, str):
        kept["operator"] = OPERATORS.get(operator, operator)
    if kept.get("operator") == "exact":
        del kept["operator"]
    if kept.get("negation") is False:
        del kept["negation"]
    return _SPELLER.encode(kept)


def add_aggregation(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return filters as G2 stores them: each group has its aggregation (contract 9.2)."""
    aggregation = filters.get(_INDEX)
    groups = [{_INDEX: aggregation, **group} for group in filters.get("groups") or ()]
    kinds = {group[_INDEX] for group in groups}
    if groups:
        aggregation = kinds.pop() if len(kinds) == 1 else None
    return {**filters, "groups": groups, _INDEX: aggregation}


def list_groups(filters: Mapping[str, Any]) -> Positions:
    """Return what late G2 compares: each group without its percentage, and the aggregation."""
    positions: dict[str, Any] = {
        f"groups[{number}]": _normalize_group(group)
        for number, group in enumerate(filters.get("groups") or ())
    }
    if filters.get(_INDEX) is not None:
        positions[_INDEX] = filters[_INDEX]
    return positions


def _normalize_group(group: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = {
        name: value for name, value in group.items() if name != ROLLOUT and value is not None
    }
    (canonical_group,) = _FLAG.canonical({"filters": {"groups": [group]}})["filters"]["groups"]
    properties = (
        json.dumps(item, sort_keys=True, default=str) for item in canonical_group["properties"]
    )
    return {**settings, "properties": sorted(properties)}
