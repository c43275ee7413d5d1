"""Telling a remote which commit was applied: the one thing for which git may use the network."""

from pathlib import Path
from typing import Final

from reconciler.config import git, git_process
from reconciler.errors import GitError

_MOVED: Final = "another apply recorded a commit meanwhile"
_OID: Final = frozenset({40, 64})  # digits


def push(ref: str, commit: str, *, before: str | None, cwd: Path) -> str:
    """Move a ref of the remote from what it was to `commit`; the remote's name.

    Compare and swap: it moves only from the commit that the remote was seen at, and that only if
    it is `before`, or in the history of `commit`. Credentials are those that git has.

    Raises GitError with what to do; nothing is lost then, this repository has its own ref.
    """
    remote = _remote(cwd)
    there = _there(remote, ref, cwd)
    if there == commit:
        return remote
    if there is not None and there != before and not _is_known_past(there, commit, cwd):
        raise GitError(
            f"{remote} has {there[:10]} as what was applied last",
            why=_MOVED,
            fix=f"git fetch {remote} '+{ref}:{ref}', then plan again",
        )
    arguments = (
        *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"),
        *("--no-signed", f"--force-with-lease={ref}:{there or ''}"),
        *("--end-of-options", remote, f"{commit}:{ref}"),
    )
    done = git_process.talk(arguments, cwd)
    if done.returncode == 0:
        return remote
    moved = b"stale info" in done.stdout or b"fetch first" in done.stdout
    raise GitError(
        f"git could not push to {remote}",
        why=_MOVED if moved else _reason(done.stdout) or git_process.last_line(done.stderr),
        fix=f"git fetch {remote} '+{ref}:{ref}', then plan again"
        if moved
        else f"see to it that git may push, then: git push {remote} {commit[:10]}:{ref}",
    )


def _remote(cwd: Path) -> str:
    """Where the branch comes from; else origin; else the only one there is."""
    known = git_process.output(["remote"], cwd).decode("utf-8", "replace").split()
    branch = git.branch(cwd)
    if branch is not None and (named := git.remote_of(branch, cwd)) in known:
        return str(named)
    if "origin" in known or len(known) == 1:
        return "origin" if "origin" in known else known[0]
    raise GitError(
        "there is no remote to push to" if not known else "there are several remotes, none origin",
        why=f"git remote lists {', '.join(known) or 'nothing'}",
        fix="name one: git remote add origin URL; or use --record-base local",
    )


def _there(remote: str, ref: str, cwd: Path) -> str | None:
    """What the remote has."""
    done = git_process.talk(["ls-remote", "--quiet", "--end-of-options", remote, ref], cwd)
    if done.returncode != 0:
        raise GitError(
            f"git cannot reach {remote}",
            why=git_process.last_line(done.stderr),
            fix=f"see to it that git may read and push there: git ls-remote {remote}",
        )
    for line in done.stdout.decode("ascii", "replace").splitlines():
        oid, _, name = line.partition("\t")
        if name == ref and len(oid) in _OID:
            return oid
    return None


def _is_known_past(there: str, commit: str, cwd: Path) -> bool:
    try:
        return git.is_ancestor(there, commit, cwd=cwd)
    except GitError:  # it is not even here
        return False


def _reason(porcelain: bytes) -> str:
    """What the remote said of the ref: `! ... [remote rejected] (why)`."""
    for line in porcelain.splitlines():
        if line.startswith(b"!"):
            return git_process.last_line(line.rpartition(b"\t")[2])
    return ""
