"""Findings → SARIF 2.1.0, for code scanning. Stable rules and fingerprints, nothing optional."""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from reconciler import __version__
from reconciler.model import Finding, Plan, Severity
from reconciler.planfile.reader import printed
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


def findings(found: Iterable[Finding], rules: Mapping[str, str]) -> str:
    """One run; no newline at the end.

    Args:
        found: what was found.
        rules: code -> what it is about, in one line.

    """
    ordered = sorted(found, key=lambda one: (_ORDER.index(one.severity), one.sort_key))
    kept = ordered[:MAX_RESULTS]
    codes = sorted({*rules, *(one.code for one in kept)})
    index = {code: number for number, code in enumerate(codes)}
    results = [
        _make_result(one, mark, index[one.code])
        for one, mark in zip(kept, compute_fingerprints(kept), strict=True)
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
    return printed({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def drift(plan: Plan, options: RenderOptions) -> str:
    """Drift as results of code scanning, each at the place where the field is declared."""
    every = (one for change in plan.writes for one in attribution.make_findings(change))
    found = [_relocate(one, options.folder) for one in (*every, *summary.list_findings(plan))]
    return findings(found, _DRIFT) + "\n"


def _relocate(one: Finding, folder: str) -> Finding:
    """The same, its file named from the root of the repository."""
    if not folder or one.source is None or not one.source.file:
        return one
    file = posixpath.normpath(posixpath.join(folder, one.source.file))
    return replace(one, source=replace(one.source, file=file))


def _make_rule(code: str, about: str) -> dict[str, Any]:
    text = make_visible(about) or code
    return {"id": code, "shortDescription": {"text": text}}


def _make_result(one: Finding, mark: str, index: int) -> dict[str, Any]:
    said = [one.message, *(text for text in (one.why, one.fix) if text)]
    location: dict[str, Any] = {}
    if one.source is not None and one.source.file:
        start = max(1, one.source.column)
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _make_uri(one.source.file), "uriBaseId": "%SRCROOT%"},
            "region": {
                "startLine": max(1, one.source.line),
                "startColumn": start,
                "endColumn": start + max(1, one.width),
            },
        }
    if one.address is not None:
        name = make_visible(str(one.address))
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": _LEVEL[one.severity],
        "message": {"text": make_visible(". ".join(said))},
        **({"locations": [location]} if location else {}),
        "partialFingerprints": {"reconciler/v1": mark},
    }


def _make_uri(file: str) -> str:
    return quote(file.encode("utf-8", "surrogatepass"), safe="/")
