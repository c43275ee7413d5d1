"""Durations as the API reads and prints them (contract 3.2). Pure."""

import re
from datetime import timedelta

_CLOCK_FORM = re.compile(
    r"^(?:(?P<days>-?\d+) (days?, )?)?(?P<sign>-?)"
    r"((?:(?P<hours>\d+):)(?=\d+:\d+))?(?:(?P<minutes>\d+):)?(?P<seconds>\d+)"
    r"(?:[.,](?P<microseconds>\d{1,6})\d{0,6})?$",
    re.ASCII,
)
_ISO_FORM = re.compile(
    r"^(?P<sign>[-+]?)P(?:(?P<days>\d+([.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+([.,]\d+)?)H)?(?:(?P<minutes>\d+([.,]\d+)?)M)?"
    r"(?:(?P<seconds>\d+([.,]\d+)?)S)?)?$",
    re.ASCII,
)
_POSTGRES_FORM = re.compile(
    r"^(?:(?P<days>-?\d+) (days? ?))?"
    r"(?:(?P<sign>[-+])?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)"
    r"(?:\.(?P<microseconds>\d{1,6}))?)?$",
    re.ASCII,
)
_PATTERNS = (_CLOCK_FORM, _ISO_FORM, _POSTGRES_FORM)
_LONGEST_TEXT = 200


def parse_duration(value: object) -> timedelta | None:
    """Return the duration that the API reads from a value, or None if it reads none."""
    text = str(value)
    if len(text) > _LONGEST_TEXT:
        return None
    for form in _PATTERNS:
        if match := form.match(text):
            try:
                return _add_parts(match.groupdict(), iso=form is _ISO_FORM)
            except OverflowError:
                return None
    return None


def _add_parts(groups: dict[str, str | None], *, iso: bool) -> timedelta:
    sign = -1 if groups.pop("sign") == "-" else 1
    micro = groups.get("microseconds")
    if micro:
        groups["microseconds"] = micro.ljust(6, "0")
    parts = {name: float(text.replace(",", ".")) for name, text in groups.items() if text}
    days = timedelta(days=parts.pop("days", 0.0))
    return (days * sign if iso else days) + sign * timedelta(**parts)


def format_duration(duration: timedelta) -> str:
    """Return `[D ]HH:MM:SS[.ffffff]`, the only form that the API answers with."""
    hours, rest = divmod(duration.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{duration.days} " if duration.days else ""
    micro = f".{duration.microseconds:06d}" if duration.microseconds else ""
    return f"{days}{hours:02d}:{minutes:02d}:{seconds:02d}{micro}"
