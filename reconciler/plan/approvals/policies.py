"""The policies that a flag's write will meet: the live ones, as this plan leaves them.

Policies are written before flags, so a flag meets what the same plan makes of them; what only
weakens is written after the flags, so it meets that as it was.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Live, Spec, moving

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
        """The action key, which is its name."""
        return self.address.name

    @property
    def enabled(self) -> bool:
        """A disabled policy, or one that goes, gates nothing."""
        return self.spec.get("enabled", True) is True

    @property
    def conditions(self) -> Any:
        """As the server stores them."""
        return self.spec.get("conditions")

    @property
    def quorum(self) -> int | None:
        """How many have to approve."""
        quorum = (self.spec.get("approvers") or {}).get("quorum")
        return quorum if isinstance(quorum, int) and not isinstance(quorum, bool) else None


def existing(live: Live) -> Mapping[Scope, Mapping[str, Policy]]:
    """The live policies of each project, by action."""
    policies: dict[Scope, dict[str, Policy]] = defaultdict(dict)
    for address, there in live.resources.items():
        if address.kind == KIND:
            spec = {**KINDS[KIND].defaults, **there.spec}
            policies[address.parts[:-1]][address.name] = Policy(address, spec, there.id)
    return policies


def planned(
    changes: tuple[Change, ...], live: Live, last: Collection[Address] = ()
) -> Mapping[Scope, Mapping[str, Policy]]:
    """The policies of each project as flags meet them; one that is deleted is left in, disabled.

    `last` are policies that this plan weakens after the flags are written.
    """
    policies = {scope: dict(there) for scope, there in existing(live).items()}
    for change in changes:
        if change.address.kind != KIND or change.action is Action.NONE:
            continue
        there = policies.setdefault(change.address.parts[:-1], {})
        if change.address not in last:
            after(there, change)
        elif (policy := found(there, change)) is not None:
            there[policy.action] = replace(policy, planned="weakened afterwards")
    return policies


def after(policies: dict[str, Policy], change: Change) -> None:
    """Carry one policy change out, in place."""
    before = found(policies, change)
    if before is not None:
        policies.pop(before.action, None)
    changed = outcome(change, before)
    if changed is not None:
        policies[changed.action] = changed
    elif before is not None:
        gone = {**before.spec, "enabled": False}
        policies[before.action] = replace(before, spec=gone, planned="deleted")


def found(policies: Mapping[str, Policy], change: Change) -> Policy | None:
    """The policy that a change is about; a renamed one is found by its id."""
    if change.live_id is None:
        return policies.get(change.address.name)
    same = (policy for policy in policies.values() if policy.id == change.live_id)
    return next(same, policies.get(change.address.name))


def outcome(change: Change, before: Policy | None) -> Policy | None:
    """The policy that a change leaves behind; None where it deletes it."""
    match change.action:
        case Action.CREATE:
            return Policy(change.address, _spec(change, None), None, "created")
        case Action.UPDATE:
            return Policy(change.address, _spec(change, before), change.live_id, "changed")
        case Action.DELETE:
            return None
        case Action.NONE:
            return before


def _spec(change: Change, before: Policy | None) -> Spec:
    """What is sent over what is there; parts that are ignored stay as they are live."""
    there = before.spec if before is not None else KINDS[KIND].defaults
    return {**there, **moving(change)}
