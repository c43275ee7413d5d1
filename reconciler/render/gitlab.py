"""Findings → a GitLab code quality report: one JSON array, every fingerprint once."""

from collections.abc import Iterable
from typing import Final

from reconciler.model import Finding, Severity
from reconciler.planfile.reader import format_json
from reconciler.render.shared.findings import compute_fingerprints
from reconciler.render.shared.sanitize import make_visible

_SEVERITY: Final = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTICE: "info"}
_NOWHERE: Final = "reconciler.yaml"  # a report has no row without a file


def findings(listed: Iterable[Finding]) -> str:
    """Return the whole report; no newline at the end."""
    ordered = sorted(listed, key=lambda finding: finding.sort_key)
    rows = [
        {
            "description": make_visible(
                f"{finding.message}. {finding.fix}" if finding.fix else finding.message
            ),
            "check_name": finding.code,
            "fingerprint": mark,
            "severity": _SEVERITY[finding.severity],
            "location": {
                "path": make_visible(finding.source.file if finding.source else _NOWHERE)
                or _NOWHERE,
                "lines": {"begin": max(1, finding.source.line if finding.source else 1)},
            },
        }
        for finding, mark in zip(ordered, compute_fingerprints(ordered), strict=True)
    ]
    return format_json(rows)
