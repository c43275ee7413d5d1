"""What every format does first to foreign text: hide keys, show unprintable characters.

Each format has its own escape function, which begins with this one.
"""

import re
import unicodedata
from typing import Final

from reconciler.lazy_pattern import compile_later
from reconciler.planfile.reader import KEY, redact

# Control characters, invisible ones, those that turn the direction of reading around, and lone
# surrogates: what a terminal obeys, or what makes two names look alike.
_UNSEEN: Final = compile_later(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# What a CI runner takes for a command: `::` where a line may begin, `##[` anywhere.
_COMMAND: Final = compile_later(r"(?<!\S)::|##\[")
_PAGE: Final = compile_later(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%/-]*)?")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_PILED: Final = 4  # marks above and below one letter, on average
_WIDE: Final = frozenset({"W", "F"})


def make_visible(text: str) -> str:
    """Return the text on one line, with nothing hidden in it, and without keys."""
    return _UNSEEN.sub(_escape_character, redact(text))


def escape(text: str) -> str:
    """Return foreign text on one line, without what a terminal or a CI runner obeys."""
    # Most texts are plain, and the expressions below take ten times as long to find that out.
    may_command = "::" in text or "##[" in text
    if text.isascii() and text.isprintable() and not may_command and "ph" not in text:  # no key
        return text
    return _COMMAND.sub(
        lambda match: rf"{match[0][0]}\x{ord(match[0][1]):02x}{match[0][2:]}", make_visible(text)
    )


def is_page_of(url: str, host: str) -> bool:
    """Return whether this is the URL of a page of the host, and cannot end a quote."""
    of_host = url.startswith(host.rstrip("/") + "/")
    return of_host and _PAGE.fullmatch(url) is not None and KEY.search(url) is None


def mask_keys(text: str) -> str:
    """Return the text with keys starred out at their length, for what is cut by position."""
    return KEY.sub(lambda key: "*" * len(key[0]), text)


def _escape_character(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if number < 0x100:  # noqa: PLR2004  two digits
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004  the end of four digits


def count_columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in _WIDE
        else 1
        for character in text
    )


def clip(text: str, room: int) -> str:
    """Return the text, or as much of it as `room` columns hold and an ellipsis."""
    most = _PILED * room  # characters; what takes no column could go on for ever
    if len(text) <= most and count_columns(text) <= room:
        return text
    taken, kept = 0, 0
    for character in text[:most]:
        taken += count_columns(character)
        if taken >= room:
            break
        kept += 1
    return f"{text[:kept]}…"
