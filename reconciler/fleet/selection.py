"""Choose the targets of a fleet by patterns of their names."""

import re
from collections.abc import Iterable, Sequence

from reconciler.errors import UsageError
from reconciler.suggest import closest_match, list_names


def select_targets(names: Iterable[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names that match any pattern, in their order; all of them without patterns.

    A pattern is a name in which `*` stands for any characters. Raises UsageError for a pattern
    that matches nothing.
    """
    known = tuple(names)
    if not patterns:
        return known
    chosen: set[str] = set()
    for pattern in patterns:
        matching = _compile(pattern)
        matches = {name for name in known if matching.fullmatch(name)}
        if not matches:
            raise _report_unknown(pattern, known)
        chosen |= matches
    return tuple(name for name in known if name in chosen)


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _report_unknown(pattern: str, known: Sequence[str]) -> UsageError:
    similar = closest_match(pattern.replace("*", ""), known)
    return UsageError(
        f'no target matches "{pattern}"',
        why=f"the targets are: {list_names(known)}",
        fix=f'did you mean "{similar}"?' if similar else "name targets of reconciler.yaml",
    )
