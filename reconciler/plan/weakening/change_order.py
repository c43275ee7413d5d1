"""The order of changes to one gate: a policy, and the people in the groups that it names.

    the policy               people               first
    starts to name a group   join or leave it     the people: the group is complete by then
    stops naming a group     join it              the policy: nobody gets access in between
    names two groups         move between them    the new one: nobody loses access in between

A group is a role or a level; in the last row it may also be the list of users. That row matters
because giving access back to somebody who lost it would be a weakening.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.model import Action, Address, Change, Live, level_number
from reconciler.plan.approvals.approvers import Members, list_planned_members, list_role_members
from reconciler.plan.approvals.policies import Policy, Scope
from reconciler.plan.weakening.membership import (
    HOWS,
    JOINER,
    Group,
    groups,
    is_in,
    live_crowd,
    planned_crowd,
    role_names,
)

_Edge = tuple[Address, Address]  # the first waits for the second


@dataclass(frozen=True, slots=True)
class Pair:
    """A policy before and after the plan, and the change between the two if there is one."""

    change: Address | None
    before: Policy | None
    after: Policy | None

    def ends(self) -> Iterator[Policy]:
        """Yield the ends at which it gates."""
        for policy in (self.before, self.after):
            if policy is not None and policy.enabled:
                yield policy

    @property
    def scope(self) -> Scope:
        """Its project."""
        return next(policy.address.parts[:-1] for policy in self.ends())

    @property
    def stays(self) -> bool:
        """Return whether the same action is gated before and after."""
        ends = tuple(self.ends())
        return len(ends) > 1 and ends[0].action == ends[1].action


@dataclass(frozen=True, slots=True)
class Move:
    """People who come into a group, or leave it, by one change; a renamed role has two names."""

    change: Address
    groups: frozenset[Group]
    joins: frozenset[str]
    leaves: frozenset[str]


@dataclass(frozen=True, slots=True)
class Meeting:
    """A move, and a policy that speaks of its group at one end at least."""

    move: Move
    pair: Pair
    how: str
    named_before: bool
    named_after: bool
    before: frozenset[str]  # everybody who may approve, or is let through
    after: frozenset[str]


class World:
    """People and policies at both ends of a plan, and the moves between them."""

    def __init__(self, changes: tuple[Change, ...], live: Live, pairs: Iterable[Pair]) -> None:
        self.moves = tuple(_moves(changes, list_role_members(live)))
        self.before, self.after = live_crowd(live), planned_crowd(changes, live)
        self._pairs: dict[tuple[str, Group], list[Pair]] = defaultdict(list)
        for pair in pairs:
            for how in HOWS:
                for group in set().union(*(groups(policy, how) for policy in pair.ends())):
                    self._pairs[how, group].append(pair)
        self._known: dict[tuple[int, str], tuple[frozenset[str], frozenset[str]]] = {}

    def meetings(self) -> Iterator[Meeting]:
        """Yield every move with every policy that names its group."""
        for move in self.moves:
            for how in HOWS:
                met = {id(p): p for group in move.groups for p in self._pairs.get((how, group), ())}
                for pair in met.values():
                    before, after = (
                        any(not move.groups.isdisjoint(groups(one, how)) for one in _on(policy))
                        for policy in (pair.before, pair.after)
                    )
                    yield Meeting(move, pair, how, before, after, *self.people(pair, how))

    def people(self, pair: Pair, how: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return whom a policy lets approve, or lets through, before and after."""
        key = id(pair), how
        if key not in self._known:
            before, after = (
                frozenset[str]().union(*(crowd.people(one, how) for one in _on(policy)))
                for policy, crowd in ((pair.before, self.before), (pair.after, self.after))
            )
            self._known[key] = before, after
        return self._known[key]


def _on(policy: Policy | None) -> tuple[Policy, ...]:
    """Return the policy if it gates."""
    return (policy,) if policy is not None and policy.enabled else ()


def _moves(changes: Iterable[Change], held: Members) -> Iterator[Move]:
    """Yield who comes and goes; new roles are in no policy yet, deleted ones go last."""
    for change in changes:
        organization = change.address.organization
        fields = {one.path: (one.live, one.desired) for one in change.fields}
        if change.address.kind == "Role" and change.action is Action.UPDATE:
            names = role_names(change)
            before, after = _holders(change, names, held)
            if before != after:
                known = frozenset((organization, name) for name in names)
                yield Move(change.address, known, after - before, before - after)
        elif change.address.kind == "Member" and "level" in fields:
            person, none = frozenset({change.address.name.lower()}), frozenset[str]()
            old, new = (frozenset({(organization, level_number(one))}) for one in fields["level"])
            yield Move(change.address, new, person, none)
            yield Move(change.address, old, none, person)
        elif change.address.kind == "Organization" and "default_role" in fields:
            joiner, none = frozenset({JOINER}), frozenset[str]()
            for role, sides in zip(
                fields["default_role"], ((none, joiner), (joiner, none)), strict=True
            ):
                if isinstance(role, str):
                    known = frozenset({(organization, role.casefold())})
                    yield Move(change.address, known, *sides)


def _holders(
    change: Change, names: Iterable[str], held: Members
) -> tuple[frozenset[str], frozenset[str]]:
    """Return who holds the role before and after, by lower-case email."""
    organization, name = change.address.organization, change.address.name.casefold()
    planned = list_planned_members((change,), held).get((organization, name), ())
    before = (email.lower() for one in names for email in held.get((organization, one), ()))
    return frozenset(before), frozenset(email.lower() for email in planned)


def edges(world: World, last: Collection[Address]) -> Iterator[_Edge]:
    """Yield which of a policy and its people waits for which; `last` goes after the flags.

    Only what lets nobody in for a moment is asked of a change that goes last: it is a weakening
    itself, so it is refused, or allowed for the rest of it as well.
    """
    met: dict[tuple[int, str], list[Meeting]] = defaultdict(list)
    for meeting in world.meetings():
        if meeting.pair.change is not None:
            yield from _turns(meeting, meeting.pair.change, last)
        if meeting.pair.stays:
            met[id(meeting.pair), meeting.how].append(meeting)
    for meetings in met.values():
        for loses, gains in _ways(world, meetings):
            if gains not in last:
                yield loses, gains


def _turns(meeting: Meeting, policy: Address, last: Collection[Address]) -> Iterator[_Edge]:
    """Yield who waits for whom when a policy starts or stops to name a group with moves."""
    move = meeting.move
    if meeting.named_after and not meeting.named_before:
        if move.leaves or move.change not in last:
            yield policy, move.change
    elif meeting.named_before and not meeting.named_after and meeting.pair.stays and move.joins:
        yield move.change, policy


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to come under a policy: who ends it, and who opens it. `""` is the list of users."""

    ends: set[Address] = field(default_factory=set)
    opens: set[Address] = field(default_factory=set)


def _ways(world: World, meetings: Sequence[Meeting]) -> Iterator[_Edge]:
    """Yield (what closes one way for a person, what opens another) where both happen."""
    by: dict[str, dict[Group, Address]] = defaultdict(dict)
    pair, how = meetings[0].pair, meetings[0].how
    for meeting in meetings:
        move = meeting.move
        for person in (move.joins | move.leaves) & meeting.before & meeting.after:
            by[person].update(dict.fromkeys(move.groups, move.change))
    for person, moved in by.items():
        way = _way(world, pair, how, person, moved)
        yield from ((one, other) for one in way.ends for other in way.opens if one != other)


def _way(world: World, pair: Pair, how: str, person: str, moved: Mapping[Group, Address]) -> _Way:
    """Return who closes and who opens a person's ways, unless one stays open."""
    found, policy = _Way(), pair.change
    sides = ((pair.before, world.before), (pair.after, world.after))
    listed = [policy is not None and person in _listed(policy, how) for policy, _ in sides]
    named = [groups(policy, how) if policy is not None else set() for policy, _ in sides]
    inside = [
        {group for group in some if is_in(crowd, group, person)}
        for some, (_, crowd) in zip(named, sides, strict=True)
    ]
    if all(listed) or inside[0] & inside[1]:
        return _Way()
    for group in inside[1]:
        who = moved.get(group) if group in named[0] else policy
        found.opens.update({who} if who is not None else ())
    for group in inside[0]:
        found.ends.update(one for one in (moved.get(group),) if one is not None)
        if group not in named[1] and policy is not None:
            found.ends.add(policy)
    if policy is not None and listed[0] != listed[1]:
        (found.ends if listed[0] else found.opens).add(policy)
    return found


def _listed(policy: Policy, how: str) -> set[str]:
    """Return the people that a policy names itself."""
    if how == "bypass":
        return set()
    return {str(email).lower() for email in (policy.spec.get("approvers") or {}).get("users") or ()}
