"""Findings → SARIF 2.1.0, for code scanning. Stable rules and fingerprints, nothing optional."""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from reconciler import __version__
from reconciler.model import Finding, Plan, Severity
from reconciler.planfile.reader import format_json
from reconciler.render.shared import attribution, phrases, summary
from reconciler.render.shared.findings import compute_fingerprints
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.sanitize import make_visible

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
MAX_RESULTS: Final = 5_000  # what GitHub keeps of a run
_LEVEL: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
_ORDER: Final = tuple(_LEVEL)
_DRIFT: Final = {
    "drift-approved": "The live side moved with approval: git lags behind",
    "drift-bypass": "The live side moved past an approval policy that covered it",
    "drift-held": "The live side moved, and reconciler.yaml holds that for a while",
    "drift-unapproved": "The live side moved; no approval policy covered it",
    "drift-unknown": "The live side moved; how is not known",
}


def findings(listed: Iterable[Finding], rules: Mapping[str, str]) -> str:
    """Return one run; no newline at the end.

    Args:
        found: what was found.
        rules: code -> what it is about, in one line.

    """
    ordered = sorted(listed, key=lambda finding: (_ORDER.index(finding.severity), finding.sort_key))
    kept = ordered[:MAX_RESULTS]
    codes = sorted({*rules, *(finding.code for finding in kept)})
    index = {code: number for number, code in enumerate(codes)}
    results = [
        _make_result(finding, mark, index[finding.code])
        for finding, mark in zip(kept, compute_fingerprints(kept), strict=True)
    ]
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "reconciler",
                "semanticVersion": __version__,
                "rules": [_make_rule(code, rules.get(code, "")) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    if len(ordered) > len(kept):
        rest = phrases.count(len(ordered) - len(kept), "more finding")
        notes = [{"level": "warning", "message": {"text": f"{rest} left out"}}]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notes}]
    return format_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def drift(plan: Plan, options: RenderOptions) -> str:
    """Return drift as results of code scanning, each at the place where the field is declared."""
    every = (finding for change in plan.writes for finding in attribution.make_findings(change))
    relocated = [
        _relocate(finding, options.folder) for finding in (*every, *summary.list_findings(plan))
    ]
    return findings(relocated, _DRIFT) + "\n"


def _relocate(finding: Finding, folder: str) -> Finding:
    """Return the same finding, its file named from the root of the repository."""
    if not folder or finding.source is None or not finding.source.file:
        return finding
    file = posixpath.normpath(posixpath.join(folder, finding.source.file))
    return replace(finding, source=replace(finding.source, file=file))


def _make_rule(code: str, about: str) -> dict[str, Any]:
    text = make_visible(about) or code
    return {"id": code, "shortDescription": {"text": text}}


def _make_result(finding: Finding, mark: str, index: int) -> dict[str, Any]:
    sentences = [finding.message, *(text for text in (finding.why, finding.fix) if text)]
    location: dict[str, Any] = {}
    if finding.source is not None and finding.source.file:
        start = max(1, finding.source.column)
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _make_uri(finding.source.file), "uriBaseId": "%SRCROOT%"},
            "region": {
                "startLine": max(1, finding.source.line),
                "startColumn": start,
                "endColumn": start + max(1, finding.width),
            },
        }
    if finding.address is not None:
        name = make_visible(str(finding.address))
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVEL[finding.severity],
        "message": {"text": make_visible(". ".join(sentences))},
        **({"locations": [location]} if location else {}),
        "partialFingerprints": {"reconciler/v1": mark},
    }


def _make_uri(file: str) -> str:
    return quote(file.encode("utf-8", "surrogatepass"), safe="/")
