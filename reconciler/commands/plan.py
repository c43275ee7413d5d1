"""`reconciler plan`: what apply would do. GET requests only, by type."""

import shlex
from dataclasses import replace

import click

from reconciler import render
from reconciler.cli import guardrails, inputs, options, repo_paths, result_files
from reconciler.cli.main import lasting
from reconciler.cli.session import Session
from reconciler.model import Plan, Selection
from reconciler.operations import plan
from reconciler.plan import drift_report
from reconciler.plan.guardrails import apply_refusals
from reconciler.planfile import codec, digest
from reconciler.render.shared import summary

DIFFERENCES = 2
REPEATED = frozenset(
    {"allow_destroy", "confirm_deletes", "allow_weakening", "allow_rollback", "go_on"}
)


@click.command("plan", epilog="Example: reconciler -v plan --select 'FeatureFlag/acme/Web/*'")
@options.paths
@options.selection
@options.base
@options.prune
@options.guardrails
@click.option("--out", metavar="FILE", help="Save the plan, for `show` and `apply`.")
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
    allow_destroy: tuple[str, ...],
    confirm_deletes: int | None,
    allow_weakening: bool,
    allow_rollback: bool,
    prefer: str | None,
    go_on: bool,
    out: str | None,
    format_: str,
    drift_on: str | None,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would do, why, and who will have to approve it. Reads only."""
    if out is not None:
        result_files.check_place(out)
    target, loaded = session.load(paths)
    before = inputs.look(session, target, loaded, asked=base, paths=paths)
    behind = guardrails.backward(session, target, before.head, allowed=allow_rollback)
    part = Selection(
        repo_paths.anchor_paths(session.settings().folder, paths), select, exclude, prune
    )
    limits = guardrails.limits(target, confirm_deletes, allow_destroy, weakening=allow_weakening)
    chosen = guardrails.chosen(session, target, loaded, before, limits, part, prefer=prefer)
    since = session.since(target, before.base)
    with session.reader(target) as reader:
        world = plan.observe(
            reader, loaded, chosen, before.loaded, session.past(target), since=since
        )
        world = replace(world, lineage=session.lineage(target))
        host = reader.host
    kept = out is not None or format_ != "text" or session.report.folder is not None
    made = plan.plan(
        world,
        chosen,
        target=target.name,
        host=host,
        created_at=session.stamp(),
        base=before.base,
        said=(*before.findings, *behind),
        basis=before.basis(part, prefer=prefer) if kept else None,
        digested=kept or bool(session.verbose),
    )
    made = apply_refusals.judged(made, go_on=go_on)
    asked = before.base is not None and before.base.pull_request
    if drift_on == "touched" or (drift_on is None and asked):
        away = drift_report.elsewhere(made, world.desired, world.base)
        made = replace(made, unrelated_drift=away)
    lasting.append((loaded, world, made))
    session.report.plan(made)
    if out is not None:
        _save(session, made, out)
    session.show(render.plan, made, format_, saved=out or "")
    session.fail(summary.describe_refusal(made))
    if code := apply_refusals.exit_code(made):
        return code
    return DIFFERENCES if detailed_exitcode and made.writes else 0


def _save(session: Session, made: Plan, out: str) -> None:
    document = codec.encode(made)
    result_files.write_private(out, digest.as_text(document))
    session.note(f"saved {document['digest']}; to carry it out: {_command(session, out)}")


def _command(session: Session, out: str) -> str:
    """Return the command that carries a saved plan out, with the options that have to be repeated.

    What lifts a guardrail is not kept in a plan: anybody who can write one could add
    it. Which side of a conflict won is kept, for the plan shows what is written.
    """
    context = click.get_current_context()
    words = ["reconciler", *(["--target", session.target_name] if session.target_name else [])]
    words += ["apply", out]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name not in REPEATED or not value:
            continue
        option = parameter.opts[0]
        if value is True:
            words.append(option)
        else:
            each = value if isinstance(value, tuple) else (value,)
            words += [word for one in each for word in (option, str(one))]
    return shlex.join(words)
