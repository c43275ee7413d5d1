"""Find who wrote each value of a document, and when, commit by commit. Offline.

A value belongs to the commit that made it what it is: moving the document to another file, or
writing it in another style, changes no value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from reconciler.config import loaded as config_loaded
from reconciler.config import loader
from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.recent_commits import Blobs, Snapshot, read_commit
from reconciler.errors import ConfigError, GitError
from reconciler.files.text import RefusedError
from reconciler.files.working_tree import is_within
from reconciler.git import blame as git_blame
from reconciler.git import process, repository
from reconciler.git.commit_tree import CommitTree, is_wanted, list_objects
from reconciler.kinds import fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Declared, Resource, Spec

COMMITS: Final = 500  # of these paths; older ones are not read
_PLAIN: Final = frozenset({"100644", "100755"})
_BROKEN: Final = Declared({}, "unreadable")

Holds = Callable[[Spec | None], bool]  # whether a spec, None if not declared, has a value
Projects = Mapping[str, Sequence[str]]  # organization -> names of its projects, for selectors


@dataclass(frozen=True, slots=True)
class DatedCommit:
    """One commit of the first-parent line, newest first.

    Attributes:
        commit: full id.
        at: its time in seconds, but not later than the date of any commit that follows it.
        dated: its own date in seconds, which may be wrong.

    """

    commit: str
    at: int
    dated: int


@dataclass(frozen=True, slots=True)
class _Node:
    """One commit that changed the paths, and its nearest ancestors that did."""

    id: str
    at: int
    parents: tuple[str, ...]


class Lineage:
    """The history of the documents below some paths, read when it is needed."""

    def __init__(
        self,
        paths: Sequence[Path],
        overlays: Sequence[Path],
        cwd: Path,
        names: TargetNames = PLAIN_NAMES,
        skip: Sequence[Path] = (),
    ) -> None:
        self.paths, self.overlays, self.cwd = tuple(paths), tuple(overlays), cwd
        self.names, self.skip = names, tuple(skip)
        self._cached_authors = cache(self._read_authors)

    @cached_property
    def root(self) -> Path | None:
        """Return the repository of the paths, if there is one with a commit."""
        first_path = self.cwd / self.paths[0] if self.paths else self.cwd
        repository_root = repository.find_root(first_path)
        return (
            repository_root
            if repository_root is not None and repository.read_head(repository_root) is not None
            else None
        )

    @cached_property
    def tree(self) -> CommitTree:
        """Return the files of the commit that is checked out."""
        tree = repository.open_commit("HEAD", cwd=self.cwd, at=self.root, may_lack_paths=True)
        return replace(tree, skip=self.skip)

    @cached_property
    def inside(self) -> tuple[str, ...]:
        """Return the paths as git writes them."""
        return tuple(self.tree.to_git_path(path) for path in (*self.paths, *self.overlays))

    @cached_property
    def is_shallow(self) -> bool:
        """Return whether the history was cut off when the repository was cloned."""
        return self.root is not None and repository.is_shallow(self.root)

    @cached_property
    def nodes(self) -> Mapping[str, _Node]:
        """Return the commits that changed the paths, children before parents, not by date."""
        arguments = ["rev-list", "--topo-order", "--parents", "--timestamp", f"-n{COMMITS}", "HEAD"]
        only = ["--", *(path or "." for path in self.inside)]
        output = process.read_output([*arguments, *only], self.tree.root).decode("ascii", "replace")
        words = (line.split() for line in output.splitlines())
        return {line[1]: _Node(line[1], int(line[0]), tuple(line[2:])) for line in words}

    @cached_property
    def first_parent_line(self) -> tuple[DatedCommit, ...]:
        """Return the first-parent line.

        A commit was made before those that follow it, whatever its date says: a date in the future
        would place it after everything else.
        """
        moments: list[DatedCommit] = []
        node = next(iter(self.nodes.values()), None)
        while node is not None:
            at = min(node.at, moments[-1].at) if moments else node.at
            moments.append(DatedCommit(node.id, at, node.at))
            node = self.nodes.get(node.parents[0]) if node.parents else None
        return tuple(moments)

    def list_commits_since(self, base: str) -> frozenset[str]:
        """Return the commits in the history of HEAD that are not in that of `base`."""
        rows = process.read_output(["rev-list", "HEAD", f"^{base}"], self.tree.root)
        return frozenset(rows.decode("ascii", "replace").split())

    def has_changed(self, path: str, base: str) -> bool:
        """Return whether a file at HEAD differs from that at the base."""
        arguments = ["diff-tree", "--quiet", base, "HEAD", "--", path]
        return process.run_offline(arguments, self.tree.root).returncode == 1

    def open_document(
        self, address: Address, names: Sequence[str], projects: Projects
    ) -> "DocumentHistory":
        """Return the history of a document that contains one of these names."""
        return DocumentHistory(self, address, Blobs(self.tree.root, names), tuple(names), projects)

    def find_authors(self, commit: str, base: str | None) -> tuple[str, ...]:
        """Return the email addresses of the authors of a commit, co-authors included.

        `.mailmap` maps the addresses of a person to one. It is read at the base, which was applied,
        else before the commit: the change itself could hide an author, or accuse somebody else.
        """
        return self._cached_authors(commit, base or f"{commit}^")

    def _read_authors(self, commit: str, map_of: str) -> tuple[str, ...]:
        return git_blame.read_authors(commit, map_of=map_of, root=self.tree.root)


@dataclass(slots=True)
class DocumentHistory:
    """The content of one document at each commit."""

    lineage: Lineage
    address: Address
    blobs: Blobs
    names: tuple[str, ...]
    projects: Projects
    _files: dict[str, Mapping[str, str]] = field(default_factory=dict)  # commit -> path -> blob
    _loaded: dict[frozenset[tuple[str, str]], Declared] = field(default_factory=dict)

    def list_states(self) -> Iterator[tuple[DatedCommit, Spec | None]]:
        """Yield the spec at each readable commit of the first-parent line, newest first."""
        child: str | None = None
        for moment in self.lineage.first_parent_line:
            self._find_files(moment.commit, child)
            child = moment.commit
            if self._load_commit(moment.commit) is not _BROKEN:
                yield moment, self.find_spec(moment.commit)

    def find_spec(self, commit: str) -> Spec | None:
        """Return the spec at a commit with known files; None if it was not declared."""
        resource = self._find_resource(self._load_commit(commit))
        return None if resource is None or resource.lifecycle.absent else resource.spec

    def blame_value(self, commit: str, holds: Holds) -> str | None:
        """Return the commit that introduced a value; None if that cannot be known.

        Starts at `commit`, which has the value, and goes back while a parent has it.
        """
        nodes = self.lineage.nodes
        while True:
            for parent in nodes[commit].parents:
                if parent not in nodes:
                    return None  # older than the history that is read
                self._find_files(parent, commit)
                if self._load_commit(parent) is _BROKEN:
                    return None
            earlier = [
                parent_id for parent_id in nodes[commit].parents if holds(self.find_spec(parent_id))
            ]
            if not earlier:
                cut = not nodes[commit].parents and self.lineage.is_shallow
                return None if cut or self._came_from_outside(commit, holds) else commit
            commit = earlier[0]

    def _came_from_outside(self, commit: str, holds: Holds) -> bool:
        """Return whether the document moved here from outside the paths, with the same value.

        Then the author of this commit did not write it; the real author is not looked for.
        """
        if any(
            self.find_spec(parent_id) is not None
            for parent_id in self.lineage.nodes[commit].parents
        ):
            return False
        root = self.lineage.tree.root
        arguments = ["rev-parse", "--verify", "--quiet", f"{commit}^"]
        parent = process.run_offline(arguments, root).stdout.decode("ascii", "replace").strip()
        if not parent:
            return False
        changed = read_commit(commit, parent, root, [""]).changed
        files = {path: self.blobs.read_relevant(blob) for path, (blob, _) in changed.items()}
        declared = self._load_documents(
            {path: text for path, text in files.items() if text}, (root,), ()
        )
        resource = self._find_resource(declared)
        return resource is not None and holds(resource.spec)

    def _find_files(self, commit: str, child: str | None) -> None:
        """Find the relevant files of a commit, from those of the commit after it."""
        if commit in self._files:
            return
        if child is None:
            self._files[commit] = self._find_files_at_head()
            return
        root, inside = self.lineage.tree.root, self.lineage.inside
        files = dict(self._files[child])
        for path, (blob, _) in read_commit(child, commit, root, inside).changed.items():
            files.pop(path, None)
            if self.blobs.read_relevant(blob):
                files[path] = blob
        self._files[commit] = files

    def _find_files_at_head(self) -> dict[str, str]:
        """Return the files at HEAD that contain a name, or may contain one with escapes."""
        tree, inside = self.lineage.tree, self.lineage.inside
        words = [word for name in (*self.names, "\\") for word in ("-e", name)]
        arguments = ["grep", "-l", "-z", "-a", "-F", "--full-name", *words, tree.commit, "--"]
        result = process.run_offline([*arguments, *(path or "." for path in inside)], tree.root)
        matching = {
            entry.decode("utf-8", "backslashreplace").partition(":")[2]
            for entry in result.stdout.split(b"\0")
        }
        return {
            blob.path: blob.oid
            for path in dict.fromkeys(inside)
            for blob in list_objects(tree.root, tree.commit, path, sizes=False)
            if blob.path in matching
            and blob.mode in _PLAIN
            and (blob.path == path or (is_within(path, blob.path) and is_wanted(blob.path, path)))
            and self.blobs.read_relevant(blob.oid)
        }

    def _load_commit(self, commit: str) -> Declared:
        files = self._files[commit]
        key = frozenset(files.items())
        if key not in self._loaded:
            texts = {path: self.blobs.read_relevant(oid) for path, oid in files.items()}
            self._loaded[key] = self._load_documents(
                texts, self.lineage.paths, self.lineage.overlays
            )
        return self._loaded[key]

    def _load_documents(
        self, files: Mapping[str, bytes], paths: Sequence[Path], overlays: Sequence[Path]
    ) -> Declared:
        snapshot = Snapshot(self.lineage.tree, files, "history")
        try:
            loaded = loader.load_files(
                paths, overlays=overlays, names=self.lineage.names, tree=snapshot, warn=False
            )
            return config_loaded.expand_templates(loaded, self.projects)
        except (ConfigError, GitError, RefusedError):
            return _BROKEN

    def _find_resource(self, declared: Declared) -> Resource | None:
        """Return the document, under any of the names that it has had."""
        scope = self.address.parts[:-1]
        for name in self.names:
            address = Address(self.address.kind, (*scope, name))
            for spelling in (address, fold_name(address)):
                if (resource := declared.resources.get(spelling)) is not None:
                    return resource
        return None
