"""Check commits out beside the working tree, so that each run reads the files of its commit."""

import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from reconciler.errors import GitError
from reconciler.git import process, repository
from reconciler.operating_system import try_lock_file

_FOLDER: Final = Path(".reconciler/checkouts")
_RUNS: Final = Path(".reconciler/runs")
_LOCK: Final = "lock"
_NOTIFIED: Final = Path(".reconciler/notified")
_KEPT: Final = 4  # checkouts that nothing uses
_YOUNG_S: Final = 60.0


class Checkouts:
    """One folder for each commit in use, as git worktrees of the repository.

    Journals of runs move to the repository before a checkout is removed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._users: OrderedDict[str, int] = OrderedDict()  # of each checkout; the oldest first
        self._cleanup = ExitStack()
        parent = root / _FOLDER
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_abandoned(parent)
        self._folder = Path(tempfile.mkdtemp(prefix="worker-", dir=parent))
        held = try_lock_file(self._folder / _LOCK)
        if held is not None:
            self._cleanup.callback(held.close)

    @contextmanager
    def open(self, commit: str) -> Iterator[Path]:
        """Yield the folder of a commit, which is fetched if it is missing. Raises GitError."""
        with self._lock:
            folder = self.find_folder(commit)
            if commit not in self._users:
                self._add(commit, folder)
            self._users[commit] = self._users.get(commit, 0) + 1
            self._users.move_to_end(commit)
        try:
            yield folder
        finally:
            with self._lock:
                self._users[commit] -= 1
                self._remove_unused()

    def find_folder(self, commit: str) -> Path:
        """Return the folder of a commit, which exists while the commit is open."""
        return self._folder / commit

    def fetch_branch(self, branch: str) -> str:
        """Return the newest commit of a branch, of the remote if there is one. Raises GitError."""
        with self._lock:
            if not repository.has_remote(self._root):
                return repository.resolve_commit(f"refs/heads/{branch}", self._root)
            self._fetch()
            return repository.resolve_commit(f"refs/remotes/origin/{branch}", self._root)

    def close(self) -> None:
        """Remove all checkouts."""
        with self._lock:
            _remove(self._root, self._folder)
            self._cleanup.close()

    def _add(self, commit: str, folder: Path) -> None:
        if not self._has(commit):
            self._fetch()
        if not self._has(commit):  # such as the merge that GitHub makes for a pull request
            process.run_with_remote(["fetch", "--quiet", "--no-tags", "origin", commit], self._root)
        if not self._has(commit):
            raise GitError(
                f"the commit {commit[:10]} is not in the worker's repository",
                why="origin does not have it, or does not send it",
                fix="push the commit, then run the command again",
            )
        arguments = ["worktree", "add", "--quiet", "--force", "--detach", str(folder), commit]
        process.read_output(arguments, self._root)

    def _has(self, commit: str) -> bool:
        arguments = ["cat-file", "-e", f"{commit}^{{commit}}"]
        return process.run_offline(arguments, self._root).returncode == 0

    def _fetch(self) -> None:
        """Fetch the branches, and what each target was applied at last."""
        if not repository.has_remote(self._root):
            return
        arguments = ["fetch", "--quiet", "--no-tags", "--end-of-options", "origin"]
        result = process.run_with_remote(arguments, self._root)
        if result.returncode != 0:
            raise GitError(
                "the worker cannot fetch from origin",
                why=process.find_last_line(result.stderr),
                fix="give the worker's git access to the remote",
            )

    def _remove_unused(self) -> None:
        unused = [commit for commit, users in self._users.items() if users == 0]
        for commit in unused[: max(0, len(unused) - _KEPT)]:
            del self._users[commit]
            _remove(self._root, self.find_folder(commit))

    def _remove_abandoned(self, parent: Path) -> None:
        """Remove the checkouts of workers that were killed: nobody holds their lock."""
        for folder in parent.glob("worker-*"):
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue  # another worker may be about to lock it
            held = try_lock_file(folder / _LOCK)
            if held is not None:
                with held:
                    _remove(self._root, folder)


@contextmanager
def keep_markers(folder: Path, checkout: Path) -> Iterator[None]:
    """Let the runs of all checkouts know which messages webhooks were sent.

    Args:
        folder: the folder of reconciler.yaml in the repository.
        checkout: the same folder in a checkout.

    """
    _copy(folder / _NOTIFIED, checkout / _NOTIFIED)
    try:
        yield
    finally:
        _copy(checkout / _NOTIFIED, folder / _NOTIFIED)


def _copy(source: Path, destination: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.copytree(source, destination, dirs_exist_ok=True)


def _remove(root: Path, folder: Path) -> None:
    """Remove a folder with checkouts; journals in it move to the repository."""
    runs = root / _RUNS
    for journal in folder.rglob("*.jsonl"):
        if journal.parent.parts[-2:] == _RUNS.parts:
            runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(OSError):
                shutil.move(journal, runs / journal.name)
    shutil.rmtree(folder, ignore_errors=True)
    process.run_offline(["worktree", "prune"], root)
