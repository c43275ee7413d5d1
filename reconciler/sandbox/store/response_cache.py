"""Responses to reads, kept encoded as long as nothing was written and the clock shows the same.

A response that says how long it stays the same is kept for that long.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from reconciler.sandbox.protocol.messages import NO_BODY, Response
from reconciler.sandbox.store.tables import dump_json

_MOST_RESPONSES = 4096
_MOST_BYTES = 64 << 20
_LARGEST_BODY = 1 << 20  # bytes of one response


@dataclass(frozen=True, slots=True)
class _Kept:
    """An encoded response, the time at which it was made, and how long it is valid."""

    response: Response
    made_at: str
    moment: str


class ResponseCache:
    """A small store of encoded responses, oldest first. Every write clears it."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        self._bytes = 0

    def clear(self) -> None:
        """Forget everything: something changed, or a change was undone."""
        self._kept.clear()
        self._bytes = 0

    def get_or_make(
        self, key: Hashable, make: Callable[[], Response], *, at: str, moment: str
    ) -> Response:
        """Return the response of a key; if none is valid, make, encode and keep it.

        Args:
            key: what was requested, and by whom.
            make: computes the response.
            at: the time of the request.
            moment: the part of the time that a response may show.

        """
        kept = self._kept.get(key)
        if kept is not None and (
            kept.moment == moment or kept.made_at <= at < kept.response.stable_until
        ):
            return kept.response
        response = encode_response(make())
        size = len(response.encoded) if response.encoded is not None else 0
        if 0 < size <= _LARGEST_BODY:
            self._drop(key)
            while self._kept and (
                len(self._kept) >= _MOST_RESPONSES or self._bytes + size > _MOST_BYTES
            ):
                self._drop(next(iter(self._kept)))
            self._kept[key] = _Kept(replace(response, body=None), at, moment)
            self._bytes += size
        return response

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.response.encoded or b"")


def encode_response(answer: Response) -> Response:
    """Return a response with the bytes of its body."""
    if answer.body is NO_BODY:
        return answer
    return replace(answer, encoded=dump_json(answer.body).encode())
