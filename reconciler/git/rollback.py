"""Find newer commits than the one that is to be applied: of its branch, and of the last apply.

Only what this repository has counts: nothing is fetched. A CI job that runs again, or two merges
that are applied in the wrong order, would undo newer changes.
"""

from collections.abc import Iterator
from pathlib import Path

from reconciler.ci.build import Build
from reconciler.errors import GitError
from reconciler.git import process, repository
from reconciler.git.applied_ref import name_ref
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import shorten_commit

_HEADS, _REMOTES, _ORIGIN = "refs/heads/", "refs/remotes/", "refs/remotes/origin/"


@dataclass(frozen=True, slots=True)
class NewerCommit:
    """A newer commit than the one that is checked out, and how it is known."""

    what: str
    why: str
    fix: str


def find_newer_commit(
    head: str, *, target: str, build: Build | None, state: RepositoryState
) -> NewerCommit | None:
    """Return why a commit should not be applied; None if nothing speaks against it.

    Raises GitError if a shallow clone hides the answer.
    """
    ref = name_ref(target)
    recorded = state.refs.get(ref)
    applied = None
    if recorded is not None and recorded != head:
        applied = repository.resolve_commit(recorded, state.root)
    if head in {recorded, applied}:
        return None  # what was applied last may be applied again
    if applied is not None and repository.is_ancestor(head, applied, cwd=state.root):
        old, new = shorten_commit(head), shorten_commit(applied)
        return NewerCommit(
            f"commit {old} is older than {new}, which was applied last",
            f"{ref} is at {new}: the changes after {old} would be undone",
            f"check out {new} or a newer one",
        )
    if (
        applied is not None
        and state.is_shallow
        and not repository.is_ancestor(applied, head, cwd=state.root)
    ):
        raise GitError(
            f"git cannot find out whether {shorten_commit(head)} is older than "
            f"{shorten_commit(applied)}, which was applied last",
            why=repository.SHALLOW,
            fix=process.DEEPEN,
        )
    return _find_newer_tip(head, build, state)


def _find_newer_tip(head: str, build: Build | None, state: RepositoryState) -> NewerCommit | None:
    """Return a newer commit of the branch of a commit, if one is known here."""
    for name, tip in _find_tips(head, build, state):
        if tip == head or repository.is_ancestor(tip, head, cwd=state.root):
            continue
        old, new = shorten_commit(head), shorten_commit(tip)
        return NewerCommit(
            f"commit {old} is not the newest of {_shorten_ref(name)}: that is {new}",
            f"{name} is at {new}, which {old} does not have in its history",
            f"check out {_shorten_ref(name)}; in CI run the newest job instead",
        )
    return None


def _find_tips(head: str, build: Build | None, state: RepositoryState) -> Iterator[tuple[str, str]]:
    """Yield the ref by which the branch of a commit is known, and where it is."""
    if state.branch is not None:
        for name in (state.upstream, _ORIGIN + state.branch.removeprefix(_HEADS)):
            if name is not None and name in state.refs:
                yield name, state.refs[name]
                return
        return
    if build is not None and build.is_tag:
        return  # a tag stays where it is: only what was applied last can be newer
    if build is not None and build.branch is not None:
        for name in (_ORIGIN + build.branch, _HEADS + build.branch):
            if name in state.refs:
                yield name, state.refs[name]
                return
    yield from _find_containing_branch(head, state.root)


def _find_containing_branch(head: str, cwd: Path) -> Iterator[tuple[str, str]]:
    """Yield a branch that has this commit in its history, unless it is the newest of any."""
    branches = sorted(
        repository.list_branches_with(head, cwd),
        key=lambda branch: not branch[0].startswith(_ORIGIN),
    )
    if all(tip != head for _, tip in branches):
        yield from branches[:1]


def _shorten_ref(name: str) -> str:
    return name.removeprefix(_REMOTES).removeprefix(_HEADS)
