"""Which commit is the base: what the files declared when they were applied last.

Reads git, and facts about a build; never the network, and never guesses.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.ci.build import Build
from reconciler.errors import GitError
from reconciler.git import process, repository
from reconciler.git.repository import RepositoryState


@dataclass(frozen=True, slots=True)
class Base:
    """A commit, and the name by which it was found."""

    ref: str
    commit: str
    pull_request: bool = False  # where a pull request parted from the branch it goes to
    in_history: bool = True  # else it cannot be what was applied: it must not be used
    unused: "Base | None" = None  # the ref of the last apply, where it could not be used


def applied_ref(target: str) -> str:
    """The ref that a clean apply of a target moves."""
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in target).strip("-") or "default"
    return f"refs/reconciler/applied/{safe}"


def read_state(cwd: Path, *, target: str, build: Build | None) -> RepositoryState | None:
    """Read the facts about a repository, with every ref that a base or a rollback depends on."""
    named = (build.base_ref, build.branch) if build is not None else ()
    branches = [name for name in named if name is not None]
    refs = [ref for name in branches for ref in _known_as(name)]
    return repository.read_state(cwd, [applied_ref(target), *refs])


def _known_as(branch: str) -> tuple[str, str]:
    return f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"


def resolve(
    asked: str | None, *, target: str, build: Build | None, state: RepositoryState | None, cwd: Path
) -> Base | None:
    """Return the base, in the order of docs/base.md; None where there is none.

    One that is not `in_history` must not be used: it only says where the applied ref is.

    Raises GitError if what was asked for by name, or what the build names, cannot be read:
    a missing base is never taken for an empty one.
    """
    if asked is not None:
        return Base(asked, repository.resolve(asked, cwd))
    if state is None or state.head is None:
        return None
    merging = None if build is None else _find_merge_base(build, state)
    if merging is not None:
        return merging
    recorded = applied(target, state.head, state)
    if recorded is not None and recorded.in_history:
        return recorded
    before = None if build is None else _find_pushed_from(build, state)
    return replace(before, unused=recorded) if before is not None else recorded


def _find_merge_base(build: Build, state: RepositoryState) -> Base | None:
    """Return where a pull request parted from the branch that it goes to."""
    if build.base_commit is not None:
        commit = repository.resolve(build.base_commit, state.root)
        return Base(build.base_commit, commit, pull_request=True)
    branch = build.base_ref
    if branch is None:
        return None
    for name in _known_as(branch):
        if name not in state.refs:
            continue
        merge_base = repository.merge_base(name, str(state.head), cwd=state.root)
        if merge_base is not None:
            return Base(f"merge base with {branch}", merge_base, pull_request=True)
    raise GitError(
        f"the base of this pull request cannot be found: {branch}",
        why="the branch, or the commits back to it, are not in this clone",
        fix="set fetch-depth: 0 on the checkout step (GIT_DEPTH: 0 in GitLab), or name a commit "
        "with --base",
    )


def applied(target: str, head: str, state: RepositoryState) -> Base | None:
    """Return what the ref of the last clean apply says, and whether `head` contains that commit.

    Only a commit in the history of `head` can have been applied from it: the ref itself can be set
    by anybody who may push, as no protection of branches covers it.

    Raises GitError if the commit is not here, or a shallow clone cannot tell.
    """
    name = applied_ref(target)
    recorded = state.refs.get(name)
    if recorded is None:
        return None
    if recorded == head:
        return Base(name, head)
    base = Base(name, repository.resolve(recorded, state.root))
    if repository.is_ancestor(base.commit, head, cwd=state.root):
        return base
    if state.is_shallow:
        raise GitError(
            f"git cannot tell whether {base.commit[:10]}, which was applied last, was merged",
            why=repository.SHALLOW,
            fix=process.DEEPEN,
        )
    return replace(base, in_history=False)


def _find_pushed_from(build: Build, state: RepositoryState) -> Base | None:
    """Return the commit before the push that started this build."""
    push = build.pushed_from
    if push is None:
        return None
    try:
        return Base(push.commit, repository.resolve(push.commit, state.root))
    except GitError as error:
        if state.is_shallow:
            raise
        raise GitError(
            f"the commit before this push is not here: {push.commit[:10]}",
            why="the push rewrote the history" if push.is_forced else error.why,
            fix="name the commit that was applied last with --base",
        ) from None


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
    done = process.talk(arguments, cwd)
    if done.returncode == 0:
        return remote
    moved = b"stale info" in done.stdout or b"fetch first" in done.stdout
    raise GitError(
        f"git could not push to {remote}",
        why=_MOVED if moved else _reason(done.stdout) or process.last_line(done.stderr),
        fix=f"git fetch {remote} '+{ref}:{ref}', then plan again"
        if moved
        else f"see to it that git may push, then: git push {remote} {commit[:10]}:{ref}",
    )


def _remote(cwd: Path) -> str:
    """Where the branch comes from; else origin; else the only one there is."""
    known = process.output(["remote"], cwd).decode("utf-8", "replace").split()
    branch = repository.branch(cwd)
    if branch is not None and (named := repository.remote_of(branch, cwd)) in known:
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
    done = process.talk(["ls-remote", "--quiet", "--end-of-options", remote, ref], cwd)
    if done.returncode != 0:
        raise GitError(
            f"git cannot reach {remote}",
            why=process.last_line(done.stderr),
            fix=f"see to it that git may read and push there: git ls-remote {remote}",
        )
    for line in done.stdout.decode("ascii", "replace").splitlines():
        oid, _, name = line.partition("\t")
        if name == ref and len(oid) in _OID:
            return oid
    return None


def _is_known_past(there: str, commit: str, cwd: Path) -> bool:
    try:
        return repository.is_ancestor(there, commit, cwd=cwd)
    except GitError:  # it is not even here
        return False


def _reason(porcelain: bytes) -> str:
    """What the remote said of the ref: `! ... [remote rejected] (why)`."""
    for line in porcelain.splitlines():
        if line.startswith(b"!"):
            return process.last_line(line.rpartition(b"\t")[2])
    return ""
