"""What PostHog will change in a flag by itself, in words. Plain text: each format escapes it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ADD_CONDITION,
    SET_STATUS,
    SET_VARIANTS,
    Action,
    Change,
    Finding,
    Plan,
    ScheduledChange,
    format_time,
)
from reconciler.render.shared import phrases, values
from reconciler.render.shared.phrases import Phrase, Tone, count

_MARK: Final = "◷"
_ENDED: Final = frozenset({"rejected", "expired", "failed"})  # states of a request
_DONE: Final = {"approved": "approved", "applied": "approved and applied"}


@dataclass(frozen=True, slots=True)
class FlagSchedule:
    """The scheduled changes of one flag, for formats that show them in a separate place."""

    change: Change
    phrases: tuple[Phrase, ...]
    warnings: tuple[Finding, ...]  # those that the row of the change does not show


def list_flag_schedules(plan: Plan, *, drift: bool) -> tuple[FlagSchedule, ...]:
    """Return the flags with scheduled changes; a row without a difference is shown only here."""
    return tuple(
        FlagSchedule(
            change,
            describe_schedules(change),
            change.warnings if drift or change.action is Action.NONE else (),
        )
        for change in plan.changes
        if change.scheduled
    )


def describe_schedules(change: Change) -> tuple[Phrase, ...]:
    """Return a phrase for each scheduled change of a flag: when, what, and who has to approve."""
    return tuple(map(_describe, change.scheduled))


def _describe(scheduled: ScheduledChange) -> Phrase:
    at = format_time(scheduled.at)
    repeats = f", then {scheduled.repeats}" if scheduled.repeats else ""
    what = _describe_effect(scheduled.operation, scheduled.value)
    text = f"scheduled for {at}{repeats}: {what}"
    return Phrase(
        _MARK, text, Tone.WAIT, tuple(_describe_request(scheduled)), short=f"{at}: {what}"
    )


def _describe_effect(operation: str, value: Any) -> str:
    shown = values.format_flow(value)
    match operation, value:
        case str(name), bool() if name == SET_STATUS:
            return f"active becomes {shown}"
        case str(name), {"groups": [*groups]} if name == ADD_CONDITION:
            conditions = ", ".join(map(values.format_flow, groups))
            return f"adds {count(len(groups), 'release condition')}: {conditions}"
        case str(name), {"variants": [*variants]} if name == SET_VARIANTS:
            return f"the variants become {', '.join(map(_describe_variant, variants)) or 'none'}"
        case _:
            return f"{operation or 'an operation without a name'} {shown}"


def _describe_variant(variant: Any) -> str:
    match variant:
        case {"key": str(key), "rollout_percentage": int() | float() as share}:
            return f"{key} {values.format_flow(share)} %"
        case Mapping() | _:
            return values.format_flow(variant)


def _describe_request(scheduled: ScheduledChange) -> Iterator[str]:
    """Yield what becomes of its change request."""
    id_, state = scheduled.change_request, scheduled.state
    if id_ is None:
        return
    if state in _ENDED:
        yield f"it will not happen: change request {id_} is {state}"
    elif state in _DONE:
        yield f"{_DONE[state]} in change request {id_}"
    elif scheduled.awaits is None:
        yield f"under change request {id_}{f' ({state})' if state else ''}"
    else:
        whom = phrases.describe_awaited(scheduled.awaits)
        yield f"waits for approval in change request {id_}: {whom}"
