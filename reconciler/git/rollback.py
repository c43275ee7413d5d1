"""Whether a commit may be applied: the newest of its branch, and not from before the last apply.

As far as this repository knows: nothing is fetched. An old job that runs again, and two merges that
are applied in the wrong order, would take back what is newer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.ci.build import Build
from reconciler.errors import GitError
from reconciler.git import process, repository
from reconciler.git.applied_ref import applied_ref

_HEADS, _REMOTES, _ORIGIN = "refs/heads/", "refs/remotes/", "refs/remotes/origin/"


@dataclass(frozen=True, slots=True)
class Behind:
    """A commit that is newer than the one that is checked out, and how it is known."""

    what: str
    why: str
    fix: str


def behind(head: str, *, target: str, build: Build | None, cwd: Path) -> Behind | None:
    """Why a commit should not be applied; None if nothing speaks against it.

    Raises GitError where a shallow clone cannot tell.
    """
    ref = applied_ref(target)
    applied = repository.resolve(ref, cwd) if repository.value(ref, cwd) is not None else None
    if applied == head:
        return None  # what was applied last may be applied again
    if applied is not None and repository.is_ancestor(head, applied, cwd=cwd):
        return Behind(
            f"commit {head[:10]} is older than {applied[:10]}, which was applied last",
            f"{ref} is at {applied[:10]}: what came after {head[:10]} would be taken back",
            f"check out {applied[:10]} or a newer one",
        )
    if (
        applied is not None
        and not repository.is_ancestor(applied, head, cwd=cwd)
        and repository.is_shallow(cwd)
    ):
        raise GitError(
            f"git cannot tell whether {head[:10]} is older than {applied[:10]}, which was "
            "applied last",
            why=repository.SHALLOW,
            fix=process.DEEPEN,
        )
    return _not_the_tip(head, build, cwd)


def _not_the_tip(head: str, build: Build | None, cwd: Path) -> Behind | None:
    """Whether a newer commit of its branch is known here."""
    for name, tip in _tips(head, build, cwd):
        if tip == head or repository.is_ancestor(tip, head, cwd=cwd):
            continue
        return Behind(
            f"commit {head[:10]} is not the newest of {_short(name)}: that is {tip[:10]}",
            f"{name} is at {tip[:10]}, which {head[:10]} does not have in its history",
            f"check out {_short(name)}; in CI run the newest job instead",
        )
    return None


def _tips(head: str, build: Build | None, cwd: Path) -> Iterator[tuple[str, str]]:
    """The ref by which the branch of a commit is known, and where it is."""
    branch = repository.branch(cwd)
    if branch is not None:
        for name in (repository.upstream(branch, cwd), _ORIGIN + branch.removeprefix(_HEADS)):
            if name and (tip := repository.value(name, cwd)) is not None:
                yield name, tip
                return
        return
    if build is not None and build.is_tag:
        return  # a tag stays where it is: only what was applied last can be newer
    if build is not None and build.branch is not None:
        for name in (_ORIGIN + build.branch, _HEADS + build.branch):
            if (tip := repository.value(name, cwd)) is not None:
                yield name, tip
                return
    yield from _holding(head, cwd)


def _holding(head: str, cwd: Path) -> Iterator[tuple[str, str]]:
    """A branch that has this commit in its history, unless it is the newest of any."""
    found = sorted(
        repository.branches_with(head, cwd), key=lambda row: not row[0].startswith(_ORIGIN)
    )
    if all(tip != head for _, tip in found):
        yield from found[:1]


def _short(name: str) -> str:
    return name.removeprefix(_REMOTES).removeprefix(_HEADS)
