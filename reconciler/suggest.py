"""Which of several words was probably meant."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

LONG_ENOUGH: Final = 5
FAR: Final = 2
MANY: Final = 1_000  # candidates that are compared: a help, never worth a wait


def distance(one: str, other: str, limit: int = FAR) -> int:
    """Edits between two words (insert, delete, replace, swap neighbours), counted to limit + 1."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


def closest_match(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a person who wrote `word` probably meant; None if there is none."""
    folded = word[:MANY].casefold()
    found: list[tuple[int, str]] = []
    for candidate in islice(candidates, MANY):
        other = candidate.casefold()
        limit = max(1, min(FAR, len(other) // 3))
        apart = distance(folded, other, limit)
        if apart <= limit:
            found.append((apart, candidate))
        elif len(folded) >= LONG_ENOUGH and (
            other.startswith(folded) or folded in other.split("_")
        ):
            found.append((FAR + 1, candidate))
    return min(found)[1] if found else None


def near_miss(name: str, declared: Iterable[str]) -> str | None:
    """The declared name that `name` is a slip of; names that differ in digits only are not."""
    if len(name) < LONG_ENOUGH:
        return None
    best: tuple[int, str] | None = None
    for other in declared:
        apart = distance(name, other)
        if apart > FAR or len(other) < LONG_ENOUGH or _letters(name) == _letters(other):
            continue
        best = min(best or (apart, other), (apart, other))
    return best[1] if best else None


def _letters(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())
