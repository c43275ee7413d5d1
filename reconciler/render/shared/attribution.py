"""Who caused drift, as sentences that all formats share. Plain text: each format escapes it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    format_time,
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


def describe_attribution(attribution: Attribution, field: FieldChange | None = None) -> Phrase:
    """Return `Changed by dana@acme.test in the web app on 2026-01-06 10:12 UTC, …`."""
    mark, tone = _MARKS[attribution.approval_class]
    if attribution.at is None:
        return Phrase(mark, f"Who did it is not known: {attribution.note}", tone)
    parts = [attribution.action.value.capitalize(), *_describe_person(attribution)]
    if attribution.client:
        parts.append(_CLIENTS.get(attribution.client, f"through {attribution.client}"))
    parts.append(f"on {format_time(attribution.at)}")
    text = f"{' '.join(parts)}{_describe_values(attribution, field)}{_describe_way(attribution)}"
    return Phrase(mark, text, tone, page=attribution.url or "")


def _describe_person(attribution: Attribution) -> Iterator[str]:
    if attribution.impersonated:
        yield "by PostHog's staff, acting as" if attribution.person else "by PostHog's staff"
    elif attribution.person:
        yield "by"
    if attribution.person:
        yield attribution.person


def _describe_values(attribution: Attribution, field: FieldChange | None) -> str:
    """Return what the log says, where that is not the change from the files to the live side."""
    if (
        attribution.change is None
        or field is None
        or attribution.change == (field.desired, field.live)
    ):
        return ""
    before, after = map(values.format_flow, attribution.change)
    return f", {before} → {after}" if len(before) + len(after) <= 60 else ""  # noqa: PLR2004  a line


def _describe_way(attribution: Attribution) -> str:
    note = f" ({attribution.note})" if attribution.note else ""
    match attribution.approval_class:
        case ApprovalClass.APPROVED:
            return f", approved in change request {attribution.change_request}: git lags behind"
        case ApprovalClass.UNAPPROVED:
            return f"; no approval policy covered it{note}"
        case ApprovalClass.BYPASS:
            return f", past the gate: {attribution.policy}{note}"
        case ApprovalClass.UNKNOWN:
            return f"; whether a gate was passed is not known: {attribution.note}"


def describe_after_field(fields: Sequence[FieldChange], index: int) -> Phrase | None:
    """Return what belongs below a field: once for several that one person changed at once."""
    here = fields[index].attribution
    following = fields[index + 1].attribution if index + 1 < len(fields) else None
    if here is None or (following is not None and _is_same_event(here, following)):
        return None
    return describe_attribution(here, fields[index])


def _is_same_event(attribution: Attribution, other: Attribution) -> bool:
    """Return whether one person did both at once; the values may differ."""
    return (attribution.at, attribution.person, attribution.approval_class, attribution.note) == (
        other.at,
        other.person,
        other.approval_class,
        other.note,
    )


def describe_object(change: Change) -> Phrase | None:
    """Return who deleted an object, or made it again."""
    return describe_attribution(change.attribution) if change.attribution is not None else None


def describe_change(change: Change) -> Iterator[Phrase]:
    """Yield everything about a resource as a whole."""
    request = change.gate.change_request
    if change.gate.verdict is Verdict.PENDING and request is not None:
        text = f"change request {request} is open, and would make it as the files say"
        yield Phrase("⏸", text, Tone.WAIT)
    yield from (
        phrase for phrase in (describe_object(change), describe_hold(change)) if phrase is not None
    )


def describe_hold(change: Change) -> Phrase | None:
    """Return that drift is held, until when and why."""
    hold = change.hold
    if hold is None:
        return None
    return Phrase("⏸", f"held until {hold.written}, does not fail: {hold.reason}", Tone.WAIT)


def list_totals(plan: Plan) -> Iterator[str]:
    """Yield how many resources have drift of each class; each counts by its worst."""
    attributed = (tuple(_list_attributions(change)) for change in plan.writes)
    ways = Counter(_find_worst(attributions) for attributions in attributed if attributions)
    parts = [f"{ways[way]:,} {word}" for way, word in _COUNTED.items() if ways[way]]
    if parts:
        yield f"{', '.join(parts)}."
    held = sum(change.hold is not None for change in plan.writes)
    if held:
        yield f"{count(held, 'resource')} held."


def _list_attributions(change: Change) -> Iterator[Attribution]:
    """Yield one for each field; one for an object that was deleted or made again."""
    if change.action is Action.UPDATE:
        attributions = (row.field.attribution for row in list_rows(change, drift=True))
        yield from (attribution for attribution in attributions if attribution is not None)
    elif change.attribution is not None:
        yield change.attribution


def _find_worst(attributions: Iterable[Attribution]) -> ApprovalClass:
    return min((each.approval_class for each in attributions), key=tuple(_COUNTED).index)


def summarize_change(change: Change) -> Phrase | None:
    """Return who changed a resource, in a few words: the worst mark, the people, and a hold."""
    attributions = tuple(_list_attributions(change))
    if not attributions:
        return None
    way = _find_worst(attributions)
    people = dict.fromkeys(each.person for each in attributions if each.person)
    held = ("held",) if change.hold is not None else ()
    mark, tone = _MARKS[way]
    return Phrase(mark, ", ".join((*people, *held)), tone)


def advise(plan: Plan) -> str:
    """Return what to do about drift that people have approved."""
    every = (each for change in plan.writes for each in _list_attributions(change))
    approved = any(each.approval_class is ApprovalClass.APPROVED for each in every)
    if not approved:
        return ""
    return "Approved changes belong in git: reconciler drift --adopt (or --patch) --only approved"


def make_findings(change: Change) -> Iterator[Finding]:
    """Yield drift as findings at the declared places: one for each field or whole object."""
    if change.action is not Action.UPDATE:
        message = f"{change.address} is {describe_drift(change.action)}"
        yield _make_finding(change, message, change.attribution, change.source)
        return
    for field in change.fields:
        moved = f"{values.format_flow(field.desired)} → {values.format_flow(field.live)}"
        desired = change.desired
        place = desired.locate(parse_path(field.path)) if desired is not None else None
        message = f"{change.address}: {field.path} {clip(moved, _LONGEST)}"
        yield _make_finding(change, message, field.attribution, place or change.source, field)


def _make_finding(
    change: Change,
    message: str,
    attribution: Attribution | None,
    place: Source | None,
    field: FieldChange | None = None,
) -> Finding:
    text = describe_attribution(attribution, field).text if attribution is not None else ""
    held = describe_hold(change)
    way = attribution.approval_class if attribution is not None else ApprovalClass.UNKNOWN
    if held is None:
        severity = Severity.ERROR if way is ApprovalClass.BYPASS else Severity.WARNING
        return Finding(f"drift-{way}", severity, message, text, "", place, change.address)
    return Finding("drift-held", Severity.NOTICE, message, text, held.text, place, change.address)
