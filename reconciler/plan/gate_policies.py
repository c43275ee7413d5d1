"""The policies that a flag's write will meet: the live ones, as this plan leaves them.

Policies are written before flags, so a flag meets what the same plan makes of them.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Live, Spec, parse_path

KIND: Final = "ApprovalPolicy"
Scope = tuple[str, ...]  # organization, project


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy with all its fields, and what this plan does to it."""

    address: Address
    spec: Spec
    id: str | None = None
    planned: str = ""  # "is created by this plan"; empty: as it is live

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
    found: dict[Scope, dict[str, Policy]] = defaultdict(dict)
    for address, there in live.resources.items():
        if address.kind == KIND:
            spec = {**KINDS[KIND].defaults, **there.spec}
            found[address.parts[:-1]][address.name] = Policy(address, spec, there.id)
    return found


def planned(changes: tuple[Change, ...], live: Live) -> Mapping[Scope, Mapping[str, Policy]]:
    """The policies of each project after this plan; one that it deletes is left in, disabled."""
    found = {scope: dict(policies) for scope, policies in existing(live).items()}
    for change in changes:
        if change.address.kind == KIND and change.action is not Action.NONE:
            after(found.setdefault(change.address.parts[:-1], {}), change)
    return found


def after(policies: dict[str, Policy], change: Change) -> None:
    """Carry one policy change out, in place."""
    before = policies.get(change.address.name)
    if change.live_id is not None:  # a renamed policy is found by its id
        before = next((p for p in policies.values() if p.id == change.live_id), before)
    if before is not None:
        policies.pop(before.action, None)
    spec = _spec(change, before)
    match change.action:
        case Action.CREATE:
            policies[change.address.name] = Policy(change.address, spec, None, "created")
        case Action.UPDATE:
            policies[change.address.name] = Policy(change.address, spec, change.live_id, "changed")
        case Action.DELETE:
            if before is not None:
                gone = {**before.spec, "enabled": False}
                policies[before.action] = replace(before, spec=gone, planned="deleted")
        case Action.NONE:
            if before is not None:
                policies[before.action] = before


def _spec(change: Change, before: Policy | None) -> Spec:
    written = change.desired.spec if change.desired is not None else {}
    if change.action is Action.CREATE or before is None:
        return {**KINDS[KIND].defaults, **written}
    moving = {parse_path(one.path)[0] for one in change.fields}
    return {**before.spec, **{name: value for name, value in written.items() if name in moving}}
