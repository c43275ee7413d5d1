"""`reconciler undo`: plan what reverts an earlier run. Reads only; `apply` carries it out."""

import click

from reconciler import render
from reconciler.cli import adopt, guardrails, options, planfiles
from reconciler.cli.parsing import guardrail_options
from reconciler.cli.parsing.guardrail_options import GuardrailOptions
from reconciler.cli.session import Session
from reconciler.errors import UsageError
from reconciler.files import result_files
from reconciler.operations import record_base
from reconciler.operations.history import file_edits, undo, undone
from reconciler.plan.guardrails import apply_refusals
from reconciler.plan.selection import PlanOptions
from reconciler.render.shared import summary


@click.command("undo", epilog="Example: reconciler undo HEAD --out undo.json")
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="COMMIT|ADDRESS...",
    shell_complete=options.complete("addresses"),
)
@guardrail_options.guardrails
@click.option(
    "--out",
    metavar="PLANFILE",
    callback=options.named,
    help="Save the plan, for `show` and `apply`.",
)
@click.option("--patch", is_flag=True, help="Print the change to the files, for `git apply`.")
@options.formats("text", "json")
@options.zoom
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    lifted: GuardrailOptions,
    prefer: str | None,
    out: str | None,
    patch: bool,
    format_: str,
) -> int:
    """Plan how to revert the run that applied COMMIT, or the last change of ADDRESS.

    Each field gets its previous value back, unless somebody has changed it since: then it is a
    conflict and stays as it is. Reads only: `apply PLANFILE` applies the plan.
    """
    _refuse_options(prefer, format_, patch=patch)
    if out is not None:
        result_files.check_place(out)
    target, facts = session.target(), session.facts()
    limits = guardrails.read_limits(target, lifted)
    planning = PlanOptions(
        ignore=target.ignore, limits=limits, prefer=prefer, unmanaged=target.unmanaged
    )
    with session.reader(target) as reader:
        given = undone.read_undone(
            session.settings(), target, facts, words, folder=session.folder(), host=reader.host
        )
        if not lifted.allow_rollback:
            state, head = given.reader.state, given.reader.tree.commit
            record_base.refuse_rollback(target, head, state, facts.build)
        result = undo.run(reader, given, planning, facts)
    planned = apply_refusals.add_refusal(result.plan, go_on=lifted.go_on)
    session.keep(given, result, planned)
    if out is not None:
        planfiles.save_plan(session, planned, out)
    if patch:
        reverted = file_edits.revert_documents(given, result)
        adopt.print_diffs(reverted.patches.values(), given.reader.tree)
        adopt.show_skipped(reverted.skipped)
        return apply_refusals.predict_exit_code(planned) or (1 if reverted.skipped else 0)
    session.show_plan(render.plan, planned, format_, saved=out or "", command="undo")
    session.fail(summary.describe_refusal(planned), format_)
    return apply_refusals.predict_exit_code(planned)


def _refuse_options(prefer: str | None, format_: str, *, patch: bool) -> None:
    """Refuse what contradicts an undo (64)."""
    if prefer == "git":
        raise UsageError(
            "--prefer git cannot be used with undo",
            why="undo never overwrites a later change",
            fix="leave it out, or use --prefer live",
        )
    if patch and format_ != "text":
        raise UsageError(f"--patch has no format {format_}", fix="leave --format out")
