"""Turn a plan of a commit into a report of drift, and a report into the plan that reverts it.

The changes are the same; findings about writing are left out where nothing is written.
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
    matches_any,
    select_written,
)
from reconciler.plan import notices, schedules
from reconciler.plan.approvals import forecast
from reconciler.plan.diff import dropped_fields, references, three_way
from reconciler.plan.diff.matching import LiveLookup
from reconciler.plan.guardrails import checks
from reconciler.plan.selection import PlanOptions, select_declared
from reconciler.plan.weakening import effects

# Without these two sides there is nothing to compare: the only errors of a report.
_NOT_COMPARED: Final = frozenset(
    {"unreadable", "people-hidden", "ambiguous-name", "unknown-id", "one-object-twice"}
)
_WORTH_SAYING: Final = frozenset(
    {
        *("unknown-reference", "ambiguous-reference", "schedules-unknown"),
        notices.UNMANAGED_FIELD,
        dropped_fields.CODE,
    }
)
_GONE: Final = "cannot-create"


def build_report(plan: Plan, desired: Declared) -> Plan:
    """Return the plan as a report. What is deleted and cannot be created is drift, too."""
    deleted = tuple(_find_deleted(plan, desired))
    return replace(
        plan,
        changes=tuple(map(_keep_warnings, (*plan.changes, *deleted))),
        findings=tuple(_select_findings(plan, desired)),
    )


def _keep_warnings(change: Change) -> Change:
    """Return the change with the warnings that do not depend on an apply."""
    return replace(change, warnings=tuple(filter(schedules.is_warning, change.warnings)))


def _find_deleted(plan: Plan, desired: Declared) -> Iterator[Change]:
    for finding in plan.findings:
        resource = desired.resources.get(finding.address) if finding.address else None
        if finding.code == _GONE and resource is not None:
            yield three_way.compare_resource(resource, resource, None)


def _select_findings(plan: Plan, desired: Declared) -> Iterator[Finding]:
    own = set(desired.findings)  # of the files themselves: `validate` reports them
    for finding in plan.findings:
        if finding in own:
            continue
        if finding.code in _NOT_COMPARED:
            yield finding
        elif finding.code in _WORTH_SAYING:
            is_minor = finding.severity is not Severity.ERROR
            yield finding if is_minor else replace(finding, severity=Severity.WARNING)


def find_unrelated_drift(
    plan: Plan, desired: Declared, base: Declared | None
) -> tuple[Address, ...]:
    """Return resources with drift that the files at hand have not changed since the base.

    Apply reverts it, too; but the author of the pull request did not cause it.
    """
    if base is None:
        return ()
    return tuple(
        change.address
        for change in plan.writes
        if not change.removed
        and all(field.cause is Cause.DRIFT for field in change.fields)
        and change.address in desired.resources
        and desired.resources[change.address] == base.resources.get(change.address)
    )


def build_revert(plan: Plan, report: Plan, live: Live, limits: checks.GuardrailLimits) -> Plan:
    """Return the plan that reverts what a report shows, except what is held or left out.

    Args:
        made: the plan that the report was made of.
        seen: the report.
        live: what both were made from.
        limits: guardrails hold for what is written back like for any other change.

    """
    shown = {change.address: change for change in report.changes}
    changes = tuple(_revert_change(change, shown.get(change.address)) for change in plan.changes)
    last = effects.find_gate_effects(changes, live).list_last()
    changes = forecast.forecast_gates(changes, live, live.rejections, last=last)
    unchanged = {change.address for change in changes if change.action is Action.NONE}
    dropped = unchanged & {change.address for change in plan.writes}
    kept_findings = (
        finding
        for finding in plan.findings
        if finding.code not in checks.CODES and finding.address not in dropped
    )
    return replace(
        plan,
        changes=changes,
        findings=(*kept_findings, *checks.find_refusals(changes, live, limits)),
        requests=replace(
            report.requests,
            expected_writes=len(select_written(changes)),
        ),
    )


def _revert_change(change: Change, shown: Change | None) -> Change:
    if shown is None or shown.hold is not None or shown.action is Action.NONE:
        return replace(change, action=Action.NONE, fields=(), warnings=())
    return replace(change, fields=shown.fields, desired=shown.desired, warnings=())


def find_ignored(desired: Declared, live: Live, options: PlanOptions) -> Iterator[Ignored]:
    """Yield ignored resources of the target, then fields under `lifecycle.ignore` that differ."""
    if options.ignore:
        organizations = {address.organization for address in live.resources}
        for address in sorted({*desired.resources, *live.resources}):
            # The examples of `init` are in an organization that does not exist: nothing to report.
            if address.organization in organizations and matches_any(address, options.ignore):
                yield Ignored(address)
    picked = select_declared(desired, options).resources
    holding = {
        address: resource for address, resource in picked.items() if resource.lifecycle.ignore
    }
    if not holding:
        return
    lookup = LiveLookup(live)
    spelled = references.respell_references(replace(desired, resources=holding), live).resources
    for address, resource in sorted(spelled.items()):
        candidates = lookup.find_candidates(resource)
        if len(candidates) != 1 or resource.lifecycle.absent:
            continue
        change = three_way.compare_resource(resource, None, candidates[0])
        compared = {field.path for field in change.fields}
        bare = replace(resource, lifecycle=replace(resource.lifecycle, ignore=()))
        for field in three_way.compare_resource(bare, None, candidates[0]).fields:
            if field.path not in compared:
                yield Ignored(address, field.path, field.desired, field.live)
