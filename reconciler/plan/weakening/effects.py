"""Which way each change moves the gates: what goes before the writes that they cover, what after.

A change that only strengthens, or does both, goes before the flags of the projects that it
concerns; one that only weakens goes after them. Policies, and the roles and levels that they
speak of, are several changes of one gate (`entwined`): where one of them first would leave the
gate weaker than it was and than it will be, or stricter than both, the other goes before it. So
after any part of a run every gate is between before and after, and the rest of the run weakens
nothing that the whole of it would not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model import Action, Address, Change, Live
from reconciler.plan.approvals import approvers
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals.policies import KIND, Scope
from reconciler.plan.weakening import change_order
from reconciler.plan.weakening.change_order import Move, Pair, World
from reconciler.plan.weakening.compare import Membership, compare
from reconciler.plan.weakening.membership import PEOPLE


@dataclass(frozen=True, slots=True)
class GateEffect:
    """What one change does to the gates of some projects."""

    scopes: frozenset[Scope]
    weaker: bool
    stronger: bool

    @property
    def last(self) -> bool:
        """Whether it only weakens, and so goes after the writes that the gate covers."""
        return self.weaker and not self.stronger

    @property
    def mixed(self) -> bool:
        """Whether it does both."""
        return self.weaker and self.stronger


@dataclass(frozen=True, slots=True)
class GateEffects:
    """The changes of a plan that move gates, and which of two such changes goes first."""

    found: Mapping[Address, GateEffect] = field(default_factory=dict)
    waits: Mapping[Address, set[Address]] = field(default_factory=dict)  # for what else

    def turns(self, address: Address, named: Address) -> bool:
        """Return whether what it names does not go before it, as it otherwise would.

        Policies wait for the people that they name only where it matters: else some would wait
        for each other.
        """
        entangled = address.kind == KIND and named.kind in PEOPLE
        return entangled or self.is_last(named) or address in self.waits.get(named, ())

    def is_last(self, address: Address) -> bool:
        """Whether it goes after the flags."""
        return address in self.found and self.found[address].last

    def last(self) -> frozenset[Address]:
        """What goes after the flags."""
        return frozenset(address for address, lean in self.found.items() if lean.last)


def find_gate_effects(changes: Iterable[Change], live: Live) -> GateEffects:
    """Find which way each policy, role, member and default role of these changes leans."""
    moving = tuple(change for change in changes if change.action is not Action.NONE)
    people = any(change.address.kind in PEOPLE for change in moving)
    if not people and not any(change.address.kind == KIND for change in moving):
        return GateEffects()
    held = approvers.list_role_members(live)
    crowds = Membership(held, {}), Membership(approvers.list_planned_members(moving, held), {})
    pairs = tuple(_pairs(moving, live))
    found = {pair.change: _of_policy(pair, crowds) for pair in pairs if pair.change is not None}
    waits: dict[Address, set[Address]] = defaultdict(set)
    if people:
        world = World(moving, live, pairs)
        found |= _of_people(world)
        last = {address for address, lean in found.items() if lean.last}
        for one, other in change_order.edges(world, last):
            waits[one].add(other)
    return GateEffects(found, waits)


def _pairs(changes: Iterable[Change], live: Live) -> Iterator[Pair]:
    """Every policy that gates before the plan or after it."""
    before = approvals_policies.list_live_policies(live)
    touched: set[tuple[Scope, str]] = set()
    for change in changes:
        if change.address.kind != KIND:
            continue
        scope = change.address.parts[:-1]
        old = approvals_policies.find_policy(before.get(scope, {}), change)
        pair = Pair(change.address, old, approvals_policies.predict_policy(change, old))
        if old is not None:
            touched.add((scope, old.action))
        if any(pair.ends()):
            yield pair
    for scope, policies in before.items():
        for action, policy in policies.items():
            if policy.enabled and (scope, action) not in touched:
                yield Pair(None, policy, policy)


def _of_policy(pair: Pair, crowds: tuple[Membership, Membership]) -> GateEffect:
    """A gate that opens or ends is all the one or all the other, whatever else moves."""
    scopes, ends = frozenset({pair.scope}), tuple(pair.ends())
    if not pair.stays:
        return GateEffect(scopes, pair.before in ends, pair.after in ends)
    found = compare(pair.before, pair.after, *crowds)
    return GateEffect(scopes, bool(found.weaker), bool(found.stronger))


def _of_people(world: World) -> Mapping[Address, GateEffect]:
    """Find who comes under a policy or leaves it by a change of people, and where."""
    scopes: dict[Address, set[Scope]] = defaultdict(set)
    weaker: set[Address] = set()
    stronger: set[Address] = set()
    for meeting in world.meetings():
        joins, leaves = _counted(meeting.move, meeting)
        if joins or leaves:
            scopes[meeting.move.change].add(meeting.pair.scope)
        if joins:
            weaker.add(meeting.move.change)
        if leaves:
            stronger.add(meeting.move.change)
    return {
        address: GateEffect(frozenset(where), address in weaker, address in stronger)
        for address, where in scopes.items()
    }


def _counted(move: Move, meeting: change_order.Meeting) -> tuple[frozenset[str], frozenset[str]]:
    """Return who comes under the policy by this move, and who leaves it.

    Where the policy takes the role or the level on, or lets go of it, that is what counts: the
    people are moved while it does not speak of them.
    """
    if not meeting.named_before or (not meeting.named_after and meeting.pair.stays):
        return frozenset(), frozenset()
    if not meeting.pair.stays:
        return move.joins, move.leaves
    return move.joins - meeting.before, move.leaves - meeting.after
