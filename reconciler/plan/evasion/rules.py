"""Changes that pass a gate which would hold the same thing back if it were written otherwise.

Warnings: each of them has honest uses. They are said of flags in projects whose policies are on and
do not let this key's user through anyway; what waits for approval evades nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Change, Finding, Live, Severity, Verdict, moving
from reconciler.plan.approvals import forecast, server_generation
from reconciler.plan.approvals.actions import DISABLE, ENABLE, UPDATE
from reconciler.plan.approvals.conditions import ROLLOUT, evaluate
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.evasion import audience

_Reach = Mapping[audience.Audience, float]
SWITCHED_OFF: Final = "switched-off-ungated"
WIDENED: Final = "targeting-widened"
MOVED: Final = "rollout-moved"
RISKY: Final = "ungated-risk"
_FREE: Final = "who is outside the holdout"
_NOT_SENT: Final = frozenset({Verdict.PENDING, Verdict.BLOCKED, Verdict.REJECTED})
_RISKY_FIELDS: Final = (
    "ensure_experience_continuity",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "evaluation_contexts",
    "bucketing_identifier",
)
_PLAIN_FILTERS: Final = frozenset({"groups", "payloads", "multivariate", "holdout"})


@dataclass(frozen=True, slots=True)
class Write:
    """A flag that changes or goes, and the policies that could hold it back."""

    change: Change
    policies: Mapping[str, Policy]  # by action; only those that are on and let nobody through
    before: Mapping[str, Any]  # filters
    after: Mapping[str, Any]
    was_active: bool
    is_active: bool
    filters_pass: bool  # what is sent of the filters is held back by no policy
    people_move: bool  # not only numbers in their places

    @property
    def update(self) -> Policy | None:
        """The policy for what a flag's percentages are."""
        return self.policies.get(UPDATE)


def find(changes: tuple[Change, ...], live: Live, world: GateEvaluator) -> Iterator[Finding]:
    """Each evasion, in the order of the changes."""
    for write in writes(changes, live, world):
        yield from _switched_off(write)
        if write.change.action is not Action.UPDATE or not write.was_active or not write.is_active:
            continue
        if write.filters_pass and write.people_move and write.update is not None:
            before, after = audience.reach(write.before), audience.reach(write.after)
            yield from _moved(write, write.update, before, after)
            yield from _widened(write, write.update, before, after)
        yield from _risky(write)


def writes(changes: tuple[Change, ...], live: Live, world: GateEvaluator) -> Iterator[Write]:
    """The writes of flags that exist, where there is a gate to evade."""
    spoken = server_generation.learn(live) or Generation.G2
    for change in changes:
        if not KINDS[change.address.kind].gated or change.before is None:
            continue
        if change.action not in {Action.UPDATE, Action.DELETE} or change.gate.verdict in _NOT_SENT:
            continue
        policies = _policies(change, world)
        if policies and not forecast.is_off(live, change.address.organization):
            yield _write(change, policies, world, spoken)


def _policies(change: Change, world: GateEvaluator) -> Mapping[str, Policy]:
    there = world.policies.get(change.address.parts[:-1], {})
    return {
        action: policy
        for action in (ENABLE, DISABLE, UPDATE)
        if (policy := there.get(action)) is not None
        and policy.enabled
        and not world.people.bypass(policy).passes
    }


def _write(
    change: Change, policies: Mapping[str, Policy], world: GateEvaluator, spoken: Generation
) -> Write:
    there = change.before.spec if change.before is not None else {}
    sent = moving(change) if change.action is Action.UPDATE else {}
    before = there.get("filters") or {}
    active = there.get("active") is not False
    after = {**before, **(sent.get("filters") or {})}
    return Write(
        change=change,
        policies=policies,
        before=before,
        after=after,
        was_active=active,
        is_active=sent.get("active", active) is not False,
        filters_pass="filters" in sent and not _held(change, world, spoken),
        people_move="filters" in sent and _shape(before) != _shape(after),
    )


def _held(change: Change, world: GateEvaluator, spoken: Generation) -> bool:
    """Whether the call that sends the filters waits."""
    gate = change.gate
    if gate.verdict is Verdict.NONE or (gate.policy or "").endswith(f"/{UPDATE}"):
        return gate.waits
    steps = world.of(change, change.before, spoken)
    return any(s.meeting.action == UPDATE and s.verdict is Verdict.APPROVAL for s in steps)


def _shape(filters: Mapping[str, Any]) -> Any:
    """Everything but plain percentages: where this stays, everybody keeps their place."""
    groups = [_but_number(group) for group in filters.get("groups") or ()]
    several = filters.get("multivariate") or {}
    shares = [_but_number(one) for one in several.get("variants") or ()]
    return groups, shares, audience.outside(filters)


def _but_number(one: Mapping[str, Any]) -> Mapping[str, Any]:
    part = one.get("rollout_percentage")
    return {**one, "rollout_percentage": part is not None}


# -- off, without the approval that switching off needs


def _switched_off(write: Write) -> Iterator[Finding]:
    policy = write.policies.get(DISABLE)
    if policy is None or not write.was_active or not evaluate(policy.conditions, {}).gates:
        return
    if how := _how_it_ends(write):
        yield _warning(
            SWITCHED_OFF,
            write.change,
            f"{write.change.address} is active and {how}: nobody is asked, though {policy.address} "
            "holds it back when it is switched off",
            "PostHog gates `active`, not what has the same effect",
            "switch it off first (active: false), and do this once that is approved",
        )


def _how_it_ends(write: Write) -> str:
    if write.change.action is Action.DELETE:
        return "will be deleted"
    if any(one.path == "metadata.key" for one in write.change.fields):
        return "gets another key, so that the old one is off everywhere"
    if not write.filters_pass or not write.is_active or not audience.nobody(write.after):
        return ""
    return "" if audience.nobody(write.before) else "will reach nobody any more"


# -- the same percentages in another place


def _moved(write: Write, policy: Policy, before: _Reach, after: _Reach) -> Iterator[Finding]:
    """Audiences and variants whose own percentage moves as the policy would not let it."""
    steps = [(str(who), before[who], after[who]) for who in after if who in before]
    old, new = audience.variants(write.before), audience.variants(write.after)
    steps += [(f"variant {key}", old[key], new[key]) for key in new if key in old]
    steps += [(_FREE, audience.outside(write.before), audience.outside(write.after))]
    said = [
        f"{short(who)} from {percent(was)} to {percent(now)}"
        for who, was, now in steps
        if was != now and evaluate(policy.conditions, {ROLLOUT: ({who: was}, {who: now})}).gates
    ]
    if said:
        yield _warning(
            MOVED,
            write.change,
            f"{write.change.address} moves {listed(said)}: nobody is asked, since the percentages "
            f"that {policy.address} looks at stand in another place, or count the others",
            "PostHog compares percentages by their place in the list, passes over null and what "
            "is not written, though both mean 100, and reads who is held out as it is written",
            "leave the groups in their order and write every percentage out, or have it approved",
        )


def _widened(write: Write, policy: Policy, before: _Reach, after: _Reach) -> Iterator[Finding]:
    """Audiences that were not reached, or not so widely, and are no position that counts."""
    said = [
        f"{short(str(who))} ({percent(after[who])}"
        + (f", before only {short(str(narrower))})" if narrower is not None else ")")
        for who, narrower in audience.newly_reached(before, after)
    ]
    if said:
        yield _warning(
            WIDENED,
            write.change,
            f"{write.change.address} newly reaches {listed(said)}: nobody is asked, since "
            f"{policy.address} looks at percentages, not at whom they are of",
            "a change of properties is gated by nothing, and a new group only by policies that "
            "look at every change, or at the percentage that it ends at",
            "have an approver of the policy look at it; conditions of type any_change on "
            "release_conditions gate such changes on newer servers",
        )


# -- what no policy looks at


def _risky(write: Write) -> Iterator[Finding]:
    said = [*_risky_fields(write), *(_risky_filters(write) if write.filters_pass else ())]
    if said:
        yield _warning(
            RISKY,
            write.change,
            f"{write.change.address} is active, and what it gives to people changes without "
            f"approval: {listed(said)}",
            "no approval policy can hold this back",
            "have an approver look at it: "
            + ", ".join(str(policy.address) for policy in write.policies.values()),
        )


def _risky_fields(write: Write) -> Iterator[str]:
    moved = {one.path.split(".")[0].split("[")[0] for one in write.change.fields}
    yield from (name for name in _RISKY_FIELDS if name in moved)


def _risky_filters(write: Write) -> Iterator[str]:
    """What else than percentages and audiences moves in the filters."""
    was, now = (_canonical(filters) for filters in (write.before, write.after))
    if was.get("payloads") != now.get("payloads"):
        yield "payloads"
    old, new = audience.variants(write.before), audience.variants(write.after)
    if old.keys() != new.keys():
        yield "variants"
    if _overrides(was) != _overrides(now):
        yield "variants given to a group"
    if _swapped(write):
        yield "release conditions"
    yield from sorted(
        name for name in {*was, *now} - _PLAIN_FILTERS if was.get(name) != now.get(name)
    )


def _canonical(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    return KINDS["FeatureFlag"].canonical({"filters": filters})["filters"] or {}


def _overrides(filters: Mapping[str, Any]) -> list[Any]:
    return sorted({str(g["variant"]) for g in filters.get("groups") or () if "variant" in g})


def _swapped(write: Write) -> bool:
    """People whom it did not reach, where no policy for percentages says so already."""
    if write.update is not None or not write.people_move:
        return False  # said as widened
    before, after = audience.reach(write.before), audience.reach(write.after)
    return bool(list(audience.newly_reached(before, after)))


def _warning(code: str, change: Change, message: str, why: str, fix: str) -> Finding:
    source = change.source if not change.removed else None
    return Finding(code, Severity.WARNING, message, why, fix, source, change.address)


_LONG: Final = 80
_MANY: Final = 3


def percent(value: Any) -> str:
    """`50 %`; null and nothing mean 100."""
    return "100 %" if value is None else f"{value:g} %" if _is_number(value) else f"{value} %"


def short(text: str) -> str:
    """A text that fits into a sentence."""
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def listed(said: Sequence[str]) -> str:
    """The first few, and how many more."""
    rest = len(said) - _MANY
    shown = "; ".join(said[:_MANY])
    return f"{shown}; and {rest} more" if rest > 0 else shown


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
