"""The planner, to be read from top to bottom."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Declared, Finding, Live, Plan, Requests
from reconciler.plan import links, notices
from reconciler.plan import unmanaged as plan_unmanaged
from reconciler.plan.approvals import findings, forecast
from reconciler.plan.approvals.evaluation import GateEvaluator
from reconciler.plan.diff import dropped_fields, references, secrets, three_way
from reconciler.plan.evasion import incremental, rules
from reconciler.plan.guardrails import checks, new_names, rejected_changes, weakening
from reconciler.plan.ordering import changes as ordering_changes
from reconciler.plan.ordering import flag_dependencies
from reconciler.plan.selection import Options, covers, pick
from reconciler.plan.weakening import effects
from reconciler.plan.weakening.partial_apply import StartedCommits


@dataclass(frozen=True, slots=True)
class Comparison:
    """What this run is about, held against the live side; before gates, order and guardrails."""

    picked: Declared
    base: Declared | None
    live: Live
    options: Options
    changes: tuple[Change, ...]
    problems: tuple[Finding, ...]


def build_plan(
    *,
    desired: Declared,
    base: Declared | None,
    live: Live,
    options: Options,
    compared: Comparison | None = None,
    past: Sequence[Declared] = (),
    started: StartedCommits | None = None,
) -> Plan:
    """What apply would do to make `live` what `desired` says, and why.

    `compared` is the result of `compare` for the same input, if it exists already; `past` the files
    at recent commits (`incremental.find_needed_history`); `started` the files since the base
    (`weakening.detect.list_search_words`).
    """
    if compared is None or compared.live is not live or compared.options != options:
        compared = compare(desired=desired, base=base, live=live, options=options)
    picked, base, problems = compared.picked, compared.base, compared.problems
    edges, unresolved = references.resolve_names(picked, desired, live)
    extra = _unmanaged(desired, base, live, options)
    changes, held = checks.hold_back(compared.changes, (*unresolved, *problems))
    leans = effects.find_gate_effects(changes, live)
    changes = forecast.forecast_gates(changes, live, live.rejections, last=leans.list_last())
    changes, cycles = ordering_changes.order_changes(changes, edges, leans)
    said = (
        *picked.findings,
        *unresolved,
        *problems,
        *held,
        *cycles,
        *flag_dependencies.find_refused_changes(changes, live),
        *rejected_changes.find(changes, live),
        *checks.find(changes, live, options.limits, desired=desired, base=base, started=started),
        *findings.find_gate_findings(changes, live),
        *_evasions(changes, live, leans, past),
        *plan_unmanaged.notice(options.unmanaged, len(extra), asked=options.prune),
        *notices.unreadable(picked, base, live),
        *notices.unmanaged_fields(changes),
        *notices.dropped_keys(changes),
    )
    return Plan(
        changes=tuple(map(secrets.mask_hidden, changes)),
        unmanaged=_left(extra, changes, options),
        released=tuple(three_way.find_released(changes, desired, base)),
        findings=tuple(sorted(said, key=lambda finding: finding.sort_key)),
        requests=Requests(expected_writes=sum(1 for c in changes if c.action is not Action.NONE)),
        change_requests=links.asked(changes, live),
    )


def _evasions(
    changes: tuple[Change, ...], live: Live, leans: effects.GateEffects, past: Sequence[Declared]
) -> Iterator[Finding]:
    """What passes a gate that would hold the same thing back in another form."""
    moving = (change for change in changes if change.action is not Action.NONE)
    if past or any(KINDS[change.address.kind].gated for change in moving):
        met = GateEvaluator(changes, live, leans.list_last())
        yield from rules.find_evasions(changes, live, met)
        yield from incremental.find_stepwise_evasions(changes, live, met, past)


def compare(
    *, desired: Declared, base: Declared | None, live: Live, options: Options
) -> Comparison:
    """The change of each declared resource, and the deletes of what left the files."""
    picked = references.respell_references(pick(desired, options), live)
    base = references.respell_references(base, live, desired) if base is not None else None
    changes, problems = three_way.compare_all(picked, base, live)
    gone, unclear = three_way.find_removals(
        desired,
        base,
        live,
        lambda address: covers(options, address),
        changes,
        declared_elsewhere=options.elsewhere,
    )
    changes = three_way.resolve_conflicts((*changes, *gone), options.prefer)
    found = (*problems, *unclear)
    if options.prefer != "git":
        changes, dropped = dropped_fields.remove_dropped_fields(changes, live, options.sent_in_vain)
        found = (*found, *dropped)
    if options.prune and options.unmanaged != "ignore":
        extra = _unmanaged(desired, base, live, options)
        pruned, spared = plan_unmanaged.prune(extra, changes, live)
        changes, found = (*changes, *pruned), (*found, *spared)
    found = (*found, *new_names.find(changes, desired, live, options.misnamed))
    return Comparison(picked, base, live, options, changes, found)


def _unmanaged(
    desired: Declared, base: Declared | None, live: Live, options: Options
) -> tuple[Address, ...]:
    """What is live, in no file, and not left out of this run."""
    every = plan_unmanaged.found(desired, base, live)
    return tuple(a for a in every if covers(options, a) and a not in options.elsewhere)


def _left(
    extra: tuple[Address, ...], changes: tuple[Change, ...], options: Options
) -> tuple[Address, ...]:
    """What is listed as left alone."""
    if options.unmanaged == "ignore":
        return ()
    pruned = {change.address for change in changes if change.pruned}
    return tuple(address for address in extra if address not in pruned)


@dataclass(frozen=True, slots=True)
class Gated:
    """Projects whose gates matter to a run, and how much of them has to be read."""

    written: Collection[Address]  # flags change: policies and change requests
    watched: Collection[Address]  # people change who may approve or bypass: policies

    def __bool__(self) -> bool:
        """Whether anything has to be read at all."""
        return bool(self.written or self.watched)


def needs_me(compared: Comparison) -> bool:
    """Return whether the plan depends on who the key acts as: nobody changes their own level."""
    moving = (change for change in compared.changes if change.action is not Action.NONE)
    return any(change.address.kind == "Member" for change in moving)


def gated_projects(compared: Comparison) -> Gated:
    """Where policies, and change requests, have to be read for this run; nowhere else."""
    changes = compared.changes
    return Gated(forecast.list_gated_projects(changes), weakening.projects(changes, compared.live))
