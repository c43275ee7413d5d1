"""Define findings, which commands report, and the rules of a team, which find more of them."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from reconciler.lazy_dataclass import dataclass
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


class RuleEffect(StrEnum):
    """Name what a rule does with a change for which its expression is true."""

    DENY = "deny"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class RuleTest:
    """Hold one test of a rule: a change, the rest of its plan, and the expected effect."""

    name: str
    change: Mapping[str, Any]  # of a row of a plan; keys that are not written have usual values
    expect: str  # deny | warn | pass
    source: Source
    plan: Mapping[str, Any] = field(default_factory=dict)
    author: tuple[str, ...] = ()
    now: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold where a part of an expression is in its file. Lines and columns count from 1."""

    line: int  # of the expression
    column: int  # of the expression
    place: Source


@dataclass(frozen=True, slots=True)
class Rule:
    """Hold a rule. Two rules are equal if they judge alike, wherever they are written."""

    id: str
    when: str  # an expression of the Common Expression Language
    effect: RuleEffect
    message: str
    select: tuple[str, ...] = ()  # address patterns; empty: every change
    tests: tuple[RuleTest, ...] = field(default=(), compare=False)
    source: Source = field(default=Source("", 1), compare=False)
    segments: tuple[Segment, ...] = field(default=(), compare=False)

    def locate(self, line: int, column: int) -> Source:
        """Return where a position of the expression is in the file."""
        known = [part for part in self.segments if (part.line, part.column) <= (line, column)]
        if not known:
            return self.source
        part = known[-1]
        offset = column - part.column if part.line == line else 0
        return Source(part.place.file, part.place.line, part.place.column + offset)
