"""Define addresses (`Kind/organization[/project]/name`), and `ABSENT`: no value written."""

import re
from collections.abc import Collection
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote


class Absent(Enum):
    """Mark what is not written, which differs from `null`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


class Address(NamedTuple):
    """Hold the stable name of a resource: `Kind/organization[/project]/name`."""

    kind: str
    parts: tuple[str, ...]  # plain names, outermost first; percent-encoded only in text

    def __str__(self) -> str:
        parts = (part.replace("%", "%25").replace("/", "%2F") for part in self.parts)
        return "/".join((self.kind, *parts))

    @property
    def organization(self) -> str:
        """Return the slug of the organization."""
        return self.parts[0]

    @property
    def project(self) -> str | None:
        """Return the name of the project, for a resource in a project."""
        return self.parts[1] if len(self.parts) == 3 else None  # noqa: PLR2004  kind/org/project/name

    @property
    def name(self) -> str:
        """Return the natural key inside its scope."""
        return self.parts[-1]

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address from its text; raise ValueError if it has fewer than two parts."""
        kind, *parts = text.split("/")
        if not kind or not parts or not all(parts) or len(parts) > 3:  # noqa: PLR2004  organization, project, name
            raise ValueError(f"not an address: {text!r}")
        return cls(kind, tuple(unquote(part) for part in parts))


_JOINER: Final = "\u200d"  # invisible; a Markdown report writes it so that nobody is mentioned


@lru_cache(maxsize=256)
def _compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern: `*` matches anything, also `/`; everything else is literal."""
    return re.compile(".*".join(re.escape(piece) for piece in text.split("*")), re.DOTALL)


def matches_any(address: Address, patterns: Collection[str]) -> bool:
    """Return whether one of the patterns matches the whole address."""
    if not patterns:
        return False
    text = str(address)
    return any(_compile_pattern(pattern).fullmatch(text) for pattern in patterns) or any(
        _compile_pattern(pattern.replace(_JOINER, "")).fullmatch(text.replace(_JOINER, ""))
        for pattern in patterns
        if _JOINER in pattern
    )
