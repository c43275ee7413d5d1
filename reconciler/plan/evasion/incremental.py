"""What is harmless step by step: a threshold walked under, a gate opened and closed again.

`past` is what the files said at the last commits, oldest first; only of what `wanted` asks for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Declared, Finding, Live, Severity, moving
from reconciler.plan.approvals import approvers, messages, server_generation
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals.actions import UPDATE, rollout
from reconciler.plan.approvals.conditions import ROLLOUT, Answer, evaluate, fault
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.approvals.policies import KIND, Policy
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.evasion import audience, rules
from reconciler.plan.evasion.rules import listed
from reconciler.plan.weakening.compare import Membership, compare

WALKED: Final = "threshold-walked-under"
REOPENED: Final = "weakened-and-restored"
Past = Sequence[Declared]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose past matters to a plan."""

    flags: frozenset[Address] = frozenset()  # whose percentages move under a limit of steps
    policies: frozenset[Address] = frozenset()  # that change, with the flags of their projects

    def __bool__(self) -> bool:
        """Whether anything has to be looked up at all."""
        return bool(self.flags or self.policies)

    @property
    def names(self) -> frozenset[str] | None:
        """Words that stand in every document that matters; None if that cannot be told."""
        return None if self.policies else frozenset(address.name for address in self.flags)

    def cut(self, state: Declared) -> Declared:
        """What matters of a state."""
        scopes = {policy.parts[:-1] for policy in self.policies}
        kept = {
            address: resource
            for address, resource in state.resources.items()
            if address in self.flags
            or address in self.policies
            or (KINDS[address.kind].gated and address.parts[:-1] in scopes)
        }
        return Declared(kept, state.origin)


def wanted(changes: Sequence[Change], live: Live) -> Wanted:
    """What to look up before planning; nothing in most plans."""
    there = approvals_policies.existing(live)
    flags = {
        change.address
        for change in changes
        if change.action is Action.UPDATE
        and KINDS[change.address.kind].gated
        and (policy := there.get(change.address.parts[:-1], {}).get(UPDATE)) is not None
        and _counts_steps(policy)
        and "filters" in moving(change)
    }
    policies = {
        change.address
        for change in changes
        if change.address.kind == KIND and change.action in {Action.CREATE, Action.UPDATE}
    }
    return Wanted(frozenset(flags), frozenset(policies))


def _counts_steps(policy: Policy) -> bool:
    found = policy.conditions
    if not policy.enabled or not isinstance(found, Mapping) or fault(found) is not None:
        return False
    return bool(found["type"] == "change_amount" and found["field"] == ROLLOUT)


def find(
    changes: tuple[Change, ...], live: Live, world: GateEvaluator, past: Past
) -> Iterator[Finding]:
    """Walks and reopenings, in the order of the changes."""
    if not past:
        return
    spoken = server_generation.learn(live) or Generation.G2
    for write in rules.writes(changes, live, world):
        policy = write.update
        if write.filters_pass and policy is not None and _counts_steps(policy):
            yield from _walked(write, policy, past, spoken)
    before = approvals_policies.existing(live)
    crowd = Membership(approvers.members(live), {})
    for change in changes:
        if change.address.kind == KIND and change.action in {Action.CREATE, Action.UPDATE}:
            now = approvals_policies.found(before.get(change.address.parts[:-1], {}), change)
            yield from _reopened(change, now, past, crowd)


# -- a threshold walked under


@dataclass(frozen=True, slots=True)
class _Stand:
    """The percentages of a flag at one moment: by their place, and by whom they are for."""

    places: Mapping[str, Any]
    people: Mapping[str, Any]


def _walked(
    write: rules.Write, policy: Policy, past: Past, spoken: Generation
) -> Iterator[Finding]:
    """Steps of which none would wait, and which together would have."""
    stands = _stands(write, past, spoken)
    found = None
    for start in range(len(stands) - 2, -1, -1):
        here, there = stands[start], stands[start + 1]
        if _step(policy, here.places, there.places).gates:
            break  # up to there it was asked for
        if start < len(stands) - 2:
            found = _walk(write.change, policy, stands[start:]) or found
    if found is not None:
        yield found


def _stands(write: rules.Write, past: Past, spoken: Generation) -> list[_Stand]:
    """What the files said in turn, then what is live, then what this plan makes of it."""

    def stand(filters: Mapping[str, Any]) -> _Stand:
        people = {str(who): part for who, part in audience.reach(filters).items()}
        return _Stand(rollout(filters, spoken), people)

    declared = (state.resources.get(write.change.address) for state in past)
    said = [stand(one.spec.get("filters") or {}) for one in declared if one is not None]
    goal = stand(write.after)
    while said and said[-1] == goal:  # committed already
        said.pop()
    found: list[_Stand] = []
    for one in (*said, stand(write.before), goal):
        if not found or found[-1] != one:
            found.append(one)
    return found


def _step(policy: Policy, before: Mapping[str, Any], after: Mapping[str, Any]) -> Answer:
    return evaluate(policy.conditions, {ROLLOUT: (before, after)})


def _walk(change: Change, policy: Policy, stands: Sequence[_Stand]) -> Finding | None:
    """The finding, if all of these together would have waited."""
    for shown in ([stand.places for stand in stands], [stand.people for stand in stands]):
        whole = _step(policy, shown[0], shown[-1])
        if whole.gates:
            return _said_of(change, policy, whole.paths[0], shown)
    return None


def _said_of(
    change: Change, policy: Policy, path: str, shown: Sequence[Mapping[str, Any]]
) -> Finding:
    values = [stand[path] for stand in shown if path in stand]
    steps = [messages.show(value) for value, _ in groupby(values)]
    return Finding(
        code=WALKED,
        severity=Severity.WARNING,
        message=f"{change.address} goes under {policy.address} in steps: "
        f"{path.removesuffix(f'.{ROLLOUT}')} {' -> '.join(steps)} within a few commits",
        why=f"{steps[0]} -> {steps[-1]} at once would wait for approval: "
        f"{messages.rule(policy.conditions)}",
        fix="have an approver of the policy look at the whole of it",
        source=change.source,
        address=change.address,
    )


# -- a gate opened and closed again


def _reopened(
    change: Change, now: Policy | None, past: Past, crowd: Membership
) -> Iterator[Finding]:
    """A policy that was weakened within the last commits, and is put back by this plan."""
    after = approvals_policies.outcome(change, now)
    said = _said(change, now, past)
    for place, former in enumerate(said):
        if former is None or not former.enabled:
            continue
        if not compare(former, now, crowd).weaker or compare(former, after, crowd).weaker:
            continue  # it is not weak now, or stays so
        open_ = [k for k in range(place + 1, len(said)) if compare(former, said[k], crowd).weaker]
        flags = sorted({address for k in open_ for address in _moved(past[k - 1], past[k], change)})
        if flags:
            yield Finding(
                code=REOPENED,
                severity=Severity.WARNING,
                message=f"{change.address} is put back to what it was before commit "
                f"{past[open_[0]].origin[:10]} weakened it; in between the files changed "
                f"{listed([str(address) for address in flags])}",
                why="what was written while the gate was weaker may not have been approved",
                fix="have an approver of the policy look at these flags",
                source=change.source,
                address=change.address,
            )
            return


def _said(change: Change, now: Policy | None, past: Past) -> list[Policy | None]:
    """What each state made of the policy.

    A field that no state wrote was as it is live; one that some did was the default in the others.
    """
    written = [state.resources.get(change.address) for state in past]
    ever = {name for one in (*written, change.desired) if one is not None for name in one.spec}
    usual = {name: value for name, value in KINDS[KIND].defaults.items() if name in ever}
    there = {**(now.spec if now is not None else KINDS[KIND].defaults), **usual}
    return [
        Policy(change.address, {**there, **one.spec})
        if one is not None and not one.lifecycle.absent
        else None
        for one in written
    ]


def _moved(before: Declared, after: Declared, change: Change) -> Iterator[Address]:
    """Flags of the policy's project that two states declare differently."""
    for address in {*before.resources, *after.resources}:
        if not KINDS[address.kind].gated or address.parts[:-1] != change.address.parts[:-1]:
            continue
        one, other = before.resources.get(address), after.resources.get(address)
        if one is None or other is None or one.spec != other.spec:
            yield address
