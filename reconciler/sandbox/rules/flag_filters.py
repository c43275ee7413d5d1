"""A flag's `filters`: checks of types, normalization, positions for the gate (contract 9.2).

Pure: values in, values out.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.store.generation import Profile

Position = dict[str, Any]

_LARGEST = 1_000_000  # bytes
_HUNDRED = 100
_DISPLAY_ONLY = ("cohort_name", "group_key_names", "label")
_LEGACY_KEYS = ("holdout_groups", "super_groups")
_INDEX = "aggregation_group_type_index"
OPERATOR_ALIASES = {
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


SECOND_FORMAT: Final = 2  # `filters.version`: rules instead of condition sets (contract 9.2)


def check_filters(filters: Any, *, creating: bool) -> dict[str, Any]:
    """Return the filters, if they are valid.

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
    for group in _require_objects(groups, "groups"):
        _check_group(group)
    _check_multivariate(filters.get("multivariate"))
    _check_payloads(filters.get("payloads"))
    return filters


def check_stored_filters(filters: dict[str, Any]) -> None:
    """Check filters that are loaded, not written: they may be in the second format (contract 9.2).

    Raises:
        ApiError: 400, attr `filters`.
    """
    if filters.get("version") != SECOND_FORMAT:
        check_filters(filters, creating=False)


def _refuse(detail: str) -> NoReturn:
    raise invalid(detail, "filters")


def _require_objects(value: Any, name: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _refuse(f"Filters are not valid ({name} must be a list of objects)")
    return list(value)


def _check_group(group: dict[str, Any]) -> None:
    _check_percentage(group.get("rollout_percentage"))
    for item in _require_objects(group.get("properties"), "properties"):
        for name in ("key", "type"):
            number = name == "key" and type(item.get(name)) in (int, float)
            if not isinstance(item.get(name), str) and not number:
                _refuse(f"Filters are not valid (every property needs a {name})")


def _check_percentage(value: Any) -> None:
    if value is None:
        return
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 <= value <= _HUNDRED:
        _refuse("Filters are not valid (rollout percentages are numbers from 0 to 100)")


def _check_multivariate(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        _refuse("Filters are not valid (multivariate must be an object)")
    for variant in _require_objects(value.get("variants"), "variants"):
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


def restore_payloads(stored: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Return what was sent, with the stored payloads in place of redacted ones (contract 9.1)."""
    payloads, known = sent.get("payloads"), stored.get("payloads") or {}
    if not isinstance(payloads, dict):
        return sent
    kept = {
        name: known.get(name, value) if value == REDACTED else value
        for name, value in payloads.items()
    }
    return {**sent, "payloads": kept}


def redact_payloads(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters with every payload redacted."""
    payloads = filters.get("payloads")
    if not isinstance(payloads, dict) or not payloads:
        return filters
    return {**filters, "payloads": dict.fromkeys(payloads, REDACTED)}


_ENCRYPTED = "true"  # the payload that an encrypted flag must have


def keep_payload(stored: dict[str, Any], filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters with the encrypted payload, which a write need not repeat (contract 9.1).

    Raises:
        ApiError: 400, there is none.
    """
    payloads = filters.get("payloads") or {}
    if payloads.get(_ENCRYPTED):
        return filters
    kept = (stored.get("payloads") or {}).get(_ENCRYPTED)
    if not kept:
        raise invalid("An encrypted payload is required when has_encrypted_payloads is true.")
    return {**filters, "payloads": {**payloads, _ENCRYPTED: kept}}


def drop_secrets(stored: dict[str, Any], filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters without the payloads that were encrypted until now (contract 9.1)."""
    payloads, secrets = filters.get("payloads"), stored.get("payloads") or {}
    if not isinstance(payloads, dict):
        return filters
    kept = {
        name: value
        for name, value in payloads.items()
        if value and value not in (REDACTED, secrets.get(name))
    }
    return {**filters, "payloads": kept}


_CIPHER = "sandbox-ciphertext:"


def encrypt_payloads(filters: dict[str, Any]) -> dict[str, str]:
    """Return the payloads as a request keeps them when it must not show them (contract 7.2)."""
    payloads = filters.get("payloads")
    if not isinstance(payloads, dict):
        return {}
    return {
        name: _CIPHER + base64.b64encode(json.dumps(value).encode()).decode()
        for name, value in payloads.items()
        if value != REDACTED
    }


def decrypt_payloads(encrypted: dict[str, Any]) -> dict[str, Any]:
    """Return the payloads that a request keeps encrypted.

    Raises:
        ValueError: one of them cannot be decrypted.
    """
    payloads = {}
    for name, text in encrypted.items():
        if not isinstance(text, str) or not text.startswith(_CIPHER):
            raise ValueError(name)
        payloads[name] = json.loads(base64.b64decode(text.removeprefix(_CIPHER), validate=True))
    return payloads


def merge_filters(
    stored: dict[str, Any], sent: dict[str, Any], profile: Profile, *, tidies: bool = True
) -> dict[str, Any]:
    """Return what a write of `sent` leaves behind (contract 9.2).

    G2 merges top-level keys and completes them; `{}` changes nothing. G1 replaces what has groups,
    and ignores what has none. Both keep payloads as JSON text. `tidies`: G2 also drops the keys
    that it has retired.
    """
    sent = _encode_payloads(sent)
    if not profile.merges_filters:
        return stored if stored and "groups" not in sent else sent
    if not sent:
        return stored
    merged = {**stored, **sent}
    retired = {} if tidies else {name: merged[name] for name in _LEGACY_KEYS if name in merged}
    return {**normalize_filters(merged), **retired}


def _encode_payloads(filters: dict[str, Any]) -> dict[str, Any]:
    """Turn each payload that is not a string into its JSON."""
    payloads = filters.get("payloads")
    if not isinstance(payloads, dict):
        return filters
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in payloads.items()
    }
    return {**filters, "payloads": texts}


def drop_legacy_keys(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters without the keys that G2 retired, which any ordinary save drops."""
    return {name: value for name, value in filters.items() if name not in _LEGACY_KEYS}


def normalize_filters(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters as G2 stores them."""
    outer = filters.get(_INDEX)
    kept = drop_legacy_keys(filters)
    groups = filters.get("groups")
    if groups is None:
        return {**kept, _INDEX: outer}
    completed = [_normalize_group(group, outer) for group in groups]
    indexes = [group[_INDEX] for group in completed]
    shared = indexes[0] if indexes and all(index == indexes[0] for index in indexes) else None
    return {**kept, "groups": completed, _INDEX: shared if indexes else outer}


def _normalize_group(group: dict[str, Any], outer: Any) -> dict[str, Any]:
    full = {**group, _INDEX: group.get(_INDEX, outer)}
    if isinstance(group.get("properties"), list):
        full["properties"] = [_normalize_property(item) for item in group["properties"]]
    return full


def _normalize_property(item: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name not in _DISPLAY_ONLY}
    if kept.get("operator") in OPERATOR_ALIASES:
        kept["operator"] = OPERATOR_ALIASES[kept["operator"]]
    return kept


def iter_properties(filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every property of every group."""
    for group in filters.get("groups") or ():
        yield from group.get("properties") or ()


def list_variant_keys(filters: dict[str, Any]) -> set[str]:
    """Return the keys of the variants."""
    listed = (filters.get("multivariate") or {}).get("variants") or ()
    return {str(variant.get("key")) for variant in listed}


def find_dependency_ids(filters: dict[str, Any]) -> frozenset[str]:
    """Return the ids, as text, of the flags that this one depends on."""
    return frozenset(
        str(item["key"]) for item in iter_properties(filters) if item.get("type") == "flag"
    )


def find_rollouts(filters: dict[str, Any] | None, profile: Profile) -> list[Position]:
    """Return every rollout position (contract 4): those whose key is in the JSON."""
    filters = filters or {}
    positions = list(_find_rollouts_in("groups", filters.get("groups")))
    if profile.knows_holdout:
        holdout = filters.get("holdout")
        if isinstance(holdout, dict) and "exclusion_percentage" in holdout:
            value = holdout["exclusion_percentage"]
            positions.append({"path": "holdout.exclusion_percentage", "value": value})
    else:
        for name in reversed(_LEGACY_KEYS):
            positions += _find_rollouts_in(name, filters.get(name))
    variants = (filters.get("multivariate") or {}).get("variants")
    return positions + list(_find_rollouts_in("multivariate.variants", variants))


def _find_rollouts_in(name: str, items: Any) -> Iterator[Position]:
    for place, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and "rollout_percentage" in item:
            path = f"{name}[{place}].rollout_percentage"
            yield {"path": path, "value": item["rollout_percentage"]}


def find_release_conditions(filters: dict[str, Any] | None) -> list[Position]:
    """Return every release condition (contract 4), properties sorted, without display-only keys."""
    filters = filters or {}
    positions: list[Position] = []
    if filters.get(_INDEX) is not None:
        positions.append({"path": _INDEX, "value": filters[_INDEX]})
    for place, group in enumerate(filters.get("groups") or ()):
        kept = {name: value for name, value in group.items() if name != "rollout_percentage"}
        listed = [_canonicalize_property(item) for item in group.get("properties") or ()]
        kept["properties"] = sorted(listed, key=lambda item: json.dumps(item, sort_keys=True))
        value = {name: field for name, field in kept.items() if field is not None}
        positions.append({"path": f"groups[{place}]", "value": value})
    return positions


def _canonicalize_property(item: dict[str, Any]) -> dict[str, Any]:
    kept = _normalize_property(item)
    if kept.get("operator") == "exact":
        del kept["operator"]  # exact and absent mean the same
    return kept


def make_comparable(filters: Any) -> Any:
    """Return filters for the field-level check of contract 9.4, without what the server adds."""
    if not isinstance(filters, dict):
        return filters
    try:
        return normalize_filters(filters)
    except (AttributeError, TypeError):
        return filters
