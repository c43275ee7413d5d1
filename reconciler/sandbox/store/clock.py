"""The one clock, and every form in which a time is read or written.

Nothing else in the sandbox asks what time it is; real time enters through `wall`.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store.model import Ground

wall: Callable[[], float] = time.time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def now(ground: Ground) -> datetime:
    """The sandbox's time."""
    if ground.frozen_at is not None:
        return instant(ground.frozen_at)
    return _EPOCH + timedelta(microseconds=round(wall() * 1e6) + ground.offset_us)


def patience(ground: Ground, now_: datetime, since: float) -> float:
    """The time that throttles go by, in seconds.

    It is the sandbox's, and beside a clock that stands, real time goes on: a client that was told
    to wait does wait, and must not find itself waiting for ever.
    """
    return now_.timestamp() + (wall() - since if ground.frozen_at is not None else 0.0)


def moved(ground: Ground, to: datetime) -> Ground:
    """The same world at another time. A standing clock stays standing."""
    if ground.frozen_at is not None:
        return replace(ground, frozen_at=stamp(to))
    offset = (to - _EPOCH) // timedelta(microseconds=1) - round(wall() * 1e6)
    return replace(ground, offset_us=offset)


def frozen(ground: Ground, at: str) -> Ground:
    """The same world with a clock that stands."""
    return replace(ground, frozen_at=at)


def target(now_: datetime, *, advance: str | None, to: str | None) -> datetime:
    """The time that a control call or a fault asks for.

    Raises:
        SandboxError: it asks for none, for two, or for one that no clock shows.
    """
    if (advance is None) == (to is None):
        raise SandboxError('either {"advance": "15d"} or {"set": "2026-01-01T00:00:00Z"} is needed')
    try:
        return now_ + span(advance) if advance is not None else parse(to or "")
    except (ValueError, OverflowError) as error:
        raise SandboxError(f"{advance or to!r} leads to no time that a clock shows") from error


def stamp(moment: datetime) -> str:
    """A moment as stored: UTC and of one width, so that text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def instant(stored: str) -> datetime:
    """The moment behind a stored time."""
    return datetime.fromisoformat(stored)


def shown(stored: str | None) -> str | None:
    """A stored time as the API prints it: microseconds only when they are not zero."""
    return stored.replace(".000000Z", "Z") if stored is not None else None


def offset_form(stored: str) -> str:
    """A stored time as preconditions carry it: with `+00:00` (contract 7.2)."""
    return stored.replace(".000000Z", "Z").replace("Z", "+00:00")


def parse(text: str) -> datetime:
    """A time as people write it. Without a zone it is UTC.

    Raises:
        ValueError: it is no time.
    """
    moment = datetime.fromisoformat(text.strip())
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def span(text: str) -> timedelta:
    """`15d`, `36h`, `1h30m`, `3000s`; a leading minus goes back."""
    bare = text.strip().replace(" ", "")
    sign, bare = (-1, bare[1:]) if bare.startswith("-") else (1, bare)
    if not _SPAN.fullmatch(bare):
        raise SandboxError(f"{text!r} is no span of time: write 15d, 36h, 2w, 90m or 3000s")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(bare))
    try:
        return timedelta(seconds=sign * total)
    except OverflowError as error:
        raise SandboxError(f"{text!r} is too long a span of time") from error
