"""Read plan files of version 1: other names of keys, and sentences instead of fields."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.lazy_pattern import compile_later

# What a plan file of version 1 says in notes, and later versions in fields. These texts belong to
# that format: they stay as they are, whatever the program prints now.
_REPLACES: Final = (
    "an open request of this key's own user proposes something else, or cannot be applied any "
    "more, and nobody has voted: apply takes it back"
)
_THEN_WAITS: Final = "; what is written then waits for approval itself"
_EXHAUSTED: Final = "it was asked twice, and ran out or could not be applied both times"
_FILED_AGAIN: Final = "filed once more: "
_BYPASSED: Final = compile_later(r"\((ApprovalPolicy/[^()]*): bypassed\)")
_EVIDENCE: Final = {"deed": "action", "moved": "change"}


def upgrade_from_version_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan document of version 1 in the form of version 2.

    A note that is not recognized leaves its field empty. That is safe: `show` prints the note, and
    an apply forecasts every gate again and refuses what fewer people would have to approve.
    """
    converted = {
        "unrelated_drift" if name == "elsewhere" else name: value
        for name, value in document.items()
    }
    for rows in ("changes", "not_applied"):
        if isinstance(converted.get(rows), list):
            converted[rows] = [_upgrade_change(row) for row in converted[rows]]
    return converted


def _upgrade_change(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    converted = {**row, **_upgrade_evidence(row)}
    if isinstance(fields := row.get("fields"), list):
        converted["fields"] = [
            {**field, **_upgrade_evidence(field)} if isinstance(field, Mapping) else field
            for field in fields
        ]
    if isinstance(gate := row.get("gate"), Mapping):
        converted["gate"] = {**gate, **_upgrade_gate(gate)}
    return converted


def _upgrade_evidence(row: Mapping[str, Any]) -> dict[str, Any]:
    evidence = row.get("evidence")
    if not isinstance(evidence, Mapping):
        return {}
    return {"evidence": {_EVIDENCE.get(name, name): value for name, value in evidence.items()}}


def _upgrade_gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that version 1 does not have."""
    verdict, note = gate.get("verdict"), str(gate.get("note") or "")
    plan: str | None = None
    bypassed: list[Any] = []
    if verdict == "blocked" and note.startswith(_REPLACES):
        plan = "replace_and_wait" if note.endswith(_THEN_WAITS) else "replace"
    elif verdict == "rejected" and note.startswith(_EXHAUSTED):
        plan = "exhausted"
    elif verdict in {"approval", "split"} and note.startswith(_FILED_AGAIN):
        plan = "file_again"
    if verdict == "bypass" and gate.get("policy") is not None:
        bypassed = [gate["policy"]]
    elif verdict == "split":
        bypassed = _BYPASSED.findall(note)
    return {"request_plan": plan, "bypassed_policies": bypassed}
