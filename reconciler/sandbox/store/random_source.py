"""The one source of chance, and it is none: each value follows from a seed and a number.

The number is kept in the store, so that two processes on one file never give the same uuid.
"""

from hashlib import blake2b
from uuid import UUID

_UNIT = 2**64


def _digest(seed: int, *parts: object) -> bytes:
    text = ":".join(str(part) for part in (seed, *parts))
    return blake2b(text.encode(), digest_size=16).digest()


def make_uuid(seed: int, serial: int) -> str:
    """Return the uuid with this number of a seed."""
    return str(UUID(bytes=_digest(seed, "uuid", serial), version=4))


def make_token(seed: int, serial: int) -> str:
    """Return a project's public key."""
    return "phc_" + _digest(seed, "token", serial).hex()


def draw_share(seed: int, *parts: object) -> float:
    """Return a number from 0 to below 1."""
    return int.from_bytes(_digest(seed, "share", *parts)[:8]) / _UNIT


def pick_index(seed: int, length: int, *parts: object) -> int:
    """Return an index below `length`."""
    return int(draw_share(seed, "pick", *parts) * length)
