"""What the changes can be filtered by: each carries its values, and the script compares."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    ApprovalClass,
    Attribution,
    Cause,
    Change,
    LogAction,
    Verdict,
)
from reconciler.render.html.approvals import PolicyCard
from reconciler.render.html.facets import GATES
from reconciler.render.html.order import TITLES
from reconciler.render.html.people import Approver
from reconciler.render.shared import approvals

_UNAPPLIED: Final = "unapplied"
_PLAN: Final = {
    "action": "Action",
    "gate": "Approval",
    "cause": "Cause",
    "wave": "Order",
    "kind": "Kind",
}
_DRIFT: Final = {"action": "Drift", "way": "Approval", "who": "Changed by", "kind": "Kind"}
_DRIFTED: Final = {"create": "missing", "update": "changed", "delete": "declared absent, but live"}
_CAUSES: Final = {
    Cause.INTENT: "changed in git",
    Cause.DRIFT: "changed in PostHog (drift)",
    Cause.CONFLICT: "changed in both (conflict)",
    Cause.UNKNOWN: "unknown",
}
_WAYS: Final = {
    ApprovalClass.BYPASS.value: "bypassed a policy",
    ApprovalClass.UNAPPROVED.value: "without approval",
    ApprovalClass.APPROVED.value: "approved",
    ApprovalClass.UNKNOWN.value: "not known",
    _UNAPPLIED: "not applied yet",
}
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "action": {action.value: action.value for action in Action if action is not Action.NONE},
    "gate": {verdict.value: name for verdict, name in GATES.items()},
    "cause": {cause.value: name for cause, name in _CAUSES.items()},
    "wave": TITLES,
    "way": _WAYS,
}
_MOST: Final = 15  # people to choose from; the others are found by their names


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value to filter by, and the groups of changes that have it, if they are numbered."""

    value: str
    name: str
    number: int
    groups: str = ""


@dataclass(frozen=True, slots=True)
class Facet:
    """What changes can be filtered by, and its values."""

    key: str
    name: str
    values: tuple[FacetValue, ...]


def list_values(change: Change, *, drift: bool, wave: str = "") -> Mapping[str, tuple[str, ...]]:
    """Return the values of one change in each facet."""
    own = {"action": (change.action.value,), "kind": (change.address.kind,)}
    if not drift:
        causes = tuple(dict.fromkeys(field.cause.value for field in change.fields))
        verdicts = [approvals.classify(change.gate).value]
        if change.gate.verdict is Verdict.SPLIT:
            verdicts.append(Verdict.SPLIT.value)
        return {**own, "cause": causes, "gate": tuple(verdicts), "wave": (wave,)}
    every = [change.attribution, *(field.attribution for field in change.fields)]
    known = [attribution for attribution in every if attribution is not None]
    return {
        **own,
        "way": tuple(dict.fromkeys(map(_find_way, known))),
        "who": tuple(dict.fromkeys(each.person for each in known if each.person)),
    }


def _find_way(attribution: Attribution) -> str:
    if attribution.action is LogAction.UNAPPLIED:
        return _UNAPPLIED
    return attribution.approval_class.value


def count_facets(
    changes: Sequence[Change], waves: Mapping[Address, str], *, drift: bool
) -> tuple[Facet, ...]:
    """Return what these changes can be filtered by; nothing that all of them share."""
    labels = _DRIFT if drift else _PLAN
    counted: dict[str, Counter[str]] = {name: Counter() for name in labels}
    for change in changes:
        values = list_values(change, drift=drift, wave=waves.get(change.address, ""))
        for name, listed in values.items():
            counted[name].update(listed)
    facets = []
    for key, counter in counted.items():
        names = _DRIFTED if drift and key == "action" else _NAMES.get(key, {})
        rows = tuple(
            FacetValue(value, names.get(value, value), counter[value])
            for value in _order_values(key, counter)
        )
        if rows and (len(rows) > 1 or rows[0].number < len(changes)):
            facets.append(Facet(key, labels[key], rows))
    return tuple(facets)


def list_approver_facets(
    people: Sequence[Approver], cards: Sequence[PolicyCard]
) -> Iterator[Facet]:
    """Yield the filters by approver and policy; the script compares numbers of groups."""
    able = tuple(
        FacetValue(each.email, each.email, each.changes, _join(each.groups))
        for each in people
        if each.changes
    )
    needed = tuple(
        FacetValue(each.email, each.email, each.indispensable, _join(each.indispensable_groups))
        for each in people
        if each.indispensable
    )
    policies: dict[str, set[int]] = {}
    numbers: Counter[str] = Counter()
    for card in cards:
        policies.setdefault(card.decision.name, set()).update(card.groups)
        numbers[card.decision.name] += sum(each.number for each in card.verdicts)
    named = tuple(
        FacetValue(name, name, numbers[name], _join(groups)) for name, groups in policies.items()
    )
    for key, label, values in (
        ("approver", "Approver", able),
        ("required", "Required", needed),
        ("policy", "Policy", named),
    ):
        if values:
            yield Facet(key, label, values)


def _join(groups: Iterable[int]) -> str:
    return " ".join(map(str, sorted(groups)))


def _order_values(key: str, counter: Counter[str]) -> list[str]:
    if key == "who":
        return [value for value, _ in counter.most_common(_MOST)]
    return [value for value in _NAMES.get(key, counter) if counter[value]]
