"""Replay the past under the declared policies: which changes of flags would have waited.

The log is read page by page, newest entry first. What else is needed of a project is read when the
first of its entries comes: a few requests per project, none per entry.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.config import loaded as config_loaded
from reconciler.config.edit.selection import Choice
from reconciler.config.loaded import Loaded
from reconciler.config.targets import Target
from reconciler.drift.applied_writes import AppliedWrite
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.live import activity, key_access
from reconciler.live import reader as live_reader
from reconciler.live.activity import ActivityReader
from reconciler.model import (
    Address,
    Declared,
    Entry,
    Live,
    LiveResource,
    Question,
    Resource,
    matches_any,
)
from reconciler.operations.history.replay_project import ProjectReplay, read_project
from reconciler.plan.approvals.approvers import People
from reconciler.plan.approvals.policies import KIND as POLICY
from reconciler.plan.approvals.server_generation import Generations
from reconciler.plan.replay.past_people import PastPeople, list_role_addresses
from reconciler.plan.replay.report import Deciders, LogLimits, ReplayReport, ReplayRow, sort_rows
from reconciler.posthog.client import Reader

_SCOPES: Final = ("FeatureFlag", "ExperimentHoldout")
_WRITES: Final = frozenset({"created", "updated", "deleted", "restored"})
_PEOPLE: Final = ("OrganizationMembership", "Role")


@dataclass(frozen=True, slots=True)
class ReplayQuery:
    """What is replayed: how far back, and which projects (none: all)."""

    since_s: float
    projects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The report, warnings about what could not be read, and the number of requests."""

    report: ReplayReport
    warnings: tuple[str, ...]
    reads: int


def check_policies(loaded: Loaded, target: Target) -> None:
    """Raise ConfigError if the files declare no policy: then there is nothing to replay."""
    kinds = {
        *(a.kind for a, each in loaded.declared.resources.items() if not each.lifecycle.absent),
        *(template.kind for template in loaded.templates),
    }
    if POLICY not in kinds:
        where = ", ".join(str(path) for path in target.paths)
        raise ConfigError(
            "no approval policy is declared, so there is nothing to replay",
            why=f"no document of {where} is an {POLICY}",
            fix="declare the policies that you want to try, or name their file with --policies",
        )


def run(
    reader: Reader, target: Target, loaded: Loaded, query: ReplayQuery, now: datetime
) -> ReplayResult:
    """Return which changes of the window would have waited. Reads, and writes nothing."""
    directory = key_access.read_directory(reader)
    declared = config_loaded.expand_templates(loaded, directory.project_names())
    policies = {
        address: resource
        for address, resource in declared.resources.items()
        if address.kind == POLICY
        and not resource.lifecycle.absent
        and not matches_any(address, target.ignore)
    }
    slugs = tuple(
        sorted(
            {address.organization for address in policies}
            | {template.organization for template in loaded.templates if template.kind == POLICY}
        )
    )
    choice = Choice((), slugs, query.projects)
    choice.check_names(directory.projects)
    until = now + timedelta(seconds=reader.clock_skew_s or 0.0)
    since = until - timedelta(seconds=query.since_s)
    rows: list[tuple[datetime, int, ReplayRow]] = []
    deciders, limits, warnings = Deciders(), LogLimits(), list[str]()
    for slug in slugs:
        live_names = directory.projects[slug]
        chosen = tuple(name for name in query.projects or live_names if name in live_names)
        if not chosen:
            continue
        replayed = _OrganizationReplay(
            reader, directory, slug, declared, policies, chosen, since, deciders
        )
        rows += replayed.run()
        limits = _add_limits(limits, replayed.collect_limits())
        warnings += replayed.list_warnings()
    until = max([until, *(at for at, *_ in rows)])  # the clock of the server is known to a second
    report = ReplayReport(since, until, sort_rows(rows), deciders.rank(), deciders.nobody, limits)
    return ReplayResult(report, tuple(warnings), reader.reads)


def _add_limits(first: LogLimits, second: LogLimits) -> LogLimits:
    """Return the limits of two logs together."""
    begins = [each.first_entry for each in (first, second) if each.first_entry is not None]
    counts = {
        name: getattr(first, name) + getattr(second, name)
        for name in LogLimits.__dataclass_fields__
        if name != "first_entry"
    }
    return LogLimits(first_entry=min(begins, default=None), **counts)


@dataclass(slots=True)
class _OrganizationReplay:
    """The replay of one organization in progress."""

    reader: Reader
    directory: key_access.Directory
    slug: str
    declared: Declared
    policies: Mapping[Address, Resource]
    projects: tuple[str, ...]  # names of those that are replayed
    since: datetime
    deciders: Deciders
    _log: ActivityReader = field(init=False)
    _people: People = field(init=False)
    _past: PastPeople = field(init=False)
    _live: Live = field(init=False)  # people and roles
    _projects: dict[str, ProjectReplay] = field(default_factory=dict)  # by id
    _generations: Generations | None = None
    _unreadable: list[str] = field(default_factory=list)
    _entries: int = 0
    _elsewhere: int = 0
    _first: Entry | None = None

    def run(self) -> Iterator[tuple[datetime, int, ReplayRow]]:
        """Yield a row for each change, with its time and place in the log."""
        live = live_reader.read_live(self.reader, self.directory, list_role_addresses(self.slug))
        self._live = live
        self._unreadable += [f"{gap.describe()}: {gap.reason}" for gap in live.unreadable]
        self._log = ActivityReader(
            self.reader, live, self.slug, most=None, page_size=activity.LARGEST_PAGE
        )
        self._people = People((), self._plan_roles(live))
        self._past = self._read_past_people(live)
        for number, entry in enumerate(self._read_log()):
            project = self._get_project(entry)
            if project is not None:
                for applied in project.take(entry, number):
                    yield self._judge(project, applied)
        if self._log.refused is not None and self._log.is_exhausted:
            raise _make_closed_error(self.slug, self._log.refused)
        for project in self._projects.values():
            for applied in project.finish():
                yield self._judge(project, applied)

    def _plan_roles(self, live: Live) -> Live:
        """Return the people of now, with the roles as the files declare them."""
        resources = dict(live.resources)
        for address, resource in self.declared.resources.items():
            if address.kind == "Role" and address.organization == self.slug:
                known = resources.get(address)
                spec = {**(known.spec if known is not None else {}), **resource.spec}
                resources[address] = LiveResource(address, "", spec, {})
        return replace(live, resources=resources)

    def _read_past_people(self, live: Live) -> PastPeople:
        """Read who has had which level, if a policy lets some people pass."""
        bypasses = any(
            resource.spec.get("bypass_levels", True) or resource.spec.get("bypass_roles", True)
            for address, resource in self.policies.items()
            if address.organization == self.slug
        )
        if not bypasses:
            return PastPeople(live, self.slug, (), begin=None)
        question = Question(self.slug, _PEOPLE)
        entries = tuple(self._log.iterate_entries(question, since=self.since, until=None))
        self._log.gaps.clear()  # that of the log itself follows
        begin = self.since if self._log.refused is None else None
        return PastPeople(live, self.slug, entries, begin=begin)

    def _read_log(self) -> Iterator[Entry]:
        """Yield the entries of the projects, newest first."""
        is_narrow = len(self.projects) < len(self.directory.projects[self.slug])
        question = Question(self.slug, _SCOPES, self.projects, only_projects=is_narrow)
        for entry in self._log.iterate_entries(question, since=self.since, until=None):
            if not entry.moves and entry.activity not in _WRITES:
                continue  # such as a comment
            if entry.scope == "FeatureFlag":
                self._entries += 1
                if self._first is None or entry.at < self._first.at:
                    self._first = entry
            yield entry

    def _get_project(self, entry: Entry) -> ProjectReplay | None:
        """Return the project of an entry, which is read when its first entry comes."""
        only = tuple(self._log.projects) if len(self._log.projects) == 1 else ("",)
        id_ = entry.project or only[0]  # early servers do not say it
        if (known := self._projects.get(id_)) is not None:
            return known
        name = self._log.projects.get(id_)
        if name is None or name not in self.projects:
            self._elsewhere += entry.scope == "FeatureFlag"
            return None
        address = Address("Project", (self.slug, name))
        own = {a: each for a, each in self.policies.items() if a.parts[:-1] == address.parts}
        read = read_project(
            self.reader, self.directory, self._live, project=address, id_=id_, declared=own
        )
        for gap in read.unreadable:
            if gap.kind == "FeatureFlag":
                raise ReconcilerError(
                    f"the flags of {address.organization}/{name} cannot be read",
                    why=gap.reason,
                    fix=gap.fix or None,
                )
            self._unreadable.append(f"{gap.describe()}: {gap.reason}")
        project = ProjectReplay(
            self.reader,
            address,
            read,
            self._past,
            since=self.since,
            generations=self._generations,
        )
        self._projects[id_], self._generations = project, project.generations
        return project

    def _judge(
        self, project: ProjectReplay, applied: AppliedWrite
    ) -> tuple[datetime, int, ReplayRow]:
        """Return the row of a write."""
        entry, request = applied.write.entry, applied.request
        judgement = project.judge.judge(
            applied.address, applied.write, project.collect_facts(applied)
        )
        if judgement.would_wait:
            self.deciders.count(judgement, entry.person, self._people)
        action = judgement.action
        if request is not None and not judgement.would_wait:
            action = request.action_key
        row = ReplayRow(
            applied.address,
            entry.written,
            entry.person,
            action,
            waited=request is not None,
            would_wait=judgement.would_wait,
            policy=judgement.policy.address if judgement.policy is not None else None,
            why=judgement.why,
        )
        return entry.at, applied.number, row

    def collect_limits(self) -> LogLimits:
        """Return what the log of the organization does not show."""
        histories = [
            history for project in self._projects.values() for history in project.histories.values()
        ]
        return LogLimits(
            entries=self._entries,
            first_entry=self._first.written if self._first is not None else None,
            without_before=sum(history.lacks["before"] for history in histories),
            without_after=sum(history.lacks["after"] for history in histories),
            undated=self._log.undated,
            gaps=sum(history.gaps for history in histories),
            creations_missing=sum(
                project.count_missing_creations(self.since) for project in self._projects.values()
            ),
            policies_changed=sum(
                project.count_changed_policies(self.since) for project in self._projects.values()
            ),
            elsewhere=self._elsewhere,
        )

    def list_warnings(self) -> list[str]:
        """Return what could not be read, and why."""
        return [
            *(f"{gap.what}: {gap.why}" for gap in self._log.gaps),
            *dict.fromkeys(self._unreadable),
        ]


def _make_closed_error(slug: str, error: Exception) -> ReconcilerError:
    """Return the error of a log that the key may not read at all."""
    why = getattr(error, "why", "") or str(error)
    return ReconcilerError(
        f"the activity log of {slug} cannot be read, so nothing can be replayed",
        why=why,
        fix=getattr(error, "fix", "") or "use a key with the scope `activity_log:read`",
    )
