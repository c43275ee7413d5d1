"""Load what the files declared at recent commits, to find steps that are harmless one by one.

Only the files that changed within the window are read, and of those only the documents that are
needed. Everything has a limit: older or further commits are not read.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Final

from reconciler.config import loader, settings
from reconciler.config.documents.target_names import TargetNames
from reconciler.config.loaded import Loaded
from reconciler.config.targets import Target
from reconciler.errors import ConfigError, GitError
from reconciler.files.text import RefusedError
from reconciler.files.working_tree import Entry, is_within, read_file_inside
from reconciler.git import process, repository
from reconciler.git.commit_tree import CommitTree, is_wanted, read_blob_sizes, read_blobs
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later

DAYS: Final = 7
COMMITS: Final = 100  # that change relevant documents
_MAX_COMMITS: Final = 500  # of these paths that git lists
_LINE: Final = ("rev-list", "--first-parent", "--topo-order")
_MAX_BYTES: Final = 64 * 1024 * 1024  # of file contents in which names are searched
_MAX_AHEAD: Final = 16 * 1024 * 1024  # of file contents that are read before they are needed
_FEW_BLOBS: Final = 4  # that are quicker to read one by one
_MAX_PARSED: Final = 4 * 1024 * 1024  # of documents that are parsed in all
_PLAIN: Final = frozenset({b"000000", b"100644", b"100755"})  # modes of no file and of plain files
_DOCUMENT: Final = compile_later(rb"^---(?=[ \t\r\n]|$)", re.MULTILINE)  # only a marker starts so


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the first-parent line, and what it changed.

    Attributes:
        id: full id.
        parent: the one before it, if there is one.
        changed: path -> (blob before, blob after).
        leads_elsewhere: whether it changed a link or a submodule, whose documents are not read.

    """

    id: str
    parent: str | None
    changed: Mapping[str, tuple[str, str]]
    leads_elsewhere: bool = False


def load_recent(
    target: Target,
    names: Collection[str] | None,
    *,
    tree: CommitTree,
    now: datetime,
) -> tuple[Loaded, ...]:
    """Return what was declared before the first of the recent commits, and after each.

    Args:
        target: the target.
        names: only documents that contain one of these words; all if None.
        tree: the files of the commit that is checked out.
        now: the window of days ends here.

    Empty if git cannot be read; a state that cannot be read is left out.

    """
    try:
        inside = [tree.to_git_path(path) for path in (*target.paths, *target.overlays)]
        commits = [
            read_commit(*row, tree.root, inside) for row in _list_recent_commits(tree, inside, now)
        ]
        blobs = Blobs(tree.root, names)
        states = _limit_snapshots(_build_snapshots(tree, _select_relevant(commits, blobs), blobs))
    except (GitError, RefusedError):
        return ()
    return tuple(_load_snapshots(states, target))


def load_since(
    base: str,
    target: Target,
    names: Collection[str],
    *,
    tree: CommitTree,
) -> tuple[Loaded, ...] | None:
    """Return what each commit after the base declared, oldest first.

    Only files that changed since then, and of those only documents that contain one of the names,
    upper or lower case. None if any of it is not known, also because a link or submodule changed.
    """
    try:
        inside = [tree.to_git_path(path) for path in (*target.paths, *target.overlays)]
        rows = _list_commits(tree, inside, f"^{base}")
        blobs = Blobs(tree.root, names)
        commits = [read_commit(id_, parent, tree.root, inside) for id_, parent in rows]
        relevant = _select_relevant(commits, blobs)
        states = list(_build_snapshots(tree, relevant, blobs))
    except (GitError, RefusedError):
        return None
    sizes = (sum(map(len, state.files.values())) for state in states)
    is_limited = len(rows) == _MAX_COMMITS or len(relevant) == COMMITS or blobs.is_exhausted
    if is_limited or sum(sizes) > _MAX_PARSED or any(commit.leads_elsewhere for commit in commits):
        return None
    loaded = tuple(_load_snapshots(states, target))
    return loaded if len(loaded) == len(states) else None


def has_moved_paths(base: str, files: Sequence[Path], target: str, *, tree: CommitTree) -> bool:
    """Return whether a target has had other paths, overlays or names since the base.

    Its documents at that time may be in files that are not read now, or mean other objects.

    Args:
        base: the commit of the base.
        files: possible settings files; their content in the working tree counts as well.
        target: the name of the target.
        tree: the files of the commit that is checked out.

    """
    try:
        for file in files:
            commits = [
                base,
                *(id_ for id_, _ in _list_commits(tree, [tree.to_git_path(file)], f"^{base}")),
            ]
            if len(commits) > _MAX_COMMITS:
                return True
            states = {replace(tree, commit=commit).read_file(file) for commit in commits}
            current = read_file_inside(file, tree.show_path(file)) if file.exists() else None
            places = [_read_places(data, file, target) for data in (*states, current)]
            if any(place != places[0] for place in places):
                return True
    except (GitError, ConfigError, RefusedError):
        return True
    return False


def _read_places(
    data: bytes | None, file: Path, target: str
) -> tuple[Sequence[Path], Sequence[Path], TargetNames]:
    """Return paths, overlays and names of a target; without settings, the folder of the file."""
    targets = (
        settings.parse_settings(data, file=file, display=file.name).targets
        if data is not None
        else {}
    )
    declared_target = targets.get(target)
    return (
        (declared_target.paths, declared_target.overlays, declared_target.names)
        if declared_target is not None
        else ((file.parent,), (), TargetNames(target))
    )


def _list_commits(
    tree: CommitTree, inside: Sequence[str], *revisions: str
) -> list[tuple[str, str | None]]:
    """Return (commit, parent) of the first-parent line, oldest first."""
    arguments = [*_LINE, "--parents", f"-n{_MAX_COMMITS}", tree.commit, *revisions, "--"]
    output = process.read_output([*arguments, *(path or "." for path in inside)], tree.root)
    rows = [row.split() for row in reversed(output.decode("ascii", "replace").splitlines())]
    return [(row[0], row[1] if row[1:] else None) for row in rows]


def _list_recent_commits(
    tree: CommitTree, inside: Sequence[str], now: datetime
) -> list[tuple[str, str | None]]:
    """Return (commit, parent) of the first-parent line within the window, oldest first.

    A commit counts as no older than its ancestors, whatever its date is: dates can be set. That
    includes commits of other paths.
    """
    arguments = [*_LINE, "--timestamp", f"-n{repository.DATED}", tree.commit]
    output = process.read_output(arguments, tree.root)
    dated = [row.split() for row in reversed(output.decode("ascii", "replace").splitlines())]
    times = accumulate((int(at) for at, _ in dated), max)
    times_by_commit = {id_: at for (_, id_), at in zip(dated, times, strict=True)}
    window_start = (now - timedelta(days=DAYS)).timestamp()
    return [
        row for row in _list_commits(tree, inside) if times_by_commit.get(row[0], 0) >= window_start
    ]


def read_commit(id_: str, parent: str | None, root: Path, inside: Sequence[str]) -> Commit:
    """Return what a commit changed below the paths."""
    arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-commit-id", "--full-index"]
    sides = [parent, id_] if parent is not None else ["--root", id_]
    only = ["--", *(path or "." for path in inside)]
    words = process.read_output([*arguments, *sides, *only], root).split(b"\0")
    changed = {}
    leads_elsewhere = False
    for details, name in zip(words[::2], words[1::2], strict=False):
        path = name.decode("utf-8", "backslashreplace")
        modes, oids = details.lstrip(b":").split()[:2], details.split()[2:4]
        wanted = any(
            path == inside_path or is_wanted(path, inside_path)
            for inside_path in inside
            if is_within(inside_path, path)
        )
        if not _PLAIN.issuperset(modes):
            leads_elsewhere = True
        elif wanted:
            changed[path] = (oids[0].decode("ascii"), oids[1].decode("ascii"))
    return Commit(id_, parent, changed, leads_elsewhere)


class Blobs:
    """File contents by object id, reduced to the relevant documents."""

    def __init__(self, root: Path, names: Collection[str] | None) -> None:
        self._root = root
        self._words = None if names is None else _compile_names(names)
        self._kept: dict[str, bytes] = {}
        self._ahead: dict[str, bytes] = {}  # read, but not counted before it is needed
        self._left = _MAX_BYTES

    @property
    def is_exhausted(self) -> bool:
        """Return whether the limit of contents is reached: then the rest is not searched."""
        return self._left <= 0

    def read_ahead(self, oids: Iterable[str]) -> None:
        """Read what will probably be needed in two calls of git, as far as the limit allows."""
        self._ahead.clear()
        missing = [oid for oid in dict.fromkeys(oids) if oid.strip("0") and oid not in self._kept]
        if len(missing) < _FEW_BLOBS:
            return
        chosen, left = list[str](), min(self._left, _MAX_AHEAD)
        for oid, size in read_blob_sizes(self._root, missing).items():
            left -= size
            if left >= 0:
                chosen.append(oid)
        self._ahead = read_blobs(self._root, chosen)

    def read_relevant(self, oid: str) -> bytes:
        """Return the relevant documents of one blob."""
        if oid.strip("0") == "":
            return b""
        if oid not in self._kept:
            data = self._ahead.pop(oid, None)
            if data is None:
                data = process.read_output(["cat-file", "blob", oid], self._root)
            self._left -= len(data)
            self._kept[oid] = self._select_documents(data)
        return self._kept[oid]

    def _select_documents(self, data: bytes) -> bytes:
        if self._words is None:
            return data
        relevant = (piece for piece in _DOCUMENT.split(data) if self._is_relevant(piece))
        return b"".join(b"---\n" + piece + b"\n" for piece in relevant)

    def _is_relevant(self, piece: bytes) -> bool:
        """Return whether a document contains a name, or could, with escapes."""
        return b"\\" in piece or self._words is None or bool(self._words.search(piece))


def _compile_names(names: Collection[str]) -> re.Pattern[bytes]:
    """Return a pattern for any of these names, but not inside a longer name."""
    listed = "|".join(sorted(map(re.escape, names)))
    return re.compile(f"(?<![\\w-])(?:{listed})(?![\\w-])".encode(), re.IGNORECASE)


def _select_relevant(commits: Sequence[Commit], blobs: Blobs) -> list[Commit]:
    """Return the last commits that changed a relevant document, oldest first."""
    relevant: list[Commit] = []
    for commit in reversed(commits):
        if len(relevant) == COMMITS or blobs.is_exhausted:
            break
        blobs.read_ahead(oid for sides in commit.changed.values() for oid in sides)
        if any(
            blobs.read_relevant(before) != blobs.read_relevant(after)
            for before, after in commit.changed.values()
        ):
            relevant.append(commit)
    return relevant[::-1]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The relevant documents at one moment, as a tree to load from."""

    tree: CommitTree
    files: Mapping[str, bytes]
    origin: str
    may_lack_paths: bool = field(default=True, init=False)

    def show_path(self, path: Path) -> str:
        """Return the name of a path in messages."""
        return self.tree.show_path(path)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Yield every file of a path, sorted."""
        inside = self.tree.to_git_path(path)
        left_out = self.tree.list_left_out(path, skip)
        for name in sorted(self.files):
            below = is_within(inside, name) and (name == inside or is_wanted(name, inside))
            if below and not any(is_within(other, name) for other in left_out):
                yield self.tree.show_git_path(name), partial(_return_data, self.files[name])


def _return_data(data: bytes) -> bytes:
    return data


def _build_snapshots(
    tree: CommitTree, commits: Sequence[Commit], blobs: Blobs
) -> Iterator[Snapshot]:
    """Yield the state before the first commit, and after each."""
    if not commits:
        return
    blobs_by_path: dict[str, str] = {}
    for commit in reversed(commits):  # the oldest side of each file that changed at all
        blobs_by_path |= {path: before for path, (before, _) in commit.changed.items()}
    moves: list[tuple[str, Mapping[str, tuple[str, str]]]] = [(commits[0].parent or "", {})]
    moves += [(commit.id, commit.changed) for commit in commits]
    for origin, changed in moves:
        blobs_by_path |= {path: after for path, (_, after) in changed.items()}
        blobs.read_ahead(blobs_by_path.values())
        files = {
            path: data for path, oid in blobs_by_path.items() if (data := blobs.read_relevant(oid))
        }
        yield Snapshot(tree, files, origin)


def _limit_snapshots(states: Iterator[Snapshot]) -> list[Snapshot]:
    """Return as many of the last states as may be parsed, oldest first."""
    snapshots, budget = [], _MAX_PARSED
    for state in reversed(list(states)):
        budget -= sum(map(len, state.files.values()))
        if budget < 0:
            break
        snapshots.append(state)
    return snapshots[::-1]


def _load_snapshots(states: Sequence[Snapshot], target: Target) -> Iterator[Loaded]:
    for state in states:
        try:
            yield loader.load_files(
                target.paths, overlays=target.overlays, names=target.names, tree=state
            )
        except (ConfigError, GitError):
            continue
