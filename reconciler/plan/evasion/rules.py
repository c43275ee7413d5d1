"""Changes that pass a gate, although the same effect would be gated if it were written otherwise.

Each finding is a warning, because such changes have honest uses. Only flags in projects with an
enabled policy that does not let this key's user through are checked, and only what is written
without approval.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    EXPERIMENT_TWINS,
    Action,
    Change,
    Confidence,
    Finding,
    Live,
    Severity,
    Verdict,
    build_change_spec,
    join_sentences,
)
from reconciler.plan.approvals import forecast, owners, server_generation
from reconciler.plan.approvals.actions import DISABLE, UPDATE
from reconciler.plan.approvals.conditions import ROLLOUT, evaluate_conditions
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.approvals.server_generation import Generation, Generations
from reconciler.plan.evasion import audience

_Reach = Mapping[audience.Audience, float]
SWITCHED_OFF: Final = "switched-off-ungated"
WIDENED: Final = "targeting-widened"
MOVED: Final = "rollout-moved"
RISKY: Final = "ungated-risk"
_OUTSIDE_HOLDOUT: Final = "people outside the holdout"
_NOT_SENT: Final = frozenset({Verdict.PENDING, Verdict.BLOCKED, Verdict.REJECTED})
_RISKY_FIELDS: Final = (
    "ensure_experience_continuity",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "evaluation_contexts",
)
_UPDATES: Final = frozenset({UPDATE, EXPERIMENT_TWINS[UPDATE]})
_BUCKETING: Final = "bucketing_identifier"
_TARGETING: Final = frozenset({"filters", _BUCKETING})  # what one call sends together
_FILTERS_CHECKED_APART: Final = frozenset({"groups", "payloads", "multivariate", "holdout"})


@dataclass(frozen=True, slots=True)
class WriteUnderPolicies:
    """A flag that is changed or deleted, and the policies that could gate this."""

    change: Change
    policies: Mapping[str, Policy]  # by action on flags; only enabled ones that let nobody through
    before: Mapping[str, Any]  # filters
    after: Mapping[str, Any]
    was_active: bool
    is_active: bool
    sends_ungated_filters: bool  # for some generation that the server may be
    sends_ungated_bucketing: bool
    changes_audiences: bool  # more than numbers in their positions
    doubt: str = ""  # why it is not certain that no approval is required

    @property
    def requirement(self) -> str:
        """Return how much approval what is sent needs, in words."""
        return "approval may not be required" if self.doubt else "no approval is required"

    def explain(self, reason: str) -> str:
        """Return why no approval is required, with the doubt about it."""
        return join_sentences(reason, self.doubt)

    @property
    def update(self) -> Policy | None:
        """Return the policy that compares the percentages of flags."""
        return self.policies.get(UPDATE)


def find_evasions(
    changes: tuple[Change, ...], live: Live, evaluator: GateEvaluator
) -> Iterator[Finding]:
    """Find each evasion, in the order of the changes."""
    for write in find_writes_under_policies(changes, live, evaluator):
        yield from _check_switched_off(write)
        if write.change.action is not Action.UPDATE or not write.was_active or not write.is_active:
            continue
        if write.sends_ungated_filters and write.changes_audiences and write.update is not None:
            before = audience.compute_reach(write.before)
            after = audience.compute_reach(write.after)
            yield from _check_percentages(write, write.update, before, after)
            yield from _check_audiences(write, write.update, before, after)
        yield from _check_risk(write)


def find_writes_under_policies(
    changes: tuple[Change, ...], live: Live, evaluator: GateEvaluator
) -> Iterator[WriteUnderPolicies]:
    """Find the writes of existing flags for which there is a gate to evade."""
    generations = server_generation.list_possible_generations(live)
    for change in changes:
        if not KINDS[change.address.kind].gates or change.before is None:
            continue
        if change.action not in {Action.UPDATE, Action.DELETE} or change.gate.verdict in _NOT_SENT:
            continue
        policies = _find_policies(change, evaluator)
        if policies and not forecast.is_off(live, change.address.organization):
            yield _describe_write(change, policies, evaluator, generations)


def _find_policies(change: Change, evaluator: GateEvaluator) -> Mapping[str, Policy]:
    in_project = evaluator.policies.get(change.address.parts[:-1])
    if not in_project:
        return {}
    scoped = change.address.organization in evaluator.scoped
    return {
        action: policy
        for action, gating_action in owners.find_gating_actions(
            change.before, scoped=scoped
        ).items()
        if (policy := in_project.get(gating_action)) is not None
        and policy.enabled
        and not evaluator.people.find_bypass(policy).passes
    }


def _describe_write(
    change: Change,
    policies: Mapping[str, Policy],
    evaluator: GateEvaluator,
    generations: Generations,
) -> WriteUnderPolicies:
    spec = change.before.spec if change.before is not None else {}
    sent = build_change_spec(change) if change.action is Action.UPDATE else {}
    before = spec.get("filters") or {}
    was_active = spec.get("active") is not False
    after = {**before, **(sent.get("filters") or {})}
    is_gated = [
        _is_targeting_gated(change, evaluator, generation)
        for generation in (generations if not _TARGETING.isdisjoint(sent) else ())
    ]
    differs = any(is_gated) and not all(is_gated)
    return WriteUnderPolicies(
        change=change,
        policies=policies,
        before=before,
        after=after,
        was_active=was_active,
        is_active=sent.get("active", was_active) is not False,
        sends_ungated_filters="filters" in sent and not all(is_gated),
        sends_ungated_bucketing=_BUCKETING in sent and not all(is_gated),
        changes_audiences="filters" in sent and _mask_numbers(before) != _mask_numbers(after),
        doubt=server_generation.GATED_BY_SOME if differs else "",
    )


def _is_targeting_gated(change: Change, evaluator: GateEvaluator, generation: Generation) -> bool:
    """Return whether the call that sends the filters and `bucketing_identifier` waits."""
    gate = change.gate
    if gate.confidence is Confidence.CERTAIN and (
        gate.verdict is Verdict.NONE or (gate.policy or "").rpartition("/")[2] in _UPDATES
    ):
        return gate.waits
    calls = evaluator.evaluate_calls(change, change.before, generation)
    return any(
        call.action_match.action in _UPDATES and call.verdict is Verdict.APPROVAL for call in calls
    )


def _mask_numbers(filters: Mapping[str, Any]) -> Any:
    """Return everything except plain percentages: while this is equal, no audience changes."""
    groups = [_mask_percentage(group) for group in filters.get("groups") or ()]
    multivariate = filters.get("multivariate") or {}
    variants = [_mask_percentage(variant) for variant in multivariate.get("variants") or ()]
    return groups, variants, audience.compute_share_outside_holdout(filters)


def _mask_percentage(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**item, "rollout_percentage": item.get("rollout_percentage") is not None}


# -- off, without the approval that switching off needs


def _check_switched_off(write: WriteUnderPolicies) -> Iterator[Finding]:
    policy = write.policies.get(DISABLE)
    if (
        policy is None
        or not write.was_active
        or not evaluate_conditions(policy.conditions, {}).gates
    ):
        return
    if end := _describe_end(write):
        yield _warning(
            SWITCHED_OFF,
            write.change,
            f"{write.change.address} is active and {end}: {write.requirement} for this, "
            f"although {policy.address} requires one when the flag is switched off",
            write.explain("PostHog gates `active`, not other changes with the same effect"),
            "switch it off first (active: false), and apply this after that is approved",
        )


def _describe_end(write: WriteUnderPolicies) -> str:
    """Return how the write ends the flag for everybody; "" if it does not."""
    if write.change.action is Action.DELETE:
        return "will be deleted"
    if any(edit.path == "metadata.key" for edit in write.change.fields):
        return "gets another key, so that the old one is off everywhere"
    if not write.sends_ungated_filters or not write.is_active:
        return ""
    if not audience.reaches_nobody(write.after) or audience.reaches_nobody(write.before):
        return ""
    return "will no longer reach anybody"


# -- the same percentages in another position


def _check_percentages(
    write: WriteUnderPolicies, policy: Policy, before: _Reach, after: _Reach
) -> Iterator[Finding]:
    """Find audiences and variants whose percentage changes more than the policy allows."""
    steps = [
        (str(reached), before[reached], after[reached]) for reached in after if reached in before
    ]
    old, new = audience.read_variant_shares(write.before), audience.read_variant_shares(write.after)
    steps += [(f"variant {key}", old[key], new[key]) for key in new if key in old]
    outside_before = audience.compute_share_outside_holdout(write.before)
    outside_after = audience.compute_share_outside_holdout(write.after)
    steps.append((_OUTSIDE_HOLDOUT, outside_before, outside_after))
    changed = [
        f"{shorten(name)} from {format_percent(was)} to {format_percent(now)}"
        for name, was, now in steps
        if was != now
        and evaluate_conditions(policy.conditions, {ROLLOUT: ({name: was}, {name: now})}).gates
    ]
    if changed:
        yield _warning(
            MOVED,
            write.change,
            f"{write.change.address} moves {join_first(changed)}: {write.requirement} for "
            f"this, although {policy.address} requires one for such a step",
            write.explain(
                "PostHog compares percentages by their position in the list, ignores a missing or "
                "null percentage although it means 100, and compares the excluded percentage of a "
                "holdout"
            ),
            "keep the order of the groups and write every percentage, or have an approver of the "
            "policy review it",
        )


def _check_audiences(
    write: WriteUnderPolicies, policy: Policy, before: _Reach, after: _Reach
) -> Iterator[Finding]:
    """Find audiences that were not reached, or not so widely, and that no position shows."""
    reached = [
        f"{shorten(str(newly))} ({format_percent(after[newly])}"
        + (f", previously only {shorten(str(narrower))})" if narrower is not None else ")")
        for newly, narrower in audience.find_newly_reached(before, after)
    ]
    if reached:
        yield _warning(
            WIDENED,
            write.change,
            f"{write.change.address} newly reaches {join_first(reached)}: {write.requirement} "
            f"for this under {policy.address}",
            write.explain(
                "conditions on rollout_percentage compare percentages, not audiences, and PostHog "
                "before autumn 2026 never gates audiences without conditions that select them"
            ),
            "have an approver of the policy review it; policies without conditions (since autumn "
            "2026) and those of type any_change on release_conditions gate such changes",
        )


# -- what no policy covers


def _check_risk(write: WriteUnderPolicies) -> Iterator[Finding]:
    changed = [
        *_list_risky_fields(write),
        *(_list_risky_filters(write) if write.sends_ungated_filters else ()),
    ]
    if changed:
        yield _warning(
            RISKY,
            write.change,
            f"{write.change.address} is active, and {write.requirement} although it changes what "
            f"people get: {join_first(changed)}",
            write.explain("no enabled policy of the project gates this"),
            "have an approver review it: "
            + ", ".join(str(policy.address) for policy in write.policies.values()),
        )


def _list_risky_fields(write: WriteUnderPolicies) -> Iterator[str]:
    changed = {edit.path.split(".")[0].split("[")[0] for edit in write.change.fields}
    yield from (name for name in _RISKY_FIELDS if name in changed)
    if write.sends_ungated_bucketing:
        yield _BUCKETING


def _list_risky_filters(write: WriteUnderPolicies) -> Iterator[str]:
    """List the parts of the filters that change, except percentages and audiences."""
    was, now = (_canonical_filters(filters) for filters in (write.before, write.after))
    if was.get("payloads") != now.get("payloads"):
        yield "payloads"
    old, new = audience.read_variant_shares(write.before), audience.read_variant_shares(write.after)
    if old.keys() != new.keys():
        yield "variants"
    if _list_overrides(was) != _list_overrides(now):
        yield "variants given to a group"
    if _replaces_people(write):
        yield "release conditions"
    yield from sorted(
        name for name in {*was, *now} - _FILTERS_CHECKED_APART if was.get(name) != now.get(name)
    )


def _canonical_filters(filters: Mapping[str, Any]) -> Mapping[str, Any]:
    return KINDS["FeatureFlag"].canonical({"filters": filters})["filters"] or {}


def _list_overrides(filters: Mapping[str, Any]) -> list[Any]:
    return sorted({str(g["variant"]) for g in filters.get("groups") or () if "variant" in g})


def _replaces_people(write: WriteUnderPolicies) -> bool:
    """Return whether new people are reached, and no policy for percentages reports it already."""
    if write.update is not None or not write.changes_audiences:
        return False
    before, after = audience.compute_reach(write.before), audience.compute_reach(write.after)
    return bool(list(audience.find_newly_reached(before, after)))


def _warning(code: str, change: Change, message: str, why: str, fix: str) -> Finding:
    source = change.source if not change.removed else None
    return Finding(code, Severity.WARNING, message, why, fix, source, change.address)


_LONG: Final = 80
_MANY: Final = 3


def format_percent(value: Any) -> str:
    """Return `50 %`; null and nothing mean 100."""
    return "100 %" if value is None else f"{value:g} %" if _is_number(value) else f"{value} %"


def shorten(text: str) -> str:
    """Return a text that fits into a sentence."""
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def join_first(items: Sequence[str]) -> str:
    """Return the first few items, and how many more there are."""
    remaining = len(items) - _MANY
    shown = "; ".join(items[:_MANY])
    return f"{shown}; and {remaining} more" if remaining > 0 else shown


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
