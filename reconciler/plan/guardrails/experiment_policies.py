"""Report what policies of flags, experiments and holdouts mean for each other (contract 3)."""

from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.model import (
    EXPERIMENT_ACTIONS,
    EXPERIMENT_TWINS,
    HOLDOUT_ACTIONS,
    Action,
    Address,
    Change,
    Finding,
    Live,
    Severity,
)
from reconciler.plan.approvals import policies, server_generation
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.unmanaged import is_experiment_policy

_FALLBACKS: Final = ("feature_flag.update", "experiment.update")  # of holdouts (contract 16)


def find_policy_notices(
    writes: tuple[Change, ...], live: Live, unmanaged: Sequence[Address]
) -> Iterator[Finding]:
    """Yield what a person has to know about policies that belong together.

    Args:
        writes: the changes of the plan that are written.
        live: the live side.
        unmanaged: what is live, and in no file.

    """
    yield from _report_undeclared([a for a in unmanaged if is_experiment_policy(a)])
    moving = {change.address: change for change in writes}
    for change in writes:
        if change.address.kind != policies.KIND:
            continue
        yield from _check_availability(change, live)
        yield from _check_twin(change, live, moving)
        yield from _check_holdouts(change, writes, live)


def _report_undeclared(addresses: Sequence[Address]) -> Iterator[Finding]:
    """Yield one notice about the policies of experiments that no file declares."""
    if not addresses:
        return
    is_single = len(addresses) == 1
    yield Finding(
        code="experiment-policies-undeclared",
        severity=Severity.NOTICE,
        message=f"{len(addresses)} approval {'policy' if is_single else 'policies'} for "
        f"experiments {'is' if is_single else 'are'} not declared in any file: "
        f"{', '.join(map(str, addresses))}; not changed, also not with --prune",
        why="PostHog made them from the policies for flags when it began to gate the flags of "
        "experiments separately; without them those changes need no approval",
        fix="`reconciler pull --kind ApprovalPolicy` adds them to the files",
    )


def _check_availability(change: Change, live: Live) -> Iterator[Finding]:
    """Warn of a create that PostHog refuses where it does not gate experiments separately."""
    address = change.address
    if change.action is not Action.CREATE or address.name not in EXPERIMENT_ACTIONS:
        return
    if server_generation.detect_generation(live) is Generation.G1:
        message = f"{address} gates nothing on this PostHog: it is too old"
        why, fix = "PostHog stores the policy and never asks for it", "remove it, or upgrade"
    elif any(
        is_experiment_policy(other) and other.organization == address.organization
        for other in live.resources
    ):
        return
    else:
        message = f"{address} may not be available in this organization yet"
        why = (
            "PostHog refuses these policies until it gates the flags of experiments separately "
            "in this organization, and no endpoint shows whether it does"
        )
        fix = "if it is refused, remove the document until PostHog has switched over"
    yield Finding(
        code="experiment-policy-unavailable",
        severity=Severity.WARNING,
        message=message,
        why=why,
        fix=fix,
        source=change.source,
        address=address,
    )


def _check_twin(change: Change, live: Live, moving: dict[Address, Change]) -> Iterator[Finding]:
    """Warn if the policy of experiments that was a copy of this one does not change with it."""
    name = EXPERIMENT_TWINS.get(change.address.name)
    if name is None:
        return
    twin = Address(policies.KIND, (*change.address.parts[:-1], name))
    if twin in live.resources and twin not in moving:
        yield Finding(
            code="experiment-policy-not-followed",
            severity=Severity.WARNING,
            message=f"{change.address} changes, and {twin} does not follow it",
            why="flags of experiments have their own policies here; PostHog made them as "
            "copies, and copies them no more",
            fix=f"if experiments need the same rules, change {name} too",
            source=change.source,
            address=change.address,
        )


def _check_holdouts(change: Change, writes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Say that a policy with a condition holds changes of holdouts back without it."""
    conditions = change.desired.spec.get("conditions") if change.desired is not None else None
    if change.address.name not in _FALLBACKS or change.action is Action.DELETE or not conditions:
        return
    before = change.before.spec.get("conditions") if change.before is not None else None
    scope = change.address.parts[:-1]
    planned = policies.list_planned_policies(writes, live).get(scope, {})
    enabled = {name for name, policy in planned.items() if policy.enabled}
    if before or enabled.issuperset(HOLDOUT_ACTIONS):
        return
    if change.address.name == _FALLBACKS[0] and _FALLBACKS[1] in enabled:
        return  # holdouts use this one first
    yield Finding(
        code="holdouts-gated",
        severity=Severity.NOTICE,
        message=f"{change.address} also gates every change of an experiment holdout, "
        "whatever its condition says",
        why="holdouts without their own policy use this one, and PostHog ignores its "
        "condition there (since autumn 2026)",
        fix=f"for other rules, declare policies for {' and '.join(HOLDOUT_ACTIONS)}",
        source=change.source,
        address=change.address,
    )
