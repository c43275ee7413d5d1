"""A JSON document, asked for its values: each question ends in a value or a ConfigError."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from reconciler.errors import ConfigError
from reconciler.model import Address

KEY: Final = re.compile(r"ph[csx]_[A-Za-z0-9]{20,}")
_MOST: Final = 2**53  # numbers from here on are not the same to every reader of JSON
_SHOWN: Final = 60  # characters of a wrong value that an error quotes
_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=StrEnum)


def redact(text: str) -> str:
    """The text without anything that looks like a key of PostHog's."""
    return KEY.sub("***", text)


def printed(value: Any, *, indent: int | None = 2, sort_keys: bool = False) -> str:
    """A plain value as JSON text: ASCII, and nothing in it that a CI runner takes for a command."""
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, allow_nan=False)
    return text.replace("##[", r"\u0023#[")  # only strings hold it, and they mean the same


def refused(why: str, fix: str = "write a new one: reconciler plan --out FILE") -> ConfigError:
    """The error of a document that is no plan."""
    return ConfigError("this is no plan that can be read", why=redact(why), fix=fix)


class Node:
    """A value of a document and its place. Every question ends in a value or a ConfigError."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str) -> "Node":
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        return Node(self.value.get(key), f"{self.path}.{key}".lstrip("."))

    def maybe(self, read: Callable[["Node"], _T]) -> _T | None:
        """None where it is null or missing."""
        return None if self.value is None else read(self)

    def each(self, read: Callable[["Node"], _T]) -> tuple[_T, ...]:
        """What `read` makes of each item of a list."""
        if not isinstance(self.value, list):
            raise self._wrong("a list")
        return tuple(read(Node(item, f"{self.path}[{n}]")) for n, item in enumerate(self.value))

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            raise self._wrong("text")
        return self.value

    def count(self) -> int:
        """A number of things: a whole number from 0 on."""
        if type(self.value) is not int or not 0 <= self.value < _MOST:
            raise self._wrong("a whole number from 0 on")
        return self.value

    def flag(self) -> bool:
        """Yes or no."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def word(self, words: type[_Word]) -> _Word:
        """One of the words of an enum."""
        try:
            return words(self.text())
        except ValueError:
            raise self._wrong(f"one of {', '.join(words)}") from None

    def address(self) -> Address:
        """An address."""
        try:
            return Address.parse(self.text())
        except ValueError:
            raise self._wrong("an address such as Role/acme/Release managers") from None

    def moment(self) -> datetime:
        """A time with its zone."""
        try:
            found = datetime.fromisoformat(self.text())
        except ValueError:
            raise self._wrong("a time such as 2026-12-01T00:00:00+00:00") from None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    def values(self, read: Callable[["Node"], _T]) -> dict[str, _T]:
        """What `read` makes of each value of an object."""
        if isinstance(self.value, dict):
            return {name: read(self[name]) for name in self.value}
        raise self._wrong("an object")

    def _wrong(self, expected: str) -> ConfigError:
        found = redact(json.dumps(self.value))
        found = found if len(found) < _SHOWN else f"{found[:_SHOWN]}…"
        return refused(f"{self.path or 'the document'} should be {expected}, not {found}")
