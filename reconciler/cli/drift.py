"""`reconciler drift`: the files at a commit against the live side."""

from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.report import reported
from reconciler.cli.session import Session

DRIFTED = 2


@click.command("drift", epilog="Example: reconciler drift --select 'ApprovalPolicy/*'")
@options.paths
@options.selection
@click.option("--base", default="HEAD", show_default=True, metavar="REF", help="A git ref.")
@options.formats("text", "json", "markdown", "html")
@reported
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str,
    format_: str,
) -> int:
    """Compare what the files declare at a commit with what is live. Exits 2 on drift."""
    from reconciler import render, walk
    from reconciler.config import git, loader
    from reconciler.plan.build import Options

    target = session.target(paths)
    tree = git.commit_tree(base, cwd=Path.cwd())
    head = loader.load(target.paths, overlays=target.overlays, tree=tree)
    chosen = Options(select, exclude, target.ignore)
    with session.reader(target) as reader:
        found = walk.drift(
            reader,
            head,
            chosen,
            target=target.name,
            host=reader.host,
            created_at=session.stamp(),
        )
    session.report.plan(found, drift=True)
    session.show(render.drift, found, format_)
    if found.errors:
        return 1
    return DRIFTED if found.writes else 0
