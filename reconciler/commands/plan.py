"""`reconciler plan`: show what apply would do. GET requests only, by type."""

from dataclasses import replace

import click

from reconciler import render
from reconciler.cli import guardrails, options, planfiles
from reconciler.cli.parsing import guardrail_options
from reconciler.cli.parsing.guardrail_options import GuardrailOptions
from reconciler.cli.session import Session
from reconciler.files import repo_paths, result_files
from reconciler.model import Selection
from reconciler.operations import inputs, record_base
from reconciler.operations import plan as operations_plan
from reconciler.operations.inputs import Inputs
from reconciler.plan import drift_report
from reconciler.plan.guardrails import apply_refusals
from reconciler.render.shared import summary

DIFFERENCES = 2


@click.command("plan", epilog="Example: reconciler -v plan --select 'FeatureFlag/acme/Web/*'")
@options.paths
@options.selection
@options.base
@options.prune
@guardrail_options.guardrails
@click.option(
    "--out", metavar="FILE", callback=options.named, help="Save the plan, for `show` and `apply`."
)
@options.formats("text", "json", "markdown", "html")
@options.zoom
@click.option(
    "--drift",
    "drift_on",
    type=click.Choice(("touched", "all")),
    help="Drift on resources that the files have not touched since the base: all of it, or one "
    "line. One line in the build of a pull request.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if there are changes.")
@options.report
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str | None,
    prune: bool,
    lifted: GuardrailOptions,
    prefer: str | None,
    out: str | None,
    format_: str,
    drift_on: str | None,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would do, why, and who will have to approve it. Reads only."""
    if out is not None:
        result_files.check_place(out)
    given = inputs.read_inputs(
        session.settings(paths),
        session.target(paths),
        session.facts(),
        base_ref=base,
        parsed=session.surroundings.parsed,
    )
    session.note_ignored(given.ignored)
    anchored = repo_paths.anchor_paths(given.settings.folder, paths)
    part = guardrails.resolve_part(given, Selection(anchored, select, exclude, prune))
    limits = guardrails.read_limits(given.target, lifted)
    planning = guardrails.read_options(given, limits, part, prefer=prefer)
    is_kept = out is not None or format_ != "text" or session.report.folder is not None
    with session.reader(given.target) as reader:
        planned, world = operations_plan.run(
            reader,
            given,
            planning,
            findings=() if lifted.allow_rollback else record_base.find_rollback(given),
            basis=given.snapshot(part, prefer=prefer) if is_kept else None,
            has_digest=is_kept or bool(session.verbose),
        )
    planned = apply_refusals.add_refusal(planned, go_on=lifted.go_on)
    if _shows_drift_in_one_line(given, drift_on):
        unrelated = drift_report.find_unrelated_drift(planned, world.desired, world.base)
        planned = replace(planned, unrelated_drift=unrelated)
    session.keep(given, world, planned)
    session.report.plan(planned)
    if out is not None:
        planfiles.save_plan(session, planned, out)
    session.show_plan(render.plan, planned, format_, saved=out or "")
    session.fail(summary.describe_refusal(planned), format_)
    if code := apply_refusals.predict_exit_code(planned):
        return code
    return DIFFERENCES if detailed_exitcode and planned.writes else 0


def _shows_drift_in_one_line(given: Inputs, drift_on: str | None) -> bool:
    """Return whether drift that the files have not touched is one line: --drift, else the build."""
    is_pull_request = given.base is not None and given.base.pull_request
    return drift_on == "touched" or (drift_on is None and is_pull_request)
