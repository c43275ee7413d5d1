"""Replay the changes of one project: rebuild each write, pair it with its request, judge it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciler.drift.applied_writes import AppliedWrite, WritePairing
from reconciler.drift.approvals import APART, Approvals
from reconciler.drift.flag_history import FlagHistory
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.live import activity, key_access, names, past_project
from reconciler.model import (
    SYSTEM,
    Address,
    Entry,
    FlagWrite,
    Live,
    LiveResource,
    Resource,
    Unreadable,
    parse_time,
)
from reconciler.plan.approvals import forecast, owners, server_generation
from reconciler.plan.approvals.owners import Owner
from reconciler.plan.approvals.policies import KIND as POLICY
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.approvals.server_generation import Generations
from reconciler.plan.coverage import FlagOwner, find_flag_owner
from reconciler.plan.replay.judgement import Judge, WriteFacts
from reconciler.plan.replay.past_people import PastPeople
from reconciler.posthog.client import Reader

_FLAG: Final = KINDS["FeatureFlag"]
_POSSIBLE_OWNERS: Final = {  # gates look at flags of surveys and tours as at those of early access
    FlagOwner.UNOWNED: (Owner.NOBODY,),
    FlagOwner.EXPERIMENT: (Owner.NOBODY, Owner.EXPERIMENT),
}
_SOMEBODY: Final = (Owner.NOBODY, Owner.EARLY_ACCESS_FEATURE)
_ANYBODY: Final = (*_SOMEBODY, Owner.EXPERIMENT)
_BY_SYSTEM: Final = "PostHog itself wrote it"
_SCHEDULED: Final = (
    "a scheduled change wrote it: PostHog checked the policies when it was scheduled"
)
_HIDDEN: Final = "a survey or a product tour created the flag, and PostHog does not gate its writes"
_WITH_HOLDOUT: Final = "PostHog wrote it together with a holdout, which has its own policies"


@dataclass(frozen=True, slots=True)
class ReadProject:
    """What was read of a project.

    Attributes:
        live: its flags, policies and scheduled changes.
        flags: its flags by id, archived ones included.
        policies: the declared policies, with all their fields.
        unreadable: what could not be read.

    """

    live: Live
    flags: Mapping[str, LiveResource]
    policies: tuple[Policy, ...]
    unreadable: tuple[Unreadable, ...]


def read_project(
    reader: Reader,
    directory: key_access.Directory,
    before: Live,
    *,
    project: Address,
    id_: str,
    declared: Mapping[Address, Resource],
) -> ReadProject:
    """Read what the judgement of a project's changes depends on.

    `before` has the people of the organization, `declared` the policies of the project. A field
    that no file declares has its default: what is live now does not count.
    """
    live = before
    if declared:  # otherwise it makes no difference what the flags are like
        live = past_project.read_project(reader, directory, before, project, id_)
    live = replace(live, ids={**live.ids, project: (id_,)})
    everything = (*live.resources.values(), *(r for each in live.duplicates.values() for r in each))
    flags = {each.id: each for each in everything if each.address.kind == "FeatureFlag"}
    policies = (
        Policy(address, {**KINDS[POLICY].defaults, **resource.spec})
        for address, resource in declared.items()
    )
    gaps = tuple(gap for gap in live.unreadable if gap.kind in {"FeatureFlag", POLICY})
    return ReadProject(live, flags, tuple(policies), gaps)


class ProjectReplay:
    """The changes of one project, newest first."""

    def __init__(
        self,
        reader: Reader,
        project: Address,
        read: ReadProject,
        people: PastPeople,
        *,
        since: datetime,
        generations: Generations | None,
    ) -> None:
        """Read its applied requests. `generations`: those that other projects leave possible."""
        scope = (project.organization, project.name)
        ids = read.live.ids[project]
        requests = tuple(activity.iterate_applied(reader, scope, ids[0], since))
        with_requests = replace(read.live, rejections=requests)
        possible = server_generation.narrow_generations(
            server_generation.list_possible_generations(with_requests),
            (flag.payload for flag in read.flags.values()),
        )
        if generations is not None:
            possible = tuple(each for each in possible if each in generations) or possible
        self.generations, self.histories = possible, dict[str, FlagHistory]()
        self._scope, self._read, self._people = scope, read, people
        self._spell = names.build_speller(read.live)
        self._approvals = Approvals(requests, self._spell)
        self._pairings: dict[str, WritePairing] = {}
        is_off = forecast.is_off(read.live, project.organization)
        self.judge = Judge(scope, () if is_off else read.policies, possible)
        self._is_scoped = bool(owners.list_scoped_organizations(read.live))
        self._holdouts: list[tuple[int | None, datetime]] = []
        self._held: list[AppliedWrite] = []  # that may belong to a write of a holdout

    def take(self, entry: Entry, number: int) -> Iterator[AppliedWrite]:
        """Take the next older entry; yield the writes that are complete now."""
        if entry.scope != "FeatureFlag":
            self._holdouts.append((entry.user_id, entry.at))
            return
        flag = self._read.flags.get(entry.item)
        history = self.histories.get(entry.item)
        if history is None:
            history = FlagHistory.start(flag.payload if flag is not None else None)
            self.histories[entry.item] = history
            place = (self._scope, entry.item)
            scheduled = self._read.live.schedules.get(place)
            self._pairings[entry.item] = WritePairing(
                self._approvals, self._spell, {place: scheduled} if scheduled else {}
            )
        version = history.version
        write = history.take(entry)
        address = Address("FeatureFlag", (*self._scope, write.key))
        pairing = self._pairings[entry.item]
        yield from self._hold(pairing.add(address, write, number, version))

    def finish(self) -> Iterator[AppliedWrite]:
        """Yield the rest of the writes, once the log has been read."""
        for pairing in self._pairings.values():
            yield from self._hold(pairing.finish())
        yield from self._held

    def _hold(self, writes: Iterator[AppliedWrite]) -> Iterator[AppliedWrite]:
        for applied in writes:
            if _changes_only_holdout(applied.write):
                self._held.append(applied)
            else:
                yield applied

    def collect_facts(self, applied: AppliedWrite) -> WriteFacts:
        """Return what is known of a write besides its entry."""
        entry, request = applied.write.entry, applied.request
        filed = parse_time(request.created_at) if request is not None else None
        email = None if entry.person == SYSTEM else entry.person
        at = entry.at if filed is None else filed
        actor = self._people.find_actor(email, at, self.judge.levels, self.judge.roles)
        possible, scoped = self._list_owners(entry.item)
        return WriteFacts(actor, possible, scoped, self._find_doubt(applied))

    def _list_owners(self, id_: str) -> tuple[tuple[Owner, ...], tuple[bool, ...]]:
        """Return who may have owned a flag, and whether policies per owner may have applied."""
        flag = self._read.flags.get(id_)
        if flag is None:
            return _ANYBODY, ((True, False) if self._is_scoped else (False,))
        shown = _POSSIBLE_OWNERS.get(find_flag_owner(flag), _SOMEBODY)
        return shown, ((False,) if shown == (Owner.NOBODY,) else (True, False))

    def _find_doubt(self, applied: AppliedWrite) -> str:
        """Return why the gate of flags may not have been asked about this write."""
        entry = applied.write.entry
        history = self.histories[entry.item]
        if entry.person == SYSTEM:
            return _BY_SYSTEM
        if applied.is_scheduled:
            return _SCHEDULED
        if not history.is_listed and not history.is_deleted:
            return _HIDDEN
        if _changes_only_holdout(applied.write) and any(
            user == entry.user_id and abs(at - entry.at) <= APART for user, at in self._holdouts
        ):
            return _WITH_HOLDOUT
        return ""

    def count_missing_creations(self, since: datetime) -> int:
        """Count the flags that were created in the window and have no such entry."""
        missing = 0
        for id_, flag in self._read.flags.items():
            created = parse_time(flag.payload.get("created_at"))
            is_logged = id_ in self.histories and self.histories[id_].is_created
            missing += created is not None and created >= since and not is_logged
        return missing

    def count_changed_policies(self, since: datetime) -> int:
        """Count the live policies that were created or changed in the window."""
        return sum(
            1
            for address, resource in self._read.live.resources.items()
            if address.kind == POLICY
            and (changed := parse_time(resource.payload.get("updated_at"))) is not None
            and changed >= since
        )


def _changes_only_holdout(write: FlagWrite) -> bool:
    """Return whether a write changed nothing but the flag's part in a holdout."""
    if write.before is None or set(write.after) != {"filters"} or "filters" not in write.before:
        return False
    was, now = write.before["filters"], write.after["filters"]
    names_ = (was.keys() | now.keys()) - {"holdout"}
    return all(was.get(name) == now.get(name) for name in names_)
