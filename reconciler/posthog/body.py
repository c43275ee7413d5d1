"""Turn bytes into JSON values, or raise ValueError with a reason.

Refuses what two parsers may read differently, and never holds more bytes than allowed.
"""

import gc
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

MAX_DEPTH: Final = 100  # PostHog's deepest payloads have about ten levels


def parse(raw: bytes) -> Any:
    """Return the value of a JSON text in UTF-8.

    Besides bad syntax, refuse duplicate keys, NaN, infinities, lone surrogates, numbers that
    overflow, and nesting that would exhaust the stack of code that visits the value.
    """
    try:
        text = raw.decode()
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite,
            object_pairs_hook=_build_unique,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at byte {error.pos})") from None
    _check_depth(value)
    if "\\" in text and "\\ud" in text.lower():
        _check_surrogates(value)
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number that is too large")
    return number


def _build_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("an object has a key twice")
    return mapping


def _check_depth(value: Any) -> None:
    """Check level by level, so that the check cannot exhaust the stack either.

    Of what JSON makes, only objects and lists refer to anything. That the garbage collector knows
    it saves looking at every value of a page.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = gc.get_referents(*level)
        if not level:
            return
    if any(isinstance(node, dict | list) for node in level):
        raise ValueError("nested too deeply")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character (a lone surrogate)") from None


def inflate(pieces: Iterable[bytes], encoding: str, most: int) -> Iterator[bytes]:
    """Yield the decompressed body, never much more than `most` bytes at once.

    64 kB may become 64 MB, so a piece is inflated in parts.
    """
    if encoding in ("identity", ""):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip"):
        raise ValueError(f"encoded as {encoding}, which was not requested")
    decoder, empty = zlib.decompressobj(wbits=31), True
    try:
        for piece in pieces:
            data, empty = piece, empty and not piece
            while data:
                yield decoder.decompress(data, most + 1)
                data = decoder.unconsumed_tail
    except zlib.error as error:
        raise ValueError(f"its gzip stream is damaged ({error})") from None
    if decoder.unused_data:
        raise ValueError("there is data after the end of its gzip stream")
    if not (decoder.eof or empty):
        raise ValueError("its gzip stream is cut off")
