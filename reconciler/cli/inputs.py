"""What was before: the repository, its commit, the base and the files at the base."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.cli.session import Session
from reconciler.config import loader, uncommitted
from reconciler.config import settings as config_settings
from reconciler.config.loaded import Loaded
from reconciler.config.settings import Target
from reconciler.errors import ConfigError
from reconciler.files.text import Refused
from reconciler.git import applied_ref
from reconciler.git import repository as git_repository
from reconciler.git.applied_ref import Base
from reconciler.git.commit_tree import CommitTree
from reconciler.model import Finding, PlanSnapshot, Selection, Severity


@dataclass(frozen=True, slots=True)
class Before:
    """The base and its files, or neither, and what is to be said of it.

    Attributes:
        base: the commit that was applied last.
        loaded: what the files declared there.
        findings: about the base, and about files that are in no commit.
        repository: folder of the repository that holds the files; None outside git.
        head: the commit that is checked out; None before the first.
        clean: whether the files are those of `head`.

    """

    base: Base | None = None
    loaded: Loaded | None = None
    findings: tuple[Finding, ...] = ()
    repository: Path | None = None
    head: str | None = None
    clean: bool = False

    def basis(self, selection: Selection, *, prefer: str | None = None) -> PlanSnapshot:
        """What a plan that is to be saved says of where it comes from."""
        dirty = self.head is not None and not self.clean
        return PlanSnapshot(self.head, dirty, selection, prefer=prefer)


def look(
    session: Session,
    target: Target,
    loaded: Loaded,
    *,
    asked: str | None,
    paths: Sequence[str] = (),
    based: bool = True,
) -> Before:
    """The base, and how the files that were read differ from the commit that is checked out.

    Not `based`: there is to be no base, wherever one could be found.
    """
    before = base(session, target, asked=asked, paths=paths, based=based, like=loaded)
    loaded.draft.forget()
    if before.head is None:
        return before
    here = git_repository.commit_tree(before.head, cwd=Path.cwd(), at=target.paths[0])
    settings = session.settings(paths).file
    differences = uncommitted.compare(loaded, target.paths, target.overlays, here, settings)
    said = (*before.findings, *differences.findings())
    return replace(before, findings=said, clean=not differences.files)


def base(
    session: Session,
    target: Target,
    *,
    asked: str | None = None,
    paths: Sequence[str] = (),
    based: bool = True,
    like: Loaded | None = None,
) -> Before:
    """The base, or none and why: nothing is ever deleted for want of a base.

    `like` is what the files of now declare: what has not changed is not read again.
    """
    folder = target.paths[0]
    found = None
    if based:
        found = applied_ref.resolve(asked, target=target.name, build=session.build, cwd=folder)
    repository = git_repository.root(folder)
    head = git_repository.head(folder) if repository is not None else None
    before = Before(repository=repository, head=head)
    if found is not None and not found.in_history:
        return replace(before, findings=(_not_merged(found, None),))
    if found is None:
        return before
    there = git_repository.commit_tree(found.commit, cwd=Path.cwd(), at=folder, may_lack_paths=True)
    if like is not None:
        texts = like.draft.texts
        there = replace(there, known={like.blobs[name]: data for name, data in texts.items()})
    files, said = _files(session, target, there, found, paths, like)
    known = found if files is not None else None
    if found.unused is not None:
        said = (*said, _not_merged(found.unused, found))
    return replace(before, base=known, loaded=files, findings=said)


def _files(
    session: Session,
    target: Target,
    tree: CommitTree,
    found: Base,
    paths: Sequence[str],
    like: Loaded | None,
) -> tuple[Loaded | None, tuple[Finding, ...]]:
    """What the files declared at the base, by the reconciler.yaml of then; or why that is unknown.

    A base whose files cannot be used is no base: it is never taken for one that declares nothing.
    """
    try:
        then = _target(session, target, tree, paths)
        if then is None:
            return None, (_unknown(f"target {target.name} is not in its reconciler.yaml", found),)
        loaded = loader.load(then.paths, overlays=then.overlays, tree=tree, like=like, warn=False)
        loaded.draft.forget()
    except ConfigError as error:
        first = error.findings[0] if error.findings else None
        place = f"{first.source}: {first.message}" if first is not None else error.what
        return None, (_unknown(place, found),)
    return loaded, () if loaded.organizations else (_empty(found),)


def _target(
    session: Session, target: Target, tree: CommitTree, paths: Sequence[str]
) -> Target | None:
    """The target as the base had it; as it is now where there was no reconciler.yaml."""
    now = session.settings(paths)
    if now.file is None:
        return target
    try:
        data = tree.read(now.file)
    except Refused:  # it stands outside the repository: it was never committed
        return target
    if data is None:
        return target
    given = target.paths if paths else ()
    then = config_settings.parse(data, file=now.file, display=tree.display(now.file), given=given)
    return then.targets.get(target.name)


def _not_merged(found: Base, used: Base | None) -> Finding:
    commit = found.commit[:10]
    instead = "there is no base, and nothing is deleted because it left the files"
    if used is not None:
        instead = f"the base is {used.commit[:10]} instead"
    return Finding(
        "base-not-merged",
        Severity.WARNING,
        f"{found.ref} is at {commit}, which is not in the history of the commit that is checked "
        f"out: {instead}",
        why="anybody who may push can set this ref; only a merged commit can have been applied",
        fix=f"if {commit} was applied, name it: --base {commit}",
    )


def _unknown(why: str, found: Base) -> Finding:
    return Finding(
        "base-unreadable",
        Severity.WARNING,
        f"the files at the base {found.ref} cannot be used: causes are unknown, and nothing is "
        "deleted because it left the files",
        why=why,
        fix="name another commit with --base",
    )


def _empty(found: Base) -> Finding:
    return Finding(
        "base-empty",
        Severity.NOTICE,
        f"nothing was declared at the base {found.ref}: every field counts as newly written",
        why=f"commit {found.commit[:10]} has no document where the files are",
        fix="if they stood elsewhere, name the commit that was applied last with --base",
    )
