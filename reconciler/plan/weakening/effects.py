"""Find which changes weaken or strengthen gates, and in which order to apply them.

A change that strengthens a gate, or does both, is applied before the flags of its projects; one
that only weakens is applied after them. A policy and the roles and levels that it names are
several changes of one gate (`change_order`): if one of them first would leave the gate weaker than
before and than planned, or stricter than both, the other is applied before it. So every gate is
between its old and its new state after any part of a run, and the remaining changes weaken nothing
that the whole run would not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Change, Live, select_written
from reconciler.plan.approvals import approvers, server_generation, write_gates
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals.policies import KIND, Scope
from reconciler.plan.approvals.server_generation import Generations
from reconciler.plan.weakening import change_order
from reconciler.plan.weakening.change_order import MembershipMove, MembershipTransition, PolicyPair
from reconciler.plan.weakening.compare import Membership, compare_policies
from reconciler.plan.weakening.membership import PEOPLE


@dataclass(frozen=True, slots=True)
class GateEffect:
    """The effect of one change on the gates of some projects."""

    scopes: frozenset[Scope]
    weaker: bool
    stronger: bool

    @property
    def weakens_only(self) -> bool:
        """Return whether it only weakens, and so is applied after the writes that are gated."""
        return self.weaker and not self.stronger

    @property
    def both(self) -> bool:
        """Return whether it weakens and strengthens."""
        return self.weaker and self.stronger


@dataclass(frozen=True, slots=True)
class GateEffects:
    """The changes of a plan that affect gates, and which of two such changes is applied first."""

    by_change: Mapping[Address, GateEffect] = field(default_factory=dict)
    waits_for: Mapping[Address, set[Address]] = field(default_factory=dict)

    def is_reordered(self, address: Address, named: Address) -> bool:
        """Return whether a resource need not wait for one that it names, as it usually does.

        Policies wait for the people that they name only where it matters: otherwise some would
        wait for each other.
        """
        entangled = address.kind == KIND and named.kind in PEOPLE
        return entangled or self.is_last(named) or address in self.waits_for.get(named, ())

    def is_last(self, address: Address) -> bool:
        """Return whether a change is applied after the flags."""
        return address in self.by_change and self.by_change[address].weakens_only

    def list_last(self) -> frozenset[Address]:
        """Return the changes that are applied after the flags."""
        return frozenset(a for a, effect in self.by_change.items() if effect.weakens_only)


def find_gate_effects(changes: Iterable[Change], live: Live) -> GateEffects:
    """Find the effect of each change of a policy, role, member or default role."""
    moving = select_written(changes)
    has_people = any(change.address.kind in PEOPLE for change in moving)
    if not has_people and not any(change.address.kind == KIND for change in moving):
        return GateEffects()
    live_members = approvers.list_role_members(live)
    memberships = (
        Membership(live_members, {}),
        Membership(approvers.list_planned_members(moving, live_members), {}),
    )
    pairs = tuple(_list_policy_pairs(moving, live))
    generations = server_generation.list_possible_generations(live)
    by_change = {
        pair.change: _check_policy(pair, memberships, generations)
        for pair in pairs
        if pair.change is not None
    }
    waits_for: dict[Address, set[Address]] = defaultdict(set)
    if has_people:
        transition = MembershipTransition(moving, live, pairs)
        by_change |= _check_people(transition)
        last = {address for address, effect in by_change.items() if effect.weakens_only}
        for waiting, required in change_order.find_edges(transition, last):
            waits_for[waiting].add(required)
    return GateEffects(by_change, waits_for)


def _list_policy_pairs(changes: Iterable[Change], live: Live) -> Iterator[PolicyPair]:
    """Yield every policy that gates before the plan or after it."""
    before = approvals_policies.list_live_policies(live)
    changed_actions: set[tuple[Scope, str]] = set()
    for change in changes:
        if change.address.kind != KIND:
            continue
        scope = change.address.parts[:-1]
        live_policy = approvals_policies.find_policy(before.get(scope, {}), change)
        planned = approvals_policies.predict_policy(change, live_policy)
        replaced = write_gates.find_replaced_policy(planned, before.get(scope, {}))
        pair = PolicyPair(change.address, replaced or live_policy, planned)
        if live_policy is not None:
            changed_actions.add((scope, live_policy.action))
        if any(pair.list_enabled()):
            yield pair
    for scope, policies in before.items():
        for action, policy in policies.items():
            if policy.enabled and (scope, action) not in changed_actions:
                yield PolicyPair(None, policy, policy)


def _check_policy(
    pair: PolicyPair, memberships: tuple[Membership, Membership], generations: Generations
) -> GateEffect:
    """Return the effect of a policy change; a gate that starts or ends has only one direction."""
    scopes, enabled = frozenset({pair.scope}), tuple(pair.list_enabled())
    if not pair.is_kept:
        return GateEffect(scopes, pair.before in enabled, pair.after in enabled)
    comparison = compare_policies(pair.before, pair.after, *memberships, generations=generations)
    return GateEffect(scopes, bool(comparison.weaker), bool(comparison.stronger))


def _check_people(transition: MembershipTransition) -> Mapping[Address, GateEffect]:
    """Find who becomes covered by a policy, or no longer is, by a change of people."""
    scopes: dict[Address, set[Scope]] = defaultdict(set)
    weaker: set[Address] = set()
    stronger: set[Address] = set()
    for impact in transition.list_impacts():
        joins, leaves = _count_covered(impact.move, impact)
        if joins or leaves:
            scopes[impact.move.change].add(impact.pair.scope)
        if joins:
            weaker.add(impact.move.change)
        if leaves:
            stronger.add(impact.move.change)
    return {
        address: GateEffect(frozenset(affected), address in weaker, address in stronger)
        for address, affected in scopes.items()
    }


def _count_covered(
    move: MembershipMove, impact: change_order.PolicyImpact
) -> tuple[frozenset[str], frozenset[str]]:
    """Return who becomes covered by the policy through this move, and who no longer is.

    If the policy starts or stops naming the role or the level, only that change counts: the people
    move while the policy does not name them.
    """
    if not impact.named_before or (not impact.named_after and impact.pair.is_kept):
        return frozenset(), frozenset()
    if not impact.pair.is_kept:
        return move.joins, move.leaves
    return move.joins - impact.before, move.leaves - impact.after
