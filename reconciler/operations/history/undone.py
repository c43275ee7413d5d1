"""Find the runs that an undo names: by a commit, or by the last change of an address."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cmp_to_key
from pathlib import Path
from typing import Final

from reconciler.config import loaded as config_loaded
from reconciler.config.loaded import Loaded
from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.errors import ConfigError, GitError, ReconcilerError
from reconciler.git import ancestry, repository
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Declared, KeptFields, PlanSnapshot, RevertedRun, UndoSnapshot
from reconciler.operations.history.commits import CommitReader
from reconciler.operations.history.journals import JournalledRun, read_runs
from reconciler.operations.history.runs import AppliedRun, RunHistory, RunSource
from reconciler.operations.inputs import list_declared
from reconciler.plan import selection
from reconciler.plan.reversal import files as reversal_files
from reconciler.plan.reversal.files import RevertedFiles, Revision
from reconciler.suggest import closest_matches

_MOST: Final = 500  # commits that are searched for the last change of an address
_NOTHING: Final = Declared({}, "nothing")


@dataclass(frozen=True, slots=True)
class UndoneRun:
    """A run that is reverted, and what the files declared before and after it.

    `addresses` are what it is reduced to; None: all of it.
    """

    run: AppliedRun
    before: Loaded | None
    after: Loaded
    addresses: frozenset[Address] | None = None


@dataclass(frozen=True, slots=True)
class UndoInputs:
    """What an undo starts from.

    Attributes:
        reader: what the files declare at HEAD, and at other commits.
        runs: what is reverted, the newest first.
        journals: earlier runs of this folder.
        unrestored: fields that stay as they are: what git has for them was never live.

    """

    reader: CommitReader
    runs: tuple[UndoneRun, ...]
    journals: tuple[JournalledRun, ...] = ()
    unrestored: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)

    def list_commits(self) -> frozenset[str]:
        """List the commits that the runs applied."""
        root = self.reader.state.root
        spans = (ancestry.list_span(u.run.before, u.run.after, root=root) for u in self.runs)
        return frozenset[str]().union(*spans)

    def list_middle(self, projects: Mapping[str, Sequence[str]]) -> Iterator[Declared]:
        """Yield what was declared between the runs."""
        return (_expand(undone.before, projects) for undone in self.runs[:-1])

    def build_snapshot(
        self, kept: Collection[Address], *, prefer: str | None = None
    ) -> PlanSnapshot:
        """Return what a saved plan says about where its values come from."""
        runs = tuple(
            RevertedRun(
                undone.run.before, undone.run.after, tuple(sorted(map(str, undone.addresses or ())))
            )
            for undone in self.runs
        )
        unrestored = tuple(
            KeptFields(str(address), paths) for address, paths in sorted(self.unrestored.items())
        )
        undo = UndoSnapshot(runs, tuple(sorted(map(str, kept))), unrestored)
        return PlanSnapshot(self.reader.tree.commit, prefer=prefer, undo=undo)

    def revert_files(
        self, projects: Mapping[str, Sequence[str]], kept: Collection[Address] = ()
    ) -> RevertedFiles:
        """Return the files at HEAD with the previous values on top.

        Args:
            projects: names of the live projects of each organization.
            kept: objects that the runs did not create.

        """
        revisions = [
            reversal_files.leave_out_fields(
                Revision(
                    _expand(undone.before, projects),
                    _expand(undone.after, projects),
                    undone.addresses,
                ),
                self.unrestored,
            )
            for undone in self.runs
        ]
        head = _expand(self.reader.head, projects)
        return reversal_files.revert_files(head, revisions, kept)


def _expand(loaded: Loaded | None, projects: Mapping[str, Sequence[str]]) -> Declared:
    return _NOTHING if loaded is None else config_loaded.expand_templates(loaded, projects)


def read_undone(
    settings: Settings,
    target: Target,
    facts: RunFacts,
    words: Sequence[str],
    *,
    folder: Path,
    host: str,
) -> UndoInputs:
    """Find the runs that the words name.

    `folder` is the one below which runs are journalled; those against other hosts do not count.
    """
    reader = CommitReader.open(settings, target, facts)
    journals = tuple(read_runs(folder, target.name, host))
    history = RunHistory(target.name, reader.state, reader.tree.commit, journals)
    runs_by_commits: dict[tuple[str | None, str], UndoneRun] = {}
    for word in dict.fromkeys(words):
        undone = _find_undone(word, reader, history)
        key = (undone.run.before, undone.run.after)
        if (other := runs_by_commits.get(key)) is not None:
            undone = replace(undone, addresses=_join(other.addresses, undone.addresses))
        runs_by_commits[key] = undone
    runs = sorted(runs_by_commits.values(), key=cmp_to_key(_OrderOfRuns(reader).compare))
    return UndoInputs(reader, tuple(runs), journals)


def restore_undone(
    settings: Settings, target: Target, facts: RunFacts, undo: UndoSnapshot
) -> UndoInputs:
    """Read again what a saved plan reverts; raise GitError if a commit of it is not here."""
    reader = CommitReader.open(settings, target, facts)
    runs = [
        UndoneRun(
            AppliedRun(run.before, run.after, RunSource.GIT),
            reader.read(run.before) if run.before is not None else None,
            reader.read(run.after),
            frozenset(map(Address.parse, run.addresses)) or None,
        )
        for run in undo.runs
    ]
    unrestored = {Address.parse(kept.address): kept.paths for kept in undo.kept_fields}
    return UndoInputs(reader, tuple(runs), unrestored=unrestored)


def _join(
    first: frozenset[Address] | None, second: frozenset[Address] | None
) -> frozenset[Address] | None:
    return None if first is None or second is None else first | second


class _OrderOfRuns:
    """Compare runs by the history of their commits."""

    def __init__(self, reader: CommitReader) -> None:
        self._root = reader.state.root

    def compare(self, first: UndoneRun, second: UndoneRun) -> int:
        """Return a negative number if the first is newer."""
        if first.run.after == second.run.after:
            return 0
        is_older = repository.is_ancestor(first.run.after, second.run.after, cwd=self._root)
        return 1 if is_older else -1


def _find_undone(word: str, reader: CommitReader, history: RunHistory) -> UndoneRun:
    """Return the run that a word names: an address, a commit, or a name that is not ambiguous."""
    address = _parse_address(word)
    if address is not None:
        return _find_last_change(address, reader, history)
    named = _find_named(word, reader, history)
    try:
        commit = repository.resolve_commit(word, reader.state.root)
    except GitError as error:
        if named is None:
            raise _describe_unknown(error, word) from error
        return _find_last_change(named, reader, history)
    if named is not None:
        raise ReconcilerError(
            f"{word!r} is a commit, and the name of {named}",
            why="the argument is ambiguous",
            fix=f"write {named}, or the id of the commit: {commit}",
        )
    return _read_run(history.find_run(commit), reader)


def _parse_address(word: str) -> Address | None:
    try:
        address = Address.parse(word)
    except ValueError:
        return None
    return address if address.kind in KINDS else None


def _describe_unknown(error: GitError, word: str) -> GitError:
    """Return the error about what is neither a commit nor a name."""
    return GitError(
        f"{word!r} is neither a commit nor the name of a resource",
        why=error.what if not error.why else f"{error.what}: {error.why}",
        fix=error.fix,
    )


def _find_named(word: str, reader: CommitReader, history: RunHistory) -> Address | None:
    """Return the resource with this name, at HEAD or at the commit that was applied last."""
    known = list_declared(reader.head)
    applied = history.read_applied()
    if applied is not None:
        known |= list_declared(reader.read(applied))
    matching = {address for address in known if address.name == word}
    if not matching:
        return None
    return Address.parse(selection.resolve_names((word,), matching)[0])


def _read_run(run: AppliedRun, reader: CommitReader) -> UndoneRun:
    after = reader.read(run.after)
    while True:
        try:
            before = reader.read(run.before) if run.before is not None else None
        except ConfigError:
            if run.is_recorded or run.before is None:
                raise
            # Nothing was ever applied from files that cannot be read: an earlier commit counts.
            parent = ancestry.read_parent(run.before, root=reader.state.root)
            run = replace(run, before=parent)
        else:
            return UndoneRun(run, before, after)


def _find_last_change(address: Address, reader: CommitReader, history: RunHistory) -> UndoneRun:
    """Return the last run that changed an address, reduced to it."""
    paths = [
        reader.tree.to_git_path(path) for path in (*reader.target.paths, *reader.target.overlays)
    ]
    projects = {address.organization: (address.project,) if address.project else ()}
    for run in history.iterate_candidates(address, paths, most=_MOST):
        try:
            undone = _read_run(run, reader)
        except ConfigError:
            if run.is_recorded:
                raise
            continue  # what cannot be read was not applied
        revision = Revision(
            _expand(undone.before, projects), _expand(undone.after, projects), {address}
        )
        if any(reversal_files.list_changes(revision)):
            return replace(undone, addresses=frozenset({address}))
    raise _describe_never_applied(address, reader, history)


def _describe_never_applied(
    address: Address, reader: CommitReader, history: RunHistory
) -> ReconcilerError:
    if history.read_applied() is None:
        return ReconcilerError(
            f"nothing says when {address} was applied",
            why=f"this clone has no applied ref of the target {history.target}, and no journal "
            "names the address",
            fix="name the commit: reconciler undo COMMIT",
        )
    known = sorted(map(str, list_declared(reader.head)))
    nearest = closest_matches(str(address), known, limit=1)
    is_declared = str(address) in known
    return ReconcilerError(
        f"{address} was never applied",
        why="this clone does not know of a run that changed it"
        if is_declared
        else "it is in none of the files that were applied",
        fix=f"did you mean {nearest[0]}?"
        if nearest and not is_declared
        else "name the commit that changed it: reconciler undo COMMIT",
    )
