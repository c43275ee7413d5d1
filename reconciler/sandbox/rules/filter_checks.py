"""Filters that PostHog refuses, each with its code (contract 9.2). Pure.

Written from the contract's table; `flag_filters.check_filters` has checked the types before.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn, TypeGuard

from reconciler.sandbox.protocol.errors import invalid

Properties = Iterator[tuple[dict[str, Any], str]]

_TEXT_OPERATORS = {
    "regex", "not_regex", "icontains", "not_icontains", "gt", "gte", "lt", "lte",
    "starts_with", "not_starts_with", "ends_with", "not_ends_with",
}  # fmt: skip
_SEMVER_OPERATORS = {
    f"semver_{name}"
    for name in ["gt", "gte", "lt", "lte", "eq", "neq", "tilde", "caret", "wildcard"]
}
_DATE_OPERATORS = {"is_date_exact", "is_date_before", "is_date_after"}
_MULTI_OPERATORS = {"icontains_multi", "not_icontains_multi"}
_COHORT_OPERATORS = {"in", "not_in"}
_SUPPORTED_OPERATORS = (
    {"exact", "is_not", "is_set", "is_not_set", "flag_evaluates_to"}
    | _TEXT_OPERATORS | _SEMVER_OPERATORS | _DATE_OPERATORS | _MULTI_OPERATORS | _COHORT_OPERATORS
)  # fmt: skip
_UNSUPPORTED_OPERATORS = {"between", "not_between", "is_cleaned_path_exact"}
_I32 = 2**31
_HUNDRED = 100
_TOLERANCE = 0.01
_INDEX = "aggregation_group_type_index"


def check_filters(
    filters: dict[str, Any],
    stored: dict[str, Any],
    aliases: dict[str, str],
    *,
    early_exit: bool = False,
) -> None:
    """Refuse what PostHog refuses.

    Args:
        filters: what would be stored.
        stored: what is stored; its regular expressions and early exit are not checked again.
        aliases: other spellings of operators, and what they are stored as.
        early_exit: whether the instance offers it.

    Raises:
        ApiError: 400, attr `filters`.
    """
    _check_types(filters)
    if not early_exit and filters.get("early_exit") and not stored.get("early_exit"):
        _refuse("early_exit is not available")
    variants = (filters.get("multivariate") or {}).get("variants") or []
    for variant in variants:
        if variant.get("rollout_percentage") is None:
            _refuse("variants need a rollout percentage, got null")
    known = [item.get("value") for item, _ in _iter_properties(stored)]
    for item, operator in _iter_properties(filters, aliases):
        if operator in ("regex", "not_regex") and item.get("value") not in known:
            _check_regex(item.get("value"))
    for group in filters.get("groups") or ():
        _check_aggregation(group, group.get(_INDEX, filters.get(_INDEX)))
    keys = _check_variants(variants)
    for group in filters.get("groups") or ():
        if group.get("variant") and group["variant"] not in keys:
            _refuse("Filters are not valid (variant override does not exist)")
    for item, operator in _iter_properties(filters, aliases):
        _check_operator(item, operator)
        _check_value(operator, item.get("value"))
    _check_payload_keys(filters, keys)


def _refuse(detail: str, code: str = "invalid_input") -> NoReturn:
    raise invalid(detail, "filters", code=code)


def _iter_properties(filters: dict[str, Any], aliases: dict[str, str] | None = None) -> Properties:
    for group in filters.get("groups") or ():
        for item in group.get("properties") or ():
            operator = item.get("operator")
            if operator is None:
                operator = "exact"
            elif isinstance(operator, str) and aliases:
                operator = aliases.get(operator, operator)
            yield item, operator


def _check_types(filters: dict[str, Any]) -> None:
    for name in ("early_exit", "feature_enrollment"):
        if not isinstance(filters.get(name), bool | None):
            _refuse(f"{name} must be a boolean or null")
    _check_integer(filters, _INDEX)
    holdout = filters.get("holdout")
    if isinstance(holdout, dict):
        _check_integer(holdout, "id", needed="id" in holdout)
        share = holdout.get("exclusion_percentage")
        if not _is_number(share) or not 0 <= share <= _HUNDRED:
            _refuse("holdout.exclusion_percentage must be a number from 0 to 100")
    elif holdout is not None:
        _refuse("holdout must be a dictionary or null")
    for group in filters.get("groups") or ():
        if not isinstance(group.get("variant"), str | None):
            _refuse("variant must be a string or null")
        _check_integer(group, _INDEX)
        for item in group.get("properties") or ():
            _check_integer(item, "group_type_index")
            if not isinstance(item.get("negation"), bool | None):
                _refuse("negation must be a boolean or null")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_integer(where: dict[str, Any], name: str, *, needed: bool = False) -> None:
    value = where.get(name)
    if value is None and not needed:
        return
    if type(value) is not int or (not -_I32 <= value < _I32 and name != "id"):
        _refuse(f"{name} must be an integer")


def _check_regex(pattern: Any) -> None:
    if not isinstance(pattern, str):
        return  # its type is refused below
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except Exception:  # noqa: BLE001 - whatever Python's own engine says of it
        _refuse("invalid regex pattern")


def _check_aggregation(group: dict[str, Any], index: int | None) -> None:
    for item in group.get("properties") or ():
        if index is None:
            if item["type"] not in {"person", "cohort", "flag"}:
                _refuse(
                    "Filters are not valid (person-aggregated conditions can only use person,"
                    " cohort, and flag properties)"
                )
            if item["type"] == "flag" and item.get("operator") != "flag_evaluates_to":
                _refuse("Flag properties must use the 'flag_evaluates_to' operator")
        elif item["type"] != "group":
            _refuse(
                "Filters are not valid (group-aggregated conditions can only use group properties)"
            )
        elif item.get("group_type_index") != index:
            _refuse(
                "Filters are not valid (group properties must match the condition set's group type)"
            )


def _check_variants(variants: list[dict[str, Any]]) -> set[str]:
    keys = [variant["key"] for variant in variants]
    total = sum(variant["rollout_percentage"] for variant in variants)
    if variants and not _HUNDRED - _TOLERANCE <= total <= _HUNDRED + _TOLERANCE:
        _refuse("Invalid variant definitions: Variant rollout percentages must sum to 100.")
    if len(keys) != len(set(keys)):
        _refuse("Variant keys must be unique.")
    return set(keys)


def _check_operator(item: dict[str, Any], operator: Any) -> None:
    if operator in _UNSUPPORTED_OPERATORS:
        _refuse(f"Unsupported operator for feature flags: {operator}", "unsupported_operator")
    if operator not in _SUPPORTED_OPERATORS:
        _refuse(f"Invalid operator: {operator}", "invalid_operator")
    if operator in _COHORT_OPERATORS and item["type"] != "cohort":
        detail = f"The '{operator}' operator is only valid for cohort properties"
        _refuse(f"{detail}, not '{item['type']}' properties.", "invalid_operator")


def _check_value(operator: str, value: Any) -> None:
    if operator in _DATE_OPERATORS and not has_date(value):
        _refuse(f"Invalid date value: {value}", "invalid_date")
    if operator in _TEXT_OPERATORS and not isinstance(value, str):
        _refuse(f"Invalid value for operator {operator}: {value}", "invalid_value")
    if operator in _SEMVER_OPERATORS and not _has_version(operator, value):
        _refuse(f"Invalid semver value for operator {operator}: {value}", "invalid_value")
    if operator in _MULTI_OPERATORS and not isinstance(value, list):
        _refuse(f"{operator} operator requires a list of values", "invalid_value")


def _has_version(operator: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if operator == "semver_wildcard":
        value = value.rstrip(".*")
    core, _, _ = value.partition("-")
    with suppress(ValueError):
        for number in core.split(".")[:3]:
            int(number)
        return True
    return False


def _check_payload_keys(filters: dict[str, Any], keys: set[str]) -> None:
    payloads = filters.get("payloads") or {}
    if filters.get("multivariate"):
        if not payloads.keys() <= keys:
            _refuse("Payload keys must match a variant key for multivariate flags")
    elif not payloads.keys() <= {"true"}:
        _refuse("Payload keys must be 'true' for boolean flags")


_DISTANCE = re.compile(r"-?\d{1,4}[hdwmy]", re.ASCII)
_CALENDAR = re.compile(
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(t(ember)?)?"
    "|oct(ober)?|nov(ember)?|dec(ember)?"
    "|mon(day)?|tue(sday)?|wed(nesday)?|thu(rsday)?|fri(day)?|sat(urday)?|sun(day)?"
)
_FILLER = re.compile(
    "h(ours?)?|m(inutes?)?|s(econds?)?|[ap]m?|at|on|and|ad|of|t|z|utc|gmt|st|nd|rd|th"
)
_STRIPES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def has_date(value: Any) -> bool:
    """Return whether the value of a date condition can be read, by the rules of contract 9.2."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    text = str(value)
    return bool(_DISTANCE.fullmatch(text)) or (_has_date_words(text) and _is_a_day(text))


def _has_date_words(text: str) -> bool:
    if any(not (c.isalnum() or c.isspace() or c in ".,;:/'+-") for c in text):
        return False
    named = any(c.isdecimal() for c in text)
    for word in re.findall(r"[^\W\d_]+", text):
        if ":" in text and word.isupper() and 3 <= len(word) <= 5:  # noqa: PLR2004 - CET, AEST
            continue
        if _CALENDAR.fullmatch(word.casefold()):
            named = True
        elif not _FILLER.fullmatch(word.casefold()):
            return False
    return named


def _is_a_day(text: str) -> bool:
    if text.isdecimal():
        return _is_striped(text)
    begins = re.match(r"(\d{4})([-/.])(\d{1,2})", text)
    return begins is None or _is_in_calendar(text, begins[2])


def _is_striped(text: str) -> bool:
    """Return whether digits only are a day, a year, or a date without separators."""
    if len(text) in _STRIPES:
        return _can_parse(text, _STRIPES[len(text)])
    return len(text) == len("240131") or (len(text) <= len("2024") and int(text) > 0)


def _is_in_calendar(text: str, by: str) -> bool:
    sep = re.escape(by)
    match = re.match(rf"\d{{4}}{sep}\d{{1,2}}(?:{sep}\d{{1,2}})?", text)
    day = match[0] if match else ""
    full = day if day.count(by) > 1 else f"{day}{by}1"
    clock = re.match(r"[T\s]+(\d{1,2}:\d{2}(?::\d{2})?)", text[len(day) :])
    fine = _can_parse(full, f"%Y{by}%m{by}%d")
    if clock is None:
        return fine
    return fine and _can_parse(clock[1], "%H:%M:%S" if clock[1].count(":") > 1 else "%H:%M")


def _can_parse(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - only whether it is one
    except ValueError:
        return False
    return True
