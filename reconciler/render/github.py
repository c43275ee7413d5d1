"""Findings → annotations of a GitHub Actions step: workflow commands, one a line.

GitHub shows ten of a kind for a step and drops the rest without a word, so the worst come first
and the rest is counted in one line.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from reconciler.model import Finding, Severity
from reconciler.render.shared import phrases
from reconciler.render.shared.sanitize import make_visible

SHOWN: Final = 10  # of each kind
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTICE)


def findings(listed: Iterable[Finding]) -> str:
    """Return a workflow command for each of the worst, errors first; no newline at the end."""
    ordered = sorted(listed, key=lambda finding: (_ORDER.index(finding.severity), finding.sort_key))
    by_kind = {
        kind: list(rows) for kind, rows in groupby(ordered, lambda finding: finding.severity)
    }
    left_out = {kind: len(rows) - SHOWN for kind, rows in by_kind.items() if len(rows) > SHOWN}
    if left_out and len(by_kind.get(Severity.NOTICE, ())) >= SHOWN:  # the count is a notice, too
        left_out[Severity.NOTICE] = len(by_kind[Severity.NOTICE]) - SHOWN + 1
    lines = [
        format_annotation(finding)
        for kind, rows in by_kind.items()
        for finding in rows[: len(rows) - left_out.get(kind, 0)]
    ]
    if left_out:
        total = ", ".join(phrases.count(number, kind) for kind, number in left_out.items())
        lines.append(f"::notice title=reconciler::{escape_data(f'and {total} more: see the log')}")
    return "\n".join(lines)


def format_annotation(finding: Finding) -> str:
    """Return `::error file=…,line=…,col=…,title=…::message`."""
    place = finding.source
    title = f"{finding.code} {finding.address}" if finding.address is not None else finding.code
    properties = {"title": title}
    if place is not None and place.file:
        properties = {
            "file": place.file,
            "line": str(place.line),
            "col": str(place.column),
            **properties,
        }
    sentences = [finding.message]
    sentences += [
        f"{name}: {text}" for name, text in (("why", finding.why), ("fix", finding.fix)) if text
    ]
    listed = ",".join(f"{name}={escape_property(value)}" for name, value in properties.items())
    return f"::{finding.severity} {listed}::{escape_data(*sentences)}"


def escape_data(*lines: str) -> str:
    """Return text for behind `::`, of one line or several."""
    text = "\n".join(make_visible(line) for line in lines).replace(
        "##[", r"#\x23["
    )  # an old command
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Return text for the value of a property."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")
