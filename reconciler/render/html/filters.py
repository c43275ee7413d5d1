"""What the changes can be filtered by: each carries its values, and the script compares."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model import ApprovalClass, Cause, Change, Verdict

GATES: Final = {
    Verdict.NONE: "passes",
    Verdict.APPROVAL: "waits",
    Verdict.PENDING: "waits already",
    Verdict.SPLIT: "several calls",
    Verdict.BYPASS: "bypasses",
    Verdict.BLOCKED: "blocked",
    Verdict.REJECTED: "rejected",
}
_PLAN: Final = ("action", "cause", "gate", "kind")
_DRIFT: Final = ("action", "way", "who", "kind")
_NAMES: Final = {
    "gate": {verdict.value: name for verdict, name in GATES.items()},
    "way": {
        ApprovalClass.BYPASS.value: "past the gate",
        ApprovalClass.UNAPPROVED.value: "without approval",
        ApprovalClass.UNKNOWN.value: "not known",
    },
}
_DRIFTED: Final = {"create": "missing", "update": "changed", "delete": "live again"}
_ORDERS: Final = {
    "cause": [cause.value for cause in Cause],
    "gate": [verdict.value for verdict in GATES],
    "way": [way.value for way in ApprovalClass],
}
_MOST: Final = 15  # people to choose from; the others are found by their names


@dataclass(frozen=True, slots=True)
class Facet:
    """What changes can be filtered by, and its values: each with its name and its number."""

    name: str
    values: tuple[tuple[str, str, int], ...]


def list_values(change: Change, *, drift: bool) -> Mapping[str, tuple[str, ...]]:
    """Return the values of one change in each facet."""
    own = {"action": (change.action.value,), "kind": (change.address.kind,)}
    if not drift:
        causes = tuple(dict.fromkeys(field.cause.value for field in change.fields))
        return {**own, "cause": causes, "gate": (change.gate.verdict.value,)}
    every = [change.attribution, *(field.attribution for field in change.fields)]
    known = [attribution for attribution in every if attribution is not None]
    return {
        **own,
        "way": tuple(dict.fromkeys(each.approval_class.value for each in known)),
        "who": tuple(dict.fromkeys(each.person for each in known if each.person)),
    }


def count_facets(changes: Sequence[Change], *, drift: bool) -> tuple[Facet, ...]:
    """Return what these changes can be filtered by."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in (_DRIFT if drift else _PLAN)}
    for change in changes:
        for name, listed in list_values(change, drift=drift).items():
            counted[name].update(listed)
    listed_facets = []
    for name, counter in counted.items():
        names = _DRIFTED if drift and name == "action" else _NAMES.get(name, {})
        order = _order_values(name, counter)
        rows = tuple((value, names.get(value, value), counter[value]) for value in order)
        listed_facets.append(Facet(name, rows))
    return tuple(listed_facets)


def _order_values(name: str, counter: Counter[str]) -> list[str]:
    if name == "who":
        return [value for value, _ in counter.most_common(_MOST)]
    return [value for value in _ORDERS.get(name, list(counter)) if counter[value]]
