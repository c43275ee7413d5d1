"""Bytes off the wire → JSON values, or ValueError with a reason.

Believes nothing that two readers may read differently, and never holds more than was allowed.
"""

import json
import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

MAX_DEPTH: Final = 100  # PostHog's deepest payloads have about ten levels

_CONTAINERS: Final = frozenset({dict, list})  # exact types: that is what json makes


def parse(raw: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Refused besides bad syntax: duplicate keys, NaN and infinities, lone surrogates, endless
    numbers, and nesting that would exhaust the stack of whoever walks the value.
    """
    try:
        text = raw.decode()
        value = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at byte {error.pos})") from None
    _check_depth(value)
    if "\\ud" in text.lower():
        _check_surrogates(value)
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number without bounds")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return mapping


def _check_depth(value: Any) -> None:
    """Level by level, so that checking cannot exhaust the stack either."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        level = [
            child
            for node in level
            if type(node) in _CONTAINERS
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _CONTAINERS
        ]


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character (a lone surrogate)") from None


def inflated(pieces: Iterable[bytes], encoding: str, most: int) -> Iterator[bytes]:
    """The body as it was before compression, never much more than `most` bytes at once.

    Done here because httpx inflates a whole piece at a time: 64 kB may become 64 MB.
    """
    if encoding in ("identity", ""):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip"):
        raise ValueError(f"encoded as {encoding}, which was not asked for")
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
        raise ValueError("something follows the end of its gzip stream")
    if not (decoder.eof or empty):
        raise ValueError("its gzip stream is cut off")
