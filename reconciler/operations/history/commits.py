"""Read what the files of a target declared at a commit, each commit once."""

from dataclasses import field, replace

from reconciler.config import loader, renamed_places
from reconciler.config.loaded import Loaded
from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.errors import ConfigError, GitError
from reconciler.git import repository
from reconciler.git.commit_tree import CommitTree
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import shorten_commit
from reconciler.operations import inputs


@dataclass(frozen=True, slots=True)
class CommitReader:
    """Read the files at commits.

    Attributes:
        settings: the present reconciler.yaml.
        target: the present target.
        facts: facts about the run.
        state: the repository.
        tree: the files of the commit that is checked out.
        head: what these declare.

    """

    settings: Settings
    target: Target
    facts: RunFacts
    state: RepositoryState
    tree: CommitTree
    head: Loaded
    _known: dict[str, Loaded] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, target: Target, facts: RunFacts) -> "CommitReader":
        """Read the commit that is checked out; raise GitError if there is none."""
        state = inputs.read_state(target, facts)
        tree = state.tree(cwd=facts.cwd) if state is not None else None
        if state is None or tree is None:
            raise GitError(
                "undo needs a git repository with a commit",
                why="the previous values are in the history of the files",
                fix="change to a folder of the repository, or name it with -C DIR",
            )
        head = loader.load_files(
            target.paths, overlays=target.overlays, names=target.names, tree=tree
        )
        return cls(settings, target, facts, state, tree, head)

    def read(self, commit: str) -> Loaded:
        """Return what was declared at a commit, according to its own reconciler.yaml."""
        if commit not in self._known:
            self._known[commit] = self.head if commit == self.tree.commit else self._load(commit)
        return self._known[commit]

    def _load(self, commit: str) -> Loaded:
        tree = repository.open_commit(
            commit, cwd=self.facts.cwd, at=self.target.paths[0], may_lack_paths=True
        )
        texts = self.head.cache.texts
        tree = replace(
            tree, known={self.head.blobs[n]: d for n, d in texts.items() if n in self.head.blobs}
        )
        then = inputs.read_earlier_target(self.settings, self.target, tree)
        if then is None:
            raise ConfigError(
                f"the target {self.target.name} is not in reconciler.yaml at "
                f"{shorten_commit(commit)}",
                why="what was declared for it then is not known",
                fix="name a commit since the target was added",
            )
        try:
            loaded = loader.load_files(
                then.paths,
                overlays=then.overlays,
                names=then.names,
                tree=tree,
                like=self.head,
                warn=False,
            )
        except ConfigError as error:
            raise ConfigError(
                f"the files at {shorten_commit(commit)} cannot be read",
                why="undo takes the previous values from them",
                fix="name another commit, or an address",
                findings=error.findings,
            ) from error
        return renamed_places.drop_moved(loaded, then.names, self.target.names, self.head)[0]
