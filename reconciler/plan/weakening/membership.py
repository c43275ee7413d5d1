"""Weakening without touching a policy: who holds a role, whose level is what, a role that goes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.model import LEVELS, Action, Change, Live, level_number
from reconciler.plan.approvals.approvers import (
    Members,
    list_planned_levels,
    list_planned_members,
    list_role_members,
)
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.weakening.compare import Membership

HOWS: Final = ("approvers", "bypass")  # what a policy names a role for
PEOPLE: Final = frozenset({"Role", "Member", "Organization"})  # kinds that say who is in what
JOINER: Final = "*"  # every new member: gets the default role
_ADMIN: Final = LEVELS["admin"]
Group = tuple[str, str | int]  # organization, and a folded role name or the number of a level
_Pair = tuple[Policy, Policy]  # before and after the plan


@dataclass(frozen=True, slots=True)
class Gain:
    """Somebody who comes under a policy without a change of it, and the policy before and after."""

    old: Policy
    new: Policy
    how: str
    person: str  # by lower-case email
    text: str


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """What a change of a role or a member does to the policies of its organization."""

    weaker: tuple[Gain, ...] = ()
    possible: tuple[str, ...] = ()  # nothing is weaker yet, but it takes one step less


class Effects:
    """Roles and levels before and after the plan, and the policies that stay."""

    def __init__(self, changes: tuple[Change, ...], live: Live, policies: Iterable[_Pair]) -> None:
        """`policies` are (before, after) of every policy that is there before and after."""
        held = list_role_members(live)
        known = levels(live)
        self.before = Membership(held, known)
        self.after = Membership(
            list_planned_members(changes, held), {**known, **list_planned_levels(changes)}
        )
        staying = [(old, new) for old, new in policies if new.enabled]
        # Said in this order whatever the order of the listings.
        self._policies = sorted(staying, key=lambda pair: (pair[1].address, pair[0].address))

    def of(self, change: Change) -> MembershipChange:
        """What this change does; nothing for kinds that have no people."""
        here = [
            pair
            for pair in self._policies
            if pair[1].address.organization == change.address.organization
        ]
        match change.address.kind:
            case "Role" if change.action is Action.DELETE:
                return MembershipChange(weaker=tuple(_dangling(change, here)))
            case "Role":
                return MembershipChange(weaker=tuple(self._wider(change, here)))
            case "Member":
                return self._level(change, here)
            case "Organization":
                return MembershipChange(weaker=tuple(_joiners(change, here)))
            case _:
                return MembershipChange()

    def _wider(self, change: Change, here: list[_Pair]) -> Iterator[Gain]:
        """Find who joins a role that a policy names, and gains by it."""
        organization, names = change.address.organization, role_names(change)
        now = self.after.members.get((organization, change.address.name.casefold()), ())
        joined = {email.lower() for email in now}
        for name in names:
            joined -= {e.lower() for e in self.before.members.get((organization, name), ())}
        for old, new in here:
            for how in HOWS:
                if names & named_roles(old, how) and names & named_roles(new, how):
                    for email in sorted(joined & self._gained(old, new, how)):
                        yield _gain(old, new, how, email)

    def _gained(self, old: Policy, new: Policy, how: str) -> frozenset[str]:
        return self.after.people(new, how) - self.before.people(old, how)

    def _level(self, change: Change, here: list[_Pair]) -> MembershipChange:
        email = change.address.name.lower()
        weaker = tuple(
            _gain(old, new, "bypass", email)
            for old, new in here
            if email in self._gained(old, new, "bypass")
        )
        key = (change.address.organization, email)
        rises = self.before.levels.get(key, 0) < _ADMIN <= self.after.levels.get(key, 0)
        said = f"{email} may change and delete the policies of {change.address.organization}"
        return MembershipChange(weaker, (said,) if rises and here else ())


def _gain(old: Policy, new: Policy, how: str, email: str) -> Gain:
    does = "bypasses" if how == "bypass" else "may approve under"
    return Gain(old, new, how, email, f"{email} {does} {new.address}")


def levels(live: Live) -> Mapping[tuple[str, str], int]:
    """The level of everybody whose level was read."""
    levels = {
        (organization, email.lower()): person.level
        for organization, people in live.people.items()
        for email, person in people.items()
        if person.level is not None
    }
    for address, there in live.resources.items():
        if address.kind == "Member" and "level" in there.spec:
            levels[address.organization, address.name.lower()] = level_number(there.spec["level"])
    return levels


def role_names(change: Change) -> set[str]:
    """The folded names by which policies know a role, two while the plan renames it."""
    before = {str(one.live) for one in change.fields if one.path == "metadata.name"}
    return {name.casefold() for name in {change.address.name, *before}}


def named_roles(policy: Policy, how: str) -> set[str]:
    """The folded names of the roles that a policy lets approve, or lets through."""
    if how == "bypass":
        roles = policy.spec.get("bypass_roles")
    else:
        roles = (policy.spec.get("approvers") or {}).get("roles")
    return {str(role).casefold() for role in roles or ()}


def _dangling(change: Change, here: list[_Pair]) -> Iterator[Gain]:
    """A role that goes leaves its id in `approvers`, where nobody can hold it (contract 8.1)."""
    for old, new in here:
        if role_names(change) & named_roles(new, "approvers"):
            text = f"{new.address} still names it as an approver"
            yield Gain(old, new, "approvers", "", text)


def _joiners(change: Change, here: list[_Pair]) -> Iterator[Gain]:
    """Find gains by a default role: new members get it instead of the former one."""
    moved = [(one.live, one.desired) for one in change.fields if one.path == "default_role"]
    for former, role in moved:
        for old, new in here if isinstance(role, str) else ():
            for how, what in (("approvers", "may approve under"), ("bypass", "bypasses")):
                had = str(former).casefold() in named_roles(old, how)
                if str(role).casefold() in named_roles(new, how) and not had:
                    text = f"every new member gets the role {role}, which {what} {new.address}"
                    yield Gain(old, new, how, JOINER, text)


def groups(policy: Policy, how: str) -> set[Group]:
    """Return the roles and levels that a policy lets approve, or lets through."""
    organization = policy.address.organization
    found: set[Group] = {(organization, name) for name in named_roles(policy, how)}
    if how == "bypass":
        named = policy.spec.get("bypass_levels") or ()
        found.update((organization, level_number(level)) for level in named)
    return found


def is_in(crowd: Membership, group: Group, person: str) -> bool:
    """Return whether a person, by lower-case email, is in a group."""
    organization, name = group
    if isinstance(name, int):
        return crowd.levels.get((organization, person)) == name
    return any(email.lower() == person for email in crowd.members.get((organization, name), ()))


def default_roles(live: Live) -> Mapping[str, str]:
    """Return the role that new members of an organization get, where there is one."""
    there = (one for one in live.resources.values() if one.address.kind == "Organization")
    found = {one.address.organization: one.spec.get("default_role") for one in there}
    return {slug: role for slug, role in found.items() if isinstance(role, str)}


def planned_default_roles(changes: Iterable[Change]) -> Mapping[str, str]:
    """Return the default roles that the plan sets; the empty name where it sets none."""
    return {
        change.address.organization: one.desired if isinstance(one.desired, str) else ""
        for change in changes
        if change.address.kind == "Organization"
        for one in change.fields
        if one.path == "default_role"
    }


def with_joiners(held: Members, roles: Mapping[str, str]) -> Members:
    """Return who holds which role, with new members among the holders of a default role."""
    found = dict(held)
    for organization, role in roles.items():
        key = organization, role.casefold()
        found[key] = (*found.get(key, ()), JOINER)
    return found


def live_crowd(live: Live) -> Membership:
    """Return who has which role and level now, with new members in the default role."""
    return Membership(with_joiners(list_role_members(live), default_roles(live)), levels(live))


def planned_crowd(changes: tuple[Change, ...], live: Live) -> Membership:
    """Return who has which role and level after the plan, with new members in the default role."""
    roles = {**default_roles(live), **planned_default_roles(changes)}
    held = with_joiners(list_planned_members(changes, list_role_members(live)), roles)
    return Membership(held, {**levels(live), **list_planned_levels(changes)})
