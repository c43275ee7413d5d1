"""Which way each change moves the gates: what goes before the writes that they cover, what after.

A change that only strengthens, or does both, goes before the flags of the projects that it
concerns; one that only weakens goes after them. Policies, and the roles and levels that they
speak of, are several changes of one gate: where one of them first would leave the gate weaker
than it was and than it will be, the other has to go before it. So after any part of a run every
gate is at least as strict as the weaker of before and after.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from reconciler.kind import level_number
from reconciler.model import Action, Address, Change, Live
from reconciler.plan import gate_policies, gate_roles
from reconciler.plan.gate_policies import KIND, Policy, Scope
from reconciler.plan.weakening_order import Crowd, compare
from reconciler.plan.weakening_people import HOWS, named_roles, role_names

_Grant = Callable[[Policy, int], bool]  # whether a policy speaks of it, before (0) and after (1)
_Edge = tuple[Address, Address]  # the first waits for the second


@dataclass(frozen=True, slots=True)
class Lean:
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
class Leans:
    """The changes of a plan that move gates, and which of two such changes goes first."""

    found: Mapping[Address, Lean] = field(default_factory=dict)
    waits: Mapping[Address, set[Address]] = field(default_factory=dict)  # for what else

    def turns(self, address: Address, named: Address) -> bool:
        """Whether what it names does not go before it, as it else would."""
        return self.is_last(named) or address in self.waits.get(named, ())

    def is_last(self, address: Address) -> bool:
        """Whether it goes after the flags."""
        return address in self.found and self.found[address].last

    def last(self) -> frozenset[Address]:
        """What goes after the flags."""
        return frozenset(address for address, lean in self.found.items() if lean.last)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A policy before and after the plan, and the change between the two if there is one."""

    change: Address | None
    before: Policy | None
    after: Policy | None

    def ends(self) -> Iterator[Policy]:
        """The ends at which it gates."""
        for policy in (self.before, self.after):
            if policy is not None and policy.enabled:
                yield policy

    @property
    def scope(self) -> Scope:
        """Its project."""
        return next(policy.address.parts[:-1] for policy in self.ends())


def find(changes: Iterable[Change], live: Live) -> Leans:
    """Which way each policy, role and member of these changes leans."""
    moving = [change for change in changes if change.action is not Action.NONE]
    people = [change for change in moving if change.address.kind in {"Role", "Member"}]
    if not people and not any(change.address.kind == KIND for change in moving):
        return Leans()
    held = gate_roles.members(live)
    crowds = Crowd(held, {}), Crowd(gate_roles.planned_members(tuple(moving), held), {})
    pairs = tuple(_pairs(moving, live))
    found = {pair.change: _of_policy(pair, crowds) for pair in pairs if pair.change is not None}
    waits: dict[Address, set[Address]] = defaultdict(set)
    for change in people:
        here = [pair for pair in pairs if pair.scope[:1] == change.address.parts[:1]]
        grants = _grants(change, held)
        if grants and here:
            found[change.address] = _of_people(grants, here)
            for pair in here:
                for one, other in _tangled(change.address, grants, pair):
                    waits[one].add(other)
    return Leans(found, waits)


def _pairs(changes: Iterable[Change], live: Live) -> Iterator[_Pair]:
    """Every policy that gates before the plan or after it."""
    before = gate_policies.existing(live)
    touched: set[tuple[Scope, str]] = set()
    for change in changes:
        if change.address.kind != KIND:
            continue
        scope = change.address.parts[:-1]
        old = gate_policies.found(before.get(scope, {}), change)
        pair = _Pair(change.address, old, gate_policies.outcome(change, old))
        if old is not None:
            touched.add((scope, old.action))
        if any(pair.ends()):
            yield pair
    for scope, policies in before.items():
        for action, policy in policies.items():
            if policy.enabled and (scope, action) not in touched:
                yield _Pair(None, policy, policy)


def _of_policy(pair: _Pair, crowds: tuple[Crowd, Crowd]) -> Lean:
    """A gate that opens or ends is all the one or all the other, whatever else moves."""
    scopes, ends = frozenset({pair.scope}), tuple(pair.ends())
    if len(ends) == 1 or ends[0].action != ends[1].action:
        return Lean(scopes, pair.before in ends, pair.after in ends)
    found = compare(pair.before, pair.after, *crowds)
    return Lean(scopes, bool(found.weaker), bool(found.stronger))


def _of_people(grants: Iterable[_Grant], here: Iterable[_Pair]) -> Lean:
    """Who comes under a policy, who leaves it, and in which projects."""
    scopes, weaker, stronger = set(), False, False
    for pair, grant in product(here, grants):
        for policy in pair.ends():
            before, after = grant(policy, 0), grant(policy, 1)
            if before is not after:
                scopes.add(pair.scope)
                weaker, stronger = weaker or after, stronger or before
    return Lean(frozenset(scopes), weaker, stronger)


def _grants(change: Change, held: gate_roles.Members) -> tuple[_Grant, ...]:
    """What the change gives or takes: whether a policy speaks of somebody, before and after it."""
    if change.action is not Action.UPDATE:  # a new role is named by nothing yet, one that goes
        return ()  # takes only, and goes last
    if change.address.kind == "Member":
        levels = [level_number(one) for one in _levels(change)]
        return ((lambda policy, moved: levels[moved] in _bypass_levels(policy)),) if levels else ()
    names = role_names(change)
    before, after = _holders(change, names, held)
    kinds = [(False, True)] * bool(after - before) + [(True, False)] * bool(before - after)
    return tuple(_by_role(names, how, holds) for how in HOWS for holds in kinds)


def _by_role(names: Collection[str], how: str, holds: tuple[bool, bool]) -> _Grant:
    """Somebody who comes into a role, or leaves it, and what policies name it for."""
    return lambda policy, moved: holds[moved] and not named_roles(policy, how).isdisjoint(names)


def _holders(
    change: Change, names: Iterable[str], held: gate_roles.Members
) -> tuple[set[str], set[str]]:
    """Who holds the role before and after, by lower-case email."""
    organization, name = change.address.organization, change.address.name.casefold()
    planned = gate_roles.planned_members((change,), held).get((organization, name), ())
    before = {email.lower() for one in names for email in held.get((organization, one), ())}
    return before, {email.lower() for email in planned}


def _levels(change: Change) -> tuple[str | int, ...]:
    """The level before and after."""
    return next(((one.live, one.desired) for one in change.fields if one.path == "level"), ())


def _bypass_levels(policy: Policy) -> set[int]:
    return {level_number(level) for level in policy.spec.get("bypass_levels") or ()}


def _tangled(address: Address, grants: Iterable[_Grant], pair: _Pair) -> Iterator[_Edge]:
    """Which of a policy and its people has to wait, where the other way round lets somebody in."""
    old, new = pair.before, pair.after
    if pair.change is None or old is None or new is None or not (old.enabled and new.enabled):
        return  # at one end nothing is gated: nothing in between can be weaker
    for grant in grants:
        if grant(old, 0) or grant(new, 1):
            continue
        if grant(new, 0):
            yield pair.change, address
        if grant(old, 1):
            yield address, pair.change
