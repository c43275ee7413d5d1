"""Turn the options of a command line into limits and options; refuse what a guardrail refuses."""

from dataclasses import replace

from reconciler.apply import created_names
from reconciler.cli.parsing.guardrail_options import GuardrailOptions
from reconciler.cli.session import Session
from reconciler.config import dropped_writes
from reconciler.config.targets import Target
from reconciler.errors import GuardrailError, UsageError
from reconciler.model import Plan, Selection
from reconciler.operations import inputs
from reconciler.operations.inputs import Inputs
from reconciler.plan import selection
from reconciler.plan.guardrails import apply_refusals, checks, deletes
from reconciler.plan.guardrails.checks import GuardrailLimits
from reconciler.plan.selection import PlanOptions
from reconciler.planfile import results
from reconciler.render.shared import summary


def read_limits(target: Target, lifted: GuardrailOptions) -> GuardrailLimits:
    """Return what the target allows, with what the command line lifts for this run."""
    guardrails = target.guardrails
    return checks.GuardrailLimits(
        deletes.DeleteLimits(
            guardrails.max_deletes,
            guardrails.max_delete_percent,
            guardrails.describe_source("max_deletes"),
            guardrails.describe_source("max_delete_percent"),
            lifted.confirm_deletes,
        ),
        lifted.allow_destroy,
        lifted.allow_lockout,
        guardrails.allow_weakening or lifted.allow_weakening,
    )


def resolve_part(given: Inputs, part: Selection) -> Selection:
    """Return the part of a plan with addresses in place of bare names."""
    if not (part.select or part.exclude):
        return part
    now = inputs.list_declared(given.loaded)
    before = inputs.list_declared(given.base_loaded) if given.base_loaded is not None else set()
    return replace(
        part,
        select=selection.resolve_names(part.select, now, before),
        exclude=selection.resolve_names(part.exclude, now, before),
    )


def read_options(
    given: Inputs, limits: GuardrailLimits, part: Selection, *, prefer: str | None = None
) -> PlanOptions:
    """Return what the planner is asked for: selection, limits, and what other files declare."""
    is_partial = inputs.is_partial(given.settings, given.target)
    if part.prune and is_partial:
        raise UsageError(
            "--prune takes no PATH that is a part of the target's files",
            why="what other files of the target declare would look as if it were in none",
            fix="leave the paths out, or choose with --select",
        )
    needs_others = part.paths and (part.prune or given.base_loaded is not None)
    journals = given.folder / ".reconciler"
    has_droppable = dropped_writes.has_droppable_fields(given.loaded)
    return PlanOptions(
        part.select,
        part.exclude,
        given.target.ignore,
        limits,
        prefer,
        unmanaged=given.target.unmanaged,
        prune=part.prune,
        declared_elsewhere=inputs.read_other_declarations(given)
        if is_partial or needs_others
        else (),
        sent_in_vain=dropped_writes.read_journals(given.folder, given.target.name)
        if has_droppable
        else {},
        misnamed=created_names.recall(journals),
    )


def drop_refusals(plan: Plan) -> Plan:
    """Return the plan without the errors that `refuse_run` will report: they are shown once."""
    if plan.refusal is None or not plan.refusal.whole:
        return plan
    reported = apply_refusals.find_run_refusals(plan, go_on=plan.refusal.go_on)
    kept = tuple(finding for finding in plan.findings if finding not in reported)
    return replace(plan, findings=kept, refusal=None)


def refuse_run(session: Session, plan: Plan, *, form: str) -> None:
    """Refuse the whole run if a guardrail says no (exit code 4).

    The account still says which changes are refused, and that nothing else was started.
    """
    if plan.refusal is None or not plan.refusal.whole:
        return
    findings = apply_refusals.find_run_refusals(plan, go_on=plan.refusal.go_on)
    outcomes = apply_refusals.find_refused_changes(plan)
    session.report.outcomes(outcomes, plan)
    if form == "json":
        session.say(results.dump_outcomes(outcomes, plan))
    raise GuardrailError(
        "apply refuses this plan",
        findings=summary.merge_findings(findings),
        fix="use --continue to apply the rest"
        if plan.refusal.rest
        else "plan again once it is fixed",
    )
