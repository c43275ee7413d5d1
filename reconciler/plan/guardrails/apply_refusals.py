"""The changes that `apply` refuses: decided here for `apply`, and for `plan` to show them."""

from dataclasses import replace

from reconciler.model import ExitCode, Finding, Outcome, Plan, Refusal, Result
from reconciler.plan.guardrails import checks
from reconciler.planfile import results


def add_refusal(plan: Plan, *, go_on: bool) -> Plan:
    """Return the plan with a summary of what `apply` refuses. `go_on`: --continue was given."""
    refused = find_refused_changes(plan)
    whole = bool(find_run_refusals(plan, go_on=go_on))
    if not (whole or refused):
        return replace(plan, refusal=None)
    has_remaining = _has_remaining_changes(plan)
    return replace(plan, refusal=Refusal(whole, len(refused), rest=has_remaining, go_on=go_on))


def find_run_refusals(plan: Plan, *, go_on: bool) -> tuple[Finding, ...]:
    """Return the findings for which `apply` writes nothing at all."""
    guarded = (finding for finding in plan.errors if finding.code in checks.CODES)
    return tuple(finding for finding in guarded if not go_on or finding.code in checks.WHOLE)


def find_refused_changes(plan: Plan) -> tuple[Outcome, ...]:
    """Return the changes that `apply` refuses because of a finding or a rejection."""
    rows = results.predict_outcomes(plan, guarded=checks.CODES)
    return tuple(row for row in rows if row.result is Result.REFUSED)


def predict_exit_code(plan: Plan) -> int:
    """Return the exit code that `apply` is known to end with from the plan: 0, 1 or 4."""
    if plan.refusal is not None and plan.refusal.whole:
        return ExitCode.REFUSED
    rows = results.predict_outcomes(plan, guarded=checks.CODES)
    return results.choose_exit_code(rows, plan, guarded=checks.CODES)


def _has_remaining_changes(plan: Plan) -> bool:
    """Return whether something is left to apply with --continue."""
    if find_run_refusals(plan, go_on=True) and any(f.code in checks.WHOLE for f in plan.errors):
        return False
    held = {row.address for row in find_refused_changes(plan)}
    for change in plan.writes:  # dependencies come first
        if change.address not in held and held.isdisjoint(change.depends_on):
            return True
        held.add(change.address)
    return False
