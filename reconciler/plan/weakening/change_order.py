"""Order the changes to one gate: a policy, and the people in the groups that it names.

    the policy               people               first
    starts to name a group   join or leave it     the people: the group is then complete
    stops naming a group     join it              the policy: nobody gets access in between
    names two groups         move between them    the new one: nobody loses access in between

A group is a role or a level; in the last row it may also be the list of users. That row matters
because giving access back to somebody who lost it would be a weakening.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Change, Live, parse_level
from reconciler.plan.approvals.approvers import Members, list_planned_members, list_role_members
from reconciler.plan.approvals.policies import Policy, Scope
from reconciler.plan.weakening.membership import (
    NEW_MEMBER,
    PURPOSES,
    Group,
    build_live_membership,
    build_planned_membership,
    is_in,
    list_groups,
    list_role_names,
)

_Edge = tuple[Address, Address]  # the first waits for the second


@dataclass(frozen=True, slots=True)
class PolicyPair:
    """A policy before and after the plan, and the change between the two if there is one."""

    change: Address | None
    before: Policy | None
    after: Policy | None

    def list_enabled(self) -> Iterator[Policy]:
        """Yield the policies, before and after, that are enabled."""
        for policy in (self.before, self.after):
            if policy is not None and policy.enabled:
                yield policy

    @property
    def scope(self) -> Scope:
        """Return the project."""
        return next(policy.address.parts[:-1] for policy in self.list_enabled())

    @property
    def is_kept(self) -> bool:
        """Return whether the same action is gated before and after."""
        enabled = tuple(self.list_enabled())
        return len(enabled) > 1 and enabled[0].action == enabled[1].action


@dataclass(frozen=True, slots=True)
class MembershipMove:
    """People who join or leave a group by one change; a renamed role has two names."""

    change: Address
    groups: frozenset[Group]
    joins: frozenset[str]
    leaves: frozenset[str]


@dataclass(frozen=True, slots=True)
class PolicyImpact:
    """A move, and a policy that names its group before or after the plan."""

    move: MembershipMove
    pair: PolicyPair
    purpose: str
    named_before: bool
    named_after: bool
    before: frozenset[str]  # everybody who may approve, or bypasses the policy
    after: frozenset[str]


class MembershipTransition:
    """People and policies before and after a plan, and the moves between them."""

    def __init__(
        self, changes: tuple[Change, ...], live: Live, pairs: Iterable[PolicyPair]
    ) -> None:
        self.moves = tuple(_list_moves(changes, list_role_members(live)))
        self.before, self.after = (
            build_live_membership(live),
            build_planned_membership(changes, live),
        )
        self._pairs: dict[tuple[str, Group], list[PolicyPair]] = defaultdict(list)
        for pair in pairs:
            for purpose in PURPOSES:
                for group in set().union(
                    *(list_groups(policy, purpose) for policy in pair.list_enabled())
                ):
                    self._pairs[purpose, group].append(pair)
        self._known: dict[tuple[int, str], tuple[frozenset[str], frozenset[str]]] = {}

    def list_impacts(self) -> Iterator[PolicyImpact]:
        """Yield every move with every policy that names its group."""
        for move in self.moves:
            for purpose in PURPOSES:
                pairs = {
                    id(p): p for group in move.groups for p in self._pairs.get((purpose, group), ())
                }
                for pair in pairs.values():
                    before, after = (
                        any(
                            not move.groups.isdisjoint(list_groups(enabled, purpose))
                            for enabled in _list_enabled(policy)
                        )
                        for policy in (pair.before, pair.after)
                    )
                    yield PolicyImpact(
                        move, pair, purpose, before, after, *self.find_covered_people(pair, purpose)
                    )

    def find_covered_people(
        self, pair: PolicyPair, purpose: str
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Return who may approve, or bypasses the policy, before and after."""
        cache_key = id(pair), purpose
        if cache_key not in self._known:
            before, after = (
                frozenset[str]().union(
                    *(membership.list_people(enabled, purpose) for enabled in _list_enabled(policy))
                )
                for policy, membership in ((pair.before, self.before), (pair.after, self.after))
            )
            self._known[cache_key] = before, after
        return self._known[cache_key]


def _list_enabled(policy: Policy | None) -> tuple[Policy, ...]:
    """Return the policy if it is enabled."""
    return (policy,) if policy is not None and policy.enabled else ()


def _list_moves(changes: Iterable[Change], live_members: Members) -> Iterator[MembershipMove]:
    """Yield who joins and leaves; new roles are not in policies yet, deleted ones come last."""
    for change in changes:
        organization = change.address.organization
        fields = {edit.path: (edit.live, edit.desired) for edit in change.fields}
        if change.address.kind == "Role" and change.action is Action.UPDATE:
            names = list_role_names(change)
            before, after = _find_holders(change, names, live_members)
            if before != after:
                role_groups = frozenset((organization, name) for name in names)
                yield MembershipMove(change.address, role_groups, after - before, before - after)
        elif change.address.kind == "Member" and "level" in fields:
            person, nobody = frozenset({change.address.name.lower()}), frozenset[str]()
            old, new = (
                frozenset({(organization, parse_level(level))}) for level in fields["level"]
            )
            yield MembershipMove(change.address, new, person, nobody)
            yield MembershipMove(change.address, old, nobody, person)
        elif change.address.kind == "Organization" and "default_role" in fields:
            joiner, nobody = frozenset({NEW_MEMBER}), frozenset[str]()
            for role, sides in zip(
                fields["default_role"], ((nobody, joiner), (joiner, nobody)), strict=True
            ):
                if isinstance(role, str):
                    role_groups = frozenset({(organization, role.casefold())})
                    yield MembershipMove(change.address, role_groups, *sides)


def _find_holders(
    change: Change, names: Iterable[str], live_members: Members
) -> tuple[frozenset[str], frozenset[str]]:
    """Return who holds the role before and after, by lower-case email."""
    organization, name = change.address.organization, change.address.name.casefold()
    planned = list_planned_members((change,), live_members).get((organization, name), ())
    before = (
        email.lower()
        for role_name in names
        for email in live_members.get((organization, role_name), ())
    )
    return frozenset(before), frozenset(email.lower() for email in planned)


def find_edges(transition: MembershipTransition, last: Collection[Address]) -> Iterator[_Edge]:
    """Yield which of a policy and its people waits for which; `last` are applied after the flags.

    A change that is applied last only must not give access for a moment: it is a weakening itself,
    so it is refused, or allowed with everything else that it does.
    """
    kept_impacts: dict[tuple[int, str], list[PolicyImpact]] = defaultdict(list)
    for impact in transition.list_impacts():
        if impact.pair.change is not None:
            yield from _order_naming(impact, impact.pair.change, last)
        if impact.pair.is_kept:
            kept_impacts[id(impact.pair), impact.purpose].append(impact)
    for impacts in kept_impacts.values():
        for loses, gains in _order_access_changes(transition, impacts):
            if gains not in last:
                yield loses, gains


def _order_naming(
    impact: PolicyImpact, policy: Address, last: Collection[Address]
) -> Iterator[_Edge]:
    """Yield which change waits when a policy starts or stops naming a group with moves."""
    move = impact.move
    if impact.named_after and not impact.named_before:
        if move.leaves or move.change not in last:
            yield policy, move.change
    elif impact.named_before and not impact.named_after and impact.pair.is_kept and move.joins:
        yield move.change, policy


@dataclass(frozen=True, slots=True)
class _AccessChange:
    """The changes that end a person's access under a policy, and those that open it."""

    ends: set[Address] = field(default_factory=set)
    opens: set[Address] = field(default_factory=set)


def _order_access_changes(
    transition: MembershipTransition, impacts: Sequence[PolicyImpact]
) -> Iterator[_Edge]:
    """Yield (what ends access for a person, what opens it again) where both happen."""
    moves_of: dict[str, dict[Group, Address]] = defaultdict(dict)
    pair, purpose = impacts[0].pair, impacts[0].purpose
    for impact in impacts:
        move = impact.move
        for person in (move.joins | move.leaves) & impact.before & impact.after:
            moves_of[person].update(dict.fromkeys(move.groups, move.change))
    for person, person_moves in moves_of.items():
        access = _find_access_change(transition, pair, purpose, person, person_moves)
        yield from (
            (ending, opening)
            for ending in access.ends
            for opening in access.opens
            if ending != opening
        )


def _find_access_change(
    transition: MembershipTransition,
    pair: PolicyPair,
    purpose: str,
    person: str,
    person_moves: Mapping[Group, Address],
) -> _AccessChange:
    """Return the changes that end or open a person's access, unless part of it is kept."""
    access, policy = _AccessChange(), pair.change
    states = ((pair.before, transition.before), (pair.after, transition.after))
    listed = [
        policy is not None and person in _list_named_users(policy, purpose) for policy, _ in states
    ]
    named = [list_groups(policy, purpose) if policy is not None else set() for policy, _ in states]
    inside = [
        {group for group in named_groups if is_in(membership, group, person)}
        for named_groups, (_, membership) in zip(named, states, strict=True)
    ]
    if all(listed) or inside[0] & inside[1]:
        return _AccessChange()
    for group in inside[1]:
        opening = person_moves.get(group) if group in named[0] else policy
        access.opens.update({opening} if opening is not None else ())
    for group in inside[0]:
        access.ends.update(ending for ending in (person_moves.get(group),) if ending is not None)
        if group not in named[1] and policy is not None:
            access.ends.add(policy)
    if policy is not None and listed[0] != listed[1]:
        (access.ends if listed[0] else access.opens).add(policy)
    return access


def _list_named_users(policy: Policy, purpose: str) -> set[str]:
    """Return the people whom a policy lists by email."""
    if purpose == "bypass":
        return set()
    return {str(email).lower() for email in (policy.spec.get("approvers") or {}).get("users") or ()}
