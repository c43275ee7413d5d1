"""Normalize plain values to the spelling that PostHog keeps, whatever was sent. Pure.

Both sides of a comparison are normalized, and so is what is sent: a difference that the server
would only undo is never planned.
"""

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from reconciler.lazy_pattern import compile_later

_NUMBER: Final = compile_later(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)
_PLAIN_DIGITS: Final = 40  # a number with more digits is written with an exponent
_SMALLEST: Final = -6  # and so is a number with more zeros after the point
_LONGEST_EXPONENT: Final = 9  # digits; a longer one keeps its spelling
_SURROGATE: Final = compile_later("[\ud800-\udfff]")  # half a character cannot be sent as UTF-8


class _Number(str):
    """A number of a JSON text, in its normal form."""

    __slots__ = ()


def trim_text(value: Any) -> Any:
    """Return text without white space at its ends (contract 9.1); anything else as it is."""
    return value.strip() if isinstance(value, str) else value


@lru_cache(maxsize=4096, typed=True)  # most flags share their tags; typed: `True` is not 1 here
def normalize_labels(*values: Any) -> list[Any]:
    """Return tags trimmed, in lower case, sorted, each once, without blanks (contract 9.1).

    Equal tags give the same list, since lists of a spec are never changed.
    """
    unique = {value.strip().lower() if isinstance(value, str) else value for value in values}
    unique.discard("")
    try:
        return sorted(unique)
    except TypeError:  # of several types
        return sorted(unique, key=lambda value: (str(type(value)), value))


def normalize_number(value: Any) -> Any:
    """Return a whole number without a fraction: 10.0 is 10."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def normalize_uuid(value: Any) -> Any:
    """Return a uuid in its usual spelling; anything else as it is."""
    try:
        return str(UUID(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def normalize_json(value: Any) -> str:
    """Return a payload as normal JSON text (contract 9.2); text that is not JSON as it is.

    Spaces, the order of keys, escapes, repeated keys and the spelling of numbers mean nothing.
    Letters stay letters.
    """
    return _respell_json(value) if isinstance(value, str) else _write_json(value)


@lru_cache(maxsize=4096)  # flags of many environments share their payloads
def _respell_json(value: str) -> str:
    try:
        return _write_json(
            json.loads(value, parse_int=_normalize_literal, parse_float=_normalize_literal)
        )
    except (ValueError, RecursionError):
        return value


def _write_json(value: Any) -> str:  # noqa: PLR0911  one line a type
    match value:
        case _Number():
            return str(value)
        case str():
            quoted = json.dumps(value, ensure_ascii=False)
            return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
        case None | bool():
            return json.dumps(value)
        case int():
            return _normalize_literal(str(value))
        case float():
            return _normalize_literal(repr(value)) if math.isfinite(value) else json.dumps(value)
        case Mapping():
            items = (
                f"{_write_json(str(name))}: {_write_json(value[name])}" for name in sorted(value)
            )
            return "{" + ", ".join(items) + "}"
        case _:
            return "[" + ", ".join(map(_write_json, value)) + "]"


def _normalize_literal(literal: str) -> _Number:
    """Return a JSON number by its exact value: `1`, `1.0` and `10e-1` are `1`."""
    match = _NUMBER.fullmatch(literal)
    sign, whole, fraction, exponent = match.groups("") if match is not None else ("",) * 4
    if match is None or len(exponent) > _LONGEST_EXPONENT:
        return _Number(literal)
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return _Number("0")
    return _Number(sign + _place_point(digits, point))


def _place_point(digits: str, point: int) -> str:
    """Return `0.DIGITS` times ten to the power of `point`, as short as it is exact."""
    if len(digits) <= point <= max(len(digits), _PLAIN_DIGITS):
        return digits.ljust(point, "0")
    if 0 < point < len(digits):
        return f"{digits[:point]}.{digits[point:]}"
    if _SMALLEST <= point <= 0:
        return f"0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1}"
