"""What the changes can be filtered by: each says it of itself, and the script compares."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reconciler.model import ApprovalClass, Cause, Change, Verdict
from reconciler.render.html.components import text
from reconciler.render.shared import phrases

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
    "gate": {one.value: name for one, name in GATES.items()},
    "way": {
        ApprovalClass.BYPASS.value: "past the gate",
        ApprovalClass.UNAPPROVED.value: "without approval",
        ApprovalClass.UNKNOWN.value: "not known",
    },
}
_DRIFTED: Final = {"create": "not there", "update": "changed", "delete": "there again"}
_ORDERS: Final = {
    "cause": [one.value for one in Cause],
    "gate": [one.value for one in GATES],
    "way": [one.value for one in ApprovalClass],
}
_MOST: Final = 15  # people to choose from; the others are found by their names


def attributes(one: Change, *, drift: bool) -> str:
    """What one change says of itself, as attributes of its element; lists by the line."""
    said = _said(one, drift=drift)
    return " ".join(f'data-{name}="{_lines(values)}"' for name, values in said.items())


def _lines(values: Sequence[str]) -> str:
    return "\n".join(map(text, values))


def _said(one: Change, *, drift: bool) -> Mapping[str, tuple[str, ...]]:
    own = {"action": (one.action.value,), "kind": (one.address.kind,)}
    if not drift:
        causes = tuple(dict.fromkeys(field.cause.value for field in one.fields))
        return {**own, "cause": causes, "gate": (one.gate.verdict.value,)}
    found = [one.attribution, *(field.attribution for field in one.fields)]
    known = [each for each in found if each is not None]
    return {
        **own,
        "way": tuple(dict.fromkeys(each.way.value for each in known)),
        "who": tuple(dict.fromkeys(each.person for each in known if each.person)),
    }


def bar(changes: Sequence[Change], *, drift: bool) -> Iterator[str]:
    """Shown by the script alone: without it there is nothing to press."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in (_DRIFT if drift else _PLAN)}
    for one in changes:
        for name, values in _said(one, drift=drift).items():
            counted[name].update(values)
    yield (
        '<div id="filters" hidden role="search"><p><input type="search" id="text" '
        'placeholder="Search names, fields, values, people" aria-label="Search the changes">'
        '<button type="button" id="clear">Clear</button>'
        '<button type="button" id="open">Unfold</button>'
        '<button type="button" id="fold">Fold</button></p>'
    )
    for name, found in counted.items():
        names = _DRIFTED if drift and name == "action" else _NAMES.get(name, {})
        yield from _facet(name, _ordered(name, found), names)
    yield f'<p id="shown" aria-live="polite">{phrases.count(len(changes), "change")}</p></div>'


def _ordered(name: str, found: Counter[str]) -> Mapping[str, int]:
    if name == "who":
        return dict(found.most_common(_MOST))
    order = _ORDERS.get(name, list(found))
    return {value: found[value] for value in order if found[value]}


def _facet(name: str, found: Mapping[str, int], names: Mapping[str, str]) -> Iterator[str]:
    yield f'<p class="facet" role="group" aria-label="{name}"><span class="label">{name}</span>'
    for value, number in found.items():
        yield (
            f'<button type="button" aria-pressed="false" data-facet="{name}" '
            f'data-value="{text(value)}">{text(names.get(value, value))} <b>{number:,}</b></button>'
        )
    yield "</p>"
