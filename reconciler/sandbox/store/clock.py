"""The clock, and every format in which a time is read or written.

The sandbox reads real time only here, by `wall_time`.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store.model import WorldSettings

wall_time: Callable[[], float] = time.time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def read_clock(settings: WorldSettings) -> datetime:
    """Return the sandbox's time."""
    if settings.frozen_at is not None:
        return parse_stored(settings.frozen_at)
    return _EPOCH + timedelta(microseconds=round(wall_time() * 1e6) + settings.offset_us)


def read_throttle_clock(settings: WorldSettings, now: datetime, since: float) -> float:
    """Return the time that rate limits use, in seconds.

    While the sandbox's clock is frozen, real time is added: a client that waits as long as a 429
    says must get through.
    """
    return now.timestamp() + (wall_time() - since if settings.frozen_at is not None else 0.0)


def move_clock(settings: WorldSettings, to: datetime) -> WorldSettings:
    """Return the settings with another time. A frozen clock stays frozen."""
    if settings.frozen_at is not None:
        return replace(settings, frozen_at=format_stored(to))
    offset = (to - _EPOCH) // timedelta(microseconds=1) - round(wall_time() * 1e6)
    return replace(settings, offset_us=offset)


def freeze_clock(settings: WorldSettings, at: str) -> WorldSettings:
    """Return the settings with a frozen clock."""
    return replace(settings, frozen_at=at)


def resolve_time(now: datetime, *, advance: str | None, to: str | None) -> datetime:
    """Return the time that a control call or a fault asks for.

    Raises:
        SandboxError: none is given, or two, or one beyond the range of dates.
    """
    if (advance is None) == (to is None):
        raise SandboxError('either {"advance": "15d"} or {"set": "2026-01-01T00:00:00Z"} is needed')
    try:
        return now + parse_span(advance) if advance is not None else parse_time(to or "")
    except (ValueError, OverflowError) as error:
        raise SandboxError(f"{advance or to!r} is not a possible time") from error


def format_stored(moment: datetime) -> str:
    """Return a moment as stored: UTC and of one width, so that text order is time order."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_stored(stored: str) -> datetime:
    """Return the moment of a stored time."""
    return datetime.fromisoformat(stored)


def format_time(stored: str | None) -> str | None:
    """Return a stored time as the API prints it: microseconds only when they are not zero."""
    return stored.replace(".000000Z", "Z") if stored is not None else None


def format_with_offset(stored: str) -> str:
    """Return a stored time as preconditions have it: with `+00:00` (contract 7.2)."""
    return stored.replace(".000000Z", "Z").replace("Z", "+00:00")


def parse_time(text: str) -> datetime:
    """Read a time as people write it. Without a zone it is UTC.

    Raises:
        ValueError: it is not a time.
    """
    moment = datetime.fromisoformat(text.strip())
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def parse_span(text: str) -> timedelta:
    """Read `15d`, `36h`, `1h30m` or `3000s`; a leading minus goes back."""
    bare = text.strip().replace(" ", "")
    sign, bare = (-1, bare[1:]) if bare.startswith("-") else (1, bare)
    if not _SPAN.fullmatch(bare):
        raise SandboxError(f"{text!r} is not a span of time: write 15d, 36h, 2w, 90m or 3000s")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(bare))
    try:
        return timedelta(seconds=sign * total)
    except OverflowError as error:
        raise SandboxError(f"{text!r} is too long a span of time") from error
