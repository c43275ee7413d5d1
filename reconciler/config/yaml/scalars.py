"""Resolve plain scalars: the core schema of YAML 1.2, with fewer numbers.

Digits with a leading zero, `_` or `:` are never numbers: `no`, `on`, `010`, `12:30`, `1_000` and
dates are text.
"""

import math
from typing import Any, Final

from reconciler.lazy_pattern import compile_later

MAX_DIGITS: Final = 100

MAY_BE_SPECIAL: Final = frozenset("0123456789+-.tTfFnN~")
_WORDS: Final = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = compile_later(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT: Final = compile_later(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
_OTHER_BASE: Final = compile_later(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE: Final = compile_later(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve_scalar(raw: str) -> Any:
    """Return the value of a plain scalar; ValueError with the reason if it has none."""
    if raw in _WORDS:
        return _WORDS[raw]
    if raw[0].isalpha():
        return raw
    if _INTEGER.fullmatch(raw):
        if len(raw) > MAX_DIGITS:
            raise ValueError(f"a number of {len(raw):,} digits")
        return int(raw)
    if _FLOAT.fullmatch(raw):
        number = float(raw)
        if math.isinf(number):
            raise ValueError("a number too large for any computer")
        return number
    if _OTHER_BASE.fullmatch(raw):
        if len(raw) > MAX_DIGITS:
            raise ValueError(f"a number of {len(raw):,} digits")
        return int(raw, 0)
    if _NOT_FINITE.fullmatch(raw):
        raise ValueError(f"{raw} is not a number that can be sent")
    return raw
