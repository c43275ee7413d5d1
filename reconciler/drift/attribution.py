"""Drifted fields, activity log and change requests → who, when, through what, past which gate."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.drift.activity_replay import WHOLE, Step, Trail
from reconciler.drift.approvals import Approvals
from reconciler.drift.filters import named
from reconciler.kinds import KINDS
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
    Spec,
    instant,
    parse_path,
)

_PLURAL: Final = {"ApprovalPolicy": "approval policies"}


Covers = Callable[[Address, Spec | None, Spec, datetime], Cover]
"""(address, before, after, when) -> what a gate would have said; before is None for a create."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known besides the drift itself."""

    trails: Mapping[Address, Trail]
    approvals: Approvals
    covers: Covers
    silent: Mapping[str, str] = field(default_factory=dict)  # organization -> why it has no log
    blind: Collection[tuple[str, ...]] = ()  # projects whose applied requests cannot be read
    pages: Mapping[str, str] = field(default_factory=dict)  # request id -> its page in PostHog
    identities: str = "full"  # how people are named

    def name(self, person: str | None) -> str | None:
        """A person as the report may name one."""
        return named(person, self.identities)


def attributed(changes: tuple[Change, ...], evidence: Evidence) -> tuple[Change, ...]:
    """Each drifted field with what is known of who moved it."""
    return tuple(
        change if change.action is Action.NONE else _change(change, evidence) for change in changes
    )


def _change(change: Change, evidence: Evidence) -> Change:
    if change.action is Action.UPDATE:
        fields = tuple(
            replace(one, attribution=_told(change, one.path, one, evidence))
            for one in change.fields
        )
        return replace(change, fields=fields)
    whole = _told(change, WHOLE, None, evidence)
    fields = tuple(replace(one, attribution=whole) for one in change.fields)
    return replace(change, fields=fields, attribution=whole)


def _told(change: Change, path: str, one: FieldChange | None, evidence: Evidence) -> Attribution:
    trail = evidence.trails.get(change.address)
    step = trail.found.get(path) if trail is not None else None
    if step is not None:
        return _by_log(change, step, evidence)
    request = evidence.approvals.last(change) if one is not None else None
    if request is not None and one is not None and _set(change, request, one, evidence):
        return _by_request(request, evidence)
    return Attribution(note=_why_not(change, path, evidence), url=change.url)


def _by_log(change: Change, step: Step, evidence: Evidence) -> Attribution:
    """What the entry says, and whether a gate was asked."""
    entry = step.entry
    said = Attribution(
        person=evidence.name(entry.person),
        at=entry.written,
        client=entry.client,
        impersonated=entry.impersonated,
        deed=step.deed,
        moved=step.moved,
        url=change.url,
    )
    if not step.fits:
        return replace(said, note="what it wrote is not what is live; nothing later is in the log")
    request = evidence.approvals.behind(change, step)
    if request is None:
        return _past_the_gate(change, step, said, evidence)
    page = evidence.pages.get(request.id, change.url)
    return replace(said, way=ApprovalClass.APPROVED, change_request=request.id, url=page)


def _past_the_gate(
    change: Change, step: Step, said: Attribution, evidence: Evidence
) -> Attribution:
    """Of a write that no request was behind: whether there was a gate to pass by."""
    if step.deed is LogAction.DELETED:
        return replace(
            said, way=ApprovalClass.UNAPPROVED
        )  # no action gates a delete (contract 0.10)
    cover = evidence.covers(change.address, step.before, step.after, step.entry.at)
    if cover.covered is False:
        return replace(said, way=ApprovalClass.UNAPPROVED, note=cover.note)
    if cover.covered is None:
        return replace(said, policy=cover.policy, note=cover.note)
    if change.address.parts[:-1] in evidence.blind:
        note = f"{cover.policy} covers it; whether it was approved cannot be read"
        return replace(said, policy=cover.policy, note=note)
    return replace(said, way=ApprovalClass.BYPASS, policy=cover.policy, note=cover.note)


def _set(change: Change, request: ChangeRequest, one: FieldChange, evidence: Evidence) -> bool:
    """Whether the request is what made this field what it is."""
    value: Any = evidence.approvals.proposed(change, request)
    for step in parse_path(one.path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return bool(value == one.live)


def _by_request(request: ChangeRequest, evidence: Evidence) -> Attribution:
    """Without an entry: the request itself says who asked for it and when it was applied."""
    return Attribution(
        person=evidence.name(request.requester),
        at=request.payload.get("applied_at"),
        way=ApprovalClass.APPROVED,
        change_request=request.id,
        url=evidence.pages.get(request.id),
    )


def _why_not(change: Change, path: str, evidence: Evidence) -> str:
    """Why nobody can be named, and what the object itself says of its last write."""
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
    return f"{why}; {last}" if (last := _last_write(change, evidence)) else why


def _last_write(change: Change, evidence: Evidence) -> str:
    """When the object was written last, of whichever field, as it says itself."""
    payload = change.before.payload if change.before is not None else {}
    at = KINDS[change.address.kind].written_at(payload) if payload else None
    person = evidence.name((payload.get("last_modified_by") or {}).get("email"))
    by = f" by {person}" if person else ""
    return f"it was last written on {_short(at)}{by}" if at else ""


def _short(at: str) -> str:
    """`2026-01-06 10:12 UTC`."""
    found = instant(at)
    return at if found is None else f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
