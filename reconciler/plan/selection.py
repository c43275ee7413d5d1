"""Which addresses a run is about: `--select`, `--exclude` and the target's ignore patterns."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from reconciler.model import Address, Declared


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` stands for anything, also for `/`; all else is literal (interface section 3)."""
    return re.compile(".*".join(re.escape(piece) for piece in text.split("*")), re.DOTALL)


def matches(address: Address, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns covers the whole address."""
    text = str(address)
    return any(_pattern(pattern).fullmatch(text) for pattern in patterns)


def chosen(declared: Declared, select: tuple[str, ...], exclude: tuple[str, ...]) -> Declared:
    """The same without what is not selected, or is excluded."""
    if not select and not exclude:
        return declared
    kept = {
        address: resource
        for address, resource in declared.resources.items()
        if (not select or matches(address, select)) and not matches(address, exclude)
    }
    return replace(declared, resources=kept)
