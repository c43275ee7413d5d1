"""Resume a saved plan: `apply PLANFILE`.

The plan is evidence, not an order. Files, base and the few objects that the plan concerns are
compared again, and only what is still as the plan says is applied.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Final

from reconciler import __version__
from reconciler.config import loaded as config_loaded
from reconciler.errors import GuardrailError
from reconciler.files import excerpts
from reconciler.kinds import KINDS, READ
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access, refresh
from reconciler.live import references as live_references
from reconciler.live.refresh import Place, WantedObject
from reconciler.model import (
    ID,
    Action,
    Address,
    Change,
    Declared,
    Finding,
    Live,
    Plan,
    PlanSnapshot,
    Reference,
    Schedules,
    iterate_values,
    parse_id,
    shorten_commit,
)
from reconciler.model.units import format_time
from reconciler.operations import drift, plan, started_commits
from reconciler.operations.policy_history import History
from reconciler.plan import links, planner, schedules
from reconciler.plan.approvals import forecast
from reconciler.plan.diff import references, secrets, three_way
from reconciler.plan.guardrails import checks, deletes
from reconciler.plan.ordering import changes as ordering_changes
from reconciler.plan.planner import Comparison
from reconciler.plan.saved import compare, findings, gates, snapshot
from reconciler.plan.selection import PlanOptions
from reconciler.plan.weakening import effects
from reconciler.planfile.codec import Saved
from reconciler.posthog.client import Reader

Pins = Mapping[Address, str]
_PLACE: Final = attrgetter("sort_key")
_AGAIN: Final = "make the plan again and look at it"
_MAKE_AGAIN: Final = "make the plan again: reconciler plan --out FILE"


@dataclass(frozen=True, slots=True)
class PlannedFiles:
    """What the checked-out files and the base say, put into the projects of that time."""

    desired: Declared
    base: Declared | None


def check_applies(saved: Saved, target: str, host: str) -> None:
    """Refuse a plan of a newer program, or for another target or host. Contacts nobody."""
    if _parse_version(saved.tool_version) > _parse_version(__version__):
        raise GuardrailError(
            f"this plan was made by reconciler {saved.tool_version}",
            why=f"this is {__version__}, and may read parts of it differently",
            fix=f"apply it with that version, or {_MAKE_AGAIN}",
        )
    if saved.target != target:
        raise GuardrailError(
            f"this plan was made for the target {saved.target}",
            why=f"this run is for {target}",
            fix=f"reconciler --target {saved.target} apply …, or {_MAKE_AGAIN}",
        )
    if saved.host != host:
        raise GuardrailError(
            f"this plan was made for another host: {saved.host}",
            why=f"this run is for {host}",
            fix=f"apply it to that host, or {_MAKE_AGAIN}",
        )


def _parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, to compare; what is not a version is newer than all."""
    numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)([a-z.+-].*)?", text, re.ASCII)
    return tuple(int(number) for number in numbers.groups()[:3]) if numbers else (2**31,)


def expand_files(
    saved: Saved, loaded: config_loaded.Loaded, base: config_loaded.Loaded | None
) -> PlannedFiles:
    """Return the files that a plan is about; GuardrailError if they are others."""
    basis = _basis(saved)
    names = basis.project_names
    desired = config_loaded.expand_templates(loaded, names)
    check_digest(saved, desired)
    return PlannedFiles(desired, config_loaded.expand_base(base, names)[0])


def check_digest(saved: Saved, desired: Declared) -> None:
    """Refuse a plan that was made from other files; GuardrailError."""
    basis = _basis(saved)
    if snapshot.compute_digest(desired) != saved.desired_digest:
        commit = shorten_commit(basis.commit or "")
        origin = f" (it was made from commit {commit})" if commit else ""
        raise GuardrailError(
            f"this plan was made for another configuration{origin}",
            why="the files that are checked out declare something else",
            fix=f"check out what it was made from, or {_AGAIN}",
        )


def _basis(saved: Saved) -> PlanSnapshot:
    if saved.basis is None:
        raise GuardrailError(
            "this document can be shown, and not applied",
            why="it does not say what it was made from: it is a report, not a plan",
            fix="make a plan: reconciler plan --out FILE",
        )
    return saved.basis


def resume(
    reader: Reader,
    saved: Saved,
    files: PlannedFiles,
    options: PlanOptions,
    history: History | None = None,
) -> tuple[Plan, plan.World]:
    """Return what of a plan can be applied now, and the few things that were read to know it.

    Findings say what cannot, object by object; the guardrails are checked again.
    """
    seen, compared = _observe(reader, saved, files, options)
    live = seen.live
    edges, unresolved = references.resolve_names(compared.picked, files.desired, live)
    now = compare.PresentState(compared.changes, live, (*compared.problems, *unresolved))
    parts = compare.compare_plan(saved, now)
    todo = three_way.resolve_conflicts(parts.todo, options.prefer)
    last = effects.find_gate_effects(todo, live).list_last()
    todo = forecast.forecast_gates(todo, live, live.rejections, last=last)
    refusals = [
        *findings.report_changed_objects(
            parts.changed, dict(_find_authors(reader, live, parts.changed))
        ),
        *gates.find_weaker_gates(saved, todo, live),
    ]
    everything = (*todo, *(item.change for item in parts.changed))
    changes, cycles = ordering_changes.order_changes(
        everything, edges, effects.find_gate_effects(everything, live), live
    )
    stopped = {item.address for item in refusals if item.address}
    refusals += findings.report_dependants(changes, saved.writes, stopped)
    limits = _adjust_limits(options, saved, files, todo)
    begun = started_commits.find_started_commits(
        reader, compared, files.desired, live, history=history, projects=_basis(saved).project_names
    )
    guards = checks.find_refusals(
        todo, live, limits, desired=files.desired, base=files.base, started=begun
    )
    new_findings = (*cycles, *refusals, *guards)
    kept = _keep_findings(saved, new_findings)
    lineage = history.lineage if history is not None else None
    seen = replace(seen, reads=reader.reads, lineage=lineage)
    planned = replace(
        saved,
        changes=(*_keep_schedules(changes, saved), *_list_settled(saved, parts.done)),
        findings=tuple(sorted((*kept, *map(excerpts.attach_excerpt, new_findings)), key=_PLACE)),
        requests=plan.estimate_requests(seen, sum(c.action is not Action.NONE for c in todo)),
        change_requests=links.list_change_requests(todo, live),
        basis=None,
    )
    return links.add_links(planned, live, saved.host), seen


def _keep_findings(saved: Saved, new_findings: Collection[Finding]) -> Iterator[Finding]:
    """Yield the findings of the plan, except those of guardrails and those found again."""
    repeated = set(map(_subject, new_findings))
    for finding in saved.findings:
        if finding.code not in checks.CODES and _subject(finding) not in repeated:
            yield finding


def _subject(finding: Finding) -> tuple[object, ...]:
    """Return what a finding is about: it is not repeated where it is found again."""
    return finding.code, finding.address or finding.source


# --- looking again ---


def _observe(
    reader: Reader, saved: Saved, files: PlannedFiles, options: PlanOptions
) -> tuple[plan.World, Comparison]:
    """Read the objects of the plan as they are, then the gates of what is still to be done."""
    directory = key_access.read_directory(reader)
    pins = plan.find_pins(files.desired, directory)
    _check_scopes(saved, directory, pins)
    counts = dict(_read_counts(saved))
    named = _References(saved, files)
    live = refresh.read_again(
        reader,
        directory,
        _list_wanted(saved, files, named),
        whole=named.places(),
        counts=counts,
        pins=pins,
    )
    touched = frozenset(item.address for item in saved.writes)
    chosen = replace(options, select=(), exclude=(), prefer=_basis(saved).prefer, only=touched)
    compared = planner.compare_resources(
        desired=files.desired, base=files.base, live=live, options=chosen
    )
    live = replace(live, schedules=_read_schedules(saved))
    gated = planner.find_gated_projects(compared)
    if gated or options.prune:  # who prunes must know who they are
        live = plan.read_gates(reader, live, directory, gated, pins)
        live = replace(live, rejections=tuple(plan.active_rejections(live, files.desired)))
        compared = planner.compare_resources(
            desired=files.desired, base=files.base, live=live, options=chosen, before=compared
        )
    live = replace(live, counts={p: n for p, n in counts.items() if p not in live.listed})
    seen = plan.World(files.desired, files.base, live, reader.reads, reader.rate_limit)
    return seen, replace(compared, live=live)


def _read_schedules(saved: Saved) -> Schedules:
    """Return the scheduled changes that the plan has seen: their requests are not cancelled."""
    return {
        (change.address.parts[:-1], change.live_id): change.scheduled
        for change in saved.changes
        if change.live_id is not None and change.scheduled
    }


def _keep_schedules(changes: tuple[Change, ...], saved: Saved) -> Iterator[Change]:
    """Yield the masked changes, with the scheduled ones of the plan and its warnings about them."""
    planned = {change.address: change for change in saved.changes if change.scheduled}
    for change in map(secrets.mask_hidden, changes):
        row = planned.get(change.address)
        if row is None:
            yield change
            continue
        warnings = (*change.warnings, *filter(schedules.is_warning, row.warnings))
        yield replace(change, scheduled=row.scheduled, warnings=warnings)


class _References:
    """What the changes of a plan refer to, now and when it was made."""

    def __init__(self, saved: Saved, files: PlannedFiles) -> None:
        self._writes = saved.writes
        self._before = {
            Address.parse(address.address): address.spec for address in _basis(saved).before
        }
        self._sides = [side.resources for side in (files.desired, files.base) if side is not None]

    def places(self) -> set[Place]:
        """Return the collections to list where they are named: people, roles, cohorts, holdouts."""
        return {
            reference.place(address.address)
            for address in self._writes
            for reference in KINDS[address.address.kind].references
            if not reference.takes_ids
            or (not _is_searched(reference) and any(self._named(address.address, reference)))
        }

    def objects(self) -> Iterator[WantedObject]:
        """Return the flags that conditions refer to, by key, by id, or by what may be either."""
        for address in self._writes:
            for reference in KINDS[address.address.kind].references:
                if not reference.takes_ids or not _is_searched(reference):
                    continue
                for name in self._named(address.address, reference):
                    target, id_ = (
                        reference.target(address.address, name),
                        parse_id(name, digits=True),
                    )
                    if id_ is not None:
                        yield WantedObject(target, id_)
                    if not name.startswith(ID):
                        yield WantedObject(target)

    def _named(self, address: Address, reference: Reference) -> set[str]:
        specs = [side[address].spec for side in self._sides if address in side]
        specs.append(self._before.get(address, {}))
        return {str(name) for spec in specs for _, name in iterate_values(spec, reference.path)}


def _list_wanted(saved: Saved, files: PlannedFiles, named: _References) -> list[WantedObject]:
    """List the objects to read: those that the plan writes, and those that they refer to."""
    written = [item.address for item in saved.writes]
    detailed = live_references.list_detailed(written, files.desired, files.base)
    own = {
        item.address: WantedObject(item.address, item.live_id, item.address in detailed)
        for item in saved.writes
    }
    referred = dict.fromkeys(item for item in named.objects() if item.address not in own)
    return [*referred, *own.values()]


def _is_searched(reference: Reference) -> bool:
    """Return whether the named object can be read without a listing of its collection."""
    return READ[reference.kind].search is not None


def _read_counts(saved: Saved) -> Iterator[tuple[Place, int]]:
    """Yield how many objects there were, by collection."""
    for name, number in _basis(saved).live.items():
        if "/" in name:
            address = Address.parse(name)
            yield (address.kind, address.parts), number
        else:
            yield (name, ()), number


def _check_scopes(saved: Saved, directory: key_access.Directory, pins: Pins) -> None:
    """Refuse a plan whose organizations or projects have other ids by now."""
    going = {change.address for change in saved.writes if change.action is Action.DELETE}
    live_ids = {
        change.address: change.live_id for change in saved.writes if change.live_id is not None
    }
    for scope in sorted(
        {change.address.parts[:-1] for change in saved.writes if change.address.parts[1:]}
    ):
        place = _basis(saved).organizations.get(scope[0])
        if place is None:
            continue  # the plan itself makes it
        current_ids = [str(payload["id"]) for payload in directory.organizations.get(scope[0], ())]
        _same(Address("Organization", scope[:1]), (place.id,), current_ids, going)
        for name in scope[1:]:
            project = Address("Project", scope)
            was = place.projects.get(name, ()) or [
                id_ for a, id_ in live_ids.items() if a == project
            ]
            ids = directory.projects.get(scope[0], {}).get(name, ())
            _same(project, was, (pins[project],) if project in pins else ids, going)


def _same(
    address: Address, was: Collection[str], now: Collection[str], going: Collection[Address]
) -> None:
    if not was or set(was) == set(now) or (not now and address in going):
        return
    today = f"now it has {', '.join(now)}" if now else "it is not there any more"
    raise GuardrailError(
        f"this plan was made for another {address.kind.lower()}",
        why=f"{address} had the id {', '.join(was)}, and {today}",
        fix=_AGAIN,
    )


# --- what is done with it ---


def _find_authors(
    reader: Reader, live: Live, changed: Collection[compare.ChangedObject]
) -> Iterator[tuple[tuple[Address, str], str]]:
    """Yield who changed what, from the activity log; read only where something has changed."""
    looked = [_make_drift(item) for item in changed if item.fields or item.there is None]
    if not looked:
        return
    for address, history in drift.read_histories(reader, live, looked).items():
        for path, event in history.events.items():
            if event.entry.person is not None and event.fits:
                yield (address, path), f"{event.entry.person} on {format_time(event.entry.written)}"


def _make_drift(item: compare.ChangedObject) -> Change:
    """Return what the log is searched for: changed fields, or the deleted object."""
    action = Action.CREATE if item.there is None else Action.UPDATE
    return Change(item.change.address, action, item.fields, before=item.there)


def _adjust_limits(
    options: PlanOptions, saved: Saved, files: PlannedFiles, todo: tuple[Change, ...]
) -> checks.GuardrailLimits:
    """Let `--confirm-deletes` with the number of the plan also cover what is left of them."""
    limits = options.limits
    doomed = [change.address for change in saved.writes if change.action is Action.DELETE]
    planned = sum(address not in files.desired.resources for address in doomed)
    if limits.on_deletes.confirmed != planned:
        return limits
    left = len(deletes.select_implied(todo))
    return replace(limits, on_deletes=replace(limits.on_deletes, confirmed=left))


def _list_settled(saved: Saved, done: Collection[Address]) -> Iterator[Change]:
    """Yield rows without a write: what was as it should be, and what is by now."""
    yield from (change for change in saved.changes if change.action is Action.NONE)
    writes = {change.address: change for change in saved.writes}
    for address in done:
        change = writes[address]
        yield Change(address, Action.NONE, live_id=change.live_id, source=change.source)
