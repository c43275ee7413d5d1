"""Mask secrets in text, in every spelling that we know.

A secret is registered when it is wrapped (`credentials.Secret`), so none is forgotten.
"""

import base64
import json
import logging
import re
from threading import Lock
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
_LONGEST: Final = 500  # characters of text from outside that an error may quote
_SHORTEST: Final = 4  # a shorter "secret" would blank out half of every message
_SHAPE: Final = r"ph[csx]_[A-Za-z0-9]{20,}"  # any PostHog key, also an unknown one

_spellings: set[str] = set()
_lock: Final = Lock()
_pattern: re.Pattern[str] = re.compile(_SHAPE)


def register(secret: str) -> None:
    """Register a secret, so that `redact` hides it from now on."""
    global _pattern  # noqa: PLW0603  one registry per process: a secret is secret everywhere
    if len(secret) < _SHORTEST:
        return
    with _lock:
        _spellings.update(list_spellings(secret))
        longest_first = sorted(_spellings, key=lambda text: (-len(text), text))
        _pattern = re.compile("|".join((*map(re.escape, longest_first), _SHAPE)))


def list_spellings(secret: str) -> frozenset[str]:
    """List the secret plain, URL-encoded, JSON-escaped, and in base64 at each of three offsets."""
    escaped = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    escaped += [repr(secret)[1:-1], ascii(secret)[1:-1]]
    quoted = [quote(secret), quote(secret, safe=""), quote_plus(secret)]
    texts = {secret, *escaped, *(text.replace("/", "\\/") for text in escaped)}
    texts |= {*quoted, *map(_lower_hex, quoted)}
    for offset in range(3):
        standard = _encode_base64_core(secret.encode(), offset)
        texts |= {standard, standard.translate(str.maketrans("+/", "-_"))}
    return frozenset(text for text in texts if len(text) >= _SHORTEST)


def _lower_hex(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _encode_base64_core(secret: bytes, offset: int) -> str:
    """Return the base64 characters that depend only on the secret, `offset` bytes into a text."""
    encoded = base64.b64encode(bytes(offset) + secret).decode()
    first = -(-offset * 8 // 6)  # earlier characters also hold bits of the text before
    last = (offset + len(secret)) * 8 // 6  # later ones hold bits of the text after it
    return encoded[first:last]


def redact(text: str) -> str:
    """Return the text with every registered secret, and everything like a key, masked."""
    return _pattern.sub(MASK, text)


def cut_line(text: str) -> str:
    """Return the text as one line of at most 500 characters, without secrets."""
    line = " ".join(redact(text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


class RedactionFilter(logging.Filter):
    """Redact log records. Belongs on handlers: a logger's filter does not see its children's."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without its secrets."""
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True
