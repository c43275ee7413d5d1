"""What earlier commits of the files said: git is asked only if a plan needs it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.config import recent_commits
from reconciler.config.lineage import Lineage
from reconciler.config.loaded import Loaded
from reconciler.config.targets import Target
from reconciler.git import repository
from reconciler.git.applied_ref import Base
from reconciler.git.commit_tree import CommitTree
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class History:
    """What the files of a target said at earlier commits. Reads nothing before it is asked.

    Attributes:
        target: the target, with its paths.
        cwd: what names in messages are relative to.
        now: the wall clock at the start of the command.
        repository: the repository that holds the files; None outside git.
        base: the commit that was applied last, if it is known.
        settings: where reconciler.yaml stands, or may have stood, in that repository.

    """

    target: Target
    cwd: Path
    now: datetime
    repository: RepositoryState | None = None
    base: Base | None = None
    settings: tuple[Path, ...] = ()

    @property
    def lineage(self) -> Lineage:
        """Return who wrote what the files say."""
        skip = self.target.without_resources
        return Lineage(self.target.paths, self.target.overlays, self.cwd, self.target.names, skip)

    def read_recent(self, words: Collection[str] | None) -> Sequence[Loaded]:
        """Return what the files said at the last commits, oldest first.

        Only of documents with one of these words in them, or of all.
        """
        tree = self._tree()
        if tree is None:
            return ()
        return recent_commits.load_recent(self.target, words, tree=tree, now=self.now)

    def read_since_base(self, words: Collection[str]) -> Sequence[Loaded] | None:
        """Return what documents with one of these words said after each commit since the base.

        None if that is unknown.
        """
        tree = self._tree()
        if self.base is None or tree is None:
            return None
        commit = self.base.commit
        if recent_commits.has_moved_paths(commit, self.settings, self.target.name, tree=tree):
            return None
        return recent_commits.load_since(commit, self.target, words, tree=tree)

    def find_base_time(self) -> datetime | None:
        """Return when the base was committed, on the local clock."""
        if self.base is None:
            return None
        return repository.estimate_commit_time(
            self.base.commit, now=self.now, cwd=self.target.paths[0]
        )

    def _tree(self) -> CommitTree | None:
        if self.repository is None:
            return None
        tree = self.repository.tree(cwd=self.cwd, may_lack_paths=True)
        return replace(tree, skip=self.target.without_resources) if tree is not None else None
