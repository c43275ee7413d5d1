"""Report on the forecast of a whole plan: gates that are off, bypassed, or cannot be passed.

Each is reported once for all its changes; every change has its own note besides.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from reconciler.model import (
    REPLACES,
    Action,
    Change,
    ChangeRequest,
    Confidence,
    Finding,
    Gate,
    Live,
    Severity,
    Verdict,
    get_root,
)
from reconciler.plan.approvals import forecast, server_generation
from reconciler.plan.approvals.policies import KIND
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.diff import secrets

BYPASSED: Final = "gate-bypassed"
UNREACHABLE: Final = "approval-unreachable"
LOST_ACCESS: Final = "requester-without-access"
PAYLOAD_SHOWN: Final = "payload-in-request"


def find_gate_findings(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield warnings; none of them stops apply."""
    yield from _find_gates_off(changes, live)
    yield from _find_lost_access(changes, live)
    yield from _find_shown_payloads(changes, live)
    bypassed: dict[str, list[Change]] = defaultdict(list)
    blocked: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        gate = change.gate
        for policy in gate.bypassed_policies:
            bypassed[policy].append(change)
        if gate.policy is not None and gate.waits and _lacks_approvers(change, live):
            blocked[gate.policy].append(change)
    for policy, affected in sorted(bypassed.items()):
        yield _build_warning(
            BYPASSED,
            f"BYPASSED: {_describe_writes(affected)} without the approval that {policy} requires",
            affected[0].gate.note,
            "use a key whose user does not bypass the policy",
            affected[0],
        )
    for policy, affected in sorted(blocked.items()):
        yield _build_warning(
            UNREACHABLE,
            f"{_describe_writes(affected)} under {policy} once approved, but too few people can "
            "approve",
            affected[0].gate.note,
            "add approvers, or lower the quorum, in a separate run",
            affected[0],
        )


def _find_gates_off(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield policies without effect, where the plan writes them or they would cover a write."""
    concerned: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        has_warning = any(warning.code == forecast.OFF for warning in change.warnings)
        is_policy = change.address.kind == KIND and change.action in {Action.CREATE, Action.UPDATE}
        if has_warning or (is_policy and forecast.is_off(live, change.address.organization)):
            concerned[change.address.organization].append(change)
    for organization, affected in sorted(concerned.items()):
        yield _build_warning(
            forecast.OFF,
            f"the approval policies of {organization} gate nothing",
            f"{organization} lacks the feature `approvals`, so PostHog skips them silently; "
            f"it concerns {_count_changes(affected)} of this plan",
            "add the feature to the organization's plan, or remove the policies",
            affected[0],
        )


def _find_lost_access(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield a warning if this key's user lost access: none of its requests can be applied then."""
    if live.me is None:
        return
    lost = [
        request
        for request in live.change_requests
        if request.requester_id == live.me.id and request.get_validity().lost_access
    ]
    if not lost:
        return
    trouble = lost[0].get_validity(is_own=True).explain()
    first = next((c for c in changes if c.gate.change_request == lost[0].id), None)
    yield Finding(
        LOST_ACCESS,
        Severity.WARNING,
        f"this key's user has lost access: {_count_requests(lost)} of it cannot be applied",
        trouble.why if trouble is not None else "",
        trouble.fix if trouble is not None else "",
        first.source if first is not None else None,
        first.address if first is not None else None,
    )


def _find_shown_payloads(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield flags whose encrypted payloads PostHog would store as plain text (contract 7.2)."""
    shown = [
        change for change in changes if _files_request(change.gate) and _sends_payloads(change)
    ]
    if shown and Generation.G3 not in server_generation.list_possible_generations(live):
        return
    for change in shown:
        yield Finding(
            PAYLOAD_SHOWN,
            Severity.WARNING,
            f"{change.address}: the change request will show the encrypted payloads of this flag",
            "PostHog stores the payloads of a gated write in the request as plain text: anyone "
            "with `approvals:read` can read them, also after the request is decided",
            "set the payloads in PostHog and remove `filters.payloads` from the file (PostHog then "
            "keeps the stored ones), or replace the secret after approval, or accept it",
            change.desired.locate(("filters", "payloads")) if change.desired is not None else None,
            change.address,
        )


def _files_request(gate: Gate) -> bool:
    """Return whether apply files a request, instead of waiting for an open one."""
    return gate.waits and (gate.verdict is not Verdict.PENDING or gate.request_plan in REPLACES)


def _sends_payloads(change: Change) -> bool:
    """Return whether the call that waits contains encrypted payloads from the files."""
    spec = change.desired.spec if change.desired is not None else {}
    written = (spec.get("filters") or {}).get("payloads")
    if not written or not secrets.find_hidden_paths(change):
        return False
    if change.action is Action.CREATE and change.gate.verdict is Verdict.APPROVAL:
        return True
    updates = str(change.gate.policy).endswith(".update")
    creates = change.action is Action.CREATE
    return updates and (creates or any(get_root(f.path) == "filters" for f in change.fields))


def _lacks_approvers(change: Change, live: Live) -> bool:
    """Return whether fewer people can approve than are needed, as far as that is known."""
    gate, scope = change.gate, change.address.parts[:1]
    if gate.quorum is None or gate.confidence is Confidence.UNKNOWN or gate.policy is None:
        return False
    if any(gap.kind == "Role" and gap.scope == scope for gap in live.unreadable):
        return False
    if scope[0] in live.partial:
        return False
    return len(_list_possible_approvers(gate, live)) < gate.quorum


def _list_possible_approvers(gate: Gate, live: Live) -> set[str]:
    """Return who has approved or still can."""
    votes = (
        vote
        for request in live.change_requests
        if request.id == gate.change_request
        for vote in request.votes
    )
    has_approved = {vote.person.lower(): vote.approved for vote in votes}
    cannot = {email for email in gate.cannot_approve if not has_approved.get(email)}
    return {email.lower() for email in gate.approvers.list_emails()} - cannot


def _count_requests(requests: list[ChangeRequest]) -> str:
    return f"{len(requests)} open change request{'s' if len(requests) > 1 else ''}"


def _count_changes(changes: list[Change]) -> str:
    return f"{len(changes)} change{'s' if len(changes) > 1 else ''}"


def _describe_writes(changes: list[Change]) -> str:
    return f"{_count_changes(changes)} {'are' if len(changes) > 1 else 'is'} written"


def _build_warning(code: str, message: str, why: str, fix: str, first: Change) -> Finding:
    return Finding(code, Severity.WARNING, message, why, fix, first.source, first.address)
