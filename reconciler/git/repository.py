"""Read and move refs of this repository. Nothing is fetched, and no hook runs.

Git is called with argument lists, and `--end-of-options` before anything that a person wrote.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.files.working_tree import find_git_root
from reconciler.git import process
from reconciler.git.commit_tree import CommitTree
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later

_FULL: Final = compile_later(r"[0-9a-f]{40}|[0-9a-f]{64}")
CLOCKS_DIFFER: Final = timedelta(minutes=10)  # a date further ahead than this is ignored
DATED: Final = 50_000  # commits whose dates are read
SHALLOW: Final = "this clone is shallow: it holds only the newest part of the history"


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """Facts about a repository, read once at the start of a command.

    Attributes:
        root: its folder.
        head: full id of the commit that is checked out; None before the first.
        branch: full name of the branch that is checked out; None where a commit is.
        upstream: the ref by which the remote's side of that branch is known, if it has one.
        is_shallow: whether the history was cut off when the repository was cloned.
        refs: what each ref holds that was looked up; those that do not exist are left out.

    """

    root: Path
    head: str | None = None
    branch: str | None = None
    upstream: str | None = None
    is_shallow: bool = False
    refs: Mapping[str, str] = field(default_factory=dict)

    def tree(self, *, cwd: Path, may_lack_paths: bool = False) -> CommitTree | None:
        """Return the files of the commit that is checked out; None before the first one."""
        return None if self.head is None else CommitTree(self.head, self.root, cwd, may_lack_paths)


@dataclass(frozen=True, slots=True)
class FileCommit:
    """The commit that changed a file last, and its committer's time as ISO 8601."""

    commit: str
    at: str


def read_state(path: Path, refs: Iterable[str] = ()) -> RepositoryState | None:
    """Read the facts about the repository that holds `path`, with two processes; None outside git.

    Args:
        path: a path in the repository.
        refs: full names of refs to look up, besides those of the branch that is checked out.

    """
    folder = find_git_root(path)
    if folder is None:
        return None
    arguments = ["--is-shallow-repository", "HEAD^{commit}", "--symbolic-full-name", "HEAD"]
    result = process.run_offline(["rev-parse", *arguments, "@{upstream}"], folder)
    shallow, commit, *names = [*result.stdout.decode("utf-8", "replace").splitlines(), "", ""]
    if not _FULL.fullmatch(commit):
        return RepositoryState(folder, is_shallow=shallow == "true")
    if b"ambiguous" in result.stderr:  # a tag called HEAD, for example
        checked_out = read_branch(folder)
        tracked = read_upstream(checked_out, folder) if checked_out is not None else None
    else:
        checked_out, tracked = (_keep_full_name(name) for name in (*names, "", "")[:2])
    wanted = {*refs, *([tracked] if tracked is not None else [])}
    if checked_out is not None:
        wanted.add(f"refs/remotes/origin/{checked_out.removeprefix('refs/heads/')}")
    values = read_refs(wanted, folder)
    return RepositoryState(folder, commit, checked_out, tracked, shallow == "true", values)


def _keep_full_name(name: str) -> str | None:
    return name if name.startswith("refs/") else None


def find_root(path: Path) -> Path | None:
    """Return the folder of the repository that holds `path`; None outside git."""
    return find_git_root(path)


def open_commit(
    ref: str, *, cwd: Path, at: Path | None = None, may_lack_paths: bool = False
) -> CommitTree:
    """Return the files of the commit that `ref` names; GitError if there is none.

    Args:
        ref: a name of a commit.
        cwd: what display names are relative to.
        at: a path in the repository, if that is not the one that holds `cwd`.
        may_lack_paths: whether a path that does not exist yet is empty instead of an error.

    """
    folder = _require_root(at or cwd)
    return CommitTree(resolve_commit(ref, folder), folder, cwd, may_lack_paths)


def resolve_commit(ref: str, cwd: Path) -> str:
    """Return the full id of the commit that `ref` names; GitError if there is none."""
    folder = _require_root(cwd)
    if not ref or "\0" in ref or "\n" in ref:
        raise GitError(f"no commit is called {ref!r}", fix="name a branch, a tag or a commit")
    return _resolve_full_id(ref, folder) if _FULL.fullmatch(ref) else _resolve_ref(ref, folder)


@lru_cache(maxsize=32)
def _resolve_full_id(commit: str, folder: Path) -> str:
    """Check once that a commit exists: a full id never changes its meaning."""
    return _resolve_ref(commit, folder)


def _resolve_ref(ref: str, folder: Path) -> str:
    arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    result = process.run_offline(arguments, folder)
    ids = result.stdout.decode("ascii", "replace").split()
    if result.returncode == 0 and ids:
        return ids[-1]
    if is_shallow(folder):
        raise GitError(
            f"git knows no commit {ref!r} here",
            why=SHALLOW,
            fix=process.DEEPEN,
        )
    if read_head(folder) is None:
        raise GitError(
            f"{folder.name} has no commit yet",
            why="the committed files are compared with the live objects",
            fix="commit the files: git add --all && git commit",
        )
    raise GitError(
        f"git knows no commit {ref!r} here",
        why=process.find_last_line(result.stderr),
        fix="check the spelling, or fetch the branch; `git branch --all` lists what there is",
    )


def has_remote(cwd: Path) -> bool:
    """Return whether the repository has a remote."""
    return bool(process.run_offline(["remote"], _require_root(cwd)).stdout.strip())


def is_shallow(cwd: Path) -> bool:
    """Return whether the history was cut off when the repository was cloned."""
    return (
        process.run_offline(["rev-parse", "--is-shallow-repository"], cwd).stdout.strip() == b"true"
    )


def read_head(cwd: Path) -> str | None:
    """Return the full id of the commit that is checked out; None before the first one."""
    result = process.run_offline(
        ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], _require_root(cwd)
    )
    return result.stdout.decode("ascii").strip() or None


def find_merge_base(left: str, right: str, *, cwd: Path) -> str | None:
    """Return the newest commit in the history of both; None if they share nothing."""
    folder = _require_root(cwd)
    commits = [resolve_commit(left, folder), resolve_commit(right, folder)]
    result = process.run_offline(["merge-base", *commits], folder)
    if result.returncode == 0:
        return result.stdout.decode("ascii").strip()
    if is_shallow(folder):
        raise GitError(
            f"git cannot find out where {left!r} and {right!r} parted",
            why=SHALLOW,
            fix=process.DEEPEN,
        )
    return None


def is_ancestor(ancestor: str, commit: str, *, cwd: Path) -> bool:
    """Return whether a commit is in the history of another, or the same."""
    if ancestor == commit and _FULL.fullmatch(ancestor):
        return True
    folder = _require_root(cwd)
    if _FULL.fullmatch(ancestor) and _FULL.fullmatch(commit):
        done = process.run_offline(["merge-base", "--is-ancestor", ancestor, commit], folder)
        if done.returncode in {0, 1}:
            return done.returncode == 0
    commits = [
        resolve_commit(ancestor, folder),
        resolve_commit(commit, folder),
    ]  # says which of them is not here
    return process.run_offline(["merge-base", "--is-ancestor", *commits], folder).returncode == 0


def read_branch(cwd: Path) -> str | None:
    """Return the full name of the branch that is checked out; None for a detached HEAD."""
    result = process.run_offline(["symbolic-ref", "--quiet", "HEAD"], _require_root(cwd))
    return result.stdout.decode("utf-8", "replace").rstrip("\n") or None


def read_upstream(name: str, cwd: Path) -> str | None:
    """Return the remote-tracking ref of a branch, if it has one."""
    return _read_ref_field("%(upstream)", name, cwd)


def read_remote(name: str, cwd: Path) -> str | None:
    """Return the remote of a branch, if it has one."""
    return _read_ref_field("%(upstream:remotename)", name, cwd)


def _read_ref_field(form: str, name: str, cwd: Path) -> str | None:
    arguments = ["for-each-ref", f"--format={form}", "--count=1", "--end-of-options", name]
    return (
        process.read_output(arguments, _require_root(cwd)).decode("utf-8", "replace").rstrip("\n")
        or None
    )


def list_branches_with(commit: str, cwd: Path) -> tuple[tuple[str, str], ...]:
    """Return each branch, local or remote, that contains a commit, and its newest commit."""
    form = "%(if)%(symref)%(then)%(else)%(objectname) %(refname)%(end)"
    arguments = ["for-each-ref", f"--contains={commit}", f"--format={form}"]
    output = process.read_output([*arguments, "refs/heads/", "refs/remotes/"], _require_root(cwd))
    rows = (row.partition(" ") for row in output.decode("utf-8", "replace").split("\n") if row)
    return tuple((name, tip) for tip, _, name in rows)


def find_last_commit_touching(file: str | Path, *, cwd: Path) -> FileCommit | None:
    """Return the commit in HEAD's history that changed a file last; None if none did."""
    path = os.path.abspath(cwd / file)  # noqa: PTH100  links stay as they are
    result = process.run_offline(
        ["rev-list", "-1", "--format=%cI", "HEAD", "--", path], _require_root(cwd)
    )
    words = result.stdout.decode("ascii", "replace").split()
    if result.returncode != 0 or len(words) != 3:  # noqa: PLR2004  "commit <id> <time>"
        return None
    return FileCommit(words[1], words[2])


def read_commit_time(commit: str, *, cwd: Path) -> datetime | None:
    """Return when a commit was made, by its committer's clock."""
    arguments = ["show", "--no-patch", "--format=%cI", "--end-of-options", commit]
    words = (
        process.run_offline(arguments, _require_root(cwd)).stdout.decode("ascii", "replace").split()
    )
    try:
        return datetime.fromisoformat(words[0]) if words else None
    except ValueError:
        return None


def estimate_commit_time(commit: str, *, now: datetime, cwd: Path) -> datetime | None:
    """Return when a commit was made: never before a commit that it contains.

    Dates come from the clocks of committers; those in the future are ignored.
    """
    arguments = ["rev-list", "--timestamp", f"-n{DATED}", "--end-of-options", commit]
    lines = (
        process.read_output(arguments, _require_root(cwd)).decode("ascii", "replace").splitlines()
    )
    latest = (now + CLOCKS_DIFFER).timestamp()
    times = [at for at in (int(line.split()[0]) for line in lines) if at <= latest]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def read_ref(ref: str, cwd: Path) -> str | None:
    """Return the object of exactly this ref, even if it is missing; None without the ref.

    `rev-parse` would also accept a tag or a branch whose name ends in the same words.
    """
    return read_refs((ref,), cwd).get(ref)


def read_ref_time(ref: str, cwd: Path) -> datetime | None:
    """Return when a ref was moved in this clone; None where git has not recorded it."""
    arguments = ["log", "--walk-reflogs", "-1", "--date=unix", "--format=%gd", "--end-of-options"]
    result = process.run_offline([*arguments, _require_full_name(ref)], _require_root(cwd))
    at = re.search(r"@\{(\d+)\}", result.stdout.decode("utf-8", "replace"))
    return datetime.fromtimestamp(int(at[1]), UTC) if result.returncode == 0 and at else None


def count_commits(commit: str, *, since: str | None, cwd: Path) -> int:
    """Return how many commits are in the history of a commit, and not in that of another."""
    span = commit if since is None else f"{since}..{commit}"
    arguments = ["rev-list", "--count", "--end-of-options", span]
    return int(process.read_output(arguments, _require_root(cwd)))


def read_refs(refs: Collection[str], cwd: Path) -> Mapping[str, str]:
    """Return what each of these refs holds, also if that object is not here."""
    if not refs:
        return {}
    arguments = ["for-each-ref", "--format=%(objectname) %(refname)", "--end-of-options"]
    output = process.read_output(
        [*arguments, *map(_require_full_name, sorted(refs))], _require_root(cwd)
    )
    values = (line.partition(" ") for line in output.decode("utf-8", "replace").splitlines())
    return {name: oid for oid, _, name in values if name in refs}


def update_ref(ref: str, commit: str, *, was: str | None, cwd: Path, message: str) -> None:
    """Move a ref of this repository; GitError if it is not at `was`, or cannot be moved."""
    expected = was or "0" * len(commit)
    arguments = [
        "update-ref",
        "--create-reflog",  # its times say when a commit was applied
        "-m",
        message,
        "--end-of-options",
        _require_full_name(ref),
        commit,
        expected,
    ]
    process.read_output(arguments, _require_root(cwd))


def write_text_ref(ref: str, text: str, *, cwd: Path, message: str) -> None:
    """Store a short text in a ref, as a blob; GitError if that fails."""
    folder = _require_root(cwd)
    stored = process.read_output(["hash-object", "-w", "--stdin"], folder, stdin=text.encode())
    blob = stored.decode("ascii").strip()
    update_ref(ref, blob, was=read_ref(ref, cwd), cwd=cwd, message=message)


def read_text_ref(ref: str, *, cwd: Path) -> str | None:
    """Return the text that `write_text_ref` stored in a ref; None if there is none."""
    if (blob := read_ref(ref, cwd)) is None:
        return None
    return process.read_output(["cat-file", "blob", blob], _require_root(cwd)).decode(
        "utf-8", "replace"
    )


def _require_full_name(ref: str) -> str:
    if not ref.startswith("refs/"):
        raise GitError(
            f"{ref!r} is not a full name of a ref", fix="name one that starts with refs/"
        )
    return ref


def _require_root(cwd: Path) -> Path:
    folder = find_git_root(cwd)
    if folder is None:
        raise GitError(
            f"{cwd.name or cwd} is not in a git repository",
            fix="change to a folder of the repository, or name it with -C DIR; in a new one, run "
            "git init and commit the files",
        )
    return folder
