"""Evasions in steps that are harmless by themselves.

A percentage that rises in steps below the limit of a policy, and a gate that is weakened and
restored. `recent` is what the files declared at the last commits, oldest first, restricted to what
`find_needed_history` returns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby, islice
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Change,
    Declared,
    Finding,
    Live,
    Severity,
    build_change_spec,
    shorten_commit,
)
from reconciler.plan.approvals import approvers, messages, owners, server_generation
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals.actions import UPDATE, list_rollout_positions
from reconciler.plan.approvals.conditions import (
    ROLLOUT,
    ConditionResult,
    evaluate_conditions,
    find_fault,
)
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.approvals.policies import KIND, Policy
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.evasion import audience, rules
from reconciler.plan.evasion.rules import join_first
from reconciler.plan.weakening.compare import Membership, PolicyComparison, compare_policies

WALKED: Final = "threshold-walked-under"
REOPENED: Final = "weakened-and-restored"
RecentStates = Sequence[Declared]


@dataclass(frozen=True, slots=True)
class NeededHistory:
    """The resources whose former states matter to a plan."""

    flags: frozenset[Address] = frozenset()  # whose percentages change under a limit of steps
    policies: frozenset[Address] = frozenset()  # that change, with the flags of their projects

    def __bool__(self) -> bool:
        """Return whether any history has to be read."""
        return bool(self.flags or self.policies)

    @property
    def names(self) -> frozenset[str] | None:
        """Words that every document that matters contains; None if they are not known."""
        return None if self.policies else frozenset(address.name for address in self.flags)

    def restrict(self, state: Declared) -> Declared:
        """Return the part of a state that matters."""
        scopes = {policy.parts[:-1] for policy in self.policies}
        kept = {
            address: resource
            for address, resource in state.resources.items()
            if address in self.flags
            or address in self.policies
            or (KINDS[address.kind].gates and address.parts[:-1] in scopes)
        }
        return Declared(kept, state.origin)


def find_needed_history(changes: Sequence[Change], live: Live) -> NeededHistory:
    """Find what has to be read from git before planning; nothing for most plans."""
    if not changes:
        return NeededHistory()
    live_policies = approvals_policies.list_live_policies(live)
    scoped = owners.list_scoped_organizations(live)

    def find_update_policy(change: Change) -> Policy | None:
        gating_actions = owners.find_gating_actions(
            change.before, scoped=change.address.organization in scoped
        )
        in_project = live_policies.get(change.address.parts[:-1], {})
        return in_project.get(gating_actions.get(UPDATE, ""))

    flags = {
        change.address
        for change in changes
        if change.action is Action.UPDATE
        and KINDS[change.address.kind].gates
        and (policy := find_update_policy(change)) is not None
        and _limits_steps(policy)
        and "filters" in build_change_spec(change)
    }
    policies = {
        change.address
        for change in changes
        if change.address.kind == KIND and change.action in {Action.CREATE, Action.UPDATE}
    }
    return NeededHistory(frozenset(flags), frozenset(policies))


def _limits_steps(policy: Policy) -> bool:
    conditions = policy.conditions
    if (
        not policy.enabled
        or not isinstance(conditions, Mapping)
        or find_fault(conditions) is not None
    ):
        return False
    return bool(conditions["type"] == "change_amount" and conditions["field"] == ROLLOUT)


def find_stepwise_evasions(
    changes: tuple[Change, ...], live: Live, evaluator: GateEvaluator, recent: RecentStates
) -> Iterator[Finding]:
    """Find changes in steps and restored policies, in the order of the changes."""
    if not recent:
        return
    generations = server_generation.list_possible_generations(live)
    for write in rules.find_writes_under_policies(changes, live, evaluator):
        policy = write.update
        if write.sends_ungated_filters and policy is not None and _limits_steps(policy):
            yield from islice(
                chain.from_iterable(
                    _find_steps(write, policy, recent, generation) for generation in generations
                ),
                1,
            )
    live_policies = approvals_policies.list_live_policies(live)
    membership = Membership(approvers.list_role_members(live), {})
    compare = partial(compare_policies, membership=membership, generations=generations)
    for change in changes:
        if change.address.kind == KIND and change.action in {Action.CREATE, Action.UPDATE}:
            in_project = live_policies.get(change.address.parts[:-1], {})
            now = approvals_policies.find_policy(in_project, change)
            yield from _find_restored(change, now, recent, compare)


# -- steps below a limit


@dataclass(frozen=True, slots=True)
class _Percentages:
    """The percentages of a flag at one moment, by position and by audience."""

    by_position: Mapping[str, Any]
    by_audience: Mapping[str, Any]


def _find_steps(
    write: rules.WriteUnderPolicies,
    policy: Policy,
    recent: RecentStates,
    generation: Generation,
) -> Iterator[Finding]:
    """Find steps that need no approval each, but would need it as one change.

    The search goes back to the last step that needed approval: an approver has seen that.
    """
    history = _list_percentages(write, recent, generation)
    finding = None
    for start in range(len(history) - 2, -1, -1):
        before, after = history[start], history[start + 1]
        if _evaluate_step(policy, before.by_position, after.by_position).gates:
            break
        if start < len(history) - 2:
            finding = _check_total(write.change, policy, history[start:]) or finding
    if finding is not None:
        yield finding


def _list_percentages(
    write: rules.WriteUnderPolicies, recent: RecentStates, generation: Generation
) -> list[_Percentages]:
    """Return what the files declared in turn, then what is live, then what this plan writes."""

    def read_percentages(filters: Mapping[str, Any]) -> _Percentages:
        reach = audience.compute_reach(filters)
        by_audience = {str(reached): percentage for reached, percentage in reach.items()}
        return _Percentages(list_rollout_positions(filters, generation), by_audience)

    resources = (state.resources.get(write.change.address) for state in recent)
    declared = [
        read_percentages(resource.spec.get("filters") or {})
        for resource in resources
        if resource is not None
    ]
    goal = read_percentages(write.after)
    while declared and declared[-1] == goal:  # what this plan writes is committed already
        declared.pop()
    history = (*declared, read_percentages(write.before), goal)
    return [state for k, state in enumerate(history) if k == 0 or history[k - 1] != state]


def _evaluate_step(
    policy: Policy, before: Mapping[str, Any], after: Mapping[str, Any]
) -> ConditionResult:
    return evaluate_conditions(policy.conditions, {ROLLOUT: (before, after)})


def _check_total(change: Change, policy: Policy, history: Sequence[_Percentages]) -> Finding | None:
    """Return the finding if all steps together would need approval."""
    for values in (
        [state.by_position for state in history],
        [state.by_audience for state in history],
    ):
        total = _evaluate_step(policy, values[0], values[-1])
        if total.gates:
            return _warn_of_steps(change, policy, total.paths[0], values)
    return None


def _warn_of_steps(
    change: Change, policy: Policy, path: str, states: Sequence[Mapping[str, Any]]
) -> Finding:
    values = [state[path] for state in states if path in state]
    steps = [messages.format_value(value) for value, _ in groupby(values)]
    return Finding(
        code=WALKED,
        severity=Severity.WARNING,
        message=f"{change.address} stays below the limit of {policy.address} in steps: "
        f"{path.removesuffix(f'.{ROLLOUT}')} {' → '.join(steps)} within a few commits",
        why=f"{steps[0]} → {steps[-1]} at once would need approval: "
        f"{messages.describe_conditions(policy.conditions)}",
        fix="have an approver of the policy review all of these steps together",
        source=change.source,
        address=change.address,
    )


# -- a gate that was weakened and is restored


def _find_restored(
    change: Change,
    now: Policy | None,
    recent: RecentStates,
    compare: Callable[[Policy | None, Policy | None], PolicyComparison],
) -> Iterator[Finding]:
    """Find a policy that recent commits weakened, and that this plan restores."""
    after = approvals_policies.predict_policy(change, now)
    declared = _list_declared_policies(change, now, recent)
    for place, former in enumerate(declared):
        if former is None or not former.enabled:
            continue
        if not compare(former, now).weaker or compare(former, after).weaker:
            continue
        weak = [k for k in range(place + 1, len(declared)) if compare(former, declared[k]).weaker]
        flags = sorted(
            {
                address
                for k in weak
                for address in _find_changed_flags(recent[k - 1], recent[k], change)
            }
        )
        if flags:
            yield Finding(
                code=REOPENED,
                severity=Severity.WARNING,
                message=f"{change.address} is restored to what it was before commit "
                f"{shorten_commit(recent[weak[0]].origin)} weakened it; in between, the files "
                f"changed {join_first([str(address) for address in flags])}",
                why="changes that were made while the gate was weaker may not have been approved",
                fix="have an approver of the policy review these flags",
                source=change.source,
                address=change.address,
            )
            return


def _list_declared_policies(
    change: Change, now: Policy | None, recent: RecentStates
) -> list[Policy | None]:
    """Return the policy as each state declared it.

    A field that no state sets is taken from the live policy. If some state sets it, it had its
    default in the states that do not.
    """
    declared = [state.resources.get(change.address) for state in recent]
    written = {
        name
        for resource in (*declared, change.desired)
        if resource is not None
        for name in resource.spec
    }
    defaults = {name: value for name, value in KINDS[KIND].defaults.items() if name in written}
    unwritten = {**(now.spec if now is not None else KINDS[KIND].defaults), **defaults}
    return [
        Policy(change.address, {**unwritten, **resource.spec})
        if resource is not None and not resource.lifecycle.absent
        else None
        for resource in declared
    ]


def _find_changed_flags(before: Declared, after: Declared, change: Change) -> Iterator[Address]:
    """Find flags of the policy's project that two states declare differently."""
    for address in {*before.resources, *after.resources}:
        if not KINDS[address.kind].gates or address.parts[:-1] != change.address.parts[:-1]:
            continue
        earlier, later = before.resources.get(address), after.resources.get(address)
        if earlier is None or later is None or earlier.spec != later.spec:
            yield address
