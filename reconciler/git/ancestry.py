"""Read the order of commits: what contains a commit, what came before it, where a ref was."""

from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import GitError
from reconciler.git import process
from reconciler.git.repository import SHALLOW, is_shallow
from reconciler.model import shorten_commit


def list_ref_moves(ref: str, root: Path) -> tuple[str, ...]:
    """Return what a ref held in this clone, the newest first; empty if git did not record it."""
    arguments = ["log", "--walk-reflogs", "--format=%H", "--end-of-options", ref]
    result = process.run_offline(arguments, root)
    lines = result.stdout.decode("ascii", "replace").split()
    return tuple(lines) if result.returncode == 0 else ()


def list_descendants(commit: str, head: str, *, root: Path) -> frozenset[str]:
    """Return the commits from one to another, both included: those that contain the first."""
    arguments = ["rev-list", "--ancestry-path", "--end-of-options", f"{commit}..{head}"]
    lines = process.read_output(arguments, root).decode("ascii", "replace").split()
    return frozenset((commit, *lines))


def list_span(before: str | None, after: str, *, root: Path) -> frozenset[str]:
    """Return the commits in the history of one commit, and not in that of another."""
    span = after if before is None else f"{before}..{after}"
    arguments = ["rev-list", "--end-of-options", span]
    return frozenset(process.read_output(arguments, root).decode("ascii", "replace").split())


def read_parent(commit: str, *, root: Path) -> str | None:
    """Return the first parent of a commit; None for the first commit of a history.

    Raises GitError if a shallow clone hides it.
    """
    arguments = ["rev-list", "--parents", "-n1", "--end-of-options", commit]
    _, *parents = process.read_output(arguments, root).decode("ascii", "replace").split()
    if not parents and is_shallow(root):
        raise GitError(
            f"the commit before {shorten_commit(commit)} is not in this clone",
            why=SHALLOW,
            fix=process.DEEPEN,
        )
    return parents[0] if parents else None


def list_commits_of_paths(
    commit: str, paths: Sequence[str], *, most: int, root: Path
) -> tuple[str, ...]:
    """Return the first-parent history of a commit where it changed paths, the newest first."""
    arguments = ["rev-list", "--first-parent", f"-n{most}", commit, "--"]
    output = process.read_output([*arguments, *(path or "." for path in paths)], root)
    return tuple(output.decode("ascii", "replace").split())
