"""Objects in a seed: times, ids and people by name, with the place in the message of an error."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.protocol.validators import parse_uuid
from reconciler.sandbox.seed.names import SeedNames
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.transaction import Transaction


@lru_cache(maxsize=4096)  # most objects of a seed have the same time
def _store_time(text: str) -> str:
    return clock.format_stored(clock.parse_time(text))


def read_time(value: Any, path: str) -> str:
    """Return a time in a seed as it is stored."""
    try:
        return _store_time(str(value))
    except ValueError as error:
        raise SeedError(f"{path}: {value!r} is not a time: write 2026-01-05T09:00:00Z") from error


@dataclass(frozen=True, slots=True)
class SeedItem:
    """One object of a seed, the names that it may use, and its place in the document."""

    tx: Transaction
    names: SeedNames
    values: Mapping[str, Any]
    path: str

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where it is missing."""
        return self.values.get(name, default)

    def pick(self, names: Iterable[str]) -> dict[str, Any]:
        """Return those of the fields that the seed has."""
        return {name: self.values[name] for name in names if name in self.values}

    def list_items(self, name: str) -> "Iterator[SeedItem]":
        """Yield the objects of a list; one that is only an email stands for a person."""
        path = f"{self.path}.{name}" if self.path else name
        for number, value in enumerate(self.values.get(name) or ()):
            values = {"email": value} if isinstance(value, str) else value
            yield SeedItem(self.tx, self.names, values, f"{path}[{number}]")

    def make_error(self, field: str, problem: str) -> SeedError:
        """Return the error about a field."""
        return SeedError(f"{self.path}.{field}: {problem}")

    def read_time(self, name: str, default: str | None = None) -> str:
        """Return a time; where it is missing, the default, or the time of the sandbox."""
        return read_time(self.get(name, default or self.tx.at), f"{self.path}.{name}")

    def read_optional_time(self, name: str) -> str | None:
        """Return a time, or None where it is missing or null."""
        return self.read_time(name) if self.get(name) else None

    def read_uuid(self, kind: type) -> str:
        """Return the id of the object, given or new."""
        if self.get("id") is None:
            return self.tx.make_uuid()
        identity = parse_uuid(self["id"])
        if identity is None:
            raise self.make_error("id", f"{self['id']!r} is not a uuid")
        self.require_new(kind, identity)
        return identity

    def read_id(self, kind: type) -> int:
        """Return the integer id of the object, given or new."""
        number: int = self.get("id") or self.tx.make_id(kind)
        self.require_new(kind, number)
        return number

    def require_new(self, kind: type, identity: Any, field: str = "id") -> None:
        """Refuse an id that was used already."""
        if self.tx.get(kind, identity) is not None:
            raise self.make_error(field, f"{identity!r} is used twice")

    def find_person(self, name: str) -> int | None:
        """Return the user id of a field, or None."""
        return self.names.find_person(self.get(name), f"{self.path}.{name}")

    def require_person(self, name: str) -> int:
        """Return the user id of a field that must be given."""
        return self.names.require_person(self.get(name), f"{self.path}.{name}")
