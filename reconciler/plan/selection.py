"""Addresses and the patterns that cover them: `--select`, `--exclude`, ignore lists."""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from reconciler.model import Address

_JOINER: Final = "\u200d"  # invisible; a Markdown report writes it so that nobody is mentioned


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` stands for anything, also for `/`; all else is literal."""
    return re.compile(".*".join(re.escape(piece) for piece in text.split("*")), re.DOTALL)


def matches(address: Address, patterns: Collection[str]) -> bool:
    """Whether one of the patterns covers the whole address."""
    if not patterns:
        return False
    text = str(address)
    return any(_pattern(pattern).fullmatch(text) for pattern in patterns) or any(
        _pattern(pattern.replace(_JOINER, "")).fullmatch(text.replace(_JOINER, ""))
        for pattern in patterns
        if _JOINER in pattern
    )
