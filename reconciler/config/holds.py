"""`drift.hold` of a target: what may differ for a while. A hold that is never over is a mistake."""

from collections.abc import Callable, Iterator
from typing import Any

from reconciler.config.text import error
from reconciler.evidence import Hold
from reconciler.kind import instant
from reconciler.model import Finding

Faults = Callable[[Any], Iterator[Finding]]


def read(target: Any, findings: list[Finding], faults: Faults) -> tuple[Hold, ...]:
    """The holds of a target; a day that is none goes to `findings`.

    Args:
        target: its mapping in the settings, accepted by the schema.
        findings: what is wrong.
        faults: of a list of address patterns.

    """
    found = []
    for node in (target.get("drift") or {}).get("hold", ()):
        until = instant(node["until"])
        if until is None:
            message = f"there is no such time: {node['until']}"
            fix = "write a day such as 2026-12-01, or a time such as 2026-12-01T18:00:00Z"
            place = node.value_source("until")
            findings.append(error("R005", message, place, fix=fix, width=len(node["until"])))
            continue
        findings.extend(faults(node))
        source = node.value_source("address")
        found.append(Hold(node["address"], until, node["until"], node["reason"], source))
    return tuple(found)
