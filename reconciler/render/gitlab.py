"""Findings → a GitLab code quality report: one JSON array, every fingerprint once."""

from collections.abc import Iterable
from typing import Final

from reconciler.model import Finding, Severity
from reconciler.planfile.reader import printed
from reconciler.render.shared.findings import compute_fingerprints
from reconciler.render.shared.sanitize import make_visible

_SEVERITY: Final = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTICE: "info"}
_NOWHERE: Final = "reconciler.yaml"  # a report has no row without a file


def findings(found: Iterable[Finding]) -> str:
    """The whole report; no newline at the end."""
    ordered = sorted(found, key=lambda one: one.sort_key)
    rows = [
        {
            "description": make_visible(f"{one.message}. {one.fix}" if one.fix else one.message),
            "check_name": one.code,
            "fingerprint": mark,
            "severity": _SEVERITY[one.severity],
            "location": {
                "path": make_visible(one.source.file if one.source else _NOWHERE) or _NOWHERE,
                "lines": {"begin": max(1, one.source.line if one.source else 1)},
            },
        }
        for one, mark in zip(ordered, compute_fingerprints(ordered), strict=True)
    ]
    return printed(rows)
