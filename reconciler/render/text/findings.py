"""Findings and errors on the terminal: what, why, state, fix."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from reconciler.errors import (
    ApiError,
    ConfigError,
    DeclinedError,
    GuardrailError,
    ReconcilerError,
)
from reconciler.model import Finding, Severity
from reconciler.render.shared.findings import format_finding, format_sentences
from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import escape
from reconciler.render.text.terminal import paint

_ORDER: Final = tuple(Severity)  # worst first


def findings(listed: Iterable[Finding], *, color: bool, state: str = "nothing was written") -> str:
    """Return findings by place, in the four sentences; no newline at the end."""
    ordered = sorted(listed, key=lambda finding: finding.sort_key)
    painted = partial(paint, on=color)
    shown = ["\n".join(format_finding(finding, state=state, paint=painted)) for finding in ordered]
    apart = "\n\n" if any("\n" in text for text in shown) else "\n"
    return apart.join(shown)


def error(exc: ReconcilerError, *, color: bool) -> str:
    """Return an error in the four sentences; one about the files with all of its findings."""
    if isinstance(exc, DeclinedError):
        return escape(exc.what)
    painted = partial(paint, on=color)
    reported = exc.findings if isinstance(exc, ConfigError | GuardrailError) else ()
    if reported:
        if len(reported) == 1 and isinstance(exc, ConfigError):
            return findings(reported, color=color, state=exc.state)
        listed = findings(reported, color=color, state="")  # it is the same for all of them
        head, fix = painted(_count_findings(reported), "bold"), ""
        if isinstance(exc, GuardrailError):
            head, fix = f"{painted('error:', 'alarm')} {escape(exc.what)}", exc.fix
        shared = format_sentences("", exc.state, fix, paint=painted)
        return "\n".join((f"{listed}\n\n{head}", *shared))
    why = exc.why
    if not why and isinstance(exc, ApiError):
        parts = (f"HTTP {exc.status}" if exc.status else "", exc.code, exc.detail)
        why = " ".join(part for part in parts if part)
    head = f"{painted('error:', 'alarm')} {escape(exc.what)}"
    return "\n".join((head, *format_sentences(why, exc.state, exc.fix, paint=painted)))


def _count_findings(listed: Iterable[Finding]) -> str:
    """Return `3 errors, 1 warning in 2 files`."""
    every = tuple(listed)
    numbers = [(level, sum(each.severity is level for each in every)) for level in _ORDER]
    files = len({each.source.file for each in every if each.source})
    where = f" in {count(files, 'file')}" if files else ""
    return ", ".join(count(number, level) for level, number in numbers if number) + where
