"""Who caused drift, as sentences, the same in every sink. Plain text: the sink escapes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Final

from reconciler.model import (
    Action,
    ApprovalClass,
    Attribution,
    Change,
    FieldChange,
    Finding,
    Plan,
    Severity,
    Source,
    Verdict,
    instant,
    parse_path,
)
from reconciler.render.shared import values
from reconciler.render.shared.change_rows import list_rows
from reconciler.render.shared.phrases import Phrase, Tone, count, describe_drift
from reconciler.render.shared.sanitize import clip

_MARKS: Final = {
    ApprovalClass.APPROVED: ("✓", Tone.WAIT),
    ApprovalClass.UNAPPROVED: ("•", Tone.WAIT),
    ApprovalClass.BYPASS: ("‼", Tone.LOUD),
    ApprovalClass.UNKNOWN: ("?", Tone.WAIT),
}
_CLIENTS: Final = {"web": "in the web app"}
_LONGEST: Final = 300  # characters of two values in a message
_COUNTED: Final = {
    ApprovalClass.BYPASS: "past the gate",
    ApprovalClass.UNAPPROVED: "without approval",
    ApprovalClass.APPROVED: "approved",
    ApprovalClass.UNKNOWN: "of unknown origin",
}


def describe_attribution(found: Attribution, one: FieldChange | None = None) -> Phrase:
    """`Changed by dana@acme.test in the web app on Tue 2026-01-06 10:12 UTC, past the gate …`."""
    mark, tone = _MARKS[found.way]
    if found.at is None:
        return Phrase(mark, f"Who did it is not known: {found.note}", tone)
    parts = [found.deed.value.capitalize(), *_describe_person(found)]
    if found.client:
        parts.append(_CLIENTS.get(found.client, f"through {found.client}"))
    parts.append(f"on {format_time(found.at)}")
    text = f"{' '.join(parts)}{_describe_values(found, one)}{_describe_way(found)}"
    return Phrase(mark, text, tone, page=found.url or "")


def _describe_person(found: Attribution) -> Iterator[str]:
    if found.impersonated:
        yield "by PostHog's staff, acting as" if found.person else "by PostHog's staff"
    elif found.person:
        yield "by"
    if found.person:
        yield found.person


def _describe_values(found: Attribution, one: FieldChange | None) -> str:
    """The step of the log, where it is not the one from the files to what is live."""
    if found.moved is None or one is None or found.moved == (one.desired, one.live):
        return ""
    before, after = map(values.format_flow, found.moved)
    return f", {before} → {after}" if len(before) + len(after) <= 60 else ""  # noqa: PLR2004  a line


def _describe_way(found: Attribution) -> str:
    note = f" ({found.note})" if found.note else ""
    match found.way:
        case ApprovalClass.APPROVED:
            return f", approved in change request {found.change_request}: git lags behind"
        case ApprovalClass.UNAPPROVED:
            return f"; no approval policy covered it{note}"
        case ApprovalClass.BYPASS:
            return f", past the gate: {found.policy}{note}"
        case ApprovalClass.UNKNOWN:
            return f"; whether a gate was passed is not known: {found.note}"


def format_time(at: str) -> str:
    """`Tue 2026-01-06 10:12 UTC`."""
    found = instant(at)
    return at if found is None else f"{found.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"


def describe_after_field(fields: Sequence[FieldChange], index: int) -> Phrase | None:
    """What is said below a field: once for a run of fields that one person moved at once."""
    here = fields[index].attribution
    following = fields[index + 1].attribution if index + 1 < len(fields) else None
    if here is None or (following is not None and _is_same_event(here, following)):
        return None
    return describe_attribution(here, fields[index])


def _is_same_event(one: Attribution, other: Attribution) -> bool:
    """One act of one person; what it moved may differ."""
    return (one.at, one.person, one.way, one.note) == (
        other.at,
        other.person,
        other.way,
        other.note,
    )


def describe_object(change: Change) -> Phrase | None:
    """What is said of an object that has gone, or come back."""
    return describe_attribution(change.attribution) if change.attribution is not None else None


def describe_change(change: Change) -> Iterator[Phrase]:
    """Everything that is said of a resource as a whole."""
    request = change.gate.change_request
    if change.gate.verdict is Verdict.PENDING and request is not None:
        text = f"change request {request} is open, and would make it as the files say"
        yield Phrase("⏸", text, Tone.WAIT)
    yield from (
        said for said in (describe_object(change), describe_hold(change)) if said is not None
    )


def describe_hold(change: Change) -> Phrase | None:
    """That drift is held, until when and why."""
    found = change.hold
    if found is None:
        return None
    return Phrase("⏸", f"held until {found.written}, does not fail: {found.reason}", Tone.WAIT)


def list_totals(plan: Plan) -> Iterator[str]:
    """How much drift came to be how; a field counts one, so does what is gone or back."""
    ways = Counter(found.way for change in plan.writes for found in _list_attributions(change))
    parts = [f"{ways[way]:,} {word}" for way, word in _COUNTED.items() if ways[way]]
    if parts:
        yield f"{', '.join(parts)}."
    held = sum(change.hold is not None for change in plan.writes)
    if held:
        yield f"{count(held, 'resource')} held."


def _list_attributions(change: Change) -> Iterator[Attribution]:
    """One for each field; one for the whole of what is gone or back."""
    if change.action is Action.UPDATE:
        found = (row.field.attribution for row in list_rows(change, drift=True))
        yield from (one for one in found if one is not None)
    elif change.attribution is not None:
        yield change.attribution


def summarize_change(change: Change) -> Phrase | None:
    """Who moved a resource, in a few words: the worst mark, the people, and a hold."""
    found = tuple(_list_attributions(change))
    if not found:
        return None
    way = min((one.way for one in found), key=tuple(_COUNTED).index)
    people = dict.fromkeys(one.person for one in found if one.person)
    held = ("held",) if change.hold is not None else ()
    mark, tone = _MARKS[way]
    return Phrase(mark, ", ".join((*people, *held)), tone)


def advise(plan: Plan) -> str:
    """What to do about drift that people have approved."""
    every = (found for change in plan.writes for found in _list_attributions(change))
    approved = any(found.way is ApprovalClass.APPROVED for found in every)
    if not approved:
        return ""
    return (
        "What was approved belongs into git: reconciler drift --adopt (or --patch) --only approved"
    )


def make_findings(change: Change) -> Iterator[Finding]:
    """Drift as findings at the declared places: one a field, one for what is gone or back."""
    if change.action is not Action.UPDATE:
        message = f"{change.address} is {describe_drift(change.action)}"
        yield _make_finding(change, message, change.attribution, change.source)
        return
    for one in change.fields:
        moved = f"{values.format_flow(one.desired)} → {values.format_flow(one.live)}"
        desired = change.desired
        place = desired.locate(parse_path(one.path)) if desired is not None else None
        message = f"{change.address}: {one.path} {clip(moved, _LONGEST)}"
        yield _make_finding(change, message, one.attribution, place or change.source, one)


def _make_finding(
    change: Change,
    message: str,
    found: Attribution | None,
    place: Source | None,
    one: FieldChange | None = None,
) -> Finding:
    text = describe_attribution(found, one).text if found is not None else ""
    held = describe_hold(change)
    way = found.way if found is not None else ApprovalClass.UNKNOWN
    if held is None:
        severity = Severity.ERROR if way is ApprovalClass.BYPASS else Severity.WARNING
        return Finding(f"drift-{way}", severity, message, text, "", place, change.address)
    return Finding("drift-held", Severity.NOTICE, message, text, held.text, place, change.address)
