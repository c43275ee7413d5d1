"""Find the rules that judge a plan: those of the files, and those of the base.

A pull request can change its rules, drop their folder from reconciler.yaml, rename the target or
remove the file. None of that counts until it was applied: the base has the rules as they were.
"""

from collections.abc import Iterator
from pathlib import Path

from reconciler.config import rules as config_rules
from reconciler.config import settings as config_settings
from reconciler.config.rules import RuleFiles
from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.errors import ConfigError, GitError
from reconciler.files.text import RefusedError
from reconciler.files.working_tree import SETTINGS, find_git_root
from reconciler.git import applied_ref, blame, repository
from reconciler.git.commit_tree import CommitTree
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Finding, Rule
from reconciler.plan.rules import findings
from reconciler.plan.rules.findings import JudgedRule


@dataclass(frozen=True, slots=True)
class RuleSources:
    """Hold every rule that judges a plan, who wrote what it plans, and what could not be read."""

    rules: tuple[JudgedRule, ...] = ()
    author: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_sources(
    settings: Settings,
    target: Target,
    facts: RunFacts,
    state: RepositoryState | None,
    *,
    own: RuleFiles,
    commit: str | None,
    is_named: bool,
) -> RuleSources:
    """Read the rules of the bases, next to those of the files; a rule that both have counts once.

    The bases are that of the plan, and the base that the target has without --base: an option, or a
    saved plan that names another base, must not lift a rule. Where reconciler.yaml is in another
    repository than the documents, which may be those of a submodule, its base counts as well.

    Args:
        settings: reconciler.yaml.
        target: the target of this run.
        facts: facts about the run.
        state: the repository that holds the files.
        own: the rules of the files.
        commit: full id of the base of the plan, if it has one.
        is_named: whether the run names that base; else it is the automatic one.

    """
    judged = [JudgedRule(rule) for rule in own.rules]
    reported: list[Finding] = []
    bases = _list_bases(settings, target, facts, state, commit=commit, is_named=is_named)
    for base, place in bases:
        tree = repository.open_commit(base, cwd=facts.cwd, at=place, may_lack_paths=True)
        try:
            rules = list(_read_rules(settings, target, facts, tree))
        except ConfigError as error:
            first = error.findings[0] if error.findings else None
            why = f"{first.source}: {first.message}" if first is not None else error.what
            reported.append(findings.report_unreadable(base, why))
            continue
        known = {item.rule for item in judged}
        judged += [JudgedRule(rule, base) for rule in dict.fromkeys(rules) if rule not in known]
    if judged and not bases:
        reported.append(findings.report_no_base())
    author: tuple[str, ...] = ()
    if judged and bases and state is not None and state.head is not None:
        author = blame.list_authors(bases[0][0], state.head, root=state.root)
    return RuleSources(tuple(judged), author, tuple(reported))


def _list_bases(
    settings: Settings,
    target: Target,
    facts: RunFacts,
    state: RepositoryState | None,
    *,
    commit: str | None,
    is_named: bool,
) -> tuple[tuple[str, Path], ...]:
    """List the commits whose rules count, each once, with a path in its repository."""
    place, home = target.paths[0], settings.folder or facts.cwd
    automatic = _find_automatic_base(target, facts, state, place) if is_named else commit
    candidates = [(commit, place), (automatic, place)]
    if (root := find_git_root(home)) is not None and (state is None or root != state.root):
        its_state = applied_ref.read_state(home, target=target.name, build=facts.build)
        candidates.append((_find_automatic_base(target, facts, its_state, home), home))
    return tuple(dict.fromkeys((id_, path) for id_, path in candidates if id_ is not None))


def _find_automatic_base(
    target: Target, facts: RunFacts, state: RepositoryState | None, place: Path
) -> str | None:
    """Return the commit that is the base without --base, in the repository of a place."""
    try:
        base = applied_ref.resolve_base(
            None, target=target.name, build=facts.build, state=state, cwd=place
        )
    except GitError:  # this clone does not have it, and the run names another commit
        return None
    return base.commit if base is not None and base.in_history else None


def _read_rules(
    settings: Settings, target: Target, facts: RunFacts, tree: CommitTree
) -> Iterator[Rule]:
    """Yield the rules of a target at a commit; raise ConfigError if they cannot be read.

    A target that the commit does not have is judged by the rules of every target there.
    """
    for file in _list_settings_files(settings, facts):
        try:
            data = tree.read_file(file)
        except RefusedError:  # it is outside the repository, and no commit has it
            continue
        if data is not None:
            display = tree.show_path(file)
            then = config_settings.parse_settings(data, file=file, display=display).targets
            targets = [then[target.name]] if target.name in then else then.values()
            for each in targets:
                yield from config_rules.load_rules(each.rules, tree).rules
            return


def _list_settings_files(settings: Settings, facts: RunFacts) -> Iterator[Path]:
    """Yield where reconciler.yaml is, and where it may have been before."""
    if settings.file is not None:
        yield settings.file
    for folder in (facts.cwd, *facts.cwd.parents):
        yield folder / SETTINGS
