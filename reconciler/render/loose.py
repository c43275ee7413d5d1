"""What the server sent may be of any shape: what is missing or odd is taken for nothing."""

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """The items of a list, else none."""
    return list(value) if isinstance(value, list | tuple) else []


def word(value: Any) -> str:
    """The value as text; nothing for null."""
    return "" if value is None else str(value)
