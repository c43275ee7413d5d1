"""Questions to git, and the files of a commit. Nothing is fetched, no hook runs, no ref is trusted.

git is called with argument lists, `--end-of-options` before whatever a person wrote, and an
environment without its own variables, so that a hook or a caller cannot point it elsewhere.
"""

import os
import posixpath
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from reconciler.config.files import Entry, contains, git_root, is_hidden, is_resource_file, refuse
from reconciler.config.text import MAX_BYTES
from reconciler.errors import GitError

TIMEOUT_S: Final = 60
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024

_SETTINGS: Final = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
)
_FIXED: Final = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_LINK, _BLOBS = "120000", frozenset({"100644", "100755"})
_DEEPEN: Final = "fetch the whole history: `fetch-depth: 0` in actions/checkout, `GIT_DEPTH: 0` in GitLab, else `git fetch --unshallow`"  # noqa: E501  one sentence


@dataclass(frozen=True, slots=True)
class Touch:
    """The commit that changed a file last, and its committer's time as ISO 8601."""

    commit: str
    at: str


@dataclass(frozen=True, slots=True)
class CommitTree:
    """The files of a commit.

    Args:
        commit: full id.
        root: folder of the repository.
        cwd: what display names are relative to, as in the working tree.
        may_lack_paths: whether a path that is not there yet is nothing instead of an error.

    """

    commit: str
    root: Path
    cwd: Path
    may_lack_paths: bool = False
    origin: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", self.commit)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Every YAML file of a path, sorted; raises text.Refused if the path cannot be used."""
        inside = self._inside(path)
        left_out = [self._inside(other) for other in skip]
        listed = self._list(inside)
        if not listed:
            if self.may_lack_paths:
                return
            where = f"no such file or folder in commit {self.commit[:10]}"
            raise refuse(self._display(inside), where, fix="check the path, or commit it")
        links = [entry for entry in listed if entry.mode == _LINK]
        wanted = [
            entry
            for entry in listed
            if entry.mode in _BLOBS
            and (entry.path == inside or _is_wanted(entry.path, inside))
            and not any(contains(other, entry.path) for other in left_out)
        ]
        contents = self._contents(wanted)
        for link in links:
            if self._leads_to_resources(link):
                yield self._display(link.path), partial(self._refuse_link, link)
        for entry in wanted:
            yield self._display(entry.path), partial(self._read, entry, contents)

    def display(self, path: Path) -> str:
        """The name of a path in messages and plans, as in the working tree."""
        return self._display(self._inside(path))

    def _inside(self, path: Path) -> str:
        """A path as git writes it: from the root, with slashes; "" for the root."""
        lexical = Path(os.path.abspath(self.cwd / path))  # noqa: PTH100  links stay as they are
        for candidate in (lexical, Path(os.path.realpath(lexical.parent)) / lexical.name):
            if candidate == self.root:
                return ""
            if candidate.is_relative_to(self.root):
                return candidate.relative_to(self.root).as_posix()
        fix = "name a path inside the repository"
        raise refuse(str(path), f"is not in the repository {self.root.name}", fix=fix)

    def _display(self, inside: str) -> str:
        start = _start(self.root, self.cwd)
        if start == ".":
            return inside or "."
        return posixpath.relpath(f"/{inside}", f"/{start}")

    def _list(self, inside: str) -> list["_Object"]:
        arguments = ["ls-tree", "-r", "-z", "--long", "--full-tree", self.commit]
        output = _git([*arguments, "--", inside] if inside else arguments, self.root)
        found = []
        for line in output.split(b"\0"):
            if not line:
                continue
            about, path = line.split(b"\t", 1)
            mode, _, oid, size = about.decode("ascii").split()
            number = int(size) if size.isdigit() else 0
            found.append(_Object(mode, oid, number, path.decode("utf-8", "backslashreplace")))
        return found

    def _contents(self, wanted: Sequence["_Object"]) -> dict[str, bytes]:
        """Content by object id, read by one process."""
        oids = list(dict.fromkeys(entry.oid for entry in wanted if entry.size <= MAX_BYTES))
        if sum({entry.oid: entry.size for entry in wanted}.values()) > MAX_TOTAL_BYTES:
            raise refuse(
                self._display(""),
                f"more than {MAX_TOTAL_BYTES >> 20} MiB of YAML in commit {self.commit[:10]}",
                fix="name fewer paths",
                code="R009",
            )
        asked = "".join(f"{oid}\n" for oid in oids).encode("ascii")
        output = _git(["cat-file", "--batch"], self.root, stdin=asked) if oids else b""
        contents, at = {}, 0
        for oid in oids:
            end = output.index(b"\n", at)
            header = output[at:end].split()
            if len(header) != 3:  # noqa: PLR2004  "<oid> missing"
                raise GitError(
                    f"git lacks the content of commit {self.commit[:10]}",
                    why=header[-1].decode("utf-8", "replace") if header else "",
                    fix=_DEEPEN,
                )
            size = int(header[2])
            contents[oid] = output[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return contents

    def _read(self, entry: "_Object", contents: dict[str, bytes]) -> bytes:
        if entry.oid not in contents:
            message = f"the file has {entry.size:,} bytes, more than {MAX_BYTES:,}"
            fix = "split it into several files"
            raise refuse(self._display(entry.path), message, fix=fix, code="R009")
        return contents[entry.oid]

    def _leads_to_resources(self, link: "_Object") -> bool:
        """Whether a link stands for files that the working tree would have loaded."""
        if any(is_hidden(part) for part in link.path.split("/")):
            return False
        if is_resource_file(link.path.rsplit("/", 1)[-1]):
            return True
        target = _git(["cat-file", "blob", link.oid], self.root).decode("utf-8", "replace")
        folder = os.path.normpath(os.path.join(os.path.dirname(link.path), target))  # noqa: PTH118, PTH120  git's paths, not the disk's
        if folder.startswith(("..", "/")):
            return False
        return any(_is_wanted(entry.path, folder) for entry in self._list(folder))

    def _refuse_link(self, link: "_Object") -> bytes:
        raise refuse(
            self._display(link.path),
            f"is a link in commit {self.commit[:10]}",
            why="links are followed in the working tree only",
            fix="commit a plain file or folder instead",
            code="R014",
        )


@dataclass(frozen=True, slots=True)
class _Object:
    """One line of `git ls-tree`."""

    mode: str
    oid: str
    size: int
    path: str


def _is_wanted(path: str, inside: str) -> bool:
    """Whether a file below a folder is one with resources, as in the working tree."""
    *folders, name = path[len(inside) :].lstrip("/").split("/")
    return is_resource_file(name) and not any(is_hidden(folder) for folder in folders)


@lru_cache(maxsize=32)
def _start(top: Path, cwd: Path) -> str:
    """The current folder from the root of the repository, with slashes."""
    return Path(os.path.relpath(os.path.realpath(cwd), top)).as_posix()


def root(path: Path) -> Path | None:
    """Folder of the repository that holds `path`; None outside git."""
    return git_root(path)


def commit_tree(ref: str, *, cwd: Path, may_lack_paths: bool = False) -> CommitTree:
    """The files of the commit that `ref` names; GitError if there is none."""
    return CommitTree(resolve(ref, cwd), _root(cwd), cwd, may_lack_paths)


def resolve(ref: str, cwd: Path) -> str:
    """Full id of the commit that `ref` names; GitError with what to do if there is none."""
    folder = _root(cwd)
    if not ref or "\0" in ref or "\n" in ref:
        raise GitError(f"no commit is called {ref!r}", fix="name a branch, a tag or a commit")
    asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    done = _run(asked, folder)
    found = done.stdout.decode("ascii", "replace").split()
    if done.returncode == 0 and found:
        return found[-1]
    if is_shallow(folder):
        raise GitError(
            f"git knows no commit {ref!r} here",
            why="this clone is shallow: it holds only the newest part of the history",
            fix=_DEEPEN,
        )
    raise GitError(
        f"git knows no commit {ref!r} here",
        why=_last_line(done.stderr),
        fix="check the spelling, or fetch the branch; `git branch --all` lists what there is",
    )


def is_shallow(cwd: Path) -> bool:
    """Whether the history was cut off when the repository was cloned."""
    return _run(["rev-parse", "--is-shallow-repository"], cwd).stdout.strip() == b"true"


def head(cwd: Path) -> str | None:
    """Full id of the commit that is checked out; None before the first one."""
    done = _run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], _root(cwd))
    return done.stdout.decode("ascii").strip() or None


def merge_base(one: str, other: str, *, cwd: Path) -> str | None:
    """The newest commit that both have in their history; None if they share nothing."""
    folder = _root(cwd)
    commits = [resolve(one, folder), resolve(other, folder)]
    done = _run(["merge-base", *commits], folder)
    if done.returncode == 0:
        return done.stdout.decode("ascii").strip()
    if is_shallow(folder):
        raise GitError(
            f"git cannot tell where {one!r} and {other!r} parted",
            why="this clone is shallow: it holds only the newest part of the history",
            fix=_DEEPEN,
        )
    return None


def is_ancestor(one: str, other: str, *, cwd: Path) -> bool:
    """Whether commit `one` is in the history of `other`, or the same."""
    folder = _root(cwd)
    commits = [resolve(one, folder), resolve(other, folder)]
    return _run(["merge-base", "--is-ancestor", *commits], folder).returncode == 0


def is_dirty(paths: Sequence[Path], *, cwd: Path) -> bool:
    """Whether a resource file below `paths` differs from HEAD, unknown ones included."""
    asked = ["status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=all"]
    named = [os.path.abspath(cwd / path) for path in paths]  # noqa: PTH100  links stay as they are
    rows = _git([*asked, "--no-renames", "--", *named], _root(cwd)).decode("utf-8", "replace")
    return any(_is_wanted(row[3:], "") for row in rows.split("\0") if row)


def last_commit_touching(file: str | Path, *, cwd: Path) -> Touch | None:
    """The commit in HEAD's history that changed a file last; None if none did."""
    named = os.path.abspath(cwd / file)  # noqa: PTH100  links stay as they are
    done = _run(["rev-list", "-1", "--format=%cI", "HEAD", "--", named], _root(cwd))
    words = done.stdout.decode("ascii", "replace").split()
    if done.returncode != 0 or len(words) != 3:  # noqa: PLR2004  "commit <id> <time>"
        return None
    return Touch(words[1], words[2])


def update_ref(ref: str, commit: str, *, cwd: Path, message: str) -> None:
    """Move a ref of this repository; GitError if it cannot be."""
    if not ref.startswith("refs/"):
        raise GitError(f"{ref!r} is no full name of a ref", fix="name one that starts with refs/")
    _git(["update-ref", "-m", message, "--end-of-options", ref, commit], _root(cwd))


def _root(cwd: Path) -> Path:
    folder = git_root(cwd)
    if folder is None:
        raise GitError(
            f"{cwd.name or cwd} is in no git repository",
            fix="run the command in the repository, or do without --base",
        )
    return folder


def _git(arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"") -> bytes:
    """Output of a git command that has to succeed."""
    done = _run(arguments, cwd, stdin=stdin)
    if done.returncode != 0:
        raise GitError(f"git {arguments[0]} failed", why=_last_line(done.stderr))
    return done.stdout


def _run(
    arguments: Sequence[str], cwd: Path, *, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    try:
        done = subprocess.run(
            ["git", "--no-pager", *settings, *arguments],
            cwd=cwd,
            env=kept | _FIXED,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise GitError("git is not installed, or not on PATH", fix="install git") from None
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise GitError(f"git {arguments[0]} did not answer", why=str(problem)[:200]) from None
    if b"dubious ownership" in done.stderr:
        raise GitError(
            f"git refuses to read {cwd.name}",
            why="the folder belongs to another user",
            fix=f"git config --global --add safe.directory {cwd}",
        )
    return done


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("fatal: ")[:300] if lines else ""
