"""Find what PostHog refuses of a flag's `filters` (contract 9.2). Pure."""

import json
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final

from reconciler.model import MAPPINGS, Path, RejectedValue
from reconciler.normal_form import dates, values
from reconciler.normal_form.filters import INDEX as _INDEX
from reconciler.normal_form.filters import OPERATORS as SPELLINGS

_PATTERNS: Final = frozenset({"regex", "not_regex"})
_OF_TEXT: Final = _PATTERNS | {
    *("icontains", "not_icontains", "gt", "gte", "lt", "lte"),
    *("starts_with", "not_starts_with", "ends_with", "not_ends_with"),
}
_OF_LISTS: Final = frozenset({"icontains_multi", "not_icontains_multi"})
_OF_COHORTS: Final = frozenset({"in", "not_in"})
_OF_DATES: Final = frozenset({"is_date_exact", "is_date_after", "is_date_before"})
_OF_VERSIONS: Final = frozenset(
    f"semver_{name}"
    for name in ("gt", "gte", "lt", "lte", "eq", "neq", "tilde", "caret", "wildcard")
)
_NOT_IN_FLAGS: Final = frozenset({"between", "not_between", "is_cleaned_path_exact"})
OPERATORS: Final = (
    frozenset({"exact", "is_not", "is_set", "is_not_set", "flag_evaluates_to"})
    | _OF_TEXT
    | _OF_LISTS
    | _OF_COHORTS
    | _OF_DATES
    | _OF_VERSIONS
)
_OF_PEOPLE: Final = ("person", "cohort", "flag")
_SWITCHES: Final = ("early_exit", "feature_enrollment")
_RARE: Final = frozenset({*_SWITCHES, "holdout", _INDEX})
_BESIDE_GROUPS: Final = _RARE | {"version", "multivariate", "payloads"}
_RARE_IN_GROUPS: Final = frozenset({"variant", _INDEX})
_FULL: Final = 100
_ROUNDED: Final = 0.01  # percent; shares such as 33.33 three times
_LARGEST: Final = 2**31 - 1  # the largest number of the service that evaluates flags
_UNCHECKED: Final = (None, "exact", "is_not", "is_set", "is_not_set")  # they take any value
SHARES: Final = "shares"  # the topic of a sum that is not 100, which has its own check


def find_refusals(
    filters: Mapping[str, Any], *, stored: Collection[str] = ()
) -> Iterable[RejectedValue]:
    """Find everything that PostHog refuses; the paths start inside `filters`.

    `stored` are regular expressions that the flag already has; they are not checked again. Whether
    PostHog accepts `early_exit: true` depends on a switch that cannot be read (contract 9.2).
    """
    if _BESIDE_GROUPS.isdisjoint(filters) and _has_usual_groups(filters.get("groups")):
        return ()
    return _iterate_refusals(filters, stored)


def _iterate_refusals(
    filters: Mapping[str, Any], stored: Collection[str]
) -> Iterator[RejectedValue]:
    if "version" in filters:
        message = "`filters.version` is reserved by PostHog"
        yield RejectedValue(("version",), message, "", "remove it")
    if not _RARE.isdisjoint(filters):
        yield from _check_switches(filters)
    multivariate, payloads = filters.get("multivariate"), filters.get("payloads")
    names: set[str] = set()
    if multivariate:
        names = list_variant_keys(filters)
        yield from _check_variants(_list_variants(filters))
    yield from _check_groups(filters, names, stored)
    if isinstance(payloads, MAPPINGS):
        yield from _check_payloads(payloads, names, many=bool(multivariate))


def _check_groups(
    filters: Mapping[str, Any], names: set[str], stored: Collection[str]
) -> Iterator[RejectedValue]:
    for index, group in _list_mappings(filters.get("groups")):
        whole = group.get(_INDEX, filters.get(_INDEX))  # an explicit null means people
        if not _RARE_IN_GROUPS.isdisjoint(group):
            yield from _check_group(group, ("groups", index), names)
        for place, item in _list_mappings(group.get("properties")):
            if whole is not None or not _is_usual(item):
                at = ("groups", index, "properties", place)
                yield from _check_property(item, at, whole, stored)


def _has_usual_groups(groups: Any) -> bool:
    """Return whether nothing in groups of people can be refused, as in most flags."""
    for group in groups if isinstance(groups, list) else ():
        if not isinstance(group, dict) or not _RARE_IN_GROUPS.isdisjoint(group):
            return False
        properties = group.get("properties")
        for item in properties if isinstance(properties, list) else ():
            if not isinstance(item, dict) or not _is_usual(item):
                return False
    return True


def _is_usual(item: Mapping[str, Any]) -> bool:
    """Return whether a condition has nothing that PostHog could refuse in a group of people."""
    return (
        "type" in item
        and item["type"] == "person"
        and ("operator" not in item or item["operator"] in _UNCHECKED)
        and "key" in item
        and "negation" not in item
        and "group_type_index" not in item
    )


def list_variant_keys(filters: Mapping[str, Any]) -> set[str]:
    """Return the keys of the variants."""
    return {str(variant.get("key")) for variant in _list_variants(filters)}


def has_aggregation(filters: Mapping[str, Any]) -> bool:
    """Return whether any group buckets groups instead of people."""
    whole = filters.get(_INDEX)
    return any(
        group.get(_INDEX, whole) is not None for _, group in _list_mappings(filters.get("groups"))
    )


def _list_variants(filters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    multivariate = filters.get("multivariate")
    listed = multivariate.get("variants") if isinstance(multivariate, Mapping) else None
    return [variant for _, variant in _list_mappings(listed)]


def _list_mappings(value: Any) -> list[tuple[int, Mapping[str, Any]]]:
    """List the mappings in a list with their places; the schema refuses other items."""
    if not isinstance(value, list):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, MAPPINGS)]


def _check_switches(filters: Mapping[str, Any]) -> Iterator[RejectedValue]:
    for name in _SWITCHES:
        value = filters.get(name)
        if value is not None and not isinstance(value, bool):
            yield RejectedValue(
                (name,), f"`{name}` is not true or false", "", "write `true` or `false`"
            )
    yield from _check_index(filters, _INDEX, ())
    holdout = filters.get("holdout")
    if not isinstance(holdout, Mapping):
        return
    number, share = holdout.get("id"), holdout.get("exclusion_percentage")
    if "id" in holdout and not (_is_id_or_name(number) and number):
        message = "this is neither the name nor the ID of a holdout"
        yield RejectedValue(("holdout", "id"), message, "", "write its name or ID")
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= _FULL:
        fix = "write a number from 0 to 100"
        at = ("holdout", "exclusion_percentage")
        yield RejectedValue(at, "`exclusion_percentage` is not a share", "", fix)


def _check_index(node: Mapping[str, Any], name: str, at: Path) -> Iterator[RejectedValue]:
    value = node.get(name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and abs(value) <= _LARGEST):
        fix = "write the number of a group type, such as 0"
        yield RejectedValue((*at, name), f"`{name}` is not a whole number", "", fix)


def _check_variants(variants: Sequence[Mapping[str, Any]]) -> Iterator[RejectedValue]:
    at = ("multivariate", "variants")
    names: set[str] = set()
    for index, variant in enumerate(variants):
        name = str(variant.get("key"))
        if name in names:
            fix = "give each variant a unique key"
            yield RejectedValue((*at, index, "key"), f'two variants are called "{name}"', "", fix)
        names.add(name)
        if variant.get("rollout_percentage") is None:
            message = f'the variant "{name}" has no `rollout_percentage`'
            yield RejectedValue((*at, index), message, "", "write its share")
    shares = [variant.get("rollout_percentage") for variant in variants]
    if not shares or not all(isinstance(share, (int, float)) for share in shares):
        return
    total = sum(share or 0 for share in shares)
    if abs(total - _FULL) > _ROUNDED:
        message = f"the shares of the variants add up to {total:g}"
        yield RejectedValue(at, message, "", "make them add up to 100", SHARES)


def _check_group(group: Mapping[str, Any], at: Path, variants: set[str]) -> Iterator[RejectedValue]:
    variant = group.get("variant")
    if variant and variant not in variants:
        fix = "name one of `multivariate.variants`"
        message = f'unknown variant "{variant}"'
        yield RejectedValue((*at, "variant"), message, "", fix, near=tuple(variants))
    yield from _check_index(group, _INDEX, at)


def _check_property(
    item: Mapping[str, Any], at: Path, kind: int | None, stored: Collection[str]
) -> Iterator[RejectedValue]:
    for name in ("key", "type"):
        if name not in item:
            yield RejectedValue(at, f"a property without `{name}`", "", f"add `{name}: …`")
    if "negation" in item and not isinstance(item["negation"], (bool, NoneType)):
        fix = "write `true` or `false`"
        yield RejectedValue((*at, "negation"), "`negation` is not true or false", "", fix)
    if "type" in item:
        yield from _check_type(item, at, kind)
    if "group_type_index" in item:
        yield from _check_index(item, "group_type_index", at)
    written = item.get("operator")
    if written is None or written == "exact":
        return
    operator = SPELLINGS.get(str(written), str(written))
    if operator not in OPERATORS:
        yield _refuse_operator(written, (*at, "operator"))
    elif operator in _OF_COHORTS and item.get("type") != "cohort":
        fix = "write `exact` or `is_not`, with a list as its value"
        message = f"`{written}` works only with cohorts"
        yield RejectedValue((*at, "operator"), message, "", fix)
    elif operator not in _PATTERNS or item.get("value") not in stored:
        yield from _check_value(operator, item.get("value"), (*at, "value"))


def _check_type(item: Mapping[str, Any], at: Path, kind: int | None) -> Iterator[RejectedValue]:
    type_ = item["type"]
    if kind is None and type_ not in _OF_PEOPLE:
        fix = f"one of {', '.join(_OF_PEOPLE)}"
        if type_ == "group":
            fix = "write `aggregation_group_type_index` beside `properties`, or `type: person`"
        message = f'a property of type "{type_}" in a group of people'
        yield RejectedValue((*at, "type"), message, "", fix)
    elif kind is not None and type_ != "group":
        message = f'a property of type "{type_}" in a group of `{_INDEX}: {kind}`'
        why = "such a group has only properties of its group type"
        yield RejectedValue(
            (*at, "type"), message, why, "write `type: group` and `group_type_index`"
        )
    elif kind is not None and item.get("group_type_index") != kind:
        message = f"the property is of another group type than `{_INDEX}: {kind}`"
        at = (*at, "group_type_index")
        yield RejectedValue(at, message, "", f"write `group_type_index: {kind}`")
    cohort = item.get("value")
    if type_ == "cohort" and (not _is_id_or_name(values.normalize_number(cohort)) or not cohort):
        message = "a condition on a cohort needs the cohort"
        yield RejectedValue((*at, "value"), message, "", "write its name or ID as `value`")
    if type_ == "flag" and kind is None and item.get("operator") != "flag_evaluates_to":
        message = "a condition on a flag has the operator `flag_evaluates_to`"
        yield RejectedValue((*at, "operator"), message, "", "write `operator: flag_evaluates_to`")


def _is_id_or_name(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _refuse_operator(written: Any, at: Path) -> RejectedValue:
    if written in _NOT_IN_FLAGS:
        message = f"`{written}` does not work in feature flags"
        return RejectedValue(at, message, "", "write two conditions, with `gte` and `lte`")
    fix = "see https://posthog.com/docs/feature-flags for the operators"
    return RejectedValue(
        at, f"unknown operator `{written}`", "", fix, near=tuple(sorted(OPERATORS))
    )


def _check_value(operator: str, value: Any, at: Path) -> Iterator[RejectedValue]:
    if operator in _OF_DATES and not dates.is_date(value):
        fix = "write a date such as `2026-01-31`, or `-7d`"
        yield RejectedValue(at, f"`{_format_value(value)}` is not a date", "", fix)
    elif operator in _OF_TEXT and not isinstance(value, str):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fix = f'quote it: "{value}"' if number else "write text"
        message = f"`{operator}` compares with text, and `{_format_value(value)}` is not text"
        yield RejectedValue(at, message, "", fix)
    elif operator in _PATTERNS and (why := _find_regex_error(value)):
        fix = "write a regular expression that Python's `re` accepts"
        yield RejectedValue(at, f"the regular expression does not compile: {why}", "", fix)
    elif operator in _OF_LISTS and not isinstance(value, list):
        fix = (
            f"write `[{_format_value(value)}]`, or the operator `{operator.removesuffix('_multi')}`"
        )
        yield RejectedValue(at, f"`{operator}` needs a list", "", fix)
    elif operator in _OF_VERSIONS and not _is_version(operator, value):
        fix = 'write a version such as "1.2.3", in quotes'
        yield RejectedValue(at, f"`{_format_value(value)}` is not a version", "", fix)


def _format_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004  about one line


def _find_regex_error(value: str) -> str:
    """Return why PostHog's engine, Python's `re`, refuses a pattern; "" if it accepts it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(value)
    except (re.error, RecursionError, OverflowError, ValueError) as error:
        return str(error)
    return ""


def _is_version(operator: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    text = value.rstrip(".*") if operator == "semver_wildcard" else value
    parts = text.split("-")[0].split(".")
    return all(_is_number(part) for part in parts[:3])


def _is_number(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _check_payloads(
    payloads: Mapping[str, Any], variants: set[str], *, many: bool
) -> Iterator[RejectedValue]:
    known = variants if many else {"true"}
    for name, payload in payloads.items():
        if name not in known:
            fix = f"one of {', '.join(sorted(known))}" if known else "remove it"
            message = f'a payload for "{name}", which no user gets'
            yield RejectedValue(("payloads", name), message, "", fix)
        if isinstance(payload, str) and not _is_json(payload):
            fix = "write JSON, or a mapping, list or number that becomes JSON"
            yield RejectedValue(("payloads", name), "the payload is not JSON", "", fix)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
