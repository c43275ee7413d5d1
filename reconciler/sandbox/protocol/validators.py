"""Field checks with the API's own messages and codes (contract 1.3). Pure.

A check takes a value and the name of its field, and returns the value as the API stores it, or
raises the refusal.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from reconciler.sandbox.protocol import durations
from reconciler.sandbox.protocol.errors import ApiError, invalid, null, required

Check = Callable[[Any, str], Any]

_TRUE = {"t", "y", "yes", "true", "on", "1"}
_FALSE = {"f", "n", "no", "false", "off", "0"}
_INTEGER = re.compile(r"\s*[+-]?\d+(\.0*)?\s*", re.ASCII)
_LONGEST_INTEGER = 18  # digits; what SQLite and Postgres can store


@dataclass(frozen=True, slots=True)
class Field:
    """One writable field of a body."""

    name: str
    check: Check
    required: bool = False
    nullable: bool = False


def read_fields(data: Any, known: Sequence[Field], *, partial: bool) -> dict[str, Any]:
    """Return the valid values of a body, in the order of the fields, without unknown fields.

    Only the first wrong field is reported, as the API does.
    """
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise invalid(f"Invalid data. Expected a dictionary, but got {kind}.")
    values: dict[str, Any] = {}
    for field in known:
        if field.name not in data:
            if field.required and not partial:
                raise required(field.name)
            continue
        value = data[field.name]
        if value is None:
            if not field.nullable:
                raise null(field.name)
            values[field.name] = None
        else:
            values[field.name] = field.check(value, field.name)
    return values


def make_text_check(*, longest: int | None = None, blank: bool = False, trim: bool = True) -> Check:
    """Return a check for a string; a number becomes its digits."""

    def check(value: Any, name: str) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise invalid("Not a valid string.", name)
        word = str(value).strip() if trim else str(value)
        if not word and not blank:
            raise invalid("This field may not be blank.", name, code="blank")
        require_storable(word, name)
        if longest is not None and len(word) > longest:
            detail = f"Ensure this field has no more than {longest} characters."
            raise invalid(detail, name, code="max_length")
        return word

    return check


def require_storable(value: Any, name: str) -> None:
    """Refuse what PostgreSQL cannot store, in a text or anywhere in a JSON value.

    Halves of surrogate pairs are refused with the body, as malformed JSON.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise invalid(
                "Null characters are not allowed.", name, code="null_characters_not_allowed"
            )
    elif isinstance(value, Mapping):
        for key, item in value.items():
            require_storable(key, name)
            require_storable(item, name)
    elif isinstance(value, list):
        for item in value:
            require_storable(item, name)


def check_boolean(value: Any, name: str) -> bool:
    """Return true or false, also for the words and digits that mean them."""
    word = str(value).lower() if isinstance(value, bool | str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise invalid("Must be a valid boolean.", name)


def check_integer(value: Any, name: str) -> int:
    """Return a whole number, also for text that is one."""
    if isinstance(value, bool | float) and not float(value).is_integer():
        raise invalid("A valid integer is required.", name)
    word = str(int(value)) if isinstance(value, int | float) else value
    if not isinstance(word, str) or not _INTEGER.fullmatch(word):
        raise invalid("A valid integer is required.", name)
    if len(word) > _LONGEST_INTEGER:
        raise invalid("String value too large.", name, code="max_string_length")
    return int(word.split(".")[0])


def make_choice_check(*allowed: Any) -> Check:
    """Return a check for one of these values."""

    def check(value: Any, name: str) -> Any:
        for option in allowed:
            if value == option and isinstance(value, bool) == isinstance(option, bool):
                return option
            if isinstance(value, str) and value == str(option):
                return option
        raise invalid(f'"{value}" is not a valid choice.', name, code="invalid_choice")

    return check


def check_uuid(value: Any, name: str) -> str:
    """Return a uuid in its usual spelling."""
    parsed = parse_uuid(value)
    if parsed is None:
        raise invalid("Must be a valid UUID.", name)
    return parsed


def parse_uuid(value: Any) -> str | None:
    """Return the usual spelling of a uuid, or None."""
    if not isinstance(value, str):
        return None
    try:
        return str(UUID(value))
    except ValueError:
        return None


def parse_id(value: str) -> int | None:
    """Return the integer id in a path or a query, or None."""
    if value.isascii() and value.isdigit() and len(value) <= _LONGEST_INTEGER:
        return int(value)
    return None


def make_list_check(check: Check) -> Check:
    """Return a check for a list; a wrong element is named by its place (`bypass_roles__0`)."""

    def check_all(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            kind = type(value).__name__
            detail = f'Expected a list of items but got type "{kind}".'
            raise invalid(detail, name, code="not_a_list")
        checked = []
        for place, item in enumerate(value):
            if item is None:
                raise null(f"{name}__{place}")
            checked.append(check(item, f"{name}__{place}"))
        return checked

    return check_all


def check_any(value: Any, name: str) -> Any:
    """Accept any JSON except null."""
    require_storable(value, name)
    return value


def check_object(value: Any, name: str) -> dict[str, Any]:
    """Accept an object."""
    if not isinstance(value, dict):
        kind = type(value).__name__
        detail = f'Expected a dictionary of items but got type "{kind}".'
        raise invalid(detail, name, code="not_a_dict")
    require_storable(value, name)
    return value


def check_duration(value: Any, name: str) -> str:
    """Return a duration as the API answers with it (contract 3.2)."""
    parsed = durations.parse_duration(value)
    if parsed is None:
        raise invalid(
            "Duration has wrong format. Use one of these formats instead:"
            " [DD] [HH:[MM:]]ss[.uuuuuu].",
            name,
        )
    return durations.format_duration(parsed)


def check_query_integer(value: str, name: str) -> int:
    """Return a number in a filter."""
    try:
        return check_integer(value, name)
    except ApiError as error:
        raise invalid("Enter a number.", name) from error
