"""Define findings: what a command reports about files, plans and live objects."""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.address import Address
from reconciler.model.source import Source


class Severity(StrEnum):
    """Name how bad a finding is; only `error` changes the exit code."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold something worth reporting to a person. A value, not an exception."""

    code: str
    severity: Severity
    message: str
    why: str = ""
    fix: str = ""
    source: Source | None = None
    address: Address | None = None
    excerpt: str = ""  # the offending line, if the file is available
    width: int = 1  # how many columns the caret line marks

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Return the key of the order in which findings are shown: location, then code."""
        place = self.source or Source("", 0, 0)
        return (place.file, place.line, place.column, self.code, self.message)
