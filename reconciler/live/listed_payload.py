"""Hold what is kept of a listed item in little memory: most items are never looked at again."""

import marshal
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from reconciler.model import Kind, Payload, Spec
from reconciler.posthog import pagination


class ListedPayload(Mapping[str, Any]):
    """Hold the fields of a listed item; its name and id; its spec if that needs no names for ids.

    The fields are packed, and unpacked when one of them is read: only objects that change need
    them, and packed they take a quarter of the memory.
    """

    __slots__ = ("_names", "_values", "id", "name", "spec")

    def __init__(
        self,
        names: tuple[str, ...],
        values: tuple[Any, ...],
        name: str,
        id_: str,
    ) -> None:
        self._names = names
        try:
            self._values: bytes | tuple[Any, ...] = marshal.dumps(values)
        except ValueError:  # they hold concealed text, which is not plain text
            self._values = values
        self.name = name
        self.id = id_
        self.spec: Spec | None = None

    def __getitem__(self, name: str) -> Any:
        return self.unpack()[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or `default`; that of `Mapping` takes two more calls."""
        return self.unpack().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def unpack(self) -> Payload:
        """Return all fields. The next reader may get the same object."""
        global _latest  # noqa: PLW0603  what reads one field of an item mostly reads several
        item, fields = _latest
        if item is self:
            return fields
        values = self._values
        if isinstance(values, bytes):
            values = marshal.loads(values)  # noqa: S302  packed above
        fields = dict(zip(self._names, values, strict=True))
        _latest = (self, fields)
        return fields


_latest: tuple[ListedPayload | None, Payload] = (None, {})  # replaced as a whole: there are threads


_Fields = tuple[tuple[str, ...], tuple[Any, ...]]  # names and values
_Choice = tuple[tuple[str, ...], Callable[[Payload], tuple[Any, ...]], frozenset[str]]


def build_picker(listed: frozenset[str]) -> Callable[[Payload], _Fields]:
    """Return a function from an item to what is kept of it: the `listed` fields; none: all."""
    latest = _choose_fields(listed, ())

    def pick(payload: Payload) -> _Fields:
        if not listed:
            return _share_names(tuple(payload)), tuple(payload.values())
        # The items of a listing mostly have the same fields, so those of the last one are tried.
        nonlocal latest
        names, read_values, absent = latest
        try:
            if payload.keys().isdisjoint(absent):
                return names, read_values(payload)
        except KeyError:
            pass
        latest = names, read_values, _ = _choose_fields(listed, tuple(payload))
        return names, read_values(payload)

    return pick


@lru_cache(maxsize=256)
def _choose_fields(listed: frozenset[str], names: tuple[str, ...]) -> _Choice:
    """Return the names that are kept, a reader of their values, and the names that are absent."""
    kept = tuple(name for name in names if name in listed)
    if len(kept) > 1:
        return kept, itemgetter(*kept), listed.difference(kept)
    return kept, lambda payload: tuple(payload[name] for name in kept), listed.difference(kept)


@lru_cache(maxsize=256)
def _share_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first of several equal values."""
    return names


def read_name(kind: Kind, payload: Payload) -> str:
    """Return the name of an item, which a listed one has at hand."""
    return payload.name if isinstance(payload, ListedPayload) else kind.identify(payload)


def list_names(kind: Kind, payloads: Iterable[Payload]) -> set[str]:
    """Return the names of some items."""
    identify = kind.identify
    return {
        payload.name if isinstance(payload, ListedPayload) else identify(payload)
        for payload in payloads
    }


def read_id(kind: Kind, payload: Payload) -> str:
    """Return the id of an item, which a listed one has at hand."""
    return payload.id if isinstance(payload, ListedPayload) else kind.identity(payload)


def identify_row(payload: Payload) -> str:
    """Return what distinguishes the rows of a listing: each has its own id."""
    return payload.id if isinstance(payload, ListedPayload) else pagination.identify(payload)
