"""Recognize dates in values of conditions, as PostHog does (contract 9.2)."""

from datetime import date
from typing import Any, Final

from reconciler.lazy_pattern import compile_later

_RELATIVE: Final = compile_later(r"-?[0-9]{1,4}[hdwmy]")
_WORD: Final = compile_later(r"[^\W\d_]+")
_STRANGE: Final = compile_later(r"[^\w\s.,;:/'+-]|_")
_YEAR_FIRST: Final = compile_later(
    r"(\d{4})(?P<by>[-/.])(\d{1,2})(?:(?P=by)(\d{1,2}))?(?:[T\s]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?"
)
_COMPACT: Final = compile_later(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?")
_LONGEST_BARE: Final = 4  # digits that may be a day or a year
_SHORT_DATE: Final = 6  # digits: two each for year, month and day, or for a time
_NAMES: Final = frozenset(
    name[:end]
    for name in (
        *("january", "february", "march", "april", "may", "june", "july", "august"),
        *("september", "october", "november", "december"),
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    )
    for end in (3, None)
) | {"sept"}
_OTHER_WORDS: Final = frozenset(
    {
        *("h", "hour", "hours", "m", "minute", "minutes", "s", "second", "seconds"),
        *("a", "p", "am", "pm", "at", "on", "and", "ad", "of", "t", "z", "utc", "gmt"),
        *("st", "nd", "rd", "th"),
    }
)


def is_date(value: Any) -> bool:
    """Return whether a date, or a distance from today such as `-7d`, can be read from a value.

    Only what is certainly not a date is refused: PostHog reads many forms.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    text = str(value)
    return _RELATIVE.fullmatch(text) is not None or (_has_words(text) and _is_in_calendar(text))


def _has_words(text: str) -> bool:
    """Return whether a text consists of words that occur in dates."""
    words = {word.casefold() for word in _WORD.findall(text) if not _is_zone(word, text)}
    if _STRANGE.search(text) or not words <= _NAMES | _OTHER_WORDS:
        return False
    return bool(words & _NAMES) or any(character.isdecimal() for character in text)


def _is_in_calendar(text: str) -> bool:
    """Return whether the day exists, if the text begins with the year."""
    if text.isdecimal():
        return _is_compact(text)
    match = _YEAR_FIRST.match(text)
    if match is None:
        return True
    year, _, month, day, *clock = match.groups()
    return _is_valid_date(year, month, day or "1", *clock)


def _is_zone(word: str, text: str) -> bool:
    """Return whether a word may be a time zone such as `CET`: in capitals, where a time is."""
    return ":" in text and word.isupper() and 3 <= len(word) <= 5  # noqa: PLR2004  letters


def _is_compact(text: str) -> bool:
    if len(text) <= _LONGEST_BARE:
        return int(text) > 0
    if len(text) == _SHORT_DATE:
        return True
    match = _COMPACT.fullmatch(text)
    return match is not None and _is_valid_date(*match.groups())


def _is_valid_date(year: str, month: str, day: str, *clock: str | None) -> bool:
    """Return whether the calendar has the day, and a day has the time."""
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    hour, minute, second = (int(part or 0) for part in (*clock, None, None, None)[:3])
    return hour < 24 and minute < 60 and second < 60  # noqa: PLR2004  the clock
