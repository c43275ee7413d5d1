"""The changes that `apply` refuses: decided here for `apply` and for `plan`, which shows them."""

from dataclasses import replace

from reconciler.model import Finding, Outcome, Plan, Refusal, Result
from reconciler.plan.guardrails import checks
from reconciler.planfile import results


def judged(plan: Plan, *, go_on: bool) -> Plan:
    """Return the plan with what `apply` refuses of it. `go_on`: --continue was given."""
    refused = found(plan)
    whole = bool(stopping(plan, go_on=go_on))
    if not (whole or refused):
        return replace(plan, refusal=None)
    rest = _has_rest(plan)
    return replace(plan, refusal=Refusal(whole, len(refused), rest=rest, go_on=go_on))


def stopping(plan: Plan, *, go_on: bool) -> tuple[Finding, ...]:
    """Return the findings for which `apply` writes nothing at all."""
    guarded = (one for one in plan.errors if one.code in checks.CODES)
    return tuple(one for one in guarded if not go_on or one.code in checks.WHOLE)


def found(plan: Plan) -> tuple[Outcome, ...]:
    """Return the changes that `apply` refuses, for a finding or after a rejection."""
    rows = results.foretold(plan, guarded=checks.CODES)
    return tuple(row for row in rows if row.result is Result.REFUSED)


def exit_code(plan: Plan) -> int:
    """Return what `apply` ends with for what the plan shows already: 0, 1 or 4."""
    if plan.refusal is not None and plan.refusal.whole:
        return results.REFUSED
    rows = results.foretold(plan, guarded=checks.CODES)
    return results.exit_code(rows, plan, guarded=checks.CODES)


def _has_rest(plan: Plan) -> bool:
    """Return whether something is left to apply with --continue."""
    if stopping(plan, go_on=True) and any(one.code in checks.WHOLE for one in plan.errors):
        return False
    held = {row.address for row in found(plan)}
    for change in plan.writes:  # dependencies come first
        if change.address not in held and held.isdisjoint(change.depends_on):
            return True
        held.add(change.address)
    return False
