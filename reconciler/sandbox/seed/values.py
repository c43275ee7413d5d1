"""Times and ids in a seed, with the place in the message when they are wrong."""

from typing import Any

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.protocol.validators import as_uuid
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.transaction import Transaction


def moment(value: Any, path: str) -> str:
    """A time in a seed, as it is stored."""
    try:
        return clock.stamp(clock.parse(str(value)))
    except ValueError as error:
        raise SeedError(f"{path}: {value!r} is no time: write 2026-01-05T09:00:00Z") from error


def need_new(tx: Transaction, kind: type, identity: Any, path: str, *, field: str = "id") -> None:
    """Refuse an id that was used already."""
    if tx.get(kind, identity) is not None:
        raise SeedError(f"{path}.{field}: {identity!r} is used twice")


def identity(one: dict[str, Any], tx: Transaction, path: str) -> str:
    """The uuid of an object, given or new."""
    if one.get("id") is None:
        return tx.uuid()
    found = as_uuid(one["id"])
    if found is None:
        raise SeedError(f"{path}.id: {one['id']!r} is no uuid")
    return found
