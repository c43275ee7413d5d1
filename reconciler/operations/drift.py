"""The hall's watch: what has drifted from git, and who moved it. Looks, and writes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.config import loaded as config_loaded
from reconciler.drift import attribution, filters, findings
from reconciler.drift.activity_replay import ActivityReplay
from reconciler.drift.approvals import Approvals
from reconciler.git import blame
from reconciler.git.applied_ref import Base
from reconciler.live import activity, names
from reconciler.model import (
    Action,
    Attribution,
    Change,
    Declared,
    Gap,
    Hold,
    Live,
    LogAction,
    Plan,
    Verdict,
    instant,
)
from reconciler.operations import plan as operations_plan
from reconciler.plan import drift_report, links, selection
from reconciler.plan.approvals import past_coverage
from reconciler.plan.diff import matching, references
from reconciler.plan.selection import Options
from reconciler.plan.unapplied import Unapplied
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied last.

    Attributes:
        commit: full id; empty where no ref says it.
        loaded: what its files declare; None where that is not known.
        behind: whether it is another commit than the one that is looked at.
        until: when that one was made.

    """

    commit: str
    loaded: config_loaded.Loaded | None
    behind: bool
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DriftQuery:
    """How drift is looked at: since when, what is held, and how people are named."""

    since_s: float | None = None  # seconds back from the server's own clock
    holds: tuple[Hold, ...] = ()
    identities: str = "full"
    only: tuple[str, ...] = ()  # ways in which it came to be; empty: all
    applied: Applied | None = None


@dataclass(frozen=True, slots=True)
class DriftResult:
    """What was found: the plan that would undo all of it, and the report of it."""

    world: operations_plan.World
    plan: Plan
    report: Plan
    applied: Declared | None = None  # what was declared at the commit that was applied last


def drift(
    reader: Reader,
    head: config_loaded.Loaded,
    options: Options,
    *,
    target: str,
    host: str,
    now: datetime,
    base: Base,
    sight: DriftQuery,
) -> DriftResult:
    """What differs between the files at a commit and the live side, and who moved it.

    The plan's engine, no other. The log is asked only where something has drifted.
    """
    world = operations_plan.observe(reader, head, options, base=head)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    made = operations_plan.plan(
        world, options, target=target, host=host, created_at=stamp, excerpts=False, base=base
    )
    seen = drift_report.report(made, world.desired)
    seen = replace(seen, ignored=tuple(drift_report.find(world.desired, world.live, options)))
    if seen.writes:
        seen = _attributed(reader, world, seen, sight, now)
    seen = replace(
        seen,
        changes=filters.held(seen.changes, sight.holds, now, selection.matches),
        findings=(*seen.findings, *findings.over(sight.holds, now)),
        requests=replace(seen.requests, reads=reader.reads, expected_writes=len(seen.writes)),
    )
    applied = _declared(world, sight.applied)
    return DriftResult(world, made, seen, applied)


def _attributed(
    reader: Reader, world: operations_plan.World, made: Plan, sight: DriftQuery, now: datetime
) -> Plan:
    """Drift with a name, as far as the log, the requests and the policies tell."""
    since = None
    if sight.since_s is not None:  # entries carry the server's time, so that is what counts
        since = now + timedelta(seconds=(reader.clock_skew_s or 0.0) - sight.since_s)
    spell = names.speller(world.live)
    trails = ActivityReplay(made.writes, spell)
    gaps = tuple(ask(reader, world.live, trails, since))
    requests, blind = activity.applied(reader, world.live, trails.gated())
    evidence = attribution.Evidence(
        trails.of,
        Approvals(requests, spell),
        past_coverage.PastCoverage(world.live, world.desired).cover,
        {gap.organization: gap.what for gap in gaps},
        blind,
        links.of_requests(requests, world.live, made.host),
        sight.identities,
    )
    changes, older, others = attribution.attributed(made.changes, evidence), 0, 0
    waiting: tuple[Change, ...] = ()
    if sight.applied is not None and sight.applied.behind:
        changes, waiting = _part(changes, world, sight.applied)
    if since is not None:
        changes, older = filters.since(changes, since)
    if sight.only:
        changes, others = filters.only(changes, sight.only)
    left_out = (*findings.older(older, since), *findings.others(others))
    said = (*made.findings, *map(findings.gap, gaps), *left_out)
    return replace(made, changes=changes, findings=said, not_applied=waiting)


def _part(
    changes: tuple[Change, ...], world: operations_plan.World, applied: Applied
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Part drift from what is merged and not applied yet: changes with those fields only."""
    then = _declared(world, applied) or Declared({}, "")
    known = Unapplied(
        references.respell_references(then, world.live, world.desired),
        world.desired,
        _written(applied.until),
    )
    note = "an open change request proposes it"
    if applied.loaded is not None:
        note = f"git has moved on since {applied.commit[:10]} was applied"
    git = Attribution(deed=LogAction.UNAPPLIED, note=note)
    drifted, waiting = [], []
    for change in changes:
        asked = applied.loaded is not None or change.gate.verdict is Verdict.PENDING
        paths = set(known.paths(change)) if asked else set()
        rest = filters.without(change, paths)
        if paths:
            waiting.append(filters.alone(change, paths, git))
        if not paths or rest.action is not Action.NONE:
            drifted.append(rest)
    return tuple(drifted), tuple(waiting)


def _declared(world: operations_plan.World, applied: Applied | None) -> Declared | None:
    """Return what was declared at the commit that was applied last, if that is known."""
    if applied is None or applied.loaded is None:
        return None
    return config_loaded.expand(applied.loaded, matching.list_project_names(world.live))


def _written(until: datetime | None) -> Callable[[Change], datetime | None]:
    """Return when the document of a change was committed last; not after the commit at hand."""

    def since(change: Change) -> datetime | None:
        source = change.desired.source if change.desired is not None else None
        if source is None:
            return until
        at = instant(blame.written_at(source.file, source.line, cwd=Path.cwd()))
        return min((one for one in (at, until) if one is not None), default=None)

    return since


def ask(
    reader: Reader, live: Live, trails: ActivityReplay, since: datetime | None
) -> Iterator[Gap]:
    """Ask the log until every drifted field is explained; what cannot be read is returned.

    With a window first what is in it, then what is before: only so is old told from unknown.
    """
    logs: dict[str, activity.Log] = {}
    for asked in trails.asked():
        slug = asked.question.organization
        log = logs.setdefault(slug, activity.Log(reader, live, slug))
        for start, end in ((None, None),) if since is None else ((since, None), (None, since)):
            for entry in log.entries(asked.question, since=start, until=end):
                trails.take(entry, log.projects)
                if asked.done:
                    break
            if asked.done:
                break
    for log in logs.values():
        yield from log.gaps
