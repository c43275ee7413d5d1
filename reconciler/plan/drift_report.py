"""A plan of a commit against the live side, read as a report of drift, and back as a revert.

The same changes; but what a plan says about writing is not said where nothing is written.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.model import (
    Action,
    Address,
    Cause,
    Change,
    Declared,
    Finding,
    Ignored,
    Live,
    Plan,
    Severity,
)
from reconciler.plan import selection
from reconciler.plan.approvals import forecast
from reconciler.plan.diff import dropped_fields, references, three_way
from reconciler.plan.diff.matching import LiveLookup
from reconciler.plan.guardrails import checks
from reconciler.plan.selection import Options, pick
from reconciler.plan.weakening import effects

# Without these two sides there is nothing to compare: the only errors of a report.
_NOT_COMPARED: Final = frozenset(
    {"unreadable", "people-hidden", "ambiguous-name", "unknown-id", "one-object-twice"}
)
_WORTH_SAYING: Final = frozenset(
    {"unknown-reference", "ambiguous-reference", "unmanaged-field", dropped_fields.CODE}
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
            yield three_way.compare_resource(resource, resource, None)


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


def revert(made: Plan, seen: Plan, live: Live, limits: checks.Limits) -> Plan:
    """The plan that writes back what a report shows: all but what is held, or left out of it.

    Args:
        made: the plan that the report was made of.
        seen: the report.
        live: what both were made from.
        limits: guardrails hold for what is written back like for any other change.

    """
    shown = {change.address: change for change in seen.changes}
    changes = tuple(_back(change, shown.get(change.address)) for change in made.changes)
    last = effects.find_gate_effects(changes, live).list_last()
    changes = forecast.forecast_gates(changes, live, live.rejections, last=last)
    left = {change.address for change in changes if change.action is Action.NONE}
    dropped = left & {change.address for change in made.writes}
    said = (
        one for one in made.findings if one.code not in checks.CODES and one.address not in dropped
    )
    return replace(
        made,
        changes=changes,
        findings=(*said, *checks.find(changes, live, limits)),
        requests=replace(
            seen.requests,
            expected_writes=sum(1 for change in changes if change.action is not Action.NONE),
        ),
    )


def _back(change: Change, shown: Change | None) -> Change:
    if shown is None or shown.hold is not None or shown.action is Action.NONE:
        return replace(change, action=Action.NONE, fields=(), warnings=())
    return replace(change, fields=shown.fields, desired=shown.desired, warnings=())


def find(desired: Declared, live: Live, options: Options) -> Iterator[Ignored]:
    """Resources under `ignore` of the target, then fields under `lifecycle.ignore` that differ."""
    if options.ignore:
        known = sorted({*desired.resources, *live.resources})
        yield from (Ignored(one) for one in known if selection.matches(one, options.ignore))
    picked = pick(desired, options).resources
    holding = {address: one for address, one in picked.items() if one.lifecycle.ignore}
    if not holding:
        return
    lookup = LiveLookup(live)
    spelled = references.respell_references(replace(desired, resources=holding), live).resources
    for address, resource in sorted(spelled.items()):
        there = lookup.find_candidates(resource)
        if len(there) != 1 or resource.lifecycle.absent:
            continue
        counted = {one.path for one in three_way.compare_resource(resource, None, there[0]).fields}
        bare = replace(resource, lifecycle=replace(resource.lifecycle, ignore=()))
        for one in three_way.compare_resource(bare, None, there[0]).fields:
            if one.path not in counted:
                yield Ignored(address, one.path, one.desired, one.live)
