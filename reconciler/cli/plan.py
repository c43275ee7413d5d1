"""`reconciler plan`: what apply would do. GET requests only, by type."""

from dataclasses import replace

import click

from reconciler.cli import lasting, options
from reconciler.cli.report import reported
from reconciler.cli.session import Session

DIFFERENCES = 2


@click.command("plan", epilog="Example: reconciler -v plan --select 'FeatureFlag/acme/Web/*'")
@options.paths
@options.selection
@options.base
@options.prune
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
@reported
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str | None,
    prune: bool,
    out: str | None,
    format_: str,
    drift_on: str | None,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would do, why, and who will have to approve it. Reads only."""
    from reconciler import planfile, render, walk
    from reconciler.basis import Selection
    from reconciler.cli import before as history
    from reconciler.cli import files, rails
    from reconciler.plan import drifting, guardrails

    if out is not None:
        files.check_place(out)
    target, loaded = session.load(paths)
    before = history.look(session, target, loaded, asked=base, paths=paths)
    part = Selection(paths, select, exclude, prune)
    chosen = rails.chosen(session, target, loaded, before, rails.limits(target), part)
    since = session.since(target, before.base)
    with session.reader(target) as reader:
        world = walk.observe(
            reader, loaded, chosen, before.loaded, session.past(target), since=since
        )
        world = replace(world, lineage=session.lineage(target))
        host = reader.host
    kept = out is not None or format_ != "text" or session.report.folder is not None
    made = walk.plan(
        world,
        chosen,
        target=target.name,
        host=host,
        created_at=session.stamp(),
        base=before.base,
        said=(*before.findings, *rails.backward(session, target, before.head)),
        basis=before.basis(part) if kept else None,
        digested=kept or bool(session.verbose),
    )
    asked = before.base is not None and before.base.pull_request
    if drift_on == "touched" or (drift_on is None and asked):
        away = drifting.elsewhere(made, world.desired, world.base)
        made = replace(made, elsewhere=away)
    lasting.append((loaded, world, made))
    session.report.plan(made)
    if out is not None:
        document = planfile.encode(made)
        files.write_private(out, planfile.as_text(document))
        session.note(f"saved {document['digest']}; to carry it out: reconciler apply {out}")
    session.show(render.plan, made, format_, saved=out or "")
    session.fail(made, "is not applied")
    if any(finding.code not in guardrails.CODES for finding in made.errors):
        return 1  # a guardrail does not keep a plan from being made, only from being applied
    return DIFFERENCES if detailed_exitcode and made.writes else 0
