"""Weakening without touching a policy: who holds a role, whose level is what, a role that goes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.kind import LEVELS, level_number
from reconciler.model import Action, Change, Live
from reconciler.plan.gate_policies import Policy
from reconciler.plan.gate_roles import members, planned_levels, planned_members
from reconciler.plan.weakening_order import Crowd

HOWS: Final = ("approvers", "bypass")  # what a policy names a role for
_ADMIN: Final = LEVELS["admin"]
_Pair = tuple[Policy, Policy]  # before and after the plan


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change of a role or a member does to the policies of its organization."""

    weaker: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()  # nothing is weaker yet, but it takes one step less


class Effects:
    """Roles and levels before and after the plan, and the policies that stay."""

    def __init__(self, changes: tuple[Change, ...], live: Live, policies: Iterable[_Pair]) -> None:
        """`policies` are (before, after) of every policy that is there before and after."""
        held = members(live)
        known = levels(live)
        self.before = Crowd(held, known)
        self.after = Crowd(planned_members(changes, held), {**known, **planned_levels(changes)})
        staying = [(old, new) for old, new in policies if new.enabled]
        # Said in this order whatever the order of the listings.
        self._policies = sorted(staying, key=lambda pair: (pair[1].address, pair[0].address))

    def of(self, change: Change) -> Effect:
        """What this change does; nothing for kinds that have no people."""
        here = [
            pair
            for pair in self._policies
            if pair[1].address.organization == change.address.organization
        ]
        match change.address.kind:
            case "Role" if change.action is Action.DELETE:
                return Effect(weaker=tuple(_dangling(change, here)))
            case "Role":
                return Effect(weaker=tuple(self._wider(change, here)))
            case "Member":
                return self._level(change, here)
            case "Organization":
                return Effect(weaker=tuple(_joiners(change, here)))
            case _:
                return Effect()

    def _wider(self, change: Change, here: list[_Pair]) -> Iterator[str]:
        """Whoever comes into a role that a policy names, and could not do so before."""
        organization, names = change.address.organization, role_names(change)
        now = self.after.members.get((organization, change.address.name.casefold()), ())
        joined = {email.lower() for email in now}
        for name in names:
            joined -= {e.lower() for e in self.before.members.get((organization, name), ())}
        for old, new in here:
            if names & named_roles(old, "approvers") and names & named_roles(new, "approvers"):
                for email in sorted(joined & self._gained(old, new, Crowd.approvers)):
                    yield f"{email} may approve under {new.address}"
            if names & named_roles(old, "bypass") and names & named_roles(new, "bypass"):
                for email in sorted(joined & self._gained(old, new, Crowd.passers)):
                    yield f"{email} bypasses {new.address}"

    def _gained(
        self, old: Policy, new: Policy, people: Callable[[Crowd, Policy], frozenset[str]]
    ) -> frozenset[str]:
        return people(self.after, new) - people(self.before, old)

    def _level(self, change: Change, here: list[_Pair]) -> Effect:
        email = change.address.name.lower()
        weaker = tuple(
            f"{email} bypasses {new.address}"
            for old, new in here
            if email in self._gained(old, new, Crowd.passers)
        )
        key = (change.address.organization, email)
        rises = self.before.levels.get(key, 0) < _ADMIN <= self.after.levels.get(key, 0)
        said = f"{email} may change and delete the policies of {change.address.organization}"
        return Effect(weaker, (said,) if rises and here else ())


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


def _dangling(change: Change, here: list[_Pair]) -> Iterator[str]:
    """A role that goes leaves its id in `approvers`, where nobody can hold it (contract 8.1)."""
    for _, new in here:
        if role_names(change) & named_roles(new, "approvers"):
            yield f"{new.address} still names it as an approver"


def _joiners(change: Change, here: list[_Pair]) -> Iterator[str]:
    """Whoever joins gets the default role, and got the former one."""
    moved = [(one.live, one.desired) for one in change.fields if one.path == "default_role"]
    for former, role in moved:
        for old, new in here if isinstance(role, str) else ():
            for how, what in (("approvers", "may approve under"), ("bypass", "bypasses")):
                had = str(former).casefold() in named_roles(old, how)
                if str(role).casefold() in named_roles(new, how) and not had:
                    yield f"whoever joins gets the role {role}, which {what} {new.address}"
