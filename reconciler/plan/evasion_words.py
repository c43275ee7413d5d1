"""The small words of evasion findings: numbers, names, lists; long ones are cut."""

from collections.abc import Sequence
from typing import Any, Final

_LONG: Final = 80
_MANY: Final = 3


def percent(value: Any) -> str:
    """`50 %`; null and nothing mean 100."""
    return "100 %" if value is None else f"{value:g} %" if _is_number(value) else f"{value} %"


def short(text: str) -> str:
    """A text that fits into a sentence."""
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def listed(said: Sequence[str]) -> str:
    """The first few, and how many more."""
    rest = len(said) - _MANY
    shown = "; ".join(said[:_MANY])
    return f"{shown}; and {rest} more" if rest > 0 else shown


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
