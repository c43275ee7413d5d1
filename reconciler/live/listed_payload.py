"""Hold what is kept of a listed item in little memory: most items are never looked at again."""

import marshal
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from reconciler.model import Payload, Spec

_CONTAINERS: Final = frozenset({dict, list})  # exact types: that is what JSON has
_SMALL: Final = 80  # bytes
_NO_ITEMS: Final = marshal.dumps([])
_NO_FIELDS: Final = marshal.dumps({})


class ListedPayload(Mapping[str, Any]):
    """Hold the fields of a listed item, and its spec if that needs no names for ids.

    Lists and mappings are packed, and unpacked whenever they are read: only objects that change
    need them, and packed they take a quarter of the memory.
    """

    __slots__ = ("_places", "_values", "spec")

    def __init__(self, fields: Payload, spec: Spec | None) -> None:
        self._places = _number_fields(tuple(fields))
        self._values = tuple(
            [_pack(v) if v.__class__ in _CONTAINERS else v for v in fields.values()]
        )
        self.spec = spec

    def __getitem__(self, name: str) -> Any:
        value = self._values[self._places[name]]
        if value.__class__ is bytes:  # JSON has no bytes: it is packed
            return marshal.loads(value)  # noqa: S302  packed below, in this process
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(maxsize=256)
def _number_fields(names: tuple[str, ...]) -> dict[str, int]:
    """Return the place of each field; the items of a listing mostly have the same fields."""
    return {name: place for place, name in enumerate(names)}


def _pack(value: Any) -> Any:
    if not value:
        return _NO_ITEMS if value.__class__ is list else _NO_FIELDS
    try:
        packed = marshal.dumps(value)
    except ValueError:  # it holds concealed text, which is not plain text
        return value
    return packed if len(packed) > _SMALL else _share(packed)


@lru_cache(maxsize=4096)
def _share(packed: bytes) -> bytes:
    """Return the first of several equal values: most flags have the same tags, or none."""
    return packed
