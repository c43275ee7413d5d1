"""Answers to reads, kept encoded as long as nothing was written and the clock shows the same."""

from collections.abc import Callable
from typing import Any

from reconciler.sandbox.protocol.messages import NO_BODY, Response
from reconciler.sandbox.store.tables import dump_json

_MOST_RESPONSES = 64
_LARGEST_BODY = 1 << 20  # bytes of one answer


class ResponseCache:
    """A small store of encoded answers. Whoever writes clears it."""

    def __init__(self) -> None:
        self._answers: dict[Any, Response] = {}

    def clear(self) -> None:
        """Forget everything: something changed, or a change was undone."""
        self._answers.clear()

    def get_or_make(self, key: Any, make: Callable[[], Response]) -> Response:
        """Return the response of a key; if it is missing, make, encode and keep it."""
        kept = self._answers.get(key)
        if kept is not None:
            return kept
        response = encode_response(make())
        if response.encoded is not None and len(response.encoded) <= _LARGEST_BODY:
            if len(self._answers) >= _MOST_RESPONSES:
                self._answers.clear()
            self._answers[key] = response
        return response


def encode_response(answer: Response) -> Response:
    """Return a response with the bytes of its body."""
    if answer.body is NO_BODY:
        return answer
    return Response(answer.status, answer.body, answer.headers, dump_json(answer.body).encode())
