"""Write the sentences of the forecast: why a policy gates, with the numbers."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.kinds import READ
from reconciler.model import ABSENT, ChangeRequest, Unappliable, format_time
from reconciler.plan.approvals.actions import ActionMatch
from reconciler.plan.approvals.conditions import (
    RELEASE,
    ROLLOUT,
    ConditionResult,
    Positions,
    is_number,
)

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


def describe_condition(conditions: Any, result: ConditionResult, action_match: ActionMatch) -> str:
    """Return why the write is gated: `rollout_percentage changes by more than 20 (10 -> 50)`."""
    field, detail = ROLLOUT, action_match.transition
    if not conditions or result.fault:
        field = RELEASE if action_match.release_only else ROLLOUT
        sentence = action_match.transition or f"every change of {field}"
        detail = "" if action_match.transition else _describe_values(action_match, field, ())
    else:
        field = conditions["field"]
        sentence = describe_conditions(conditions)
        detail = action_match.transition or _describe_values(action_match, field, result.paths)
    text = sentence + (f" ({detail})" if detail else "")
    return f"{text}; {result.fault}, so it gates everything" if result.fault else text


def describe_conditions(conditions: Mapping[str, Any]) -> str:
    """Return valid conditions in words, without the numbers of a change."""
    field, value = conditions["field"], format_value(conditions.get("value"))
    match conditions["type"]:
        case "before_after":
            return f"{field} {_BECOMES[conditions['operator']]} {value}"
        case "change_amount":
            return f"{field} {_CHANGES[conditions['operator']]} {value}"
        case _:
            return f"every change of {field}"


def _describe_values(action_match: ActionMatch, field: str, paths: tuple[str, ...]) -> str:
    """Return the values before and after: `10 -> 50`, with the position if there are several."""
    before, after = action_match.fields.get(field, ({}, {}))
    changed_paths = paths or tuple(
        path
        for path in dict.fromkeys((*before, *after))
        if before.get(path, ABSENT) != after.get(path, ABSENT)
    )
    if field != ROLLOUT:
        return ", ".join(changed_paths)
    if len(changed_paths) == 1 and len({*before, *after}) == 1:
        return _describe_step(before, after, changed_paths[0])
    return ", ".join(
        f"{_shorten_path(path)}: {_describe_step(before, after, path)}" for path in changed_paths
    )


def _shorten_path(path: str) -> str:
    return path.removesuffix(f".{ROLLOUT}").removesuffix(".exclusion_percentage")


def _describe_step(before: Positions, after: Positions, path: str) -> str:
    return f"{format_value(before.get(path, ABSENT))} -> {format_value(after.get(path, ABSENT))}"


def format_value(value: Any) -> str:
    """Return a value as a person would write it."""
    if value is ABSENT:
        return "nothing"
    if value is None:
        return "null"
    if is_number(value) and value == int(value):
        return str(int(value))
    return str(value)


def describe_request(
    change_request: ChangeRequest, *, stale: bool, replaced: bool = False, is_own: bool = False
) -> str:
    """Return a change request in words: requester, expiry, and whether it can be applied.

    `stale`: whether the object has changed since. `replaced`: whether apply will cancel it;
    otherwise people have to act, if it cannot be applied. `is_own`: this key's user filed it.
    """
    text = f"change request {change_request.id} of {change_request.requester or 'an unknown user'}"
    text += f" ({change_request.action_key}, {change_request.state}"
    if expires_at := change_request.payload.get("expires_at"):
        text += f", expires {format_time(expires_at)}"
    text += ")"
    if change_request.scheduled_at:
        at = format_time(change_request.scheduled_at)
        text += f" for a scheduled change: PostHog applies it on {at}"
    if change_request.state not in _STATES:
        text += f"; its state {change_request.state!r} is unknown, so it is treated as open"
    trouble = find_trouble(change_request, stale=stale, is_own=is_own)
    if trouble is None or change_request.state == "failed":
        return text
    text += f"; it cannot be applied ({trouble.why})"
    return text if replaced else f"{text}: {trouble.fix}"


def find_trouble(
    change_request: ChangeRequest, *, stale: bool, is_own: bool = False
) -> Unappliable | None:
    """Return why a request cannot be applied.

    `stale` decides whether the object has changed since, not the mark of PostHog, which comes late
    and may go again (contract 7.5).
    """
    noun = READ[change_request.kind].noun if change_request.kind in READ else "object"
    validity = change_request.get_validity(is_own=is_own, noun=noun)
    if stale:
        return validity.mark_moved().explain()
    return None if validity.is_stale else validity.explain()
