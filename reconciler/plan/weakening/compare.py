"""A partial order on approval policies: which of two makes an approval easier to get.

    aspect          weaker                                    stronger
    presence        deleted, or renamed away from its action  created
    enabled         disabled                                  enabled
    quorum          lower                                     higher
    approvers       more people, or one more role             fewer people, or one role less
    self-approval   allowed                                   not allowed
    bypass          one more level or role                    one level or role less
    conditions      some change is no longer gated            some change is gated as well
    expiry          requests stay open longer                 shorter

Every aspect is looked at by itself: a policy is weaker as soon as it is weaker in one, `mixed` if
it is stronger in another as well, and `neutral` if nothing of this differs. So `a` is weaker than
`b` in exactly the aspects in which `b` is stronger than `a`. A disabled policy gates nothing:
deleting or creating one is neutral.

Approvers are compared as people: whoever moves from the list of users to a role that is named
already may approve as before. A role that is added counts as weaker even while nobody else holds
it, because whoever is given it later becomes an approver. Conditions are compared by meaning
(`weakening_conditions`): other words for the same changes are neutral.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model import duration_seconds, duration_words, level_number, level_word
from reconciler.plan.approvals.approvers import Members
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.weakening.conditions import lost


class Strength(StrEnum):
    """How a policy compares with what it was."""

    STRONGER = "stronger"
    WEAKER = "weaker"
    MIXED = "mixed"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Reason:
    """One aspect in which a policy moved: the spec field, what of a list, and a sentence."""

    field: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What makes the second of two policies weaker, and what makes it stronger."""

    weaker: tuple[Reason, ...] = ()
    stronger: tuple[Reason, ...] = ()

    @property
    def strength(self) -> Strength:
        """All of it in one word."""
        match bool(self.weaker), bool(self.stronger):
            case True, True:
                return Strength.MIXED
            case True, False:
                return Strength.WEAKER
            case False, True:
                return Strength.STRONGER
            case _:
                return Strength.NEUTRAL


@dataclass(frozen=True, slots=True)
class Membership:
    """Who holds which role, and whose level is what, at one moment."""

    members: Members
    levels: Mapping[tuple[str, str], int]  # organization, lower-case email

    def approvers(self, policy: Policy) -> frozenset[str]:
        """Everybody who may approve, by lower-case email."""
        config = policy.spec.get("approvers") or {}
        people = {str(email).lower() for email in config.get("users") or ()}
        return frozenset(people | self._holders(policy, config.get("roles") or ()))

    def passers(self, policy: Policy) -> frozenset[str]:
        """Everybody who is let through, by lower-case email."""
        levels = {level_number(level) for level in policy.spec.get("bypass_levels") or ()}
        organization = policy.address.organization
        people = {
            email
            for (where, email), level in self.levels.items()
            if where == organization and level in levels
        }
        return frozenset(people | self._holders(policy, policy.spec.get("bypass_roles") or ()))

    def people(self, policy: Policy, how: str) -> frozenset[str]:
        """Return everybody who may approve, or with `how` "bypass" everybody who is let through."""
        return self.passers(policy) if how == "bypass" else self.approvers(policy)

    def _holders(self, policy: Policy, roles: Iterable[str]) -> set[str]:
        organization = policy.address.organization
        return {
            email.lower()
            for role in roles
            for email in self.members.get((organization, role.casefold()), ())
        }


def compare(
    before: Policy | None, after: Policy | None, crowd: Membership, later: Membership | None = None
) -> Comparison:
    """How `after` compares with `before`, the roles being held as `crowd` says, and then `later`.

    None is no policy at all. A policy of another action is its end for one and its start for the
    other; the conditions of the two cannot be compared then. Who comes into a role that both name
    is no matter of the policy (`weakening_people`).
    """
    now, then = _Held(before, crowd), _Held(after, later or crowd)
    weaker = [Reason(field, what, forth) for field, what, forth, _ in _looser(now, then)]
    stronger = [Reason(field, what, back) for field, what, _, back in _looser(then, now)]
    return Comparison(tuple(weaker), tuple(stronger))


# The spec field, what of a list it is about, what makes it weaker, the same step backwards.
_Aspect = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Held:
    """A policy, if any, and who holds which role at its time."""

    policy: Policy | None
    crowd: Membership


def _looser(now: _Held, then: _Held) -> Iterator[_Aspect]:
    """Each aspect in which `then` is weaker than `now`."""
    before, after = now.policy, then.policy
    if before is not None and before.enabled and (after is None or before.action != after.action):
        yield "", "", f"nothing gates {before.action} any more", f"{before.action} is gated"
    if before is None or after is None:
        return
    if before.enabled and not after.enabled:
        yield "enabled", "", "it is disabled", "it is enabled"
    many, few = before.quorum or 0, after.quorum or 0  # early servers take a policy without one
    if few < many:
        yield "approvers.quorum", "", f"quorum {many} -> {few}", f"quorum {few} -> {many}"
    yield from _more_people(before, after, now.crowd, then.crowd)
    yield from _more_freedom(before, after)
    if before.action == after.action:
        missed = lost(before.action, before.conditions, after.conditions)
        if missed is not None:
            yield "conditions", "", f"no longer gated: {missed}", f"gated as well: {missed}"


def _more_people(
    before: Policy, after: Policy, crowd: Membership, later: Membership
) -> Iterator[_Aspect]:
    config, former = after.spec.get("approvers") or {}, before.spec.get("approvers") or {}
    explained: set[str] = set()
    for role in _added(former.get("roles"), config.get("roles")):
        held = later.members.get((after.address.organization, role.casefold()), ())
        explained.update(email.lower() for email in held)
        names = f" ({', '.join(held)})" if held else ""
        field, who = "approvers.roles", f"holders of the role {role}{names}"
        yield field, role.casefold(), f"{who} may approve", f"{who} may no longer approve"
    listed = {str(email).lower() for email in config.get("users") or ()}
    for email in sorted(listed - crowd.approvers(before) - explained):
        yield "approvers.users", email, f"{email} may approve", f"{email} may no longer approve"


def _more_freedom(before: Policy, after: Policy) -> Iterator[_Aspect]:
    own = "approve their own requests"
    if _own(after) and not _own(before):
        yield "allow_self_approve", "", f"people may {own}", f"people may no longer {own}"
    levels = (
        {level_number(level) for level in policy.spec.get("bypass_levels") or ()}
        for policy in (before, after)
    )
    former, now = levels
    for level in sorted(now - former):
        who = f"everybody of level {level_word(level)}"
        yield "bypass_levels", str(level), f"{who} bypasses it", f"{who} no longer bypasses it"
    for role in _added(before.spec.get("bypass_roles"), after.spec.get("bypass_roles")):
        who = f"every holder of the role {role}"
        yield "bypass_roles", role.casefold(), f"{who} bypasses it", f"{who} no longer bypasses it"
    short, long = _seconds(before), _seconds(after)
    if short is not None and long is not None and long > short:
        one, other = duration_words(long), duration_words(short)
        text = "requests stay open for {} instead of {}"
        yield "expires_after", "", text.format(one, other), text.format(other, one)


def _own(policy: Policy) -> bool:
    return policy.spec.get("allow_self_approve") is True


def _added(before: Iterable[str] | None, after: Iterable[str] | None) -> list[str]:
    known = {name.casefold() for name in before or ()}
    return sorted(name for name in after or () if name.casefold() not in known)


def _seconds(policy: Policy) -> float | None:
    text = policy.spec.get("expires_after")
    return duration_seconds(text) if isinstance(text, str) else None
