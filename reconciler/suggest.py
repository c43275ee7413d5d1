"""Suggest a word for a misspelled one ("did you mean"), by the only edit distance we have."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

MAX_EDITS: Final = 2
_LONG_ENOUGH: Final = 5  # to be a part of another word, or a slip of a declared name
_LISTED: Final = 20  # names in a message
_PREFIX: Final = 3  # characters: `doc` for `doctor`
_MAX_COMPARED: Final = 1_000  # candidates, and characters of a word: a suggestion is worth no wait


def closest_match(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a person who wrote `word` probably meant; None if there is none.

    Case does not matter. Short candidates may differ by only one edit.
    """
    return next(iter(closest_matches(word, candidates, limit=1)), None)


def closest_matches(word: str, candidates: Iterable[str], *, limit: int) -> list[str]:
    """Return the candidates that a person who wrote `word` may have meant, the nearest first."""
    matches = sorted(_rank_candidates(word, candidates))
    return [candidate for _, candidate in matches[:limit]]


def _rank_candidates(word: str, candidates: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the similar candidates, each with its number of edits."""
    folded = word[:_MAX_COMPARED].casefold()
    for candidate in islice(candidates, _MAX_COMPARED):
        other = candidate.casefold()
        limit = max(1, min(MAX_EDITS, len(other) // 3))
        edits = count_edits(folded, other, limit)
        if edits <= limit:
            yield edits, candidate
        elif (len(folded) >= _PREFIX and other.startswith(folded)) or (
            len(folded) >= _LONG_ENOUGH and folded in other.split("_")
        ):
            yield MAX_EDITS + 1, candidate


def list_names(names: Iterable[str]) -> str:
    """Return the names, sorted, and the number of those for which there is no space."""
    ordered = sorted(names)
    more = len(ordered) - _LISTED
    return ", ".join(ordered[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def find_near_miss(name: str, declared: Iterable[str]) -> str | None:
    """Return the declared name that `name` is a slip of; a difference in digits is not a slip."""
    if len(name) < _LONG_ENOUGH:
        return None
    best: tuple[int, str] | None = None
    for other in declared:
        edits = count_edits(name, other)
        if edits > MAX_EDITS or len(other) < _LONG_ENOUGH or _letters(name) == _letters(other):
            continue
        best = min(best or (edits, other), (edits, other))
    return best[1] if best else None


def find_most_similar(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate with the fewest edits, however many; raise ValueError without any."""
    compared = islice(candidates, _MAX_COMPARED)
    return min(compared, key=lambda other: (count_edits(word, other, _MAX_COMPARED), other))


def count_edits(first: str, second: str, limit: int = MAX_EDITS) -> int:
    """Return the edits between two words (insert, delete, replace, swap), up to limit + 1."""
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    previous: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, previous, row = previous, row, [i]
        for j, b in enumerate(second, 1):
            cost = min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


def _letters(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())
