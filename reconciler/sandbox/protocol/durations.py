"""Durations as the API reads and prints them (contract 3.2). Pure."""

import re
from datetime import timedelta

_PLAIN = re.compile(
    r"^(?:(?P<days>-?\d+) (days?, )?)?(?P<sign>-?)"
    r"((?:(?P<hours>\d+):)(?=\d+:\d+))?(?:(?P<minutes>\d+):)?(?P<seconds>\d+)"
    r"(?:[.,](?P<microseconds>\d{1,6})\d{0,6})?$",
    re.ASCII,
)
_ISO = re.compile(
    r"^(?P<sign>[-+]?)P(?:(?P<days>\d+([.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+([.,]\d+)?)H)?(?:(?P<minutes>\d+([.,]\d+)?)M)?"
    r"(?:(?P<seconds>\d+([.,]\d+)?)S)?)?$",
    re.ASCII,
)
_SPELLED = re.compile(
    r"^(?:(?P<days>-?\d+) (days? ?))?"
    r"(?:(?P<sign>[-+])?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)"
    r"(?:\.(?P<microseconds>\d{1,6}))?)?$",
    re.ASCII,
)
_FORMS = (_PLAIN, _ISO, _SPELLED)
_LONGEST_TEXT = 200


def parse(value: object) -> timedelta | None:
    """The duration that the API takes a value for, or None if it takes it for none."""
    text = str(value)
    if len(text) > _LONGEST_TEXT:
        return None
    for form in _FORMS:
        if match := form.match(text):
            try:
                return _total(match.groupdict(), iso=form is _ISO)
            except OverflowError:
                return None
    return None


def _total(found: dict[str, str | None], *, iso: bool) -> timedelta:
    sign = -1 if found.pop("sign") == "-" else 1
    micro = found.get("microseconds")
    if micro:
        found["microseconds"] = micro.ljust(6, "0")
    parts = {name: float(text.replace(",", ".")) for name, text in found.items() if text}
    days = timedelta(days=parts.pop("days", 0.0))
    return (days * sign if iso else days) + sign * timedelta(**parts)


def text(duration: timedelta) -> str:
    """`[D ]HH:MM:SS[.ffffff]`, the only form that is ever read back."""
    hours, rest = divmod(duration.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{duration.days} " if duration.days else ""
    micro = f".{duration.microseconds:06d}" if duration.microseconds else ""
    return f"{days}{hours:02d}:{minutes:02d}:{seconds:02d}{micro}"
