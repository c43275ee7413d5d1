"""Findings → SARIF 2.1.0, for code scanning. Stable rules and fingerprints, nothing optional."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler import __version__
from reconciler.evidence import Attribution, Way
from reconciler.model import Action, Change, FieldChange, Finding, Plan, Severity
from reconciler.paths import parse_path
from reconciler.render import account, values, who, words
from reconciler.render.gitlab import fingerprints
from reconciler.render.view import View
from reconciler.render.visible import clip, visible
from reconciler.source import Source

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
MAX_RESULTS: Final = 5_000  # what GitHub keeps of a run
_LEVEL: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
_ORDER: Final = tuple(_LEVEL)
_LONGEST: Final = 300  # characters of two values in a message
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
        _result(one, mark, index[one.code])
        for one, mark in zip(kept, fingerprints(kept), strict=True)
    ]
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "reconciler",
                "semanticVersion": __version__,
                "rules": [_rule(code, rules.get(code, "")) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    if len(ordered) > len(kept):
        rest = words.count(len(ordered) - len(kept), "more finding")
        notes = [{"level": "warning", "message": {"text": f"{rest} left out"}}]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notes}]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def drift(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001
    """Drift as results of code scanning, each at the place where the field is declared."""
    found = [one for change in plan.writes for one in _drifted(change)]
    return findings((*found, *account.findings(plan)), _DRIFT) + "\n"


def _drifted(change: Change) -> Iterator[Finding]:
    """One finding a field; one for what has gone, or come back."""
    if change.action is not Action.UPDATE:
        message = f"{change.address} is {words.drifted(change.action)}"
        yield _finding(change, message, change.attribution, change.source)
        return
    for one in change.fields:
        moved = f"{values.flow(one.desired)} → {values.flow(one.live)}"
        desired = change.desired
        place = desired.locate(parse_path(one.path)) if desired is not None else None
        message = f"{change.address}: {one.path} {clip(moved, _LONGEST)}"
        yield _finding(change, message, one.attribution, place or change.source, one)


def _finding(
    change: Change,
    message: str,
    found: Attribution | None,
    place: Source | None,
    one: FieldChange | None = None,
) -> Finding:
    said = who.said(found, one).text if found is not None else ""
    held = who.hold(change)
    way = found.way if found is not None else Way.UNKNOWN
    if held is None:
        severity = Severity.ERROR if way is Way.BYPASS else Severity.WARNING
        return Finding(f"drift-{way}", severity, message, said, "", place, change.address)
    return Finding("drift-held", Severity.NOTICE, message, said, held.text, place, change.address)


def _rule(code: str, about: str) -> dict[str, Any]:
    text = visible(about) or code
    return {"id": code, "shortDescription": {"text": text}}


def _result(one: Finding, mark: str, index: int) -> dict[str, Any]:
    said = [one.message, *(text for text in (one.why, one.fix) if text)]
    location: dict[str, Any] = {}
    if one.source is not None and one.source.file:
        start = max(1, one.source.column)
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(one.source.file), "uriBaseId": "%SRCROOT%"},
            "region": {
                "startLine": max(1, one.source.line),
                "startColumn": start,
                "endColumn": start + max(1, one.width),
            },
        }
    if one.address is not None:
        name = visible(str(one.address))
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": _LEVEL[one.severity],
        "message": {"text": visible(". ".join(said))},
        **({"locations": [location]} if location else {}),
        "partialFingerprints": {"reconciler/v1": mark},
    }


def _uri(file: str) -> str:
    return quote(file.encode("utf-8", "surrogatepass"), safe="/")
