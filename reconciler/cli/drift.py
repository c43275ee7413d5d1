"""`reconciler drift`: the files at a commit against the live side, and who moved it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from reconciler.cli import notifications, options
from reconciler.cli.session import Session
from reconciler.drift.identities import IDENTITIES
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.config.base import Base
    from reconciler.config.settings import Target
    from reconciler.model import Plan
    from reconciler.posthog.client import Reader
    from reconciler.walk.adopt import Files
    from reconciler.walk.watch import Applied, Drift

DRIFTED = 2
LONGEST_S = 100 * 365 * 86_400  # the calendar has a beginning
CLASSES = ("approved", "unapproved", "bypass", "unknown")
WRITING = frozenset(
    {"yes", "allow_destroy", "allow_weakening", "allow_rollback", "go_on", "concurrency"}
)


@click.command("drift", epilog="Example: reconciler drift --since 7d --select 'ApprovalPolicy/*'")
@options.paths
@options.selection
@click.option("--base", default="HEAD", show_default=True, metavar="REF", help="A git ref.")
@click.option("--since", metavar="DURATION", help="Only what happened within 36h, 7d, 2w …")
@click.option("--only", multiple=True, type=click.Choice(CLASSES), help="Only this; repeatable.")
@click.option(
    "--identities",
    type=click.Choice(IDENTITIES),
    help="How people are named. In full, but by initials in a build of a public repository.",
)
@click.option("--adopt", "action", flag_value="adopt", help="Write live values into the files.")
@click.option("--patch", "action", flag_value="patch", help="Print that as a diff instead.")
@click.option("--revert", "action", flag_value="revert", help="Write the files' values back.")
@options.formats("text", "json", "markdown", "html", "sarif")
@options.zoom
@options.yes
@options.lifts
@options.concurrency
@notifications.notify
@options.report
@click.pass_obj
def command(
    session: Session,
    paths: tuple[str, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    base: str,
    since: str | None,
    only: tuple[str, ...],
    identities: str | None,
    action: str | None,
    format_: str,
    yes: bool,
    allow_destroy: tuple[str, ...],
    allow_weakening: bool,
    allow_rollback: bool,
    go_on: bool,
    concurrency: int,
) -> int:
    """Compare what the files declare at a commit with what is live. Exits 2 on drift."""
    from reconciler.cli import public, rails
    from reconciler.plan.build import Options
    from reconciler.walk import watch

    _fits(action, format_)
    seconds = _seconds(since)
    target = session.target(paths)
    commit, files = _files(target, base)
    applied = _applied(target, files)
    names = identities or ("initials" if public.is_public(session.environ) else "full")
    limits = rails.limits(target, None, allow_destroy, weakening=allow_weakening)
    chosen = Options(select, exclude, target.ignore, limits)

    def look(reader: "Reader") -> "Drift":
        return watch.drift(
            reader,
            files.loaded,
            chosen,
            target=target.name,
            host=reader.host,
            now=session.now(),
            base=commit,
            sight=watch.Sight(seconds, target.holds, names, only, applied),
        )

    if action == "revert":
        from reconciler.cli import reverting

        rails.forward(session, target, commit.commit, allowed=allow_rollback)
        how = reverting.How(yes, go_on, concurrency, format_)
        return reverting.revert(session, target, look, limits, how)
    if action is not None:
        from reconciler.cli import adopting

        if action == "patch":
            return adopting.patch(session, target, look, files)
        return adopting.adopt(session, target, look, files, format_)
    with session.reader(target) as reader:
        found = look(reader).report
    return _show(session, found, format_)


def _show(session: Session, found: "Plan", format_: str) -> int:
    """The report, and the exit code that it is worth."""
    from reconciler import render
    from reconciler.render.shared import summary

    session.report.plan(found, drift=True)
    session.show(render.drift, found, format_)
    if found.errors:
        session.fail(summary.errors(found, "is not compared"))
        return 1
    notifications.notify_drift(session, found)
    return DRIFTED if any(change.hold is None for change in found.writes) else 0


def _fits(action: str | None, format_: str) -> None:
    """Refuse what belongs to another way of running: a slip must not look like success."""
    context = click.get_current_context()
    given = [
        parameter
        for parameter in context.command.params
        if parameter.name in WRITING
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]
    if given and action != "revert":
        raise UsageError(
            f"{given[0].opts[0]} is for drift --revert",
            why="without it nothing is written",
            fix="add --revert, or leave the option out",
        )
    if action is not None and notifications.is_requested():
        raise UsageError(
            f"--notify tells of drift, and drift --{action} ends it",
            why="nobody would be told",
            fix="leave it out; the next run of drift tells how it stands",
        )
    formats = {"patch": {"text"}}.get(action or "", {"text", "json"})
    if action is not None and format_ not in formats:
        raise UsageError(
            f"drift --{action} has no format {format_}", fix=" or ".join(sorted(formats))
        )


def _seconds(since: str | None) -> float | None:
    """`7d` in seconds; UsageError for what is no duration."""
    from reconciler.kind import duration_seconds

    if since is None:
        return None
    try:
        seconds = duration_seconds(since)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(
            f"--since {since!r} is no duration",
            fix="write a number with a unit, such as 36h, 7d or 2w",
        )
    return seconds


def _files(target: "Target", ref: str) -> "tuple[Base, Files]":
    """The commit that is the truth, and what its files declare."""
    from reconciler.config import git, loader
    from reconciler.config.base import Base
    from reconciler.walk.adopt import Files

    tree = git.commit_tree(ref, cwd=Path.cwd(), at=target.paths[0])
    loaded = loader.load(target.paths, overlays=target.overlays, tree=tree)
    return Base(ref, tree.commit), Files(loaded, target.paths, target.overlays, tree)


def _applied(target: "Target", files: "Files") -> "Applied | None":
    """What was applied last, as far as a ref of this repository says so."""
    from reconciler.config import base, git, loader
    from reconciler.errors import ReconcilerError
    from reconciler.walk.watch import Applied

    root, head = files.tree.root, files.tree.commit
    try:
        found = base.applied(target.name, head, root)
        if found is None or not found.in_history:  # what waits is known only by its open request
            return Applied("", None, behind=True, until=git.made_at(head, cwd=root))
        if found.commit == head:
            return Applied(head, files.loaded, behind=False)
        tree = git.commit_tree(found.commit, cwd=Path.cwd(), at=root, may_lack_paths=True)
        loaded = loader.load(target.paths, overlays=target.overlays, tree=tree)
        made = git.made_at(files.tree.commit, cwd=root)
    except ReconcilerError:  # not here, or of another time: then nothing is known of it
        return None
    return Applied(tree.commit, loaded, behind=True, until=made)
