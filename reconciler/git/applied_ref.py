"""Find the base, the commit that was applied last, and record a new one.

Only `push_ref` uses the network. Nothing is guessed: a base that cannot be read is an error.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.ci.build import Build
from reconciler.errors import GitError
from reconciler.git import process, repository
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import shorten_commit


@dataclass(frozen=True, slots=True)
class Base:
    """A commit, and the name by which it was found."""

    ref: str
    commit: str
    pull_request: bool = False  # where a pull request branched off its target
    in_history: bool = True  # else it cannot have been applied from here: do not use it
    unused: "Base | None" = None  # the ref of the last apply, if it could not be used


def name_ref(target: str) -> str:
    """Return the name of the ref that a clean apply of a target moves."""
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in target).strip("-") or "default"
    return f"refs/reconciler/applied/{safe}"


def read_state(cwd: Path, *, target: str, build: Build | None) -> RepositoryState | None:
    """Read the facts about a repository, with every ref that a base or a rollback depends on."""
    named = (build.base_ref, build.branch) if build is not None else ()
    branches = [name for name in named if name is not None]
    refs = [ref for name in branches for ref in _list_branch_refs(name)]
    return repository.read_state(cwd, [name_ref(target), *refs])


def _list_branch_refs(branch: str) -> tuple[str, str]:
    return f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"


def resolve_base(
    ref: str | None, *, target: str, build: Build | None, state: RepositoryState | None, cwd: Path
) -> Base | None:
    """Return the base, in the order of docs/base.md; None if there is none.

    Do not use a base that is not `in_history`: it only says where the applied ref is.

    Raises GitError if the commit that the user or the build names cannot be read:
    a missing base is never treated as an empty one.
    """
    if ref is not None:
        return Base(ref, repository.resolve_commit(ref, cwd))
    if state is None or state.head is None:
        return None
    branched_off = None if build is None else _find_merge_base(build, state)
    if branched_off is not None:
        return branched_off
    recorded = find_applied(target, state.head, state)
    if recorded is not None and recorded.in_history:
        return recorded
    pushed_from = None if build is None else _find_pushed_from(build, state)
    return replace(pushed_from, unused=recorded) if pushed_from is not None else recorded


def _find_merge_base(build: Build, state: RepositoryState) -> Base | None:
    """Return where a pull request branched off the branch that it goes to."""
    if build.base_commit is not None:
        commit = repository.resolve_commit(build.base_commit, state.root)
        return Base(build.base_commit, commit, pull_request=True)
    branch = build.base_ref
    if branch is None:
        return None
    for name in _list_branch_refs(branch):
        if name not in state.refs:
            continue
        merge_base = repository.find_merge_base(name, str(state.head), cwd=state.root)
        if merge_base is not None:
            return Base(f"merge base with {branch}", merge_base, pull_request=True)
    raise GitError(
        f"the base of this pull request cannot be found: {branch}",
        why="the branch, or the commits back to it, are not in this clone",
        fix="set fetch-depth: 0 on the checkout step (GIT_DEPTH: 0 in GitLab), or name a commit "
        "with --base",
    )


def find_applied(target: str, head: str, state: RepositoryState) -> Base | None:
    """Return the commit of the last clean apply, and whether `head` contains it.

    Only a commit in the history of `head` can have been applied from it: anybody who may push can
    set the ref, because branch protection does not cover it.

    Raises GitError if the commit is missing, or if a shallow clone hides the answer.
    """
    name = name_ref(target)
    recorded = state.refs.get(name)
    if recorded is None:
        return None
    if recorded == head:
        return Base(name, head)
    base = Base(name, repository.resolve_commit(recorded, state.root))
    if repository.is_ancestor(base.commit, head, cwd=state.root):
        return base
    if state.is_shallow:
        raise GitError(
            f"git cannot find out whether {shorten_commit(base.commit)}, which was applied last, "
            "was merged",
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
        return Base(push.commit, repository.resolve_commit(push.commit, state.root))
    except GitError as error:
        if state.is_shallow:
            raise
        raise GitError(
            f"the commit before this push is not here: {shorten_commit(push.commit)}",
            why="the push rewrote the history" if push.is_forced else error.why,
            fix="name the commit that was applied last with --base",
        ) from None


_MOVED: Final = "another apply recorded a commit meanwhile"
_OID: Final = frozenset({40, 64})  # digits


def push_ref(ref: str, commit: str, *, applied: str | None, cwd: Path) -> str:
    """Move a ref of the remote to `commit`, and return the remote's name.

    Compare and swap: the ref moves only from the commit that the remote had, and only if that is
    `before`, or in the history of `commit`. Git's own credentials are used.

    Raises GitError with the next step. Nothing is lost then: this repository has its own ref.
    """
    remote = _choose_remote(cwd)
    remote_commit = _read_remote_ref(remote, ref, cwd)
    if remote_commit == commit:
        return remote
    if (
        remote_commit is not None
        and remote_commit != applied
        and not _is_known_past(remote_commit, commit, cwd)
    ):
        raise GitError(
            f"according to {remote}, {shorten_commit(remote_commit)} was applied last",
            why=_MOVED,
            fix=f"git fetch {remote} '+{ref}:{ref}', then plan again",
        )
    arguments = (
        *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"),
        *("--no-signed", f"--force-with-lease={ref}:{remote_commit or ''}"),
        *("--end-of-options", remote, f"{commit}:{ref}"),
    )
    result = process.run_with_remote(arguments, cwd)
    if result.returncode == 0:
        return remote
    has_moved = b"stale info" in result.stdout or b"fetch first" in result.stdout
    raise GitError(
        f"git could not push to {remote}",
        why=_MOVED
        if has_moved
        else _find_rejection(result.stdout) or process.find_last_line(result.stderr),
        fix=f"git fetch {remote} '+{ref}:{ref}', then plan again"
        if has_moved
        else f"allow git to push, then run: git push {remote} {shorten_commit(commit)}:{ref}",
    )


def _choose_remote(cwd: Path) -> str:
    """Return the branch's remote, else origin, else the only remote."""
    remotes = process.read_output(["remote"], cwd).decode("utf-8", "replace").split()
    branch = repository.read_branch(cwd)
    if branch is not None and (remote := repository.read_remote(branch, cwd)) in remotes:
        return str(remote)
    if "origin" in remotes or len(remotes) == 1:
        return "origin" if "origin" in remotes else remotes[0]
    raise GitError(
        "there is no remote to push to" if not remotes else "no remote of several is called origin",
        why=f"git remote lists {', '.join(remotes) or 'nothing'}",
        fix="name one: git remote add origin URL; or use --record-base local",
    )


def _read_remote_ref(remote: str, ref: str, cwd: Path) -> str | None:
    """Return the commit that a ref of the remote has; None without the ref."""
    result = process.run_with_remote(["ls-remote", "--quiet", "--end-of-options", remote, ref], cwd)
    if result.returncode != 0:
        raise GitError(
            f"git cannot reach {remote}",
            why=process.find_last_line(result.stderr),
            fix=f"give git access to it, and check with: git ls-remote {remote}",
        )
    for line in result.stdout.decode("ascii", "replace").splitlines():
        oid, _, name = line.partition("\t")
        if name == ref and len(oid) in _OID:
            return oid
    return None


def _is_known_past(remote_commit: str, commit: str, cwd: Path) -> bool:
    try:
        return repository.is_ancestor(remote_commit, commit, cwd=cwd)
    except GitError:  # the commit is not in this repository
        return False


def _find_rejection(porcelain: bytes) -> str:
    """Return the remote's reason for a rejection: `! ... [remote rejected] (why)`."""
    for line in porcelain.splitlines():
        if line.startswith(b"!"):
            return process.find_last_line(line.rpartition(b"\t")[2])
    return ""
