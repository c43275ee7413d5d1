"""The sentences of the forecast: what makes a policy gate, with the numbers."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.model import ABSENT, ChangeRequest
from reconciler.plan.approvals.actions import ActionMatch
from reconciler.plan.approvals.conditions import ROLLOUT, Answer, Positions, is_number

_STATES: Final = frozenset({"pending", "approved", "applied", "rejected", "expired", "failed"})
_BECOMES: Final = {
    ">": "becomes more than",
    "<": "becomes less than",
    ">=": "becomes at least",
    "<=": "becomes at most",
    "==": "becomes",
    "!=": "becomes anything but",
}
_CHANGES: Final = {
    ">": "changes by more than",
    "<": "changes by less than",
    ">=": "changes by at least",
    "<=": "changes by at most",
    "==": "changes by exactly",
    "!=": "changes by anything but",
}


def condition(conditions: Any, answer: Answer, meeting: ActionMatch) -> str:
    """`rollout_percentage changes by more than 20 (10 -> 50)`: what holds the write back."""
    field, moved = ROLLOUT, meeting.moved
    if not conditions or answer.why:
        sentence = meeting.moved or f"every change of {ROLLOUT}"
        moved = "" if meeting.moved else _numbers(meeting, ROLLOUT, ())
    else:
        field = conditions["field"]
        sentence = rule(conditions)
        moved = meeting.moved or _numbers(meeting, field, answer.paths)
    said = sentence + (f" ({moved})" if moved else "")
    return f"{said}; {answer.why}, so it gates everything" if answer.why else said


def rule(conditions: Mapping[str, Any]) -> str:
    """Well-formed conditions as words, without numbers of a change."""
    field, value = conditions["field"], show(conditions.get("value"))
    match conditions["type"]:
        case "before_after":
            return f"{field} {_BECOMES[conditions['operator']]} {value}"
        case "change_amount":
            return f"{field} {_CHANGES[conditions['operator']]} {value}"
        case _:
            return f"every change of {field}"


def _numbers(meeting: ActionMatch, field: str, paths: tuple[str, ...]) -> str:
    """`10 -> 50`; with the position where several are meant."""
    before, after = meeting.fields.get(field, ({}, {}))
    moved = paths or tuple(
        path
        for path in dict.fromkeys((*before, *after))
        if before.get(path, ABSENT) != after.get(path, ABSENT)
    )
    if field != ROLLOUT:
        return ", ".join(moved)
    if len(moved) == 1 and len({*before, *after}) == 1:
        return _step(before, after, moved[0])
    return ", ".join(f"{_place(path)}: {_step(before, after, path)}" for path in moved)


def _place(path: str) -> str:
    return path.removesuffix(f".{ROLLOUT}").removesuffix(".exclusion_percentage")


def _step(before: Positions, after: Positions, path: str) -> str:
    return f"{show(before.get(path, ABSENT))} -> {show(after.get(path, ABSENT))}"


def show(value: Any) -> str:
    """A value as a person would write it."""
    if value is ABSENT:
        return "nothing"
    if value is None:
        return "null"
    if is_number(value) and value == int(value):
        return str(int(value))
    return str(value)


def request(found: ChangeRequest, version: Any, *, replaced: bool = False) -> str:
    """Return an open change request in words: whose, until when, whether it still can apply.

    `replaced`: whether apply will cancel it; else a person has to, if it cannot be applied.
    """
    intent = found.payload.get("intent") or {}
    filed = (intent.get("preconditions") or {}).get("version")
    said = f"change request {found.id} of {found.requester or 'somebody unknown'}"
    said += f" ({found.action_key}, {found.state}"
    if found.payload.get("expires_at"):
        said += f", expires {found.payload['expires_at']}"
    said += ")"
    if found.state not in _STATES:
        said += f"; its state {found.state!r} is not known to this program: it counts as open"
    moved = filed is not None and version is not None and filed != version
    if moved or found.payload.get("validation_status") == "stale":
        said += "; the flag has moved since it was filed, so it cannot be applied any more"
        said += "" if replaced else ": have it cancelled and apply again"
    return said
