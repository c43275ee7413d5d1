"""Read values of a JSON document: each access returns a value or raises ConfigError."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from reconciler.errors import ConfigError
from reconciler.lazy_pattern import compile_later
from reconciler.model import Address

KEY: Final = compile_later(r"ph[csx]_[A-Za-z0-9]{20,}")
_MOST: Final = 2**53  # JSON parsers differ on larger numbers
_SHOWN: Final = 60  # characters of a wrong value that an error quotes
_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=StrEnum)


def redact(text: str) -> str:
    """Return the text with everything that looks like a PostHog key masked."""
    return KEY.sub("***", text)


def format_json(value: Any, *, indent: int | None = 2, sort_keys: bool = False) -> str:
    """Return a plain value as ASCII JSON text, without anything that a CI runner executes."""
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, allow_nan=False)
    return text.replace(
        "##[", r"\u0023#["
    )  # only strings contain it, and their value stays the same


def build_error(why: str, fix: str = "write a new one: reconciler plan --out FILE") -> ConfigError:
    """Return the error of a document that is not a plan."""
    return ConfigError("not a saved plan", why=redact(why), fix=fix)


class Node:
    """Hold a value of a document and its path. Each access returns a value or raises an error."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str) -> "Node":
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        return Node(self.value.get(key), f"{self.path}.{key}".lstrip("."))

    def maybe(self, read: Callable[["Node"], _T]) -> _T | None:
        """Read the value, or return None if it is null or missing."""
        return None if self.value is None else read(self)

    def each(self, read: Callable[["Node"], _T]) -> tuple[_T, ...]:
        """Read each item of a list."""
        if not isinstance(self.value, list):
            raise self._wrong("a list")
        return tuple(read(Node(item, f"{self.path}[{n}]")) for n, item in enumerate(self.value))

    def text(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            raise self._wrong("text")
        return self.value

    def count(self) -> int:
        """Return a whole number from 0 on."""
        if type(self.value) is not int or not 0 <= self.value < _MOST:
            raise self._wrong("a whole number from 0 on")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def word(self, words: type[_Word]) -> _Word:
        """Return a member of an enum."""
        try:
            return words(self.text())
        except ValueError:
            raise self._wrong(f"one of {', '.join(words)}") from None

    def address(self) -> Address:
        """Return an address."""
        try:
            return Address.parse(self.text())
        except ValueError:
            raise self._wrong("an address such as Role/acme/Release managers") from None

    def moment(self) -> datetime:
        """Return a time with its zone."""
        try:
            time = datetime.fromisoformat(self.text())
        except ValueError:
            raise self._wrong("a time such as 2026-12-01T00:00:00+00:00") from None
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)

    def values(self, read: Callable[["Node"], _T]) -> dict[str, _T]:
        """Read each value of an object."""
        if isinstance(self.value, dict):
            return {name: read(self[name]) for name in self.value}
        raise self._wrong("an object")

    def _wrong(self, expected: str) -> ConfigError:
        text = redact(json.dumps(self.value))
        text = text if len(text) < _SHOWN else f"{text[:_SHOWN]}…"
        return build_error(f"{self.path or 'the document'} should be {expected}, not {text}")
