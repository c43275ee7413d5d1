"""Times and ids in a seed, with the place in the message when they are wrong."""

from typing import Any

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.protocol.validators import parse_uuid
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.transaction import Transaction


def read_time(value: Any, path: str) -> str:
    """Return a time in a seed as it is stored."""
    try:
        return clock.format_stored(clock.parse_time(str(value)))
    except ValueError as error:
        raise SeedError(f"{path}: {value!r} is not a time: write 2026-01-05T09:00:00Z") from error


def require_new_id(
    tx: Transaction, kind: type, identity: Any, path: str, *, field: str = "id"
) -> None:
    """Refuse an id that was used already."""
    if tx.get(kind, identity) is not None:
        raise SeedError(f"{path}.{field}: {identity!r} is used twice")


def read_uuid(fields: dict[str, Any], tx: Transaction, path: str) -> str:
    """Return the uuid of an object, given or new."""
    if fields.get("id") is None:
        return tx.make_uuid()
    identity = parse_uuid(fields["id"])
    if identity is None:
        raise SeedError(f"{path}.id: {fields['id']!r} is not a uuid")
    return identity
