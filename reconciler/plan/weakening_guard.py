"""What a weakened policy means for a run: refused, or alone; never used in the same run."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Declared, Finding, Live, Severity, Verdict
from reconciler.plan import gates, weakening

WEAKENED: Final = "policy-weakened"
USED: Final = "weakened-and-used"
_HELD: Final = frozenset({Verdict.APPROVAL, Verdict.SPLIT, Verdict.PENDING})
_PASSES: Final = frozenset({Verdict.NONE, Verdict.BYPASS})
_PEOPLE: Final = {"Role": "members", "Member": "level", "Organization": "default_role"}


def find(changes: tuple[Change, ...], live: Live, *, allowed: bool) -> Iterator[Finding]:
    """Weakenings: errors, or warnings where they are allowed and nothing in the run uses them."""
    found = weakening.find(changes, live)
    for finding in found:
        lifted = allowed and finding.code == WEAKENED
        yield replace(finding, severity=Severity.WARNING, fix="") if lifted else finding
    if allowed and any(finding.code == WEAKENED for finding in found):
        yield from _used(changes, live)


def _used(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Flags that would wait under the gates as they are, and pass under those of this plan."""
    flags = tuple(change for change in changes if KINDS[change.address.kind].gated)
    for as_it_is, change in zip(gates.forecast(flags, live), flags, strict=True):
        if as_it_is.gate.verdict in _HELD and change.gate.verdict in _PASSES:
            yield Finding(
                code=USED,
                severity=Severity.ERROR,
                message=f"{change.address} would pass a gate that this same run weakens",
                why=f"as things are it waits for approval: {as_it_is.gate.policy}",
                fix=f"apply the weakening alone first: --exclude '{change.address}'",
                source=change.source,
                address=change.address,
            )


def projects(changes: tuple[Change, ...], desired: Declared) -> set[Address]:
    """Projects whose policies a change of people may weaken, as far as the files know them."""
    moved = {
        change.address.organization
        for change in changes
        if (field := _PEOPLE.get(change.address.kind)) is not None
        and (
            change.action is Action.DELETE
            or (change.action is Action.UPDATE and any(f.path == field for f in change.fields))
        )
    }
    return {
        Address("Project", address.parts[:2])
        for address in desired.resources
        if address.organization in moved and (address.project or address.kind == "Project")
    }
