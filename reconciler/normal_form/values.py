"""Normal forms of plain values: the spelling that PostHog keeps, whatever was sent. Pure.

Both sides of a comparison go through here, and what is sent as well, so a difference that the
server would only undo is never planned.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

_NUMBER: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)
_PLAIN_DIGITS: Final = 40  # a number of more digits than that is written with an exponent
_SMALLEST: Final = -6  # and so is one that begins with more zeros behind the point
_LONGEST_EXPONENT: Final = 9  # digits; what is longer stays as it is spelled
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # half a character cannot be sent as UTF-8


class _Number(str):
    """A number of a JSON text, in its normal form."""

    __slots__ = ()


def text(value: Any) -> Any:
    """Return text without white space at its ends (contract 9.1); anything else as it is."""
    return value.strip() if isinstance(value, str) else value


def labels(values: Iterable[Any]) -> list[Any]:
    """Return tags trimmed, in lower case, sorted, each once, none blank (contract 9.1)."""
    unique = {one.strip().lower() if isinstance(one, str) else one for one in values}
    unique.discard("")
    try:
        return sorted(unique)
    except TypeError:  # of several types
        return sorted(unique, key=lambda one: (str(type(one)), one))


def number(value: Any) -> Any:
    """Return a whole number without a fraction: 10.0 is 10."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def uuid(value: Any) -> Any:
    """Return a uuid in its usual spelling; anything else as it is."""
    try:
        return str(UUID(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def json_text(value: Any) -> str:
    """Return a payload as normal JSON text (contract 9.2); text that is not JSON as it is.

    Spaces, the order of keys, escapes, repeated keys and the spelling of numbers mean nothing.
    Letters stay letters.
    """
    return _respelled(value) if isinstance(value, str) else _written(value)


@lru_cache(maxsize=4096)  # flags of many environments share their payloads
def _respelled(value: str) -> str:
    try:
        return _written(json.loads(value, parse_int=_number_text, parse_float=_number_text))
    except (ValueError, RecursionError):
        return value


def _written(value: Any) -> str:  # noqa: PLR0911  one line a type
    match value:
        case _Number():
            return str(value)
        case str():
            quoted = json.dumps(value, ensure_ascii=False)
            return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
        case None | bool():
            return json.dumps(value)
        case int():
            return _number_text(str(value))
        case float():
            return _number_text(repr(value)) if math.isfinite(value) else json.dumps(value)
        case Mapping():
            items = (f"{_written(str(name))}: {_written(value[name])}" for name in sorted(value))
            return "{" + ", ".join(items) + "}"
        case _:
            return "[" + ", ".join(map(_written, value)) + "]"


def _number_text(literal: str) -> _Number:
    """Return a JSON number by its exact value: `1`, `1.0` and `10e-1` are `1`."""
    found = _NUMBER.fullmatch(literal)
    sign, whole, fraction, exponent = found.groups("") if found is not None else ("",) * 4
    if found is None or len(exponent) > _LONGEST_EXPONENT:
        return _Number(literal)
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return _Number("0")
    return _Number(sign + _placed(digits, point))


def _placed(digits: str, point: int) -> str:
    """Return `0.DIGITS` times ten to the power of `point`, as short as it is exact."""
    if len(digits) <= point <= max(len(digits), _PLAIN_DIGITS):
        return digits.ljust(point, "0")
    if 0 < point < len(digits):
        return f"{digits[:point]}.{digits[point:]}"
    if _SMALLEST <= point <= 0:
        return f"0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1}"
