"""What the forecast of a whole plan comes to: gates that are off, bypassed, or cannot be passed.

Each is said once, however many changes it concerns; the changes themselves have their own words.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Final

from reconciler.model import Action, Change, Confidence, Finding, Gate, Live, Severity
from reconciler.plan.approvals import forecast
from reconciler.plan.approvals.policies import KIND

BYPASSED: Final = "gate-bypassed"
UNREACHABLE: Final = "approval-unreachable"


def find(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Warnings; none of them stops anything."""
    yield from _off(changes, live)
    bypassed: dict[str, list[Change]] = defaultdict(list)
    stuck: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        gate = change.gate
        for policy in gate.bypassed_policies:
            bypassed[policy].append(change)
        if gate.policy is not None and gate.waits and _missing(change, live):
            stuck[gate.policy].append(change)
    for policy, found in sorted(bypassed.items()):
        yield _warning(
            BYPASSED,
            f"BYPASSED: {_writes(found)} without the approval that {policy} asks for",
            found[0].gate.note,
            "use a key whose user the policy does not let through",
            found[0],
        )
    for policy, found in sorted(stuck.items()):
        yield _warning(
            UNREACHABLE,
            f"{_writes(found)} under {policy} once approved, and too few people can approve",
            found[0].gate.note,
            "name more people as approvers, or lower the quorum, in a run of its own",
            found[0],
        )


def _off(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Policies that gate nothing, where they are written or would have covered a write."""
    concerned: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        warned = any(warning.code == forecast.OFF for warning in change.warnings)
        written = change.address.kind == KIND and change.action in {Action.CREATE, Action.UPDATE}
        if warned or (written and forecast.is_off(live, change.address.organization)):
            concerned[change.address.organization].append(change)
    for organization, found in sorted(concerned.items()):
        yield _warning(
            forecast.OFF,
            f"the approval policies of {organization} gate nothing",
            f"{organization} lacks the feature `approvals`, so PostHog skips them silently; "
            f"it concerns {_counted(found)} of this plan",
            "add the feature to the organization's plan, or remove the policies",
            found[0],
        )


def _missing(change: Change, live: Live) -> bool:
    """Whether fewer people can approve than are needed, as far as that is known."""
    gate, scope = change.gate, change.address.parts[:1]
    if gate.quorum is None or gate.confidence is Confidence.UNKNOWN or gate.policy is None:
        return False
    if any(gap.kind == "Role" and gap.scope == scope for gap in live.unreadable):
        return False
    if scope[0] in live.partial:
        return False
    return len(_able(gate, live)) < gate.quorum


def _able(gate: Gate, live: Live) -> set[str]:
    """Return who has approved, or still can."""
    held = chain(gate.approvers.users, *gate.approvers.roles.values())
    votes = (
        vote
        for request in live.change_requests
        if request.id == gate.change_request
        for vote in request.votes
    )
    has_approved = {vote.person.lower(): vote.approved for vote in votes}
    cannot = {email for email in gate.cannot_approve if not has_approved.get(email)}
    return {email.lower() for email in held} - cannot


def _counted(found: list[Change]) -> str:
    return f"{len(found)} change{'s' if len(found) > 1 else ''}"


def _writes(found: list[Change]) -> str:
    return f"{_counted(found)} {'are' if len(found) > 1 else 'is'} written"


def _warning(code: str, message: str, why: str, fix: str, first: Change) -> Finding:
    return Finding(code, Severity.WARNING, message, why, fix, first.source, first.address)
