"""Plan: one line per stage, in the order of docs/architecture.md."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import field

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Change,
    Declared,
    Finding,
    Live,
    Plan,
    Released,
    Requests,
    select_written,
)
from reconciler.plan import links, notices, rewrites, schedules
from reconciler.plan import unmanaged as plan_unmanaged
from reconciler.plan.approvals import findings, forecast
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.diff import dropped_fields, references, removals, secrets, three_way
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.plan.diff.known_changes import KnownChanges
from reconciler.plan.evasion import incremental, rules
from reconciler.plan.guardrails import (
    access_rules,
    checks,
    experiment_policies,
    lockout,
    new_names,
    rejected_changes,
    weakening,
)
from reconciler.plan.ordering import changes as ordering_changes
from reconciler.plan.ordering import flag_dependencies
from reconciler.plan.selection import PlanOptions, is_selected, select_declared
from reconciler.plan.weakening import effects
from reconciler.plan.weakening.partial_apply import StartedCommits


@dataclass(frozen=True, slots=True)
class Comparison:
    """The selected resources compared with the live side, before gates, order and guardrails."""

    picked: Declared
    base: Declared | None
    live: Live
    options: PlanOptions
    changes: tuple[Change, ...]
    problems: tuple[Finding, ...]
    known: KnownChanges  # as compared, for another comparison of this run
    writes: tuple[Change, ...] = field(init=False)  # all changes but `none`

    def __post_init__(self) -> None:
        """Pick the changes that are written: most questions are about these few."""
        object.__setattr__(self, "writes", select_written(self.changes))


def build_plan(
    *,
    desired: Declared,
    base: Declared | None,
    live: Live,
    options: PlanOptions,
    compared: Comparison | None = None,
    past: Sequence[Declared] = (),
    started: StartedCommits | None = None,
) -> Plan:
    """Plan the changes that make `live` what `desired` declares, with their reasons.

    Args:
        desired: what the files declare.
        base: what they declared at the commit that was applied last.
        live: what PostHog has.
        options: what the user asked for.
        compared: the result of `compare_resources` for the same files, if there is one.
        past: what the files declared at earlier commits, for `evasion.incremental`.
        started: what they declared since the base, where a gate would get weaker.

    """
    seen = compare_resources(
        desired=desired, base=base, live=live, options=options, before=compared
    )
    picked, base, problems = seen.picked, seen.base, seen.problems
    edges, unresolved = references.resolve_names(picked, desired, live)
    unmanaged = _list_unmanaged(desired, base, live, options)
    noticed = unmanaged if options.unmanaged != "ignore" else ()
    changes, held = checks.hold_back_deletes(seen.changes, (*unresolved, *problems))
    gate_effects = effects.find_gate_effects(changes, live)
    changes = _add_gates_and_schedules(changes, live, gate_effects)
    changes, cycles = ordering_changes.order_changes(changes, edges, gate_effects, live)
    writes = select_written(changes)
    reported = (
        *picked.findings,
        *unresolved,
        *problems,
        *held,
        *cycles,
        *flag_dependencies.find_refused_changes(changes, live),
        *rejected_changes.find_rejected_changes(changes, live),
        *checks.find_refusals(
            writes, live, options.limits, desired=desired, base=base, started=started
        ),
        *_find_gate_findings(changes, writes, live),
        *_find_evasions(writes, live, gate_effects, past),
        *plan_unmanaged.check_setting(options.unmanaged, unmanaged, prune=options.prune),
        *experiment_policies.find_policy_notices(writes, live, noticed),
        *notices.find_unreadable(picked, base, live),
        *_find_field_notices(changes, writes),
    )
    return Plan(
        changes=secrets.mask_changes(changes),
        unmanaged=_list_left_alone(unmanaged, writes, options),
        released=_list_released(changes, desired, base, options),
        findings=tuple(sorted(reported, key=lambda finding: finding.sort_key)),
        requests=Requests(expected_writes=len(writes)),
        change_requests=links.list_change_requests(changes, live),
    )


def _add_gates_and_schedules(
    changes: tuple[Change, ...], live: Live, gate_effects: effects.GateEffects
) -> tuple[Change, ...]:
    """Return each change with the gate that it will meet, and what PostHog will do by itself."""
    last = gate_effects.list_last()
    changes = forecast.forecast_gates(changes, live, live.rejections, last=last)
    return rewrites.add_warnings(schedules.attach_schedules(changes, live), live)


def _find_field_notices(
    changes: tuple[Change, ...], writes: tuple[Change, ...]
) -> Iterator[Finding]:
    """Find live values that no file declares, and those that a write makes PostHog remove."""
    yield from notices.find_unmanaged_fields(changes)
    yield from notices.find_dropped_keys(writes)


def _find_gate_findings(
    changes: tuple[Change, ...], writes: tuple[Change, ...], live: Live
) -> Iterator[Finding]:
    """Find what is wrong with the gates of a plan, and what could not be read of them."""
    yield from findings.find_gate_findings(writes, live)
    yield from rewrites.find_unreadable(writes, live)
    yield from access_rules.find_notices(changes, live)


def _find_evasions(
    writes: tuple[Change, ...],
    live: Live,
    gate_effects: effects.GateEffects,
    past: Sequence[Declared],
) -> Iterator[Finding]:
    """Find changes that pass a gate which would hold the same change back in another form."""
    if past or any(KINDS[change.address.kind].gates for change in writes):
        evaluator = GateEvaluator(writes, live, gate_effects.list_last())
        yield from rules.find_evasions(writes, live, evaluator)
        yield from incremental.find_stepwise_evasions(writes, live, evaluator, past)


def compare_resources(
    *,
    desired: Declared,
    base: Declared | None,
    live: Live,
    options: PlanOptions,
    before: Comparison | None = None,
) -> Comparison:
    """Compare each declared resource with the live side; delete what has left the files.

    What `before` has compared, and what has not changed since, is taken from there.
    """
    if before is not None and before.live is live and before.options == options:
        return before
    picked = references.respell_references(select_declared(desired, options), live)
    base = references.respell_references(base, live, desired) if base is not None else None
    reversal = options.reversal.respell(live, desired) if options.reversal is not None else None
    compare = reversal.compare if reversal is not None else None
    changes, problems = three_way.compare_all(
        picked, base, live, before.known if before is not None else None, compare
    )
    known = KnownChanges(changes, BaseIndex(picked, base))
    deletes, unclear = removals.find_removals(
        desired,
        base,
        live,
        lambda address: is_selected(options, address),
        changes,
        declared_elsewhere=options.declared_elsewhere,
    )
    if reversal is not None:
        deletes = tuple(map(reversal.guard_delete, deletes))
    changes = three_way.resolve_conflicts((*changes, *deletes), options.prefer)
    reported = (*problems, *unclear)
    if options.prefer != "git":
        changes, dropped = dropped_fields.remove_dropped_fields(changes, live, options.sent_in_vain)
        reported = (*reported, *dropped)
    if options.prune and options.unmanaged != "ignore":
        unmanaged = _list_unmanaged(desired, base, live, options)
        pruned, spared = plan_unmanaged.plan_prune(unmanaged, changes, live)
        changes, reported = (*changes, *pruned), (*reported, *spared)
    reported = (
        *reported,
        *new_names.find_misleading_names(changes, desired, live, options.misnamed),
    )
    return Comparison(picked, base, live, options, changes, reported, known)


def _list_unmanaged(
    desired: Declared, base: Declared | None, live: Live, options: PlanOptions
) -> tuple[Address, ...]:
    """List what is live, not declared, and not excluded from this run."""
    unmanaged = plan_unmanaged.list_unmanaged(desired, base, live)
    return tuple(
        a for a in unmanaged if is_selected(options, a) and a not in options.declared_elsewhere
    )


def _list_released(
    changes: tuple[Change, ...], desired: Declared, base: Declared | None, options: PlanOptions
) -> tuple[Released, ...]:
    """List the fields that left the files; what a reversal leaves out was never written."""
    if options.reversal is not None:
        return ()
    return tuple(removals.find_released(changes, desired, base))


def _list_left_alone(
    unmanaged: tuple[Address, ...], writes: tuple[Change, ...], options: PlanOptions
) -> tuple[Address, ...]:
    """List the unmanaged resources that the plan does not change."""
    if options.unmanaged == "ignore":
        return ()
    pruned = {change.address for change in writes if change.pruned}
    return tuple(address for address in unmanaged if address not in pruned)


@dataclass(frozen=True, slots=True)
class GatedProjects:
    """Projects whose gates matter to a run, and how much of them has to be read."""

    written: Collection[Address]  # gated writes, now or later: policies and change requests
    watched: Collection[Address]  # people change who may approve or bypass: policies
    rewriting: Collection[tuple[str, tuple[str, ...]]] = ()  # whose objects rewrite others
    guarding: Collection[tuple[str, tuple[str, ...]]] = ()  # collections for guardrails

    def __bool__(self) -> bool:
        """Return whether anything has to be read."""
        return bool(self.written or self.watched or self.guarding)


def needs_key_user(compared: Comparison) -> bool:
    """Return whether the plan depends on the key's user: nobody can change their own level."""
    return any(change.address.kind == "Member" for change in compared.writes)


def find_gated_projects(compared: Comparison) -> GatedProjects:
    """Return the projects whose policies and change requests have to be read for this run."""
    writes, reversal = compared.writes, compared.options.reversal
    return GatedProjects(
        {
            *(reversal.list_gated_projects() if reversal is not None else ()),
            *forecast.list_gated_projects(writes),
            *schedules.list_waiting_projects(compared.changes, compared.live),
        },
        weakening.find_affected_projects(writes, compared.live),
        rewrites.list_rewriting(writes),
        lockout.list_needed(writes),
    )
