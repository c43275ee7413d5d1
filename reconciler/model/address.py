"""Addresses (`Kind/organization[/project]/name`), and `ABSENT`: a field that is not written."""

from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import unquote


class Absent(Enum):
    """What is not written, which differs from `null`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


class Address(NamedTuple):
    """The stable name of a resource: `Kind/organization[/project]/name`."""

    kind: str
    parts: tuple[str, ...]  # plain names, outermost first; percent-encoded only in text

    def __str__(self) -> str:
        parts = (part.replace("%", "%25").replace("/", "%2F") for part in self.parts)
        return "/".join((self.kind, *parts))

    @property
    def organization(self) -> str:
        """Slug of the organization."""
        return self.parts[0]

    @property
    def project(self) -> str | None:
        """Name of the project, for what lives in one."""
        return self.parts[1] if len(self.parts) == 3 else None  # noqa: PLR2004  kind/org/project/name

    @property
    def name(self) -> str:
        """The natural key inside its scope."""
        return self.parts[-1]

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address back from its text; raises ValueError if it has no two parts."""
        kind, *parts = text.split("/")
        if not kind or not parts or not all(parts) or len(parts) > 3:  # noqa: PLR2004  organization, project, name
            raise ValueError(f"not an address: {text!r}")
        return cls(kind, tuple(unquote(part) for part in parts))
