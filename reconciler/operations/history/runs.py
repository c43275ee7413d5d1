"""Find the run that applied a commit: which commits were applied before and after it.

The sources are the moves of the applied ref, then the journals of runs that did not end cleanly.
Without both, as in a build, a commit is compared with its parent.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise

from reconciler.errors import GitError, ReconcilerError
from reconciler.git import ancestry, applied_ref, repository
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, shorten_commit
from reconciler.operations.history.journals import JournalledRun


class RunSource(Enum):
    """The source that shows a run."""

    REF = "the applied ref was moved past it"
    JOURNAL = "a journal of an unfinished run names it"
    GIT = "git has the commit and its parent"


@dataclass(frozen=True, slots=True)
class AppliedRun:
    """A run that applied commits.

    Attributes:
        before: the commit that was applied before; None if nothing was.
        after: the commit that it applied.
        source: how that is known.
        is_applied: whether a clean run has applied the commit, as far as refs say.
        is_recorded: whether the applied ref held `before`, so that its values were live.

    """

    before: str | None
    after: str
    source: RunSource
    is_applied: bool = True
    is_recorded: bool = False


@dataclass(frozen=True, slots=True)
class RunHistory:
    """What this clone knows about earlier runs of a target.

    Attributes:
        target: its name.
        state: the repository.
        head: the commit that is checked out.
        journals: runs of this folder, the oldest first.

    """

    target: str
    state: RepositoryState
    head: str
    journals: Sequence[JournalledRun]

    def read_applied(self) -> str | None:
        """Return the commit of the last clean run, if it is in the history of HEAD."""
        applied = applied_ref.find_applied(self.target, self.head, self.state)
        return applied.commit if applied is not None and applied.in_history else None

    def list_moves(self) -> list[tuple[str | None, str]]:
        """Return the moves of the applied ref as (before, after), the newest first.

        The commit before the oldest one is not known.
        """
        moves = ancestry.list_ref_moves(applied_ref.name_ref(self.target), self.state.root)
        distinct = [c for n, c in enumerate(moves) if n == 0 or moves[n - 1] != c]
        return [(before, after) for after, before in pairwise((*distinct, None)) if after]

    def find_run(self, commit: str) -> AppliedRun:
        """Return the run that applied a commit; raise ReconcilerError if HEAD lacks it."""
        root = self.state.root
        if not repository.is_ancestor(commit, self.head, cwd=root):
            raise ReconcilerError(
                f"commit {shorten_commit(commit)} is not in the history of HEAD",
                why="undo combines the previous values with the files at HEAD",
                fix="check out a branch that contains it; `git branch --contains "
                f"{shorten_commit(commit)}` lists them",
            )
        containing = ancestry.list_descendants(commit, self.head, root=root)
        applied = self.read_applied()
        is_applied = applied is None or applied in containing
        for before, after in self.list_moves():
            if after in containing and before not in containing:
                if before is not None:
                    return AppliedRun(before, after, RunSource.REF, is_recorded=True)
                known = self._find_journalled_base(after)
                source = RunSource.REF if known is not None else RunSource.GIT
                return AppliedRun(known or ancestry.read_parent(commit, root=root), after, source)
        unfinished = [
            run for run in self.journals if run.commit in containing and run.base not in containing
        ]
        exact = [run for run in unfinished if run.commit == commit]
        for run in (*exact, *unfinished):
            base = self._check_commit(run.base)
            before = base or ancestry.read_parent(commit, root=root)
            return AppliedRun(
                before,
                str(run.commit),
                RunSource.JOURNAL,
                is_applied,
                is_recorded=base is not None and base in self._list_recorded(),
            )
        parent = ancestry.read_parent(commit, root=root)
        return AppliedRun(parent, commit, RunSource.GIT, is_applied)

    def _find_journalled_base(self, commit: str) -> str | None:
        """Return the base of the run that applied a commit, as its journal has it."""
        bases = (run.base for run in reversed(self.journals) if run.commit == commit)
        return next(filter(None, map(self._check_commit, bases)), None)

    def _check_commit(self, commit: str | None) -> str | None:
        """Return the commit that a journal names if it is in the history of HEAD."""
        try:
            is_known = commit is not None and repository.is_ancestor(
                commit, self.head, cwd=self.state.root
            )
        except GitError:  # the journal is of another clone, or was edited
            return None
        return commit if is_known else None

    def _list_recorded(self) -> frozenset[str]:
        """Return the commits that the applied ref is known to have held."""
        applied = self.read_applied()
        moves = (commit for move in self.list_moves() for commit in move)
        return frozenset(commit for commit in (applied, *moves) if commit is not None)

    def iterate_candidates(
        self, address: Address, paths: Sequence[str], *, most: int
    ) -> Iterator[AppliedRun]:
        """Yield the runs that may have changed an address last, the newest first.

        Before the first run that this clone knows, each commit that changed `paths` counts as one,
        `most` of them.
        """
        root, applied = self.state.root, self.read_applied()
        newer = frozenset((self.head,))
        if applied is not None:
            newer = ancestry.list_descendants(applied, self.head, root=root) - {applied}
        for run in reversed(self.journals):
            is_newer = run.commit is not None and (applied is None or run.commit in newer)
            if is_newer and address in run.touched:
                base = self._check_commit(run.base) or applied
                yield AppliedRun(
                    base,
                    str(run.commit),
                    RunSource.JOURNAL,
                    is_applied=False,
                    is_recorded=base is not None and base in self._list_recorded(),
                )
        if applied is None:
            return
        oldest = applied
        for before, after in self.list_moves():
            is_past = repository.is_ancestor(after, applied, cwd=root)
            if before is not None and is_past:
                oldest = before
                yield AppliedRun(before, after, RunSource.REF, is_recorded=True)
        for commit in ancestry.list_commits_of_paths(oldest, paths, most=most, root=root):
            yield AppliedRun(ancestry.read_parent(commit, root=root), commit, RunSource.GIT)
