"""Attribute drifted fields: who, when, through which client, past which gate."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Final

from reconciler.drift import schedules
from reconciler.drift.activity_replay import WHOLE, LogEvent, ObjectHistory
from reconciler.drift.approvals import Approvals
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    ApprovalClass,
    Attribution,
    Change,
    ChangeRequest,
    Cover,
    FieldChange,
    LogAction,
    Schedules,
    Spec,
    format_time,
    join_sentences,
    mask_person,
    parse_path,
)

_PLURAL: Final = {"ApprovalPolicy": "approval policies", "ProjectAccess": "access rules"}


Covers = Callable[[Address, Spec | None, Spec | None, datetime], Cover]
"""(address, before, after, time) -> the gate then; None before a create, and after a delete."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold all that is known besides the drift itself."""

    histories: Mapping[Address, ObjectHistory]
    approvals: Approvals
    covers: Covers
    silent: Mapping[str, str] = field(default_factory=dict)  # organization -> why it has no log
    blind: Collection[tuple[str, ...]] = ()  # projects whose applied requests cannot be read
    pages: Mapping[str, str] = field(default_factory=dict)  # request id -> its page in PostHog
    identities: str = "full"  # how people are named
    schedules: Schedules = field(default_factory=dict)  # scheduled changes, past ones included

    def mask_person(self, person: str | None) -> str | None:
        """Return a person as the report may name them."""
        return mask_person(person, self.identities)


def attribute_changes(changes: tuple[Change, ...], evidence: Evidence) -> tuple[Change, ...]:
    """Return the changes with what is known of who changed each drifted field."""
    return tuple(
        change if change.action is Action.NONE else _attribute_change(change, evidence)
        for change in changes
    )


def _attribute_change(change: Change, evidence: Evidence) -> Change:
    if change.action is Action.UPDATE:
        fields = tuple(
            replace(
                field_change,
                attribution=_attribute_field(change, field_change.path, field_change, evidence),
            )
            for field_change in change.fields
        )
        return replace(change, fields=fields)
    whole = _attribute_field(change, WHOLE, None, evidence)
    fields = tuple(replace(field_change, attribution=whole) for field_change in change.fields)
    return replace(change, fields=fields, attribution=whole)


def _attribute_field(
    change: Change, path: str, field_change: FieldChange | None, evidence: Evidence
) -> Attribution:
    history = evidence.histories.get(change.address)
    event = history.events.get(path) if history is not None else None
    if event is not None:
        return _attribute_by_log(change, event, evidence)
    request = evidence.approvals.find_last(change) if field_change is not None else None
    if (
        request is not None
        and field_change is not None
        and _sets_live_value(change, request, field_change, evidence)
    ):
        return _attribute_by_request(request, evidence)
    return Attribution(note=_explain_unknown(change, path, evidence), url=change.url)


def _attribute_by_log(change: Change, event: LogEvent, evidence: Evidence) -> Attribution:
    """Attribute a field by its log entry, and say whether a gate was passed."""
    entry = event.entry
    attribution = Attribution(
        person=evidence.mask_person(entry.person),
        at=entry.written,
        client=entry.client,
        impersonated=entry.impersonated,
        action=event.action,
        change=event.values,
        url=change.url,
    )
    if not event.fits:
        return replace(
            attribution,
            note="the live value is not the one it wrote, and the log has no later entry",
        )
    request = evidence.approvals.find_applied(change, event)
    if request is None:
        attribution = _classify_unrequested(change, event, attribution, evidence)
        note = schedules.describe_schedule(change, event, evidence.schedules)
        return replace(attribution, note=join_sentences(note, attribution.note))
    page = evidence.pages.get(request.id, change.url)
    return replace(
        attribution, approval_class=ApprovalClass.APPROVED, change_request=request.id, url=page
    )


def _classify_unrequested(
    change: Change, event: LogEvent, attribution: Attribution, evidence: Evidence
) -> Attribution:
    """Attribute a write without a request: say whether a gate covered it."""
    deletes = event.action is LogAction.DELETED
    if deletes and not KINDS[change.address.kind].gates_write(Action.DELETE):  # contract 0.10
        return replace(attribution, approval_class=ApprovalClass.UNAPPROVED)
    after = None if deletes else event.after
    cover = evidence.covers(change.address, event.before, after, event.entry.at)
    if cover.covered is False:
        return replace(attribution, approval_class=ApprovalClass.UNAPPROVED, note=cover.note)
    if cover.covered is None:
        return replace(attribution, policy=cover.policy, note=cover.note)
    if change.address.parts[:-1] in evidence.blind:
        note = f"{cover.policy} covers it; the key cannot read whether it was approved"
        return replace(attribution, policy=cover.policy, note=note)
    return replace(
        attribution, approval_class=ApprovalClass.BYPASS, policy=cover.policy, note=cover.note
    )


def _sets_live_value(
    change: Change, request: ChangeRequest, field_change: FieldChange, evidence: Evidence
) -> bool:
    """Return whether the request set this field to its live value."""
    value: Any = evidence.approvals.list_proposed_fields(change, request)
    for step in parse_path(field_change.path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return bool(value == field_change.live)


def _attribute_by_request(request: ChangeRequest, evidence: Evidence) -> Attribution:
    """Attribute a field by the request: its requester, and when it was applied."""
    return Attribution(
        person=evidence.mask_person(request.requester),
        at=request.payload.get("applied_at"),
        approval_class=ApprovalClass.APPROVED,
        change_request=request.id,
        url=evidence.pages.get(request.id),
    )


def _explain_unknown(change: Change, path: str, evidence: Evidence) -> str:
    """Say why nobody can be named, and what the object itself says of its last write."""
    kind = KINDS[change.address.kind]
    if not kind.activity_scopes:
        noun = _PLURAL.get(kind.name, kind.name)
        why = f"PostHog's activity log has no entries for {noun}"
    elif path and any(path == name or path.startswith(f"{name}[") for name in kind.unlogged):
        why = f"PostHog's activity log does not show {path.partition('[')[0]} of a {kind.name}"
    elif (silent := evidence.silent.get(change.address.organization)) is not None:
        why = silent
    else:
        why = "the activity log has no entry about it"
    return f"{why}; {last_write}" if (last_write := _describe_last_write(change, evidence)) else why


def _describe_last_write(change: Change, evidence: Evidence) -> str:
    """Say when any field of the object was last written, according to the object itself."""
    payload = change.before.payload if change.before is not None else {}
    at = KINDS[change.address.kind].written_at(payload) if payload else None
    person = evidence.mask_person((payload.get("last_modified_by") or {}).get("email"))
    by = f" by {person}" if person else ""
    return f"it was last written on {format_time(at)}{by}" if at else ""
