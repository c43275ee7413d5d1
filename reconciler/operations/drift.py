"""Find what has drifted from git, and who changed it. Reads, and writes nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.config import loaded as config_loaded
from reconciler.config import loader, renamed_places
from reconciler.config.load_cache import ParsedFiles
from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.drift import attribution, filters, findings
from reconciler.drift.activity_replay import Accept, ActivityReplay, ObjectHistory
from reconciler.drift.approvals import Approvals
from reconciler.errors import ReconcilerError
from reconciler.files.run_folder import find_run_folder
from reconciler.git import applied_ref, blame, repository
from reconciler.git.applied_ref import Base
from reconciler.git.commit_tree import CommitTree
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.live import activity, names
from reconciler.model import (
    Action,
    Address,
    Attribution,
    Change,
    Declared,
    Gap,
    Live,
    LogAction,
    Plan,
    Verdict,
    format_timestamp,
    matches_any,
    parse_time,
    shorten_commit,
)
from reconciler.operations import inputs
from reconciler.operations import plan as operations_plan
from reconciler.operations.plan import World
from reconciler.plan import drift_report, links
from reconciler.plan.approvals import past_coverage
from reconciler.plan.diff import matching, references
from reconciler.plan.selection import PlanOptions
from reconciler.plan.unapplied import Unapplied
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class LastApply:
    """What was applied last.

    Attributes:
        commit: full id; empty where no ref says it.
        loaded: what its files declare; None where that is not known.
        is_behind: whether it is another commit than the one that drift is measured against.
        until: when that one was made.

    """

    commit: str
    loaded: config_loaded.Loaded | None
    is_behind: bool
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DriftInputs:
    """The commit that drift is measured against, what it declares, and what was applied last."""

    target: Target
    base: Base
    tree: CommitTree
    loaded: config_loaded.Loaded
    repository: RepositoryState | None
    last_apply: LastApply | None


@dataclass(frozen=True, slots=True)
class DriftQuery:
    """Which drift is reported: since when, which causes, and how people are named."""

    since_s: float | None = None  # seconds back from the server's own clock
    identities: str = "full"
    only: tuple[str, ...] = ()  # causes; empty: all


@dataclass(frozen=True, slots=True)
class DriftResult:
    """The plan that would undo all drift, the report of it, and what they are based on."""

    world: World
    plan: Plan
    report: Plan
    applied: Declared | None = None  # what was declared at the commit that was applied last


def read(
    settings: Settings,
    target: Target,
    ref: str,
    facts: RunFacts,
    parsed: ParsedFiles | None = None,
) -> DriftInputs:
    """Read the files of a commit, and what was applied last; raise GitError if it is unknown.

    `parsed` has the files that other targets have read already.
    """
    parsed = parsed or ParsedFiles()
    state = inputs.read_state(target, facts)
    tree = state.tree(cwd=facts.cwd) if state is not None and ref == "HEAD" else None
    if tree is None:
        tree = repository.open_commit(ref, cwd=facts.cwd, at=target.paths[0])
    tree = replace(tree, skip=target.without_resources)
    loaded = loader.load_files(
        target.paths,
        overlays=target.overlays,
        names=target.names,
        tree=tree,
        parsed=parsed.at_commit(tree.commit),
    )
    last = _find_last_apply(settings, target, tree, loaded, state)
    loaded.cache.clear()
    return DriftInputs(target, Base(ref, tree.commit), tree, loaded, state, last)


def _find_last_apply(
    settings: Settings,
    target: Target,
    tree: CommitTree,
    loaded: config_loaded.Loaded,
    state: RepositoryState | None,
) -> LastApply | None:
    """Return what was applied last, as far as a ref of this repository says so."""
    root, commit = tree.root, tree.commit
    if state is None:
        return None
    try:
        applied = applied_ref.find_applied(target.name, commit, state)
        if applied is None or not applied.in_history:  # known only by open change requests
            return LastApply(
                "", None, is_behind=True, until=repository.read_commit_time(commit, cwd=root)
            )
        if applied.commit == commit:
            return LastApply(commit, loaded, is_behind=False)
        earlier = repository.open_commit(applied.commit, cwd=tree.cwd, at=root, may_lack_paths=True)
        was = inputs.read_earlier_target(settings, target, earlier)
        if was is None:
            return None
        earlier = replace(earlier, skip=was.without_resources, known=loaded.cache.texts)
        then = loader.load_files(
            was.paths, overlays=was.overlays, names=was.names, tree=earlier, like=loaded
        )
        then.cache.clear()
        then, _ = renamed_places.drop_moved(then, was.names, target.names, loaded)
        until = repository.read_commit_time(commit, cwd=root)
    except ReconcilerError:  # not here, or of another time: then nothing is known about it
        return None
    return LastApply(earlier.commit, then, is_behind=True, until=until)


def run(
    reader: Reader,
    given: DriftInputs,
    options: PlanOptions,
    query: DriftQuery,
    now: datetime,
    *,
    has_digest: bool = True,
) -> DriftResult:
    """Return what differs between the files at a commit and the live side, and who changed it.

    The planner finds it. The activity log is read only where something has drifted. A digest of
    everything declared takes a while: it is left out where nobody sees it.
    """
    world = operations_plan.observe(reader, given.loaded, options, base=given.loaded)
    planned = operations_plan.plan(
        world,
        options,
        target=given.target.name,
        host=reader.host,
        created_at=format_timestamp(now),
        excerpts=False,
        base=given.base,
        has_digest=has_digest,
    )
    report = drift_report.build_report(planned, world.desired)
    ignored = drift_report.find_ignored(world.desired, world.live, options)
    report = replace(report, ignored=tuple(ignored))
    if report.writes:
        report = _attribute(reader, world, report, given.last_apply, query, now=now)
    holds = given.target.holds
    report = replace(
        report,
        changes=filters.add_holds(report.changes, holds, now, matches_any),
        findings=(*report.findings, *findings.report_ended_holds(holds, now)),
        requests=replace(report.requests, reads=reader.reads, expected_writes=len(report.writes)),
    )
    return DriftResult(world, planned, report, _expand_applied(world, given.last_apply))


def _attribute(
    reader: Reader,
    world: World,
    report: Plan,
    last_apply: LastApply | None,
    query: DriftQuery,
    *,
    now: datetime,
) -> Plan:
    """Return drift with who changed it, as far as log, requests and policies say so."""
    since = None
    if query.since_s is not None:  # entries carry the server's time, so that is what counts
        since = now + timedelta(seconds=(reader.clock_skew_s or 0.0) - query.since_s)
    spell = names.build_speller(world.live)
    replay = ActivityReplay(report.writes, spell)
    gaps = tuple(read_log(reader, world.live, replay, since))
    requests, blind = activity.list_applied(reader, world.live, replay.find_gated_projects())
    evidence = attribution.Evidence(
        replay.histories,
        Approvals(requests, spell),
        past_coverage.PastCoverage(world.live, world.desired).find_cover,
        {gap.organization: gap.what for gap in gaps},
        blind,
        links.link_requests(requests, world.live, report.host),
        query.identities,
        world.live.schedules,
    )
    changes, older, others = attribution.attribute_changes(report.changes, evidence), 0, 0
    waiting: tuple[Change, ...] = ()
    if last_apply is not None and last_apply.is_behind:
        changes, waiting = _split(changes, world, last_apply)
    if since is not None:
        changes, older = filters.drop_older(changes, since)
    if query.only:
        changes, others = filters.keep_classes(changes, query.only)
    left_out = (*findings.report_older(older, since), *findings.report_others(others))
    reported = (*report.findings, *map(findings.report_gap, gaps), *left_out)
    return replace(report, changes=changes, findings=reported, not_applied=waiting)


def _split(
    changes: tuple[Change, ...], world: World, last_apply: LastApply
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Separate drift from what is merged and not applied yet: changes with those fields only."""
    then = _expand_applied(world, last_apply) or Declared({}, "")
    unapplied = Unapplied(
        references.respell_references(then, world.live, world.desired),
        world.desired,
        _time_commits(last_apply.until),
    )
    note = "an open change request proposes it"
    if last_apply.loaded is not None:
        note = f"git has =change= on since {shorten_commit(last_apply.commit)} was applied"
    git = Attribution(action=LogAction.UNAPPLIED, note=note)
    drifted, waiting = [], []
    for change in changes:
        may_wait = last_apply.loaded is not None or change.gate.verdict is Verdict.PENDING
        paths = set(unapplied.paths(change)) if may_wait else set()
        rest = filters.leave_out_fields(change, paths)
        if paths:
            waiting.append(filters.keep_fields(change, paths, git))
        if not paths or rest.action is not Action.NONE:
            drifted.append(rest)
    return tuple(drifted), tuple(waiting)


def _expand_applied(world: World, last_apply: LastApply | None) -> Declared | None:
    """Return what was declared at the commit that was applied last, if that is known."""
    if last_apply is None or last_apply.loaded is None:
        return None
    return config_loaded.expand_templates(
        last_apply.loaded, matching.list_project_names(world.live)
    )


def _time_commits(until: datetime | None) -> Callable[[Change], datetime | None]:
    """Return when the document of a change was committed last; not after the commit at hand."""

    def find_time(change: Change) -> datetime | None:
        source = change.desired.source if change.desired is not None else None
        if source is None:
            return until
        at = parse_time(blame.read_commit_time(source.file, source.line, cwd=find_run_folder()))
        return min((time for time in (at, until) if time is not None), default=None)

    return find_time


def read_histories(
    reader: Reader, live: Live, changes: Iterable[Change], accepts: Accept | None = None
) -> Mapping[Address, ObjectHistory]:
    """Read from the activity log who changed what; a log that cannot be read explains nothing."""
    replay = ActivityReplay(changes, names.build_speller(live), accepts)
    for _gap in read_log(reader, live, replay, None):
        pass
    return replay.histories


def read_log(
    reader: Reader, live: Live, replay: ActivityReplay, since: datetime | None
) -> Iterator[Gap]:
    """Read the activity log until each drifted field is explained; yield what cannot be read.

    With a window first what is in it, then what is before: else old would look like unknown.
    """
    logs: dict[str, activity.ActivityReader] = {}
    for search in replay.list_questions():
        slug = search.question.organization
        log = logs.setdefault(slug, activity.ActivityReader(reader, live, slug))
        for start, end in ((None, None),) if since is None else ((since, None), (None, since)):
            for entry in log.iterate_entries(search.question, since=start, until=end):
                replay.take(entry, log.projects)
                if search.done:
                    break
            if search.done:
                break
    for log in logs.values():
        yield from log.gaps
