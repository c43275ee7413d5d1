"""Refuse weakened policies, or allow them in a run that does not depend on them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Finding, Live, Severity, Verdict
from reconciler.plan.approvals import forecast
from reconciler.plan.weakening import detect, effects
from reconciler.plan.weakening.membership import PEOPLE
from reconciler.plan.weakening.partial_apply import StartedCommits

WEAKENED: Final = "policy-weakened"
USED: Final = "weakened-and-used"
_HELD_ANYWAY: Final = frozenset({Verdict.BLOCKED, Verdict.REJECTED})


def find_weakenings(
    changes: tuple[Change, ...], live: Live, *, allowed: bool, started: StartedCommits | None = None
) -> Iterator[Finding]:
    """Find weakenings: errors, or warnings where they are allowed."""
    weakenings = detect.find_weakenings(changes, live, started)
    for finding in weakenings:
        lifted = allowed and finding.code == WEAKENED
        yield replace(finding, severity=Severity.WARNING, fix="") if lifted else finding
    if allowed and any(finding.code == WEAKENED for finding in weakenings):
        yield from _find_uses(changes, live)


def _find_uses(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Find flags that need approval now, and would pass, or need less, after the weakening.

    A change that only weakens is written after the flags, so that these meet the gate as it was;
    but the author of both means to use the weaker gate. A policy that gets both weaker and
    stronger is written before the flags.
    """
    flags = tuple(change for change in changes if KINDS[change.address.kind].gated)
    as_live = forecast.forecast_gates(flags, live, last=())
    gates_after = {c.address: c.gate for c in forecast.forecast_gates(changes, live, last=())}
    changed_both_ways = {
        str(address)
        for address, effect in effects.find_gate_effects(changes, live).by_change.items()
        if effect.both
    }
    for change in as_live:
        gate, gate_after = change.gate, gates_after[change.address]
        passes = not gate_after.waits and gate_after.verdict not in _HELD_ANYWAY
        needs_less = gate.policy in changed_both_ways and gate.verdict is not Verdict.PENDING
        if not gate.waits or not (passes or needs_less):
            continue
        yield Finding(
            code=USED,
            severity=Severity.ERROR,
            message=f"{change.address} would {'pass' if passes else 'meet'} a gate that the same "
            "run weakens",
            why=f"without the weakening, it needs approval: {gate.policy}",
            fix=f"first apply the weakening by itself: --exclude '{change.address}'",
            source=change.source,
            address=change.address,
        )


def find_affected_projects(changes: tuple[Change, ...], live: Live) -> set[Address]:
    """Return the projects whose policies a change of people may weaken: all of the organization.

    Projects that no file declares count too: the holder of a role may approve in every project.
    """
    organizations = {change.address.organization for change in changes if _may_weaken(change)}
    return {a for a in live.ids if a.kind == "Project" and a.organization in organizations}


def _may_weaken(change: Change) -> bool:
    """Return whether somebody may get a role or a level, or a role that policies name may end."""
    if change.address.kind == "Role" and change.action is Action.DELETE:
        return True
    if change.action is not Action.UPDATE:
        return False
    path = PEOPLE.get(change.address.kind)
    edits = [(edit.live, edit.desired) for edit in change.fields if edit.path == path]
    return any(not _is_shortened(after, before) for before, after in edits)


def _is_shortened(after: object, before: object) -> bool:
    """Return whether items were only removed from a list."""
    return isinstance(after, list) and isinstance(before, list) and set(after) <= set(before)
