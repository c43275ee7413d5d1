"""A plan of a commit against the live side, read as a report of drift, and back as a revert.

The same changes; but what a plan says about writing is not said where nothing is written.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciler.evidence import Attribution, Deed
from reconciler.kind import instant
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Cause,
    Change,
    Declared,
    FieldChange,
    Finding,
    Live,
    Plan,
    Resource,
    Severity,
)
from reconciler.paths import at, parse_path
from reconciler.plan import describe, gates, guardrails, three_way, unkept

# Without these two sides there is nothing to compare: the only errors of a report.
_NOT_COMPARED: Final = frozenset(
    {"unreadable", "people-hidden", "ambiguous-name", "unknown-id", "one-object-twice"}
)
_WORTH_SAYING: Final = frozenset(
    {"unknown-reference", "ambiguous-reference", "unmanaged-field", unkept.CODE}
)
_GONE: Final = "cannot-create"


def report(made: Plan, desired: Declared) -> Plan:
    """What differs. What is gone and cannot be created is drift like any other."""
    gone = tuple(_gone(made, desired))
    return replace(
        made,
        changes=tuple(replace(change, warnings=()) for change in (*made.changes, *gone)),
        findings=tuple(_said(made, desired)),
    )


def _gone(made: Plan, desired: Declared) -> Iterator[Change]:
    for finding in made.findings:
        resource = desired.resources.get(finding.address) if finding.address else None
        if finding.code == _GONE and resource is not None:
            yield three_way.change(resource, resource, None)


def _said(made: Plan, desired: Declared) -> Iterator[Finding]:
    own = set(desired.findings)  # of the files themselves: `validate` says them
    for finding in made.findings:
        if finding in own:
            continue
        if finding.code in _NOT_COMPARED:
            yield finding
        elif finding.code in _WORTH_SAYING:
            low = finding.severity is not Severity.ERROR
            yield finding if low else replace(finding, severity=Severity.WARNING)


def unapplied(
    changes: tuple[Change, ...], applied: Declared, since: datetime | None, commit: str
) -> tuple[Change, ...]:
    """Tell what nobody moved but git: the live side still is as git was when it was applied last.

    Args:
        changes: of the report, with who moved what.
        applied: what was declared at the commit that was applied last.
        since: when the commit at hand was made; what the log has after it was somebody.
        commit: the one that was applied last.

    """
    note = f"git has moved on since {commit[:10]} was applied"
    git = Attribution(deed=Deed.UNAPPLIED, note=note)
    return tuple(
        change if change.action is Action.NONE else _told(change, applied, since, git)
        for change in changes
    )


def _told(change: Change, applied: Declared, since: datetime | None, git: Attribution) -> Change:
    then = applied.resources.get(change.address)
    if change.action is Action.CREATE:
        new = then is None or then.lifecycle.absent
        return _whole(change, git) if new and not _later(change.attribution, since) else change
    if then is None:
        return change
    if change.action is Action.DELETE:
        kept = not then.lifecycle.absent and not _later(change.attribution, since)
        return _whole(change, git) if kept else change
    fields = tuple(
        replace(one, attribution=git)
        if _as_applied(then, one) and not _later(one.attribution, since)
        else one
        for one in change.fields
    )
    return replace(change, fields=fields)


def _as_applied(then: Resource, one: FieldChange) -> bool:
    was = at(then.spec, parse_path(one.path), ABSENT)
    return describe.same(was, one.live) and not describe.same(was, one.desired)


def _whole(change: Change, git: Attribution) -> Change:
    fields = tuple(replace(one, attribution=git) for one in change.fields)
    return replace(change, fields=fields, attribution=git)


def _later(found: Attribution | None, since: datetime | None) -> bool:
    """Whether somebody moved it after git did."""
    at = instant(found.at) if found is not None else None
    return at is not None and since is not None and at > since


def elsewhere(made: Plan, desired: Declared, base: Declared | None) -> tuple[Address, ...]:
    """Drift on resources that the files at hand have not touched since the base.

    Apply writes it back all the same; but who reads a pull request did not cause it.
    """
    if base is None:
        return ()
    return tuple(
        change.address
        for change in made.writes
        if not change.removed
        and all(one.cause is Cause.DRIFT for one in change.fields)
        and change.address in desired.resources
        and desired.resources[change.address] == base.resources.get(change.address)
    )


def revert(made: Plan, seen: Plan, live: Live, limits: guardrails.Limits) -> Plan:
    """The plan that writes back what a report shows: all but what is held, or left out of it.

    Args:
        made: the plan that the report was made of.
        seen: the report.
        live: what both were made from.
        limits: guardrails hold for what is written back like for any other change.

    """
    shown = {change.address: change for change in seen.changes}
    changes = tuple(_back(change, shown.get(change.address)) for change in made.changes)
    changes = gates.forecast(changes, live, live.rejections)
    left = {change.address for change in changes if change.action is Action.NONE}
    dropped = left & {change.address for change in made.writes}
    said = (
        one
        for one in made.findings
        if one.code not in guardrails.CODES and one.address not in dropped
    )
    return replace(
        made,
        changes=changes,
        findings=(*said, *guardrails.find(changes, live, limits)),
        requests=replace(
            seen.requests,
            expected_writes=sum(1 for change in changes if change.action is not Action.NONE),
        ),
    )


def _back(change: Change, shown: Change | None) -> Change:
    if shown is None or shown.hold is not None or shown.action is Action.NONE:
        return replace(change, action=Action.NONE, fields=(), warnings=())
    return replace(change, fields=shown.fields, desired=shown.desired, warnings=())
