"""Commits that `apply` has written in part: which changes complete one and weaken no gate.

The live side then lies between the base and the files, and may be stricter than both. A change
that looks like a weakening only completes such a commit if

* the policy, and the person's place in each role that it names, lie between base and files, and
* neither the base nor any commit since then was stricter in that respect: whichever of them
  `apply` began to write, the same commit contained the rest.

A policy or role that the base did not declare counts as absent at the base only if this key's
user created it since; otherwise it existed before, and counts as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from reconciler.kinds import KINDS, fold
from reconciler.model import (
    ABSENT,
    Address,
    Change,
    Declared,
    Live,
    LiveResource,
    Resource,
    instant,
)
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.diff import values
from reconciler.plan.weakening.compare import Membership, Reason, compare
from reconciler.plan.weakening.membership import Gain, groups, is_in, live_crowd, planned_crowd

_USERS: Final = "approvers.users"
_Resources = Mapping[Address, Resource]


@dataclass(frozen=True, slots=True)
class Begun:
    """What the files said at the base, and at each commit since then, oldest first.

    Attributes:
        base: the base.
        since: the commits, with the references written as the live side writes them.
        desired: the files as they are now.
        began: when the base was committed, by the server's clock; None if nobody knows.

    """

    base: Declared
    since: tuple[Declared, ...]
    desired: Declared
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Ground:
    """Policies and people as they were at one moment, as far as the files said."""

    policies: Mapping[Address, Policy]
    crowd: Membership


class Rest:
    """The changes that only complete what an earlier `apply` began."""

    def __init__(self, begun: Begun, live: Live, changes: tuple[Change, ...]) -> None:
        self._begun, self._live = begun, live
        self._after = planned_crowd(changes, live)

    def covers_gain(self, gain: Gain) -> bool:
        """Return whether somebody comes under a policy that would have had them in any case."""
        if not gain.person or gain.old.address != gain.new.address:
            return False
        return self._is_between(gain.old, gain.new, gain.how, gain.person) and all(
            gain.person in ground.crowd.people(policy, gain.how)
            for ground, policy in self._met(gain.old)
        )

    def covers_reason(self, old: Policy | None, new: Policy | None, reason: Reason) -> bool:
        """Return whether a policy is no weaker in this respect than it has been since the base."""
        if old is None or new is None or old.address != new.address:
            return False
        person = reason.subject if reason.field == _USERS else ""
        if not self._is_between(old, new, "approvers", person):
            return False
        for ground, policy in self._met(old):
            if person and person not in ground.crowd.approvers(policy):
                return False
            found = compare(policy, new, ground.crowd, self._after).weaker
            if any((one.field, one.subject) == (reason.field, reason.subject) for one in found):
                return False
        return True

    def _met(self, policy: Policy) -> Iterator[tuple[_Ground, Policy]]:
        """Yield the policy as it was at each moment, where it was there."""
        for ground in self._grounds:
            if (then := ground.policies.get(policy.address)) is not None:
                yield ground, then

    @cached_property
    def _grounds(self) -> tuple[_Ground, ...]:
        return tuple(map(self._ground, (self._begun.base, *self._begun.since)))

    @cached_property
    def _managed(self) -> frozenset[Address]:
        return frozenset(fold(address) for address in self._begun.desired.resources)

    def _ground(self, declared: Declared) -> _Ground:
        said = {fold(address): resource for address, resource in declared.resources.items()}
        resources = {
            address: then
            for address, there in self._live.resources.items()
            if (then := self._then(there, said)) is not None
        }
        live = Live(resources=resources, ids={}, twins={}, people=self._live.people)
        policies = {
            policy.address: policy
            for found in approvals_policies.list_live_policies(live).values()
            for policy in found.values()
        }
        return _Ground(policies, live_crowd(live))

    def _then(self, there: LiveResource, said: _Resources) -> LiveResource | None:
        """Return a live object as the files had it; as it is where they did not speak of it."""
        address = fold(there.address)
        resource = said.get(address)
        if resource is not None:
            if resource.lifecycle.absent:
                return None
            spec = {**there.spec, **resource.spec}
            return LiveResource(there.address, there.id, spec, there.payload)
        if address in self._managed and self._is_own(there):
            return None
        return there

    def _is_own(self, there: LiveResource) -> bool:
        """Return whether this key's user created it since the base was committed."""
        creator, me = there.payload.get("created_by"), self._live.me
        if me is None or not isinstance(creator, Mapping) or creator.get("id") != me.id:
            return False
        at = instant(there.payload.get("created_at"))
        return at is not None and self._begun.began is not None and at >= self._begun.began

    def _is_between(self, old: Policy, new: Policy, how: str, person: str) -> bool:
        """Return whether policy and person lie between the base and the files."""
        ground = self._grounds[0]
        base = ground.policies.get(old.address)
        before = base.spec if base is not None else {}
        if not all(
            _between(before.get(name, ABSENT), value, new.spec.get(name, ABSENT), name)
            for name, value in old.spec.items()
        ):
            return False
        if not person:
            return True
        sides = ground.crowd, live_crowd(self._live), self._after
        places = groups(old, how) | groups(new, how)
        held = ([is_in(crowd, place, person) for crowd in sides] for place in places)
        return all(live in {before, after} for before, live, after in held)


def _between(base: Any, live: Any, desired: Any, path: str) -> bool:
    """Return whether a value lies between two: numbers by size, sets by item, else either."""
    if values.is_same(base, live) or values.is_same(live, desired):
        return True
    sides = (base, live, desired)
    if path in KINDS[approvals_policies.KIND].sets and all(isinstance(one, list) for one in sides):
        old, now, new = map(set[Any], sides)
        return old & new <= now <= old | new
    if all(isinstance(one, Mapping) for one in sides):
        return all(
            _between(
                base.get(name, ABSENT),
                live.get(name, ABSENT),
                desired.get(name, ABSENT),
                f"{path}.{name}",
            )
            for name in {*base, *live, *desired}
        )
    if all(isinstance(one, int) and not isinstance(one, bool) for one in sides):
        return bool(min(base, desired) <= live <= max(base, desired))
    return False
