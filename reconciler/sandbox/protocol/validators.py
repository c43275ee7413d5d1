"""Field checks with the API's own messages and codes (contract 1.3). Pure.

Each function takes a value and the name of its field, and answers the value as the API keeps it
or raises the refusal.
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
_LONGEST_INTEGER = 18  # digits; what SQLite and Postgres can hold


@dataclass(frozen=True, slots=True)
class Field:
    """One writable field of a body."""

    name: str
    check: Check
    required: bool = False
    nullable: bool = False


def read(data: Any, known: Sequence[Field], *, partial: bool) -> dict[str, Any]:
    """The valid values of a body, in the order of the fields; unknown fields are dropped.

    Only the first wrong field is reported, as the API does.
    """
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise invalid(f"Invalid data. Expected a dictionary, but got {kind}.")
    values: dict[str, Any] = {}
    for one in known:
        if one.name not in data:
            if one.required and not partial:
                raise required(one.name)
            continue
        value = data[one.name]
        if value is None:
            if not one.nullable:
                raise null(one.name)
            values[one.name] = None
        else:
            values[one.name] = one.check(value, one.name)
    return values


def text(*, longest: int | None = None, blank: bool = False, trim: bool = True) -> Check:
    """A string; numbers are taken for their digits."""

    def check(value: Any, name: str) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise invalid("Not a valid string.", name)
        word = str(value).strip() if trim else str(value)
        if not word and not blank:
            raise invalid("This field may not be blank.", name, code="blank")
        need_storable(word, name)
        if longest is not None and len(word) > longest:
            detail = f"Ensure this field has no more than {longest} characters."
            raise invalid(detail, name, code="max_length")
        return word

    return check


def need_storable(value: Any, name: str) -> None:
    """Refuse what PostgreSQL cannot hold, in a text or anywhere in a JSON value.

    Halves of surrogate pairs are refused with the body, as malformed JSON.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise invalid(
                "Null characters are not allowed.", name, code="null_characters_not_allowed"
            )
    elif isinstance(value, Mapping):
        for key, item in value.items():
            need_storable(key, name)
            need_storable(item, name)
    elif isinstance(value, list):
        for item in value:
            need_storable(item, name)


def boolean(value: Any, name: str) -> bool:
    """True, false, or one of the words and digits that stand for them."""
    word = str(value).lower() if isinstance(value, bool | str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise invalid("Must be a valid boolean.", name)


def integer(value: Any, name: str) -> int:
    """A whole number, or text that is one."""
    if isinstance(value, bool | float) and not float(value).is_integer():
        raise invalid("A valid integer is required.", name)
    word = str(int(value)) if isinstance(value, int | float) else value
    if not isinstance(word, str) or not _INTEGER.fullmatch(word):
        raise invalid("A valid integer is required.", name)
    if len(word) > _LONGEST_INTEGER:
        raise invalid("String value too large.", name, code="max_string_length")
    return int(word.split(".")[0])


def choice(*allowed: Any) -> Check:
    """One of some values."""

    def check(value: Any, name: str) -> Any:
        for one in allowed:
            if value == one and isinstance(value, bool) == isinstance(one, bool):
                return one
            if isinstance(value, str) and value == str(one):
                return one
        raise invalid(f'"{value}" is not a valid choice.', name, code="invalid_choice")

    return check


def uuid(value: Any, name: str) -> str:
    """A uuid, in its usual spelling."""
    found = as_uuid(value)
    if found is None:
        raise invalid("Must be a valid UUID.", name)
    return found


def as_uuid(value: Any) -> str | None:
    """The usual spelling of a uuid, or None."""
    if not isinstance(value, str):
        return None
    try:
        return str(UUID(value))
    except ValueError:
        return None


def as_id(value: str) -> int | None:
    """The integer id in a path or a query, or None."""
    if value.isascii() and value.isdigit() and len(value) <= _LONGEST_INTEGER:
        return int(value)
    return None


def listing(check: Check) -> Check:
    """A list; a wrong element is named by its place (`bypass_roles__0`)."""

    def check_all(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            kind = type(value).__name__
            detail = f'Expected a list of items but got type "{kind}".'
            raise invalid(detail, name, code="not_a_list")
        checked = []
        for place, one in enumerate(value):
            if one is None:
                raise null(f"{name}__{place}")
            checked.append(check(one, f"{name}__{place}"))
        return checked

    return check_all


def anything(value: Any, name: str) -> Any:
    """Any JSON but null."""
    need_storable(value, name)
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        kind = type(value).__name__
        detail = f'Expected a dictionary of items but got type "{kind}".'
        raise invalid(detail, name, code="not_a_dict")
    need_storable(value, name)
    return value


def duration(value: Any, name: str) -> str:
    """A duration, as it is read back (contract 3.2)."""
    found = durations.parse(value)
    if found is None:
        raise invalid(
            "Duration has wrong format. Use one of these formats instead:"
            " [DD] [HH:[MM:]]ss[.uuuuuu].",
            name,
        )
    return durations.text(found)


def query_integer(value: str, name: str) -> int:
    """A number in a filter."""
    try:
        return integer(value, name)
    except ApiError as error:
        raise invalid("Enter a number.", name) from error
