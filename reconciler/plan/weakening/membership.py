"""Find weakenings without a change of the policy: by role members, levels, or deleted roles."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import LEVELS, Action, Change, Live, parse_level
from reconciler.plan.approvals.approvers import (
    Members,
    list_planned_levels,
    list_planned_members,
    list_role_members,
)
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.weakening.compare import Membership

PURPOSES: Final = ("approvers", "bypass")  # what a policy names a role for
PEOPLE: Final = {"Role": "members", "Member": "level", "Organization": "default_role"}
"""Kinds that have people, with the field that decides who may approve."""
NEW_MEMBER: Final = "*"  # stands for every new member, who gets the default role
_ADMIN: Final = LEVELS["admin"]
Group = tuple[str, str | int]  # organization, and a folded role name or the number of a level
_Pair = tuple[Policy, Policy]  # before and after the plan


@dataclass(frozen=True, slots=True)
class Gain:
    """A person who gains approval or bypass under a policy, and the policy before and after."""

    old: Policy
    new: Policy
    purpose: str
    person: str  # by lower-case email
    text: str


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """The effect of a change of a role or a member on the policies of its organization."""

    weaker: tuple[Gain, ...] = ()
    possible: tuple[str, ...] = ()  # not weaker yet, but somebody may now change policies


class MembershipEffects:
    """Roles and levels before and after the plan, and the policies that are kept."""

    def __init__(self, changes: tuple[Change, ...], live: Live, policies: Iterable[_Pair]) -> None:
        """Index the people; `policies` are (before, after) of every policy that is kept."""
        live_members = list_role_members(live)
        live_levels = list_levels(live)
        self.before = Membership(live_members, live_levels)
        self.after = Membership(
            list_planned_members(changes, live_members),
            {**live_levels, **list_planned_levels(changes)},
        )
        enabled = [(old, new) for old, new in policies if new.enabled]
        # Sorted, so that findings do not depend on the order of listings.
        self._policies = sorted(enabled, key=lambda pair: (pair[1].address, pair[0].address))

    def find_effect(self, change: Change) -> MembershipChange:
        """Return the effect of a change; no effect for kinds that have no people."""
        pairs = [
            pair
            for pair in self._policies
            if pair[1].address.organization == change.address.organization
        ]
        match change.address.kind:
            case "Role" if change.action is Action.DELETE:
                return MembershipChange(weaker=tuple(_find_dangling_roles(change, pairs)))
            case "Role":
                return MembershipChange(weaker=tuple(self._find_joined(change, pairs)))
            case "Member":
                return self._check_level(change, pairs)
            case "Organization":
                return MembershipChange(weaker=tuple(_find_default_role_gains(change, pairs)))
            case _:
                return MembershipChange()

    def _find_joined(self, change: Change, pairs: list[_Pair]) -> Iterator[Gain]:
        """Yield who joins a role that a policy names, and gains something by it."""
        organization, names = change.address.organization, list_role_names(change)
        members = self.after.members.get((organization, change.address.name.casefold()), ())
        joined = {email.lower() for email in members}
        for name in names:
            joined -= {e.lower() for e in self.before.members.get((organization, name), ())}
        for old, new in pairs:
            for purpose in PURPOSES:
                if names & list_named_roles(old, purpose) and names & list_named_roles(
                    new, purpose
                ):
                    for email in sorted(joined & self._find_gained(old, new, purpose)):
                        yield _build_gain(old, new, purpose, email)

    def _find_gained(self, old: Policy, new: Policy, purpose: str) -> frozenset[str]:
        return self.after.list_people(new, purpose) - self.before.list_people(old, purpose)

    def _check_level(self, change: Change, pairs: list[_Pair]) -> MembershipChange:
        email = change.address.name.lower()
        weaker = tuple(
            _build_gain(old, new, "bypass", email)
            for old, new in pairs
            if email in self._find_gained(old, new, "bypass")
        )
        key = (change.address.organization, email)
        becomes_admin = self.before.levels.get(key, 0) < _ADMIN <= self.after.levels.get(key, 0)
        text = f"{email} may change and delete the policies of {change.address.organization}"
        return MembershipChange(weaker, (text,) if becomes_admin and pairs else ())


def _build_gain(old: Policy, new: Policy, purpose: str, email: str) -> Gain:
    verb = "bypasses" if purpose == "bypass" else "may approve under"
    return Gain(old, new, purpose, email, f"{email} {verb} {new.address}")


def list_levels(live: Live) -> Mapping[tuple[str, str], int]:
    """Return the level of everybody whose level was read."""
    by_person = {
        (organization, email.lower()): person.level
        for organization, people in live.people.items()
        for email, person in people.items()
        if person.level is not None
    }
    for address, live_member in live.resources.items():
        if address.kind == "Member" and "level" in live_member.spec:
            by_person[address.organization, address.name.lower()] = parse_level(
                live_member.spec["level"]
            )
    return by_person


def list_role_names(change: Change) -> set[str]:
    """Return the folded names that policies have for a role: two if the plan renames it."""
    before = {str(field.live) for field in change.fields if field.path == "metadata.name"}
    return {name.casefold() for name in {change.address.name, *before}}


def list_named_roles(policy: Policy, purpose: str) -> set[str]:
    """Return the folded names of the roles that may approve, or bypass the policy."""
    if purpose == "bypass":
        roles = policy.spec.get("bypass_roles")
    else:
        roles = (policy.spec.get("approvers") or {}).get("roles")
    return {str(role).casefold() for role in roles or ()}


def _find_dangling_roles(change: Change, pairs: list[_Pair]) -> Iterator[Gain]:
    """Yield policies that keep the id of a deleted role in `approvers` (contract 8.1)."""
    for old, new in pairs:
        if list_role_names(change) & list_named_roles(new, "approvers"):
            text = f"{new.address} still names it as an approver"
            yield Gain(old, new, "approvers", "", text)


def _find_default_role_gains(change: Change, pairs: list[_Pair]) -> Iterator[Gain]:
    """Yield gains by a default role: new members get it instead of the former one."""
    role_changes = [
        (field.live, field.desired) for field in change.fields if field.path == "default_role"
    ]
    for old_role, role in role_changes:
        for old, new in pairs if isinstance(role, str) else ():
            for purpose, verb in (("approvers", "may approve under"), ("bypass", "bypasses")):
                had_before = str(old_role).casefold() in list_named_roles(old, purpose)
                if str(role).casefold() in list_named_roles(new, purpose) and not had_before:
                    text = f"every new member gets the role {role}, which {verb} {new.address}"
                    yield Gain(old, new, purpose, NEW_MEMBER, text)


def list_groups(policy: Policy, purpose: str) -> set[Group]:
    """Return the roles and levels that a policy lets approve, or lets through."""
    organization = policy.address.organization
    result: set[Group] = {(organization, name) for name in list_named_roles(policy, purpose)}
    if purpose == "bypass":
        named = policy.spec.get("bypass_levels") or ()
        result.update((organization, parse_level(level)) for level in named)
    return result


def is_in(membership: Membership, group: Group, person: str) -> bool:
    """Return whether a person, by lower-case email, is in a group."""
    organization, name = group
    if isinstance(name, int):
        return membership.levels.get((organization, person)) == name
    return any(
        email.lower() == person for email in membership.members.get((organization, name), ())
    )


def list_default_roles(live: Live) -> Mapping[str, str]:
    """Return the role that new members of an organization get, where there is one."""
    roles = {
        address.organization: resource.spec.get("default_role")
        for address, resource in live.resources.items()
        if address.kind == "Organization"
    }
    return {slug: role for slug, role in roles.items() if isinstance(role, str)}


def list_planned_default_roles(changes: Iterable[Change]) -> Mapping[str, str]:
    """Return the default roles that the plan sets; the empty name where it removes one."""
    return {
        change.address.organization: field.desired if isinstance(field.desired, str) else ""
        for change in changes
        if change.address.kind == "Organization"
        for field in change.fields
        if field.path == "default_role"
    }


def add_new_members(members: Members, roles: Mapping[str, str]) -> Members:
    """Return the members of each role, with new members among those of a default role."""
    result = dict(members)
    for organization, role in roles.items():
        key = organization, role.casefold()
        result[key] = (*result.get(key, ()), NEW_MEMBER)
    return result


def build_live_membership(live: Live) -> Membership:
    """Return the live roles and levels, with new members in the default role."""
    return Membership(
        add_new_members(list_role_members(live), list_default_roles(live)), list_levels(live)
    )


def build_planned_membership(changes: tuple[Change, ...], live: Live) -> Membership:
    """Return the planned roles and levels, with new members in the default role."""
    roles = {**list_default_roles(live), **list_planned_default_roles(changes)}
    members = add_new_members(list_planned_members(changes, list_role_members(live)), roles)
    return Membership(members, {**list_levels(live), **list_planned_levels(changes)})
