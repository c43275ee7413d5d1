"""Report access rules that have no effect, or that PostHog would refuse (contract 20)."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model import ABSENT, LEVELS, Address, Change, Finding, Live, Severity
from reconciler.plan.approvals.approvers import list_planned_levels
from reconciler.plan.weakening.membership import list_levels

_KIND: Final = "ProjectAccess"
_FEATURE: Final = "role_based_access"


def find_notices(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield a warning for rules that bind nobody, and for role rules without the feature."""
    rules = [change for change in changes if change.address.kind == _KIND]
    if not rules:
        return
    levels = {**list_levels(live), **list_planned_levels(changes)}
    for change in rules:
        if change.desired is None or change.desired.lifecycle.absent:
            continue
        unbound = [
            (path, email)
            for path, email in _list_members(change)
            if levels.get((change.address.organization, email.lower()), 0) >= LEVELS["admin"]
        ]
        if unbound:
            names = ", ".join(sorted({email for _, email in unbound}))
            yield Finding(
                code="rule-without-effect",
                severity=Severity.WARNING,
                message=f"{change.address}: rules do not bind {names}",
                why="admins and owners of the organization have full access without rules",
                fix="remove the rules, or lower their level in the organization",
                source=change.desired.locate(unbound[0][0]),
                address=change.address,
            )
        yield from _check_feature(change, live)


def _list_members(change: Change) -> Iterable[tuple[tuple[str, ...], str]]:
    spec = change.desired.spec if change.desired is not None else {}
    for resource, rules in spec.items():
        for email in rules.get("members") or ():
            yield (resource, "members", email), email


def _check_feature(change: Change, live: Live) -> Iterator[Finding]:
    """Warn of role rules that would be written without the feature: PostHog refuses them."""
    spec = change.desired.spec if change.desired is not None else {}
    writes = any(
        ".roles" in field.path
        or (field.live is ABSENT and (spec.get(field.path) or {}).get("roles"))
        for field in change.fields
    )
    organization = live.resources.get(Address("Organization", (change.address.organization,)))
    features = organization.payload.get("available_product_features") if organization else None
    if not writes or features is None:
        return
    if not any(feature.get("key") == _FEATURE for feature in features):
        yield Finding(
            code="role-rules-unavailable",
            severity=Severity.WARNING,
            message=f"{change.address} has rules for roles, which PostHog will refuse here",
            why=f"the subscription of {change.address.organization} lacks the feature `{_FEATURE}`",
            fix="name people under `members`, or extend the subscription",
            source=change.source,
            address=change.address,
        )
