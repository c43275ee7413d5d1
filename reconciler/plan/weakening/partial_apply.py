"""Find changes that complete a partly applied commit, and so weaken no gate.

The live state is then between the base and the files, and may be stricter than both. A change that
looks like a weakening only completes such a commit if

* the policy or the access rules of the project, and the person's membership in each role that they
  name, are between base and files, and
* neither the base nor any commit since then was stricter in that respect: the commit that `apply`
  wrote in part then contained this change, too.

A policy or role that the base did not declare counts as absent at the base only if this key's user
created it since then; otherwise it existed before, and its present state counts.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from reconciler.kinds import KINDS, fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Address,
    Change,
    Declared,
    Live,
    LiveResource,
    Resource,
    Spec,
    parse_time,
)
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals import server_generation
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.diff import values
from reconciler.plan.weakening import project_admins
from reconciler.plan.weakening.compare import Membership, Reason, compare_policies
from reconciler.plan.weakening.membership import (
    Gain,
    build_live_membership,
    build_planned_membership,
    is_in,
    list_groups,
)
from reconciler.plan.weakening.project_admins import ProjectRules

_USERS: Final = "approvers.users"
_Resources = Mapping[Address, Resource]


@dataclass(frozen=True, slots=True)
class StartedCommits:
    """The files at the base and at each commit since then, oldest first.

    Attributes:
        base: the base.
        since: the commits, with the references written as the live side writes them.
        desired: the present files.
        started_at: when the base was committed, by the server's clock; None if not known.

    """

    base: Declared
    since: tuple[Declared, ...]
    desired: Declared
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _PastState:
    """Policies and people at one moment in the past, as far as the files declared them."""

    policies: Mapping[Address, Policy]
    membership: Membership
    rules: Mapping[Address, Spec]  # of the projects themselves


class CompletionCheck:
    """Checks whether changes only complete what an earlier `apply` wrote in part."""

    def __init__(self, started: StartedCommits, live: Live, changes: tuple[Change, ...]) -> None:
        self._started, self._live = started, live
        self._after = build_planned_membership(changes, live)
        self._generations = server_generation.list_possible_generations(live)

    def covers_gain(self, gain: Gain) -> bool:
        """Return whether a person was covered by the policy in all past states."""
        if not gain.person or gain.old.address != gain.new.address:
            return False
        return self._is_between(gain.old, gain.new, gain.purpose, gain.person) and all(
            gain.person in state.membership.list_people(policy, gain.purpose)
            for state, policy in self._list_past_states(gain.old)
        )

    def covers_reason(self, old: Policy | None, new: Policy | None, reason: Reason) -> bool:
        """Return whether a policy is not weaker in this respect than at any time since the base."""
        if old is None or new is None or old.address != new.address:
            return False
        person = reason.subject if reason.field == _USERS else ""
        if not self._is_between(old, new, "approvers", person):
            return False
        for state, policy in self._list_past_states(old):
            if person and person not in state.membership.list_approvers(policy):
                return False
            weaker = compare_policies(
                policy, new, state.membership, self._after, generations=self._generations
            ).weaker
            if any(
                (aspect.field, aspect.subject) == (reason.field, reason.subject)
                for aspect in weaker
            ):
                return False
        return True

    def covers_admin(
        self, address: Address, person: str, planned: Spec, modes: tuple[bool, ...]
    ) -> bool:
        """Return whether a person was an admin of a project in all past states, in each mode."""
        present = self._live.resources[address].spec.get("project") or {}
        organization, people = address.organization, frozenset({person})
        states = self._past_states
        membership = build_live_membership(self._live)
        named = {(organization, str(name).casefold()) for name in _list_named(present, planned)}
        are_between = _is_value_between(states[0].rules[address], present, planned, "") and all(
            is_in(membership, role, person)
            in {is_in(states[0].membership, role, person), is_in(self._after, role, person)}
            for role in named
        )
        return are_between and all(
            ProjectRules(state.rules[address], state.membership).list_admins(
                people, organization, narrow=narrow
            )
            for state in states
            for narrow in modes
        )

    def _list_past_states(self, policy: Policy) -> Iterator[tuple[_PastState, Policy]]:
        """Yield the policy in each past state in which it existed."""
        for state in self._past_states:
            if (past_policy := state.policies.get(policy.address)) is not None:
                yield state, past_policy

    @cached_property
    def _past_states(self) -> tuple[_PastState, ...]:
        return tuple(map(self._build_past_state, (self._started.base, *self._started.since)))

    @cached_property
    def _managed(self) -> frozenset[Address]:
        return frozenset(fold_name(address) for address in self._started.desired.resources)

    def _build_past_state(self, declared: Declared) -> _PastState:
        declared_resources = {
            fold_name(address): resource for address, resource in declared.resources.items()
        }
        resources = {
            address: past_object
            for address, live_object in self._live.resources.items()
            if (past_object := self._rebuild_past_object(live_object, declared_resources))
            is not None
        }
        live = Live(resources=resources, ids={}, duplicates={}, people=self._live.people)
        policies = {
            policy.address: policy
            for by_action in approvals_policies.list_live_policies(live).values()
            for policy in by_action.values()
        }
        rules = {
            address: _rebuild_rules(live_object, declared_resources.get(fold_name(address)))
            for address, live_object in self._live.resources.items()
            if address.kind == project_admins.KIND
        }
        return _PastState(policies, build_live_membership(live), rules)

    def _rebuild_past_object(
        self, live_object: LiveResource, declared_resources: _Resources
    ) -> LiveResource | None:
        """Return a live object as the files declared it; unchanged where they did not."""
        address = fold_name(live_object.address)
        resource = declared_resources.get(address)
        if resource is not None:
            if resource.lifecycle.absent:
                return None
            spec = {**live_object.spec, **resource.spec}
            return LiveResource(live_object.address, live_object.id, spec, live_object.payload)
        if address in self._managed and self._is_own(live_object):
            return None
        return live_object

    def _is_own(self, live_object: LiveResource) -> bool:
        """Return whether this key's user created it since the base was committed."""
        creator, me = live_object.payload.get("created_by"), self._live.me
        if me is None or not isinstance(creator, Mapping) or creator.get("id") != me.id:
            return False
        created_at = parse_time(live_object.payload.get("created_at"))
        return (
            created_at is not None
            and self._started.started_at is not None
            and created_at >= self._started.started_at
        )

    def _is_between(self, old: Policy, new: Policy, purpose: str, person: str) -> bool:
        """Return whether the policy and the person are between the base and the files."""
        base_state = self._past_states[0]
        base_policy = base_state.policies.get(old.address)
        before = base_policy.spec if base_policy is not None else {}
        if not all(
            _is_value_between(before.get(name, ABSENT), value, new.spec.get(name, ABSENT), name)
            for name, value in old.spec.items()
        ):
            return False
        if not person:
            return True
        states = base_state.membership, build_live_membership(self._live), self._after
        named_groups = list_groups(old, purpose) | list_groups(new, purpose)
        memberships = (
            [is_in(membership, group, person) for membership in states] for group in named_groups
        )
        return all(live in {before, after} for before, live, after in memberships)


def _rebuild_rules(live_object: LiveResource, resource: Resource | None) -> Spec:
    """Return the rules of a project itself as the files declared them, each part for itself."""
    present = live_object.spec.get("project") or {}
    if resource is None:
        return present
    return {} if resource.lifecycle.absent else {**present, **(resource.spec.get("project") or {})}


def _list_named(*rules: Spec) -> Iterator[str]:
    for each in rules:
        yield from each.get("roles") or ()


def _is_value_between(base: Any, live: Any, desired: Any, path: str) -> bool:
    """Return whether a value is between two others: numbers by size, sets by item, else either."""
    if values.is_same(base, live) or values.is_same(live, desired):
        return True
    sides = (base, live, desired)
    if path in KINDS[approvals_policies.KIND].sets and all(
        isinstance(value, list) for value in sides
    ):
        base_items, live_items, desired_items = map(set[Any], sides)
        return base_items & desired_items <= live_items <= base_items | desired_items
    if all(isinstance(value, Mapping) for value in sides):
        return all(
            _is_value_between(
                base.get(name, ABSENT),
                live.get(name, ABSENT),
                desired.get(name, ABSENT),
                f"{path}.{name}",
            )
            for name in {*base, *live, *desired}
        )
    if all(isinstance(value, int) and not isinstance(value, bool) for value in sides):
        return bool(min(base, desired) <= live <= max(base, desired))
    return False
