"""`reconciler drift`: the files at a commit against the live side, and who moved it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click
from click.core import ParameterSource

from reconciler import render
from reconciler.cli import adopt, execution, guardrails, notifications, options, terminal
from reconciler.cli.session import Session
from reconciler.config import loader
from reconciler.config.settings import Target
from reconciler.drift.filters import IDENTITIES
from reconciler.errors import ReconcilerError, UsageError
from reconciler.git import applied_ref, repository
from reconciler.git.applied_ref import Base
from reconciler.model import Plan, duration_seconds
from reconciler.operations import drift, plan
from reconciler.operations.adopt import Files
from reconciler.operations.drift import Applied, DriftResult
from reconciler.plan import drift_report
from reconciler.plan.guardrails import apply_refusals, checks
from reconciler.plan.guardrails.checks import Limits
from reconciler.plan.selection import Options
from reconciler.posthog.client import Reader
from reconciler.render.shared import summary

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
    _fits(action, format_)
    seconds = _seconds(since)
    target = session.target(paths)
    commit, files = _files(target, base)
    applied = _applied(target, files)
    is_public = session.build is not None and session.build.is_public
    names = identities or ("initials" if is_public else "full")
    limits = guardrails.limits(target, None, allow_destroy, weakening=allow_weakening)
    chosen = Options(select, exclude, target.ignore, limits)

    def look(reader: Reader) -> DriftResult:
        return drift.drift(
            reader,
            files.loaded,
            chosen,
            target=target.name,
            host=reader.host,
            now=session.now(),
            base=commit,
            sight=drift.DriftQuery(seconds, target.holds, names, only, applied),
        )

    if action == "revert":
        guardrails.forward(session, target, commit.commit, allowed=allow_rollback)
        how = RevertOptions(yes, go_on, concurrency, format_)
        return revert(session, target, look, limits, how)
    if action is not None:
        if action == "patch":
            return adopt.patch(session, target, look, files)
        return adopt.adopt(session, target, look, files, format_)
    with session.reader(target) as reader:
        found = look(reader).report
    return _show(session, found, format_)


def _show(session: Session, found: Plan, format_: str) -> int:
    """The report, and the exit code that it is worth."""
    session.report.plan(found, drift=True)
    session.show(render.drift, found, format_)
    if found.errors:
        session.fail(summary.describe_errors(found, "is not compared"))
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


def _files(target: Target, ref: str) -> tuple[Base, Files]:
    """The commit that is the truth, and what its files declare."""
    tree = repository.commit_tree(ref, cwd=Path.cwd(), at=target.paths[0])
    loaded = loader.load(target.paths, overlays=target.overlays, tree=tree)
    return Base(ref, tree.commit), Files(loaded, target.paths, target.overlays, tree)


def _applied(target: Target, files: Files) -> Applied | None:
    """What was applied last, as far as a ref of this repository says so."""
    root, head = files.tree.root, files.tree.commit
    try:
        found = applied_ref.applied(target.name, head, root)
        if found is None or not found.in_history:  # what waits is known only by its open request
            return Applied("", None, behind=True, until=repository.made_at(head, cwd=root))
        if found.commit == head:
            return Applied(head, files.loaded, behind=False)
        tree = repository.commit_tree(found.commit, cwd=Path.cwd(), at=root, may_lack_paths=True)
        loaded = loader.load(target.paths, overlays=target.overlays, tree=tree)
        made = repository.made_at(files.tree.commit, cwd=root)
    except ReconcilerError:  # not here, or of another time: then nothing is known of it
        return None
    return Applied(tree.commit, loaded, behind=True, until=made)


@dataclass(frozen=True, slots=True)
class RevertOptions:
    """What the person at the terminal asked for."""

    yes: bool
    go_on: bool
    concurrency: int
    format: str


def revert(
    session: Session,
    target: Target,
    look: Callable[[Reader], DriftResult],
    limits: Limits,
    how: RevertOptions,
) -> int:
    """Write the files' values back over what has drifted; what is held stays as it is."""
    if not how.yes and not terminal.can_ask():
        raise UsageError(
            "drift --revert asks before it writes, and there is no terminal to ask on",
            fix="add --yes, or run it on a terminal",
        )
    with session.writer(target) as writer:
        found = look(writer)
        if waiting := found.report.not_applied:
            session.note(
                f"{len(waiting)} not applied yet: only git has changed them; `apply` does it"
            )
        made = drift_report.revert(found.plan, found.report, found.world.live, limits)
        spent = plan.cost(found.world, made.requests.expected_writes)
        made = replace(made, requests=replace(spent, reads=writer.reads))
        made = apply_refusals.judged(made, go_on=how.go_on)
        session.report.plan(made)
        for change in found.report.writes:
            if change.hold is not None:
                session.note(f"held until {change.hold.written}, left alone: {change.address}")
        if how.format == "text":
            session.show(render.plan, made)
        guardrails.guard(session, made, form=how.format)
        if made.writes and not how.yes:
            terminal.confirm("Revert these changes?", "not reverted")
        carry = execution.ExecutionOptions(workers=how.concurrency, guarded=checks.CODES)
        ended, interrupted = execution.carry_out(session, writer, made, found.world, carry)
    return execution.account(session, ended, made, interrupted=interrupted, form=how.format)
