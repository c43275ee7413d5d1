"""Find the policies that apply when flags are written: the live ones, as this plan leaves them.

Policies are written before flags, so the planned policy applies; a policy that is only weakened is
written after the flags, so the live one applies.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Change, Live, Spec, build_change_spec

KIND: Final = "ApprovalPolicy"
Scope = tuple[str, ...]  # organization, project


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy with all its fields, and what this plan does to it."""

    address: Address
    spec: Spec
    id: str | None = None
    planned: str = ""  # "created", "changed"; empty: as it is live

    @property
    def action(self) -> str:
        """Return the action key, which is the name."""
        return self.address.name

    @property
    def enabled(self) -> bool:
        """Return whether the policy gates anything; a deleted one counts as disabled."""
        return self.spec.get("enabled", True) is True

    @property
    def conditions(self) -> Any:
        """Return the conditions as the server stores them."""
        return self.spec.get("conditions")

    @property
    def quorum(self) -> int | None:
        """Return how many people have to approve."""
        quorum = (self.spec.get("approvers") or {}).get("quorum")
        return quorum if isinstance(quorum, int) and not isinstance(quorum, bool) else None


def list_live_policies(live: Live) -> Mapping[Scope, Mapping[str, Policy]]:
    """Return the live policies of each project, by action."""
    policies: dict[Scope, dict[str, Policy]] = defaultdict(dict)
    for address, live_policy in live.resources.items():
        if address.kind == KIND:
            spec = {**KINDS[KIND].defaults, **live_policy.spec}
            policies[address.parts[:-1]][address.name] = Policy(address, spec, live_policy.id)
    return policies


def list_planned_policies(
    changes: tuple[Change, ...], live: Live, last: Collection[Address] = ()
) -> Mapping[Scope, Mapping[str, Policy]]:
    """Return the policies of each project when flags are written; a deleted one is disabled.

    `last` are policies that this plan weakens after the flags are written.
    """
    policies = {scope: dict(by_action) for scope, by_action in list_live_policies(live).items()}
    for change in changes:
        if change.address.kind != KIND or change.action is Action.NONE:
            continue
        project_policies = policies.setdefault(change.address.parts[:-1], {})
        if change.address not in last:
            apply_policy_change(project_policies, change)
        elif (policy := find_policy(project_policies, change)) is not None:
            project_policies[policy.action] = replace(policy, planned="weakened afterwards")
    return policies


def apply_policy_change(policies: dict[str, Policy], change: Change) -> None:
    """Apply one policy change to `policies`, in place."""
    before = find_policy(policies, change)
    if before is not None:
        policies.pop(before.action, None)
    policy = predict_policy(change, before)
    if policy is not None:
        policies[policy.action] = policy
    elif before is not None:
        disabled_spec = {**before.spec, "enabled": False}
        policies[before.action] = replace(before, spec=disabled_spec, planned="deleted")


def find_policy(policies: Mapping[str, Policy], change: Change) -> Policy | None:
    """Return the policy that a change is about; a renamed one is found by its id."""
    if change.live_id is None:
        return policies.get(change.address.name)
    matches = (policy for policy in policies.values() if policy.id == change.live_id)
    return next(matches, policies.get(change.address.name))


def predict_policy(change: Change, before: Policy | None) -> Policy | None:
    """Return the policy after a change; None if it is deleted."""
    match change.action:
        case Action.CREATE:
            return Policy(change.address, _merge_spec(change, None), None, "created")
        case Action.UPDATE:
            return Policy(change.address, _merge_spec(change, before), change.live_id, "changed")
        case Action.DELETE:
            return None
        case Action.NONE:
            return before


def _merge_spec(change: Change, before: Policy | None) -> Spec:
    """Return the live spec with the written fields replaced; ignored fields keep their value."""
    live_spec = before.spec if before is not None else KINDS[KIND].defaults
    return {**live_spec, **build_change_spec(change)}
