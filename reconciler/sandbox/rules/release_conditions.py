"""The release conditions of a flag in the form in which the gate compares them (contract 4). Pure.

Spelling differences that change nothing about who gets the flag are removed; values are compared
as JSON text, because the evaluation of flags distinguishes `1`, `1.0`, `true` and `"1"`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.sandbox.rules.flag_filters import OPERATOR_ALIASES, Position

_COMPARED = ("key", "value", "type", "operator", "negation", "group_type_index")
_INDEX = "aggregation_group_type_index"
_MISSING = object()


def list_release_conditions(filters: Mapping[str, Any] | None, bucketing: Any) -> list[Position]:
    """Return the positions: match by, early exit, and each condition set."""
    filters = filters or {}
    matched_by = "device_id" if bucketing == "device_id" else "distinct_id"
    groups = filters.get("groups")
    return [
        {"path": "bucketing_identifier", "value": matched_by},
        {"path": "early_exit", "value": filters.get("early_exit") is True},
        *(
            {"path": f"groups[{place}]", "value": _canonicalize_group(group, filters.get(_INDEX))}
            for place, group in enumerate(groups if isinstance(groups, list) else ())
        ),
    ]


def _canonicalize_group(group: Mapping[str, Any], outer: Any) -> dict[str, Any]:
    properties = [_canonicalize_property(item) for item in group.get("properties") or ()]
    return {
        "properties": sorted(properties, key=dump_exactly),
        _INDEX: group.get(_INDEX, outer),
        "variant": group.get("variant") or None,
    }


def _canonicalize_property(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: item[name] for name in _COMPARED if item.get(name) is not None}
    operator = kept.pop("operator", None)
    if isinstance(operator, str):
        operator = OPERATOR_ALIASES.get(operator, operator)
    if operator not in (None, "exact"):
        kept["operator"] = operator
    if kept.get("negation") is False:
        del kept["negation"]
    if isinstance(kept.get("key"), int | float) and not isinstance(kept["key"], bool):
        kept["key"] = str(kept["key"])
    return kept


def dump_exactly(value: Any) -> str:
    """Return the text by which two values are compared."""
    return json.dumps(value, sort_keys=True)


def list_changed_paths(
    before: Sequence[Position], after: Sequence[Position], *, exact: bool
) -> list[str]:
    """Return the paths whose values differ: new paths first, then those that are gone.

    A missing position differs from null. Without `exact`, numbers compare as numbers.
    """
    old = {position["path"]: position["value"] for position in before}
    new = {position["path"]: position["value"] for position in after}
    paths = [*new, *(path for path in old if path not in new)]
    if exact:
        old = {path: dump_exactly(value) for path, value in old.items()}
        new = {path: dump_exactly(value) for path, value in new.items()}
    return [path for path in paths if old.get(path, _MISSING) != new.get(path, _MISSING)]


_LABELS = {"bucketing_identifier": "match by", "early_exit": "early exit"}


def describe_paths(paths: Sequence[str], intent: Mapping[str, Any]) -> str:
    """Return what an update changes, for people (contract 7.2)."""
    name = "release_conditions"
    before = _index(intent["current_state"].get(name, ()))
    after = _index(intent["gated_changes"].get(name, ()))
    rollouts = (
        _index(intent["current_state"].get("rollout_percentage", ())),
        _index(intent["gated_changes"].get("rollout_percentage", ())),
    )
    released = [_label_set(path, before, after) for path in paths if path in {**before, **after}]
    rolled = [
        f"rollout percentage at {path}:"
        f" {rollouts[0].get(path, 'N/A')}% -> {rollouts[1].get(path, 'N/A')}%"
        for path in paths
        if path not in {**before, **after}
    ]
    named = [
        *(["release conditions"] if released else []),
        *(["rollout percentage"] if rolled or not released else []),
    ]
    listed = "; ".join([*released, *rolled])
    text = f"Update {' and '.join(named)} for feature flag '{intent['flag_key']}'"
    return f"{text}: {listed}" if listed else text


def _index(positions: Sequence[Position]) -> dict[str, Any]:
    return {position["path"]: position["value"] for position in positions}


def _label_set(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if path in _LABELS:
        return _LABELS[path]
    label = f"condition set {int(path.removeprefix('groups[').removesuffix(']')) + 1}"
    if path not in before:
        return f"{label} added"
    return label if path in after else f"{label} removed"
