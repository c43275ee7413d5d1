"""The guardrails at the command line: what lifts one, how a refusal reads, what is recorded."""

from collections.abc import Sequence
from pathlib import Path

from reconciler.apply import created_names
from reconciler.cli.inputs import Before
from reconciler.cli.session import Session
from reconciler.config import dropped_writes, other_files
from reconciler.config.dropped_writes import Unkept
from reconciler.config.loaded import Loaded
from reconciler.config.other_files import OtherDeclarations
from reconciler.config.settings import Target
from reconciler.errors import GitError, GuardrailError, UsageError
from reconciler.files import working_tree
from reconciler.git import applied_ref, repository, rollback
from reconciler.model import Finding, Plan, Selection, Severity
from reconciler.plan.guardrails import apply_refusals, checks, deletes
from reconciler.plan.guardrails.checks import Limits
from reconciler.plan.selection import Options
from reconciler.planfile import results
from reconciler.render.shared import summary


def limits(
    target: Target,
    confirm_deletes: int | None = None,
    allow_destroy: tuple[str, ...] = (),
    *,
    weakening: bool = False,
) -> Limits:
    """What the target allows, and what the command line lifts for this run."""
    rails = target.guardrails
    return checks.Limits(
        deletes.Limits(
            rails.max_deletes,
            rails.max_delete_percent,
            rails.where("max_deletes"),
            rails.where("max_delete_percent"),
            confirm_deletes,
        ),
        allow_destroy,
        rails.allow_weakening or weakening,
    )


def chosen(
    session: Session,
    target: Target,
    loaded: Loaded,
    before: Before,
    limits: Limits,
    part: Selection,
    *,
    prefer: str | None = None,
) -> Options:
    """What the planner is asked for: selection, limits, and what other files declare."""
    partial = is_partial(session, target, part.paths)
    if part.prune and partial:
        raise UsageError(
            "--prune takes no PATH that is a part of the target's files",
            why="what other files of the target declare would look as if it were in none",
            fix="leave the paths out, or choose with --select",
        )
    asked = partial or (part.paths and (part.prune or before.loaded is not None))
    return Options(
        part.select,
        part.exclude,
        target.ignore,
        limits,
        prefer,
        unmanaged=target.unmanaged,
        prune=part.prune,
        elsewhere=_elsewhere(session, target, loaded, before) if asked else (),
        sent_in_vain=_unkept(session, target, loaded),
        misnamed=created_names.recall(session.folder() / ".reconciler"),
    )


def _unkept(session: Session, target: Target, loaded: Loaded) -> Unkept:
    """Return what earlier runs from this folder sent and PostHog dropped."""
    runs = session.folder() / ".reconciler" / "runs"
    return dropped_writes.read(runs, target.name) if dropped_writes.matters(loaded) else {}


def is_partial(session: Session, target: Target, paths: Sequence[str]) -> bool:
    """Whether the paths of a command line leave out some of the target's own."""
    settings = session.settings()
    if not paths or settings.file is None:
        return False
    given = [path.resolve() for path in target.paths]
    return not all(
        any(own.resolve().is_relative_to(path) for path in given)
        for own in settings.target(target.name).paths
    )


def _elsewhere(
    session: Session, target: Target, loaded: Loaded, before: Before
) -> OtherDeclarations:
    """What the rest of the target's files declare; without settings the rest of the repository."""
    settings = session.settings()
    whole: tuple[Path, ...] = (before.repository or Path.cwd(),)
    if settings.file is not None:
        whole = settings.target(target.name).paths
    tree = working_tree.WorkingTree(cwd=Path.cwd(), anchor=settings.folder)
    return other_files.look(whole, tree, loaded.blobs.keys())


def guard(session: Session, made: Plan, *, form: str) -> None:
    """Refuse the whole run if a guardrail says no (exit code 4).

    The account still says which changes are refused, and that nothing else was started.
    """
    if made.refusal is None or not made.refusal.whole:
        return
    found, ended = (
        apply_refusals.stopping(made, go_on=made.refusal.go_on),
        apply_refusals.found(made),
    )
    session.report.outcomes(ended, made)
    if form == "json":
        session.say(results.dumps(ended, made))
    raise GuardrailError(
        "refused by a guardrail",
        findings=summary.merge_findings(found),
        fix="see each; --continue refuses only these and does the rest",
    )


def forward(session: Session, target: Target, commit: str | None, *, allowed: bool) -> None:
    """Refuse a commit that is not the newest of its branch, or from before the last apply (4)."""
    if allowed or commit is None:
        return
    folder = target.paths[0]
    found = rollback.behind(commit, target=target.name, build=session.build, cwd=folder)
    if found is not None:
        raise GuardrailError(
            found.what,
            why=found.why,
            state="nothing was contacted, nothing was written",
            fix=f"{found.fix}; to go back on purpose: --allow-rollback",
        )


def backward(
    session: Session, target: Target, commit: str | None, *, allowed: bool
) -> tuple[Finding, ...]:
    """Return what `apply` refuses as a rollback, as a finding of a plan."""
    try:
        forward(session, target, commit, allowed=allowed)
    except GuardrailError as error:
        severity, said = Severity.ERROR, (error.what, error.why, error.fix)
    except GitError as error:  # `apply` ends with 1: git cannot tell
        severity, said = Severity.WARNING, (error.what, error.why, error.fix)
    else:
        return ()
    return (Finding(checks.ROLLBACK, severity, *said),)


def record(
    session: Session,
    target: Target,
    chosen: Options,
    before: Before,
    *,
    how: str,
    back: bool,
) -> None:
    """Move the ref of the base to what was applied, if that is a commit, all of it.

    Args:
        session: where a failure is told: it changes nothing about the apply.
        target: whose ref it is.
        chosen: what the run was about.
        before: the commit that was applied.
        how: `local`, or `push` to tell the remote as well.
        back: whether it may move to an older commit; else one that another apply recorded
            meanwhile stays.

    """
    if chosen.select or chosen.exclude or chosen.prefer == "live":
        return
    if before.repository is None or before.head is None or not before.clean:
        return
    named = session.settings().file is None  # paths of the command line, then
    if named and any(path.is_file() for path in target.paths):  # a part of the files is not all
        return
    ref, here = applied_ref.applied_ref(target.name), before.repository
    try:
        was = repository.value(ref, here)
        if was not in {None, before.head} and not back:
            _check_newer(before.head, str(was), here)
        repository.update_ref(ref, before.head, was=was, cwd=here, message="reconciler apply")
    except GitError as error:
        _not_recorded(session, "the base was not recorded", error)
        return
    if how != "push":
        return
    try:
        applied_ref.push(ref, before.head, before=was, cwd=here)
    except GitError as error:
        _not_recorded(session, "all was applied, but the base was recorded here alone", error)


def _check_newer(commit: str, was: str, here: Path) -> None:
    if repository.is_ancestor(commit, was, cwd=here):
        raise GitError(
            f"another apply recorded {was[:10]} meanwhile, which is newer",
            fix="run apply of the newer commit again, so that what is live is as it says",
        )


def _not_recorded(session: Session, what: str, error: GitError) -> None:
    why = f"{error.what}: {error.why}" if error.why else error.what
    session.warn(f"{what}: {why}; to mend it: {error.fix}")
