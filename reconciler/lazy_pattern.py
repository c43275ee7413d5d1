"""Compile regular expressions when they are first used.

To compile one takes longer than the import of the rest of its module, and most of them are for
what is rare: an error, a comment, an odd spelling. The look-up of a method takes a little longer
than for a compiled pattern, so the scanner of YAML, which uses its own for each line, compiles them
at once.
"""

import re
from typing import TYPE_CHECKING, Any


class _LazyPattern:
    """A pattern whose methods are those of the compiled one, taken from it at first use."""

    def __init__(self, source: str | bytes, flags: int = 0) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    from re import compile as compile_later
else:
    compile_later = _LazyPattern

__all__ = ["compile_later"]
