"""Refuse to apply an older commit by mistake, and record the commit that was applied."""

from pathlib import Path

from reconciler.ci.build import Build
from reconciler.config.settings import Settings
from reconciler.config.targets import Target
from reconciler.errors import GitError, GuardrailError
from reconciler.git import applied_ref, repository, rollback
from reconciler.git.repository import RepositoryState
from reconciler.model import Finding, Severity, shorten_commit
from reconciler.operations.inputs import Inputs, is_partial
from reconciler.plan.guardrails import checks
from reconciler.plan.selection import PlanOptions

NOT_RECORDED = "base-not-recorded"


def refuse_rollback(
    target: Target, commit: str | None, state: RepositoryState | None, build: Build | None
) -> None:
    """Refuse a commit that is not the newest of its branch, or from before the last apply (4).

    Raises GuardrailError, and GitError where a shallow clone cannot tell.
    """
    if commit is None or state is None:
        return
    newer = rollback.find_newer_commit(commit, target=target.name, build=build, state=state)
    if newer is not None:
        raise GuardrailError(
            newer.what,
            why=newer.why,
            state="nothing was contacted, nothing was written",
            fix=f"{newer.fix}; to go back on purpose: --allow-rollback",
        )


def find_rollback(inputs: Inputs) -> tuple[Finding, ...]:
    """Return what `apply` refuses as a rollback, as a finding of a plan."""
    try:
        refuse_rollback(inputs.target, inputs.head, inputs.repository, inputs.facts.build)
    except GuardrailError as error:
        severity, texts = Severity.ERROR, (error.what, error.why, error.fix)
    except GitError as error:  # `apply` ends with 1: git cannot tell
        severity, texts = Severity.WARNING, (error.what, error.why, error.fix)
    else:
        return ()
    return (Finding(checks.ROLLBACK, severity, *texts),)


def record(
    inputs: Inputs, options: PlanOptions, *, pushes: bool, allows_rollback: bool
) -> tuple[Finding, ...]:
    """Move the ref of the base to what was applied, if that is a commit, all of it.

    Args:
        inputs: what was applied.
        options: what part of it the run was about.
        pushes: whether to move the ref of the remote as well.
        allows_rollback: whether it may move to an older commit; else one that another apply
            recorded meanwhile stays.

    Returns what could not be recorded: it changes nothing about the apply.

    """
    state = inputs.repository
    if state is None or state.head is None or not _is_everything(inputs, options):
        return ()
    ref, root = applied_ref.name_ref(inputs.target.name), state.root
    try:
        previous = repository.read_ref(ref, root)
        if previous not in {None, state.head} and not allows_rollback:
            _refuse_newer(state.head, str(previous), root)
        repository.update_ref(ref, state.head, was=previous, cwd=root, message="reconciler apply")
    except GitError as error:
        return (_report("the base was not recorded", error),)
    if not pushes:
        return ()
    try:
        applied_ref.push_ref(ref, state.head, applied=previous, cwd=root)
    except GitError as error:
        return (
            _report("everything was applied, but the base was recorded only in this clone", error),
        )
    return ()


def _is_everything(inputs: Inputs, options: PlanOptions) -> bool:
    """Return whether a run was about all that a commit declares."""
    if options.select or options.exclude or options.prefer == "live" or not inputs.is_clean:
        return False
    if is_partial(inputs.settings, inputs.target):
        return False
    return not _names_files(inputs.settings, inputs.target)


def _names_files(settings: Settings, target: Target) -> bool:
    """Return whether the command line named single files, where no settings name all of them."""
    return settings.file is None and any(path.is_file() for path in target.paths)


def _refuse_newer(commit: str, previous: str, root: Path) -> None:
    if repository.is_ancestor(commit, previous, cwd=root):
        raise GitError(
            f"another apply recorded {shorten_commit(previous)} meanwhile, which is newer",
            fix="run apply of the newer commit again, so that what is live is as it says",
        )


def _report(what: str, error: GitError) -> Finding:
    why = f"{error.what}: {error.why}" if error.why else error.what
    return Finding(NOT_RECORDED, Severity.WARNING, what, why=why, fix=error.fix)
