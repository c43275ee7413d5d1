"""What a weakened policy means for a run: refused, or alone; never used in the same run."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Finding, Live, Severity, Verdict
from reconciler.plan.approvals import forecast
from reconciler.plan.weakening import detect, effects
from reconciler.plan.weakening.partial_apply import StartedCommits

WEAKENED: Final = "policy-weakened"
USED: Final = "weakened-and-used"
_HELD_ANYWAY: Final = frozenset({Verdict.BLOCKED, Verdict.REJECTED})
_PEOPLE: Final = {"Role": "members", "Member": "level", "Organization": "default_role"}


def find(
    changes: tuple[Change, ...], live: Live, *, allowed: bool, started: StartedCommits | None = None
) -> Iterator[Finding]:
    """Weakenings: errors, or warnings where they are allowed and nothing in the run uses them."""
    found = detect.find_weakenings(changes, live, started)
    for finding in found:
        lifted = allowed and finding.code == WEAKENED
        yield replace(finding, severity=Severity.WARNING, fix="") if lifted else finding
    if allowed and any(finding.code == WEAKENED for finding in found):
        yield from _used(changes, live)


def _used(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Flags that wait under the gates as they are, and would pass, or wait for less, afterwards.

    What only weakens is written after the flags, so that they meet the gate as it was; but who
    sends both at once means to use it. A policy that changes both ways goes before them.
    """
    flags = tuple(change for change in changes if KINDS[change.address.kind].gated)
    as_it_is = forecast.forecast_gates(flags, live, last=())
    at_last = {c.address: c.gate for c in forecast.forecast_gates(changes, live, last=())}
    mixed = {
        str(a)
        for a, effect in effects.find_gate_effects(changes, live).by_change.items()
        if effect.both
    }
    for change in as_it_is:
        gate, then = change.gate, at_last[change.address]
        passes = not then.waits and then.verdict not in _HELD_ANYWAY
        asks_less = gate.policy in mixed and gate.verdict is not Verdict.PENDING
        if not gate.waits or not (passes or asks_less):
            continue
        yield Finding(
            code=USED,
            severity=Severity.ERROR,
            message=f"{change.address} would {'pass' if passes else 'meet'} a gate that this same "
            "run weakens",
            why=f"as things are it waits for approval: {gate.policy}",
            fix=f"apply the weakening alone first: --exclude '{change.address}'",
            source=change.source,
            address=change.address,
        )


def projects(changes: tuple[Change, ...], live: Live) -> set[Address]:
    """Projects whose policies a change of people may weaken: all of the organization.

    Also those that no file speaks of: who holds a role may approve in every project.
    """
    moved = {change.address.organization for change in changes if _gives(change)}
    return {a for a in live.ids if a.kind == "Project" and a.organization in moved}


def _gives(change: Change) -> bool:
    """Whether somebody may come into a role or a level, or a role may go that policies name."""
    if change.address.kind == "Role" and change.action is Action.DELETE:
        return True
    if change.action is not Action.UPDATE:
        return False
    path = _PEOPLE.get(change.address.kind)
    moves = [(one.live, one.desired) for one in change.fields if one.path == path]
    return any(not _is_part(after, before) for before, after in moves)


def _is_part(after: object, before: object) -> bool:
    """Whether a list only got shorter."""
    return isinstance(after, list) and isinstance(before, list) and set(after) <= set(before)
