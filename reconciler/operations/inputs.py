"""Read what a command starts from, once: files, repository, base, and what earlier commits said.

Takes values and returns values: it knows neither the command line nor the environment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.config import loader, other_files, renamed_places, targets, uncommitted
from reconciler.config import rules as config_rules
from reconciler.config import settings as config_settings
from reconciler.config.load_cache import ParsedFiles
from reconciler.config.loaded import Loaded
from reconciler.config.other_files import OtherDeclarations
from reconciler.config.rules import NO_RULES, RuleFiles
from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.config.uncommitted import Differences
from reconciler.errors import ConfigError, NothingDeclaredError
from reconciler.files import excerpts, working_tree
from reconciler.files.text import RefusedError
from reconciler.files.working_tree import WorkingTree
from reconciler.git import applied_ref, repository
from reconciler.git.applied_ref import Base
from reconciler.git.commit_tree import CommitTree
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Finding,
    PlanSnapshot,
    Selection,
    Severity,
    matches_any,
    shorten_commit,
)
from reconciler.operations.policy_history import History

_SHOWN: Final = 5  # addresses in a message


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """The base and what its files declare, or neither, and the findings that say why."""

    base: Base | None = None
    loaded: Loaded | None = None
    findings: tuple[Finding, ...] = ()
    commit: str | None = None  # of the base, also if its files cannot be used


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a command starts from.

    Attributes:
        settings: reconciler.yaml, or what stands in for it.
        target: the target of this run.
        loaded: what the files of the working tree declare.
        facts: facts about the run.
        repository: the repository that holds the files; None outside git.
        base: the commit that was applied last, if it is known and can be read.
        base_loaded: what the files declared there.
        findings: about the base, and about files that are in no commit.
        is_clean: whether the files are those of the commit that is checked out.
        history: what earlier commits said; git is asked only when a plan needs it.
        rules: the rules of the working tree.
        base_commit: full id of the base, also if its files cannot be used.
        names_base: whether the run names its base, or a saved plan does.

    """

    settings: Settings
    target: Target
    loaded: Loaded
    facts: RunFacts
    repository: RepositoryState | None
    base: Base | None
    base_loaded: Loaded | None
    findings: tuple[Finding, ...]
    is_clean: bool
    history: History
    rules: RuleFiles = NO_RULES
    base_commit: str | None = None
    names_base: bool = False

    @property
    def head(self) -> str | None:
        """Return the commit that is checked out; None outside git, and before the first."""
        return self.repository.head if self.repository is not None else None

    @property
    def folder(self) -> Path:
        """Return the folder below which runs are journalled."""
        return self.settings.folder or self.facts.cwd

    @property
    def ignored(self) -> int:
        """Return the number of declared resources that the target's `ignore` covers."""
        return count_ignored(self.target, self.loaded)

    def snapshot(self, part: Selection, *, prefer: str | None = None) -> PlanSnapshot:
        """Return what a plan that is to be saved says about where it comes from."""
        is_dirty = self.head is not None and not self.is_clean
        return PlanSnapshot(self.head, is_dirty, part, prefer=prefer)


def read_inputs(
    settings: Settings,
    target: Target,
    facts: RunFacts,
    *,
    base_ref: str | None = None,
    uses_base: bool = True,
    parsed: ParsedFiles | None = None,
) -> Inputs:
    """Read the files, the repository and the base.

    Args:
        settings: reconciler.yaml.
        target: the target of this run, with paths from the command line if there are any.
        facts: facts about the run.
        base_ref: the base that was named, if one was.
        uses_base: whether there may be a base at all.
        parsed: the files that other targets have read.

    """
    loaded = load_files(settings, target, facts.cwd, parsed)
    rules = load_rules(settings, target, facts.cwd)
    state = read_state(target, facts)
    known = BaseFiles()
    if uses_base:
        known = read_base(settings, target, facts, state, ref=base_ref, like=loaded)
    loaded.cache.clear()
    findings, is_clean = known.findings, False
    blobs = {**loaded.blobs, **rules.blobs}
    differences = find_uncommitted(settings, target, facts, state, blobs)
    if differences is not None:
        findings, is_clean = (*findings, *differences.make_findings()), not differences.files
    return Inputs(
        settings,
        target,
        loaded,
        facts,
        state,
        known.base,
        known.loaded,
        findings,
        is_clean,
        _find_history(target, facts, state, known.base),
        rules,
        known.commit,
        base_ref is not None or not uses_base,
    )


def find_uncommitted(
    settings: Settings,
    target: Target,
    facts: RunFacts,
    state: RepositoryState | None,
    blobs: Mapping[str, str],
) -> Differences | None:
    """Return how files that were read, by object id, differ from HEAD; None if there is none."""
    head = state.tree(cwd=facts.cwd) if state is not None else None
    if head is None:
        return None
    head = replace(head, skip=target.without_resources)
    paths = (*target.paths, *target.rules)
    return uncommitted.compare_to_commit(
        blobs, paths, target.overlays, head, settings.file, settings_blob=settings.blob
    )


def load_files(
    settings: Settings, target: Target, cwd: Path, parsed: ParsedFiles | None = None
) -> Loaded:
    """Load the files of the working tree; raise ConfigError with every finding.

    `parsed` has the files that other targets have read already.
    """
    if missing := tuple(targets.find_missing_paths(target)):
        raise ConfigError("", findings=tuple(map(excerpts.attach_excerpt, missing)))
    if len(resource_paths := target.list_resource_paths()) < len(target.paths):
        path = next(path for path in target.paths if path not in resource_paths)
        raise ConfigError(
            f"{working_tree.format_path(cwd, path)} holds rules, and declares no resources",
            why="`rules` of a target in reconciler.yaml names it, or a folder above it",
            fix="leave it out; `reconciler rules test` runs the tests of rules",
        )
    skip = frozenset((*target.overlays, *target.without_resources))
    tree = WorkingTree(cwd=cwd, anchor=settings.folder, skip=skip)
    try:
        return loader.load_files(
            target.paths, overlays=target.overlays, names=target.names, tree=tree, parsed=parsed
        )
    except NothingDeclaredError as error:
        places = {finding.source.file for finding in error.findings if finding.source}
        hides_files = any(finding.code == "R010" for finding in error.findings) and places != {"."}
        if settings.file is not None or settings.given or hides_files:
            raise  # a file that cannot be read may declare something
        raise ConfigError(
            "there is no reconciler.yaml in this folder or above it",
            why="no YAML file in this folder declares a resource either",
            fix="change to the right folder, or name it with -C DIR or --config FILE; "
            "`reconciler init` creates a new configuration",
        ) from error


def load_rules(settings: Settings, target: Target, cwd: Path) -> RuleFiles:
    """Load the rules of the working tree; raise ConfigError with every finding."""
    if not target.rules:
        return NO_RULES
    return config_rules.load_rules(target.rules, WorkingTree(cwd=cwd, anchor=settings.folder))


def list_declared(loaded: Loaded) -> set[Address]:
    """List the addresses of all documents; `*` stands for the projects of one for several."""
    templates = (
        Address(template.kind, (template.organization, "*", template.name))
        for template in loaded.templates
    )
    return {*loaded.declared.resources, *templates}


def count_ignored(target: Target, loaded: Loaded) -> int:
    """Return how many declared resources the target's `ignore` covers: they are never applied."""
    if not target.ignore:
        return 0
    declared = loaded.declared.resources
    return sum(matches_any(address, target.ignore) for address in declared)


def read_state(target: Target, facts: RunFacts) -> RepositoryState | None:
    """Read the facts about the repository that holds the files; None outside git."""
    return applied_ref.read_state(target.paths[0], target=target.name, build=facts.build)


def read_base(
    settings: Settings,
    target: Target,
    facts: RunFacts,
    state: RepositoryState | None,
    *,
    ref: str | None = None,
    like: Loaded | None = None,
) -> BaseFiles:
    """Read the base, or none and why: nothing is ever deleted because a base is missing.

    `like` is what the files of now declare: what has not changed is not read again.
    """
    base = applied_ref.resolve_base(
        ref, target=target.name, build=facts.build, state=state, cwd=target.paths[0]
    )
    if base is None:
        return BaseFiles()
    if not base.in_history:
        return BaseFiles(findings=(_report_not_merged(base, None),))
    tree = repository.open_commit(
        base.commit, cwd=facts.cwd, at=target.paths[0], may_lack_paths=True
    )
    if like is not None:
        tree = replace(tree, known=like.cache.texts)
    loaded, findings = _load_base(settings, target, tree, base, like)
    if base.unused is not None:
        findings = (*findings, _report_not_merged(base.unused, base))
    return BaseFiles(base if loaded is not None else None, loaded, findings, base.commit)


def _load_base(
    settings: Settings, target: Target, tree: CommitTree, base: Base, like: Loaded | None
) -> tuple[Loaded | None, tuple[Finding, ...]]:
    """Load the files of the base, by the reconciler.yaml of then; None and why if that fails.

    A base with unusable files does not count: it must not look like one that declares nothing.
    """
    try:
        then = read_earlier_target(settings, target, tree)
        if then is None:
            why = f"target {target.name} is not in its reconciler.yaml"
            return None, (_report_unreadable(why, base),)
        tree = replace(tree, skip=then.without_resources)
        loaded = loader.load_files(
            then.paths, overlays=then.overlays, names=then.names, tree=tree, like=like, warn=False
        )
        loaded.cache.clear()
        loaded, moved = renamed_places.drop_moved(loaded, then.names, target.names, like)
    except ConfigError as error:
        first = error.findings[0] if error.findings else None
        why = f"{first.source}: {first.message}" if first is not None else error.what
        return None, (_report_unreadable(why, base),)
    findings = (_report_moved(moved, target),) if moved else ()
    return loaded, findings if loaded.organizations or moved else (_report_empty(base),)


def read_earlier_target(settings: Settings, target: Target, tree: CommitTree) -> Target | None:
    """Return the target as the base had it; as it is now where there was no reconciler.yaml."""
    if settings.file is None:
        return target
    try:
        data = tree.read_file(settings.file)
    except RefusedError:  # it stands outside the repository: it was never committed
        return target
    if data is None:
        return target
    display = tree.show_path(settings.file)
    then = config_settings.parse_settings(
        data, file=settings.file, display=display, given=settings.given
    )
    return then.targets.get(target.name)


def _report_not_merged(base: Base, used: Base | None) -> Finding:
    commit = shorten_commit(base.commit)
    instead = "there is no base, and nothing is deleted because it left the files"
    if used is not None:
        instead = f"the base is {shorten_commit(used.commit)} instead"
    return Finding(
        "base-not-merged",
        Severity.WARNING,
        f"{base.ref} is at {commit}, which is not in the history of the commit that is checked "
        f"out: {instead}",
        why="anybody who may push can set this ref; only a merged commit can have been applied",
        fix=f"if {commit} was applied, name it: --base {commit}",
    )


def _report_unreadable(why: str, base: Base) -> Finding:
    return Finding(
        "base-unreadable",
        Severity.WARNING,
        f"the files at the base {base.ref} cannot be used: causes are unknown, and nothing is "
        "deleted because it left the files",
        why=why,
        fix="name another commit with --base",
    )


def _report_moved(moved: Sequence[Address], target: Target) -> Finding:
    shown = ", ".join(map(str, moved[:_SHOWN]))
    more = f" and {len(moved) - _SHOWN:,} more" if len(moved) > _SHOWN else ""
    return Finding(
        "base-moved",
        Severity.NOTICE,
        f"the target {target.name} has declared these under other names: they are unmanaged now, "
        f"and not deleted: {shown}{more}",
        why="`organization` or `projects` of the target has changed since the base",
        fix="delete them in PostHog if nobody needs them",
    )


def _report_empty(base: Base) -> Finding:
    return Finding(
        "base-empty",
        Severity.NOTICE,
        f"nothing was declared at the base {base.ref}: every field counts as newly written",
        why=f"commit {shorten_commit(base.commit)} has no document where the files are",
        fix="if they stood elsewhere, name the commit that was applied last with --base",
    )


def _find_history(
    target: Target, facts: RunFacts, state: RepositoryState | None, base: Base | None
) -> History:
    named, cwd = facts.config, facts.cwd
    above = [cwd / named] if named is not None else _settings_above(cwd)
    files: Sequence[Path] = ()
    if state is not None:
        files = [file for file in above if working_tree.find_git_root(file.parent) == state.root]
    return History(target, cwd, facts.now, state, base, tuple(files))


def _settings_above(cwd: Path) -> list[Path]:
    """Return where settings of a run stand, or may have stood."""
    return [folder / working_tree.SETTINGS for folder in (cwd, *cwd.parents)]


def is_partial(settings: Settings, target: Target) -> bool:
    """Return whether the paths of a command line leave out some of the target's own."""
    if not settings.given or settings.file is None:
        return False
    given = [path.resolve() for path in target.paths]
    return not all(
        any(own.resolve().is_relative_to(path) for path in given) for own in target.own_paths
    )


def read_other_declarations(inputs: Inputs) -> OtherDeclarations:
    """Read what the rest of the target's files declare; without settings, of the repository."""
    settings, cwd = inputs.settings, inputs.facts.cwd
    if settings.file is not None:
        whole = inputs.target.own_paths
    else:
        whole = (inputs.repository.root if inputs.repository is not None else cwd,)
    skip = frozenset(inputs.target.without_resources)
    tree = WorkingTree(cwd=cwd, anchor=settings.folder, skip=skip)
    known, names = inputs.loaded.blobs.keys(), inputs.target.names
    return other_files.read_other_files(whole, tree, known, names)
