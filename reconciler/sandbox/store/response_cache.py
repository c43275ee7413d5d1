"""Answers to reads, kept encoded as long as nothing was written and the clock shows the same."""

from collections.abc import Callable
from typing import Any

from reconciler.sandbox.protocol.messages import NO_BODY, Answer
from reconciler.sandbox.store.tables import dump

_MOST = 64
_LARGEST = 1 << 20  # bytes of one answer


class Shelf:
    """A small store of encoded answers. Whoever writes clears it."""

    def __init__(self) -> None:
        self._answers: dict[Any, Answer] = {}

    def clear(self) -> None:
        """Forget everything: something changed, or a change was undone."""
        self._answers.clear()

    def answer(self, key: Any, make: Callable[[], Answer]) -> Answer:
        """The answer of a key; made, encoded and kept if it is not there."""
        kept = self._answers.get(key)
        if kept is not None:
            return kept
        made = encoded(make())
        if made.encoded is not None and len(made.encoded) <= _LARGEST:
            if len(self._answers) >= _MOST:
                self._answers.clear()
            self._answers[key] = made
        return made


def encoded(answer: Answer) -> Answer:
    """An answer with the bytes of its body."""
    if answer.body is NO_BODY:
        return answer
    return Answer(answer.status, answer.body, answer.headers, dump(answer.body).encode())
