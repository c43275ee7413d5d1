"""A flag's `filters`: what is refused, what is rewritten, what the gate looks at (contract 9.2).

Pure: values in, values out.
"""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.store.generation import Profile

Position = dict[str, Any]

_LARGEST = 1_000_000  # bytes
_FULL = 100
_DISPLAY_ONLY = ("cohort_name", "group_key_names", "label")
_OLD = ("holdout_groups", "super_groups")
_INDEX = "aggregation_group_type_index"
OPERATORS = {
    "is": "exact",
    "eq": "exact",
    "equals": "exact",
    "=": "exact",
    "==": "exact",
    "neq": "is_not",
    "!=": "is_not",
    ">": "gt",
    "<": "lt",
    ">=": "gte",
    "<=": "lte",
    "min": "gte",
    "max": "lte",
    "contains": "icontains",
    "not_contains": "not_icontains",
}


def check(filters: Any, *, creating: bool) -> dict[str, Any]:
    """The filters, if they are sound.

    Raises:
        ApiError: 400, attr `filters`.
    """
    if not isinstance(filters, dict):
        kind = type(filters).__name__
        detail = f'Expected a dictionary of items but got type "{kind}".'
        raise invalid(detail, "filters", code="not_a_dict")
    if "version" in filters:
        raise invalid("`version` is reserved.", "filters", code="reserved_config_version")
    compact = json.dumps(filters, ensure_ascii=False, separators=(",", ":"))
    if len(compact.encode("utf-8", "replace")) > _LARGEST:
        _refuse("Filters are too large.")
    groups = filters.get("groups")
    if creating and not groups:
        _refuse("Feature flags must have at least one condition set (group).")
    for group in _objects(groups, "groups"):
        _check_group(group)
    _check_multivariate(filters.get("multivariate"))
    _check_payloads(filters.get("payloads"))
    return filters


def _refuse(detail: str) -> NoReturn:
    raise invalid(detail, "filters")


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        _refuse(f"Filters are not valid ({name} must be a list of objects)")
    return list(value)


def _check_group(group: dict[str, Any]) -> None:
    _check_percentage(group.get("rollout_percentage"))
    for one in _objects(group.get("properties"), "properties"):
        for name in ("key", "type"):
            number = name == "key" and type(one.get(name)) in (int, float)
            if not isinstance(one.get(name), str) and not number:
                _refuse(f"Filters are not valid (every property needs a {name})")


def _check_percentage(value: Any) -> None:
    if value is None:
        return
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 <= value <= _FULL:
        _refuse("Filters are not valid (rollout percentages are numbers from 0 to 100)")


def _check_multivariate(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        _refuse("Filters are not valid (multivariate must be an object)")
    for variant in _objects(value.get("variants"), "variants"):
        if not isinstance(variant.get("key"), str) or not variant["key"]:
            _refuse("Filters are not valid (every variant needs a key)")
        _check_percentage(variant.get("rollout_percentage"))


def _check_payloads(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        _refuse("Payloads must be passed as a dictionary")
    for payload in value.values():
        if isinstance(payload, str):
            try:
                json.loads(payload)
            except (ValueError, RecursionError):
                _refuse("Payload value is not valid JSON")


REDACTED = '"********* (encrypted)"'


def unredacted(stored: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """What was sent, with the secrets that were only shown covered (contract 9.1)."""
    payloads, known = sent.get("payloads"), stored.get("payloads") or {}
    if not isinstance(payloads, dict):
        return sent
    kept = {
        name: known.get(name, value) if value == REDACTED else value
        for name, value in payloads.items()
    }
    return {**sent, "payloads": kept}


def redacted(filters: dict[str, Any]) -> dict[str, Any]:
    """Filters with every payload covered."""
    payloads = filters.get("payloads")
    if not isinstance(payloads, dict) or not payloads:
        return filters
    return {**filters, "payloads": dict.fromkeys(payloads, REDACTED)}


def merged(stored: dict[str, Any], sent: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """Return what a write of `sent` leaves behind (contract 9.2).

    G2 merges top-level keys and completes them; `{}` changes nothing. G1 replaces what has groups,
    and ignores what has none. Both keep payloads as JSON text.
    """
    sent = _with_payload_texts(sent)
    if not profile.merges_filters:
        return stored if stored and "groups" not in sent else sent
    if not sent:
        return stored
    return normalized({**stored, **sent})


def _with_payload_texts(filters: dict[str, Any]) -> dict[str, Any]:
    """Turn each payload that is not a string into its JSON."""
    payloads = filters.get("payloads")
    if not isinstance(payloads, dict):
        return filters
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in payloads.items()
    }
    return {**filters, "payloads": texts}


def tidy(filters: dict[str, Any]) -> dict[str, Any]:
    """Filters without the keys that G2 has done away with, dropped on any ordinary save."""
    return {name: value for name, value in filters.items() if name not in _OLD}


def normalized(filters: dict[str, Any]) -> dict[str, Any]:
    """Filters as G2 stores them."""
    outer = filters.get(_INDEX)
    kept = tidy(filters)
    groups = filters.get("groups")
    if groups is None:
        return {**kept, _INDEX: outer}
    completed = [_normal_group(group, outer) for group in groups]
    found = [group[_INDEX] for group in completed]
    shared = found[0] if found and all(one == found[0] for one in found) else None
    return {**kept, "groups": completed, _INDEX: shared if found else outer}


def _normal_group(group: dict[str, Any], outer: Any) -> dict[str, Any]:
    full = {**group, _INDEX: group.get(_INDEX, outer)}
    if isinstance(group.get("properties"), list):
        full["properties"] = [_normal_property(one) for one in group["properties"]]
    return full


def _normal_property(one: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in one.items() if name not in _DISPLAY_ONLY}
    if kept.get("operator") in OPERATORS:
        kept["operator"] = OPERATORS[kept["operator"]]
    return kept


def properties(filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every property of every group."""
    for group in filters.get("groups") or ():
        yield from group.get("properties") or ()


def variants(filters: dict[str, Any]) -> set[str]:
    """Return the keys of the variants."""
    listed = (filters.get("multivariate") or {}).get("variants") or ()
    return {str(one.get("key")) for one in listed}


def dependencies(filters: dict[str, Any]) -> frozenset[str]:
    """The ids, as text, of the flags that this one asks for."""
    return frozenset(str(one["key"]) for one in properties(filters) if one.get("type") == "flag")


def rollouts(filters: dict[str, Any] | None, profile: Profile) -> list[Position]:
    """Every rollout position (section 4). It exists only where the key is in the JSON."""
    filters = filters or {}
    found = list(_rollouts_of("groups", filters.get("groups")))
    if profile.knows_holdout:
        holdout = filters.get("holdout")
        if isinstance(holdout, dict) and "exclusion_percentage" in holdout:
            value = holdout["exclusion_percentage"]
            found.append({"path": "holdout.exclusion_percentage", "value": value})
    else:
        for name in reversed(_OLD):
            found += _rollouts_of(name, filters.get(name))
    variants = (filters.get("multivariate") or {}).get("variants")
    return found + list(_rollouts_of("multivariate.variants", variants))


def _rollouts_of(name: str, items: Any) -> Iterator[Position]:
    for place, one in enumerate(items if isinstance(items, list) else ()):
        if isinstance(one, dict) and "rollout_percentage" in one:
            path = f"{name}[{place}].rollout_percentage"
            yield {"path": path, "value": one["rollout_percentage"]}


def release_conditions(filters: dict[str, Any] | None) -> list[Position]:
    """Every release condition (section 4): its properties sorted, display-only keys left out."""
    filters = filters or {}
    found: list[Position] = []
    if filters.get(_INDEX) is not None:
        found.append({"path": _INDEX, "value": filters[_INDEX]})
    for place, group in enumerate(filters.get("groups") or ()):
        kept = {name: value for name, value in group.items() if name != "rollout_percentage"}
        listed = [_canonical(one) for one in group.get("properties") or ()]
        kept["properties"] = sorted(listed, key=lambda one: json.dumps(one, sort_keys=True))
        value = {name: one for name, one in kept.items() if one is not None}
        found.append({"path": f"groups[{place}]", "value": value})
    return found


def _canonical(one: dict[str, Any]) -> dict[str, Any]:
    kept = _normal_property(one)
    if kept.get("operator") == "exact":
        del kept["operator"]  # exact and absent mean the same
    return kept


def comparable(filters: Any) -> Any:
    """Filters for the field-level check of contract 9.4: without what only the server adds."""
    if not isinstance(filters, dict):
        return filters
    try:
        return normalized(filters)
    except (AttributeError, TypeError):
        return filters
