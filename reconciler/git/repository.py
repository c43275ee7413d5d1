"""Questions to git about this repository. Nothing is fetched, no hook runs, no ref is trusted.

git is called with argument lists and `--end-of-options` before whatever a person wrote.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.files.working_tree import git_root
from reconciler.git import process
from reconciler.git.commit_tree import CommitTree

_FULL: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
CLOCKS_DIFFER: Final = timedelta(minutes=10)  # a date further ahead than this is not believed
DATED: Final = 50_000  # commits whose dates are looked at
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
class Touch:
    """The commit that changed a file last, and its committer's time as ISO 8601."""

    commit: str
    at: str


def read_state(path: Path, refs: Iterable[str] = ()) -> RepositoryState | None:
    """Read the facts about the repository that holds `path`, with two processes; None outside git.

    Args:
        path: a path in the repository.
        refs: full names of refs to look up, besides those of the branch that is checked out.

    """
    folder = git_root(path)
    if folder is None:
        return None
    asked = ["--is-shallow-repository", "HEAD^{commit}", "--symbolic-full-name", "HEAD"]
    done = process.run(["rev-parse", *asked, "@{upstream}"], folder)
    shallow, commit, *names = [*done.stdout.decode("utf-8", "replace").splitlines(), "", ""]
    if not _FULL.fullmatch(commit):
        return RepositoryState(folder, is_shallow=shallow == "true")
    if b"ambiguous" in done.stderr:  # a tag called HEAD, for example
        checked_out = branch(folder)
        tracked = upstream(checked_out, folder) if checked_out is not None else None
    else:
        checked_out, tracked = (_only_ref(name) for name in (*names, "", "")[:2])
    wanted = {*refs, *([tracked] if tracked is not None else [])}
    if checked_out is not None:
        wanted.add(f"refs/remotes/origin/{checked_out.removeprefix('refs/heads/')}")
    values = read_refs(wanted, folder)
    return RepositoryState(folder, commit, checked_out, tracked, shallow == "true", values)


def _only_ref(name: str) -> str | None:
    return name if name.startswith("refs/") else None


def root(path: Path) -> Path | None:
    """Folder of the repository that holds `path`; None outside git."""
    return git_root(path)


def commit_tree(
    ref: str, *, cwd: Path, at: Path | None = None, may_lack_paths: bool = False
) -> CommitTree:
    """The files of the commit that `ref` names; GitError if there is none.

    Args:
        ref: whatever names a commit.
        cwd: what display names are relative to.
        at: a path in the repository, where that is not the one that holds `cwd`.
        may_lack_paths: whether a path that is not there yet is nothing instead of an error.

    """
    folder = _root(at or cwd)
    return CommitTree(resolve(ref, folder), folder, cwd, may_lack_paths)


def resolve(ref: str, cwd: Path) -> str:
    """Full id of the commit that `ref` names; GitError with what to do if there is none."""
    folder = _root(cwd)
    if not ref or "\0" in ref or "\n" in ref:
        raise GitError(f"no commit is called {ref!r}", fix="name a branch, a tag or a commit")
    return _known(ref, folder) if _FULL.fullmatch(ref) else _resolved(ref, folder)


@lru_cache(maxsize=32)
def _known(commit: str, folder: Path) -> str:
    """A full id means the same for ever: that it is here is asked once."""
    return _resolved(commit, folder)


def _resolved(ref: str, folder: Path) -> str:
    asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    done = process.run(asked, folder)
    found = done.stdout.decode("ascii", "replace").split()
    if done.returncode == 0 and found:
        return found[-1]
    if is_shallow(folder):
        raise GitError(
            f"git knows no commit {ref!r} here",
            why=SHALLOW,
            fix=process.DEEPEN,
        )
    if head(folder) is None:
        raise GitError(
            f"{folder.name} has no commit yet",
            why="what was committed is the truth that the live side is held against",
            fix="commit the files: git add --all && git commit",
        )
    raise GitError(
        f"git knows no commit {ref!r} here",
        why=process.last_line(done.stderr),
        fix="check the spelling, or fetch the branch; `git branch --all` lists what there is",
    )


def has_remote(cwd: Path) -> bool:
    """Whether there is anywhere to push to."""
    return bool(process.run(["remote"], _root(cwd)).stdout.strip())


def is_shallow(cwd: Path) -> bool:
    """Whether the history was cut off when the repository was cloned."""
    return process.run(["rev-parse", "--is-shallow-repository"], cwd).stdout.strip() == b"true"


def head(cwd: Path) -> str | None:
    """Full id of the commit that is checked out; None before the first one."""
    done = process.run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], _root(cwd))
    return done.stdout.decode("ascii").strip() or None


def merge_base(one: str, other: str, *, cwd: Path) -> str | None:
    """The newest commit that both have in their history; None if they share nothing."""
    folder = _root(cwd)
    commits = [resolve(one, folder), resolve(other, folder)]
    done = process.run(["merge-base", *commits], folder)
    if done.returncode == 0:
        return done.stdout.decode("ascii").strip()
    if is_shallow(folder):
        raise GitError(
            f"git cannot tell where {one!r} and {other!r} parted",
            why=SHALLOW,
            fix=process.DEEPEN,
        )
    return None


def is_ancestor(one: str, other: str, *, cwd: Path) -> bool:
    """Whether commit `one` is in the history of `other`, or the same."""
    if one == other and _FULL.fullmatch(one):
        return True
    folder = _root(cwd)
    if _FULL.fullmatch(one) and _FULL.fullmatch(other):
        done = process.run(["merge-base", "--is-ancestor", one, other], folder)
        if done.returncode in {0, 1}:
            return done.returncode == 0
    commits = [resolve(one, folder), resolve(other, folder)]  # says which of them is not here
    return process.run(["merge-base", "--is-ancestor", *commits], folder).returncode == 0


def branch(cwd: Path) -> str | None:
    """Full name of the branch that is checked out; None where a commit is."""
    done = process.run(["symbolic-ref", "--quiet", "HEAD"], _root(cwd))
    return done.stdout.decode("utf-8", "replace").rstrip("\n") or None


def upstream(name: str, cwd: Path) -> str | None:
    """The ref by which the remote's side of a branch is known here, if it has one."""
    return _asked("%(upstream)", name, cwd)


def remote_of(name: str, cwd: Path) -> str | None:
    """The remote that a branch comes from, if it has one."""
    return _asked("%(upstream:remotename)", name, cwd)


def _asked(form: str, name: str, cwd: Path) -> str | None:
    asked = ["for-each-ref", f"--format={form}", "--count=1", "--end-of-options", name]
    return process.output(asked, _root(cwd)).decode("utf-8", "replace").rstrip("\n") or None


def branches_with(commit: str, cwd: Path) -> tuple[tuple[str, str], ...]:
    """Each branch, local or of a remote, that has a commit in its history, and where it is."""
    form = "%(if)%(symref)%(then)%(else)%(objectname) %(refname)%(end)"
    asked = ["for-each-ref", f"--contains={commit}", f"--format={form}"]
    rows = process.output([*asked, "refs/heads/", "refs/remotes/"], _root(cwd))
    found = (row.partition(" ") for row in rows.decode("utf-8", "replace").split("\n") if row)
    return tuple((name, tip) for tip, _, name in found)


def last_commit_touching(file: str | Path, *, cwd: Path) -> Touch | None:
    """The commit in HEAD's history that changed a file last; None if none did."""
    named = os.path.abspath(cwd / file)  # noqa: PTH100  links stay as they are
    done = process.run(["rev-list", "-1", "--format=%cI", "HEAD", "--", named], _root(cwd))
    words = done.stdout.decode("ascii", "replace").split()
    if done.returncode != 0 or len(words) != 3:  # noqa: PLR2004  "commit <id> <time>"
        return None
    return Touch(words[1], words[2])


def made_at(commit: str, *, cwd: Path) -> datetime | None:
    """When a commit was made, by its committer's clock."""
    asked = ["show", "--no-patch", "--format=%cI", "--end-of-options", commit]
    words = process.run(asked, _root(cwd)).stdout.decode("ascii", "replace").split()
    try:
        return datetime.fromisoformat(words[0]) if words else None
    except ValueError:
        return None


def made_by(commit: str, *, now: datetime, cwd: Path) -> datetime | None:
    """Return when a commit was made: not before any that it contains, whatever its date says.

    A date in the future says nothing.
    """
    asked = ["rev-list", "--timestamp", f"-n{DATED}", "--end-of-options", commit]
    rows = process.output(asked, _root(cwd)).decode("ascii", "replace").splitlines()
    latest = (now + CLOCKS_DIFFER).timestamp()
    found = [at for at in (int(row.split()[0]) for row in rows) if at <= latest]
    return datetime.fromtimestamp(max(found), UTC) if found else None


def value(ref: str, cwd: Path) -> str | None:
    """Return what exactly this ref holds, also if that object is not here; None without the ref.

    `rev-parse` would go on to a tag or a branch whose name ends in the same words.
    """
    return read_refs((ref,), cwd).get(ref)


def read_refs(refs: Collection[str], cwd: Path) -> Mapping[str, str]:
    """Return what each of these refs holds, also if that object is not here."""
    if not refs:
        return {}
    asked = ["for-each-ref", "--format=%(objectname) %(refname)", "--end-of-options"]
    rows = process.output([*asked, *map(_full, sorted(refs))], _root(cwd))
    values = (row.partition(" ") for row in rows.decode("utf-8", "replace").splitlines())
    return {name: oid for oid, _, name in values if name in refs}


def update_ref(ref: str, commit: str, *, was: str | None, cwd: Path, message: str) -> None:
    """Move a ref of this repository from what it `was`; GitError if it cannot be, or moved."""
    before = was or "0" * len(commit)
    arguments = ["update-ref", "-m", message, "--end-of-options", _full(ref), commit, before]
    process.output(arguments, _root(cwd))


def write_text(ref: str, text: str, *, cwd: Path, message: str) -> None:
    """Let a ref hold a short text, as a blob; GitError if it cannot."""
    folder = _root(cwd)
    stored = process.output(["hash-object", "-w", "--stdin"], folder, stdin=text.encode())
    blob = stored.decode("ascii").strip()
    update_ref(ref, blob, was=value(ref, cwd), cwd=cwd, message=message)


def read_text(ref: str, *, cwd: Path) -> str | None:
    """The text that `write_text` left in a ref; None if there is none."""
    if (blob := value(ref, cwd)) is None:
        return None
    return process.output(["cat-file", "blob", blob], _root(cwd)).decode("utf-8", "replace")


def _full(ref: str) -> str:
    if not ref.startswith("refs/"):
        raise GitError(f"{ref!r} is no full name of a ref", fix="name one that starts with refs/")
    return ref


def _root(cwd: Path) -> Path:
    folder = git_root(cwd)
    if folder is None:
        raise GitError(
            f"{cwd.name or cwd} is in no git repository",
            fix="run the command in the repository, or do without --base",
        )
    return folder
