"""Convert units that files, PostHog and people spell differently: levels, durations, times."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.lazy_pattern import compile_later

LEVELS: Final[Mapping[str, int]] = {"member": 1, "admin": 8, "owner": 15}  # contract 1.7
_LEVEL_WORDS: Final = {number: word for word, number in LEVELS.items()}


def format_level(number: int | str) -> str | int:
    """Return "admin" for 8; a number without a word stays a number."""
    value = int(number)
    return _LEVEL_WORDS.get(value, value)


def format_level_with_article(number: int | str) -> str:
    """Return "an admin" for 8; for a number without a word, "of level 5"."""
    word = format_level(number)
    if not isinstance(word, str):
        return f"of level {word}"
    return f"an {word}" if word[0] in "ao" else f"a {word}"


def parse_level(word: str | int) -> int:
    """Return 8 for "admin"; a number stays a number."""
    return LEVELS[word] if isinstance(word, str) else word


_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_MICRO: Final = 1_000_000
_EXACT: Final = 2**53 / _MICRO  # seconds
_WORDED: Final = compile_later(r"(\d+(?:\.\d+)?)([wdhms])")
_SHORT_COMMIT: Final = 10  # characters: unique in repositories of any size
_CLOCKED: Final = compile_later(r"(?:(-?\d+) )?(\d+):(\d+):(\d+(?:\.\d+)?)")


def parse_duration(text: str) -> float:
    """Return the seconds of `14d`, `1d12h` or the API's `[D ]HH:MM:SS[.ffffff]` (contract 3.2).

    Raises ValueError for anything else.
    """
    if clocked := _CLOCKED.fullmatch(text):
        days, hours, minutes, seconds = clocked.groups(default="0")
        return int(days) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + float(seconds)
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    pieces = _WORDED.findall(digits)
    if not pieces or "".join(number + unit for number, unit in pieces) != digits:
        raise ValueError(f"not a duration: {text!r}")
    return sign * sum(float(number) * _UNITS[unit] for number, unit in pieces)


def format_duration(seconds: float) -> str:
    """Return the shortest form that a person would write: `14d`, `36h`, `90m`, `30s`."""
    micro = _microseconds(seconds)
    sign, amount = ("-", -micro) if micro < 0 else ("", micro)
    for unit in ("d", "h", "m"):
        number, rest = divmod(amount, _UNITS[unit] * _MICRO)
        if number and not rest:
            return f"{sign}{number}{unit}"
    whole, fraction = divmod(amount, _MICRO)
    return f"{sign}{whole}.{fraction:06}".rstrip("0").rstrip(".") + "s"


def format_duration_clock(seconds: float) -> str:
    """Return `D HH:MM:SS[.ffffff]`, which every server reads in the same way (contract 3.2)."""
    whole, fraction = divmod(_microseconds(seconds), _MICRO)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    return f"{days} {hours:02}:{minutes:02}:{left:02}" + (f".{fraction:06}" if fraction else "")


def _microseconds(seconds: float) -> int:
    """Return whole microseconds; whole seconds if a float is not exact enough."""
    if abs(seconds) > _EXACT:
        return round(seconds) * _MICRO
    return round(seconds * _MICRO)


def normalize_set(values: Iterable[Any]) -> list[Any]:
    """Return a list without a meaningful order in normal form: sorted, each item once."""
    unique = set(values)
    try:
        return sorted(unique)
    except TypeError:  # of several types
        return sorted(unique, key=lambda value: (str(type(value)), value))


def parse_time(text: Any) -> datetime | None:
    """Return the time that a text names, in UTC without a zone; None for anything else."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def format_timestamp(moment: datetime) -> str:
    """Return a UTC time for programs: `2026-01-19T09:00:00Z`."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def format_time(text: str) -> str:
    """Return a time for people: `2026-01-19 09:00 UTC`; a text that is not a time as it is."""
    time = parse_time(text)
    return text if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def shorten_commit(commit: str) -> str:
    """Return as much of a commit ID as people need to find the commit."""
    return commit[:_SHORT_COMMIT]
