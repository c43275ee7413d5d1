"""Compare approval policies in a partial order: which of two makes an approval easier to get.

    aspect          weaker                                    stronger
    presence        deleted, or renamed away from its action  created
    enabled         disabled                                  enabled
    quorum          lower                                     higher
    approvers       more people, or one more role             fewer people, or one role less
    self-approval   allowed                                   not allowed
    bypass          one more level or role                    one level or role less
    conditions      some change is no longer gated            some change is gated as well
    expiry          requests stay open longer                 shorter

Every aspect is compared separately: a policy is weaker if it is weaker in one aspect, `mixed` if it
is also stronger in another, and `neutral` if no aspect differs. So `a` is weaker than `b` exactly
in the aspects in which `b` is stronger than `a`. A disabled policy gates nothing: deleting or
creating it is neutral.

Approvers are compared as people: a person who moves from the list of users to a role that is named
already may approve as before. An added role counts as weaker even if nobody else holds it, because
everybody who gets it later becomes an approver. Conditions are compared by meaning (`conditions`):
different conditions for the same changes are neutral. Where generations of PostHog differ on that,
a policy is weaker (or stronger) if it is so in any generation that the server may be.
"""

from collections.abc import Iterable, Iterator, Mapping

from reconciler.lazy_dataclass import dataclass
from reconciler.model import format_duration, format_level, parse_duration, parse_level
from reconciler.plan.approvals.approvers import Members
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.approvals.server_generation import Generations
from reconciler.plan.weakening.conditions import find_ungated_change


@dataclass(frozen=True, slots=True)
class Reason:
    """One aspect in which a policy changed: the spec field, the item of a list, and a sentence."""

    field: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """The aspects in which the second of two policies is weaker, and in which it is stronger."""

    weaker: tuple[Reason, ...] = ()
    stronger: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of roles and the levels of people at one moment."""

    members: Members
    levels: Mapping[tuple[str, str], int]  # organization, lower-case email

    def list_approvers(self, policy: Policy) -> frozenset[str]:
        """Return everybody who may approve, by lower-case email."""
        config = policy.spec.get("approvers") or {}
        people = {str(email).lower() for email in config.get("users") or ()}
        return frozenset(people | self._list_holders(policy, config.get("roles") or ()))

    def list_bypassers(self, policy: Policy) -> frozenset[str]:
        """Return everybody who bypasses the policy, by lower-case email."""
        levels = {parse_level(level) for level in policy.spec.get("bypass_levels") or ()}
        organization = policy.address.organization
        people = {
            email
            for (scope, email), level in self.levels.items()
            if scope == organization and level in levels
        }
        return frozenset(people | self._list_holders(policy, policy.spec.get("bypass_roles") or ()))

    def list_people(self, policy: Policy, purpose: str) -> frozenset[str]:
        """Return everybody who may approve, or for the purpose "bypass" everybody who bypasses."""
        return self.list_bypassers(policy) if purpose == "bypass" else self.list_approvers(policy)

    def _list_holders(self, policy: Policy, roles: Iterable[str]) -> set[str]:
        organization = policy.address.organization
        return {
            email.lower()
            for role in roles
            for email in self.members.get((organization, role.casefold()), ())
        }


def compare_policies(
    before: Policy | None,
    after: Policy | None,
    membership: Membership,
    later: Membership | None = None,
    *,
    generations: Generations,
) -> PolicyComparison:
    """Compare `after` with `before`, with the role members before and, as `later`, after.

    None is no policy at all. If the action differs, one policy ends and the other starts, and their
    conditions cannot be compared. New members of a role that both name are not a change of the
    policy (`membership`). Conditions are compared for each of the generations that the server may
    be (`generations`).
    """
    old_state, new_state = (
        _PolicyState(before, membership),
        _PolicyState(after, later or membership),
    )
    weaker = [
        Reason(field, subject, weaker_text)
        for field, subject, weaker_text, _ in _find_weaker_aspects(
            old_state, new_state, generations
        )
    ]
    stronger = [
        Reason(field, subject, stronger_text)
        for field, subject, _, stronger_text in _find_weaker_aspects(
            new_state, old_state, generations
        )
    ]
    return PolicyComparison(tuple(weaker), tuple(stronger))


# The spec field, the item of a list, the sentence for weaker, the sentence for stronger.
_Aspect = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _PolicyState:
    """A policy, if any, and the role members at its time."""

    policy: Policy | None
    membership: Membership


def _find_weaker_aspects(
    old_state: _PolicyState, new_state: _PolicyState, generations: Generations
) -> Iterator[_Aspect]:
    """Yield each aspect in which the new state is weaker than the old one."""
    before, after = old_state.policy, new_state.policy
    if before is not None and before.enabled and (after is None or before.action != after.action):
        yield "", "", f"{before.action} is no longer gated", f"{before.action} is gated"
    if before is None or after is None:
        return
    if before.enabled and not after.enabled:
        yield "enabled", "", "it is disabled", "it is enabled"
    old_quorum, new_quorum = (
        before.quorum or 0,
        after.quorum or 0,
    )  # early servers take a policy without one
    if new_quorum < old_quorum:
        yield (
            "approvers.quorum",
            "",
            f"quorum {old_quorum} → {new_quorum}",
            f"quorum {new_quorum} → {old_quorum}",
        )
    yield from _find_added_approvers(before, after, old_state.membership, new_state.membership)
    yield from _find_added_freedom(before, after)
    if before.action == after.action:
        ungated = find_ungated_change(
            before.action, before.conditions, after.conditions, generations
        )
        if ungated is not None:
            yield "conditions", "", f"no longer gated: {ungated}", f"gated as well: {ungated}"


def _find_added_approvers(
    before: Policy, after: Policy, membership: Membership, later: Membership
) -> Iterator[_Aspect]:
    new_config, old_config = after.spec.get("approvers") or {}, before.spec.get("approvers") or {}
    explained: set[str] = set()
    for role in _list_added(old_config.get("roles"), new_config.get("roles")):
        holders = later.members.get((after.address.organization, role.casefold()), ())
        explained.update(email.lower() for email in holders)
        names = f" ({', '.join(holders)})" if holders else ""
        field, holder_text = "approvers.roles", f"holders of the role {role}{names}"
        yield (
            field,
            role.casefold(),
            f"{holder_text} may approve",
            f"{holder_text} may no longer approve",
        )
    listed = {str(email).lower() for email in new_config.get("users") or ()}
    for email in sorted(listed - membership.list_approvers(before) - explained):
        yield "approvers.users", email, f"{email} may approve", f"{email} may no longer approve"


def _find_added_freedom(before: Policy, after: Policy) -> Iterator[_Aspect]:
    ability = "approve their own requests"
    if _allows_self_approval(after) and not _allows_self_approval(before):
        yield "allow_self_approve", "", f"people may {ability}", f"people may no longer {ability}"
    levels = (
        {parse_level(level) for level in policy.spec.get("bypass_levels") or ()}
        for policy in (before, after)
    )
    old_levels, new_levels = levels
    for level in sorted(new_levels - old_levels):
        affected = f"everybody of level {format_level(level)}"
        yield (
            "bypass_levels",
            str(level),
            f"{affected} bypasses it",
            f"{affected} no longer bypasses it",
        )
    for role in _list_added(before.spec.get("bypass_roles"), after.spec.get("bypass_roles")):
        affected = f"every holder of the role {role}"
        yield (
            "bypass_roles",
            role.casefold(),
            f"{affected} bypasses it",
            f"{affected} no longer bypasses it",
        )
    short, long = _read_expiry_seconds(before), _read_expiry_seconds(after)
    if short is not None and long is not None and long > short:
        long_text, short_text = format_duration(long), format_duration(short)
        text = "requests stay open for {} instead of {}"
        yield (
            "expires_after",
            "",
            text.format(long_text, short_text),
            text.format(short_text, long_text),
        )


def _allows_self_approval(policy: Policy) -> bool:
    return policy.spec.get("allow_self_approve") is True


def _list_added(before: Iterable[str] | None, after: Iterable[str] | None) -> list[str]:
    known_names = {name.casefold() for name in before or ()}
    return sorted(name for name in after or () if name.casefold() not in known_names)


def _read_expiry_seconds(policy: Policy) -> float | None:
    text = policy.spec.get("expires_after")
    return parse_duration(text) if isinstance(text, str) else None
