"""`reconciler drift`: the files at a commit against the live side, and who moved it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.report import reported
from reconciler.cli.session import Session
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.config.base import Base
    from reconciler.config.loader import Loaded
    from reconciler.config.settings import Target

DRIFTED = 2


@click.command("drift", epilog="Example: reconciler drift --since 7d --select 'ApprovalPolicy/*'")
@options.paths
@options.selection
@click.option("--base", default="HEAD", show_default=True, metavar="REF", help="A git ref.")
@click.option("--since", metavar="DURATION", help="Only what happened within 36h, 7d, 2w …")
@click.option(
    "--identities",
    type=click.Choice(("full", "initials", "none")),
    default="full",
    show_default=True,
    help="How people are named; for reports that everybody can read.",
)
@options.formats("text", "json", "markdown", "html", "sarif")
@options.zoom
@reported
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str,
    since: str | None,
    identities: str,
    format_: str,
) -> int:
    """Compare what the files declare at a commit with what is live. Exits 2 on drift."""
    from reconciler import render, walk
    from reconciler.plan.build import Options

    seconds = _seconds(since)
    target = session.target(paths)
    commit, head = _head(target, base)
    chosen = Options(select, exclude, target.ignore)
    with session.reader(target) as reader:
        found = walk.drift(
            reader,
            head,
            chosen,
            target=target.name,
            host=reader.host,
            now=session.now(),
            base=commit,
            sight=walk.Sight(seconds, target.holds, identities),
        ).report
    session.report.plan(found, drift=True)
    session.show(render.drift, found, format_)
    if found.errors:
        return 1
    return DRIFTED if any(change.hold is None for change in found.writes) else 0


def _seconds(since: str | None) -> float | None:
    """`7d` in seconds; UsageError for what is no duration."""
    from reconciler.kind import duration_seconds

    if since is None:
        return None
    try:
        seconds = duration_seconds(since)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise UsageError(
            f"--since {since!r} is no duration",
            fix="write a number with a unit, such as 36h, 7d or 2w",
        )
    return seconds


def _head(target: "Target", ref: str) -> "tuple[Base, Loaded]":
    """The commit that is the truth, and what its files declare."""
    from reconciler.config import git, loader
    from reconciler.config.base import Base

    tree = git.commit_tree(ref, cwd=Path.cwd())
    return Base(ref, tree.commit), loader.load(target.paths, overlays=target.overlays, tree=tree)
