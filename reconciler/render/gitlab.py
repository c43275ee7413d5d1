"""Findings → a GitLab code quality report: one JSON array, every fingerprint once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.document import printed
from reconciler.model import Finding, Severity
from reconciler.render.visible import visible

_SEVERITY: Final = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTICE: "info"}
_NOWHERE: Final = "reconciler.yaml"  # a report has no row without a file


def findings(found: Iterable[Finding]) -> str:
    """The whole report; no newline at the end."""
    ordered = sorted(found, key=lambda one: one.sort_key)
    rows = [
        {
            "description": visible(f"{one.message}. {one.fix}" if one.fix else one.message),
            "check_name": one.code,
            "fingerprint": mark,
            "severity": _SEVERITY[one.severity],
            "location": {
                "path": visible(one.source.file if one.source else _NOWHERE) or _NOWHERE,
                "lines": {"begin": max(1, one.source.line if one.source else 1)},
            },
        }
        for one, mark in zip(ordered, fingerprints(ordered), strict=True)
    ]
    return printed(rows)


def fingerprints(found: Sequence[Finding]) -> list[str]:
    """What tells findings apart from commit to commit: not the line, which moves."""
    met: Counter[tuple[str, ...]] = Counter()
    marks = []
    for one in found:
        file = one.source.file if one.source else ""
        key = (one.code, file, str(one.address or ""), one.message)
        met[key] += 1
        text = "\0".join((*key, str(met[key])))
        marks.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    return marks
