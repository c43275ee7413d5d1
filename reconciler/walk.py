"""The hall: observe, plan, apply, drift. The only module that knows all the rooms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from reconciler import live as live_room
from reconciler.apply import executor
from reconciler.apply.journal import Journal
from reconciler.apply.names import Names
from reconciler.apply.progress import Tools
from reconciler.basis import Basis
from reconciler.config import excerpt, git, live_checks, loader, templates, writer_choice
from reconciler.config.base import Base
from reconciler.drift import attribution, findings, holds, window
from reconciler.drift.approvals import Approvals
from reconciler.drift.trails import Trails
from reconciler.errors import ApiError, AuthenticationError
from reconciler.evidence import Gap, Hold
from reconciler.live import history, naming
from reconciler.model import (
    Address,
    Change,
    ChangeRequest,
    Declared,
    Finding,
    Live,
    Outcome,
    Payload,
    Plan,
    Requests,
    Resource,
)
from reconciler.plan import (
    build,
    drifting,
    footing,
    gate_past,
    ignored,
    intent,
    lookup,
    pages,
    reach,
    references,
    selection,
    three_way,
)
from reconciler.plan.build import Options
from reconciler.posthog.client import Reader, Writer


@dataclass(frozen=True, slots=True)
class World:
    """What was read once, at one moment, and is never read again."""

    desired: Declared
    base: Declared | None
    live: Live
    reads: int  # GET requests that reading it took
    said: tuple[Finding, ...] = ()  # why there is no base, though a commit was found
    compared: build.Comparison | None = None  # with `live` as it was before gates were read


def observe(
    reader: Reader, loaded: loader.Loaded, options: Options, base: loader.Loaded | None = None
) -> World:
    """Read the live side of what the files declare. All that planning may look at.

    Policies and open change requests are read only where a gated kind is about to change: a
    clean plan costs one listing of organizations and the declared collections, nothing else.
    """
    before = reader.reads
    directory = live_room.directory(reader)
    names = directory.project_names()
    desired = loader.expand(loaded, names)
    based, said = loader.expand_base(base, names)
    build.check(desired, options)
    wanted = set(build.pick(desired, options).resources)
    if based is not None:
        wanted |= set(build.pick(based, options).resources)
    live = live_room.read(reader, directory, wanted, pins(desired, directory))
    compared = build.compare(desired=desired, base=based, live=live, options=options)
    if asked := build.gated_projects(compared, desired):
        live = live_room.read_gates(reader, live, directory, asked, pins(desired, directory))
        live = replace(live, rejections=tuple(standing(live, desired)))
    return World(desired, based, live, reader.reads - before, said, compared)


def pins(desired: Declared, directory: live_room.Directory) -> dict[Address, str]:
    """Addresses whose live id is not that of their name: `metadata.id`, and renamed projects."""
    found = {a: r.id for a, r in desired.resources.items() if r.id is not None}
    for address, resource in desired.resources.items():
        old = resource.lifecycle.renamed_from
        if address.kind != "Project" or old is None or address in found:
            continue
        projects = directory.projects.get(address.organization, {})
        if address.name not in projects and len(projects.get(old, ())) == 1:
            found[address] = projects[old][0]
    return found


def standing(live: Live, desired: Declared) -> Iterator[ChangeRequest]:
    """Rejections that still hold: nobody is asked again until the document moves in git.

    What its own requester took back is no rejection. Outside git every rejection stands.
    """
    me = live.me.id if live.me is not None else None
    for request in live.rejections:
        votes = request.payload.get("approvals") or ()
        against = [vote for vote in votes if vote.get("decision") == "rejected"]
        voters = {(vote.get("created_by") or {}).get("id") for vote in against}
        if me is not None and request.requester_id == me and voters == {me}:
            continue
        at = max((str(vote.get("created_at")) for vote in against), default="")
        address = Address("FeatureFlag", (request.organization, request.project, request.flag_key))
        resource = desired.resources.get(address)
        if resource is None or not _committed_after(resource, at):
            yield request


def _committed_after(resource: Resource, at: str) -> bool:
    """Whether the document's file was committed after a time of the server."""
    if resource.source is None or not at:
        return False
    file = Path.cwd() / resource.source.file
    if git.root(file) is None:
        return False
    touch = git.last_commit_touching(file, cwd=file)
    if touch is None:
        return False
    return datetime.fromisoformat(touch.at) > datetime.fromisoformat(at)


def plan(
    world: World,
    options: Options,
    *,
    target: str,
    host: str,
    created_at: str,
    excerpts: bool = True,
    base: Base | None = None,
    said: tuple[Finding, ...] = (),
    basis: Basis | None = None,
) -> Plan:
    """What apply would do, and why.

    `excerpts` quotes lines of the working tree; not for what was read from a commit. `said` are
    findings from before the plan, such as a base that cannot be read. With `basis`, which says
    what was asked for, the plan can be saved and applied later.
    """
    made = build.build(
        desired=world.desired,
        base=world.base,
        live=world.live,
        options=options,
        compared=world.compared,
    )
    made = pages.linked(made, world.live, host)
    return replace(
        made,
        target=target,
        host=host,
        created_at=created_at,
        base_ref=base.ref if base is not None and world.base is not None else None,
        base_commit=base.commit if base is not None and world.base is not None else None,
        desired_digest=footing.digest(world.desired),
        findings=(
            *said,
            *world.said,
            *(map(excerpt.attach, made.findings) if excerpts else made.findings),
        ),
        requests=Requests(world.reads, made.requests.expected_writes),
        basis=footing.of(made.changes, world.desired, world.live, basis) if basis else None,
    )


def apply(
    made: Plan,
    world: World,
    writer: Writer,
    journal: Journal,
    *,
    options: executor.Options,
) -> Iterator[Outcome]:
    """Carry the plan out. `world` is what it was made from."""
    names = Names(world.live)
    for change in made.changes:
        if change.live_id is not None:  # also of what is renamed, and of one among namesakes
            names.learn(change.address, change.live_id)
    tools = Tools(writer, journal, names, _same_intent, request_url(made.host, names))
    yield from executor.execute(made, tools, options)


def _same_intent(payload: Payload, change: Change, seen: Payload | None) -> bool:
    """Whether a change request proposes what the change wants of the flag as last seen."""
    request = naming.change_request(payload, *change.address.parts[:2])
    there = change.before
    if there is not None and seen is not None:
        there = replace(there, payload=seen)
    return intent.same_intent(request, change, there)


def request_url(host: str, names: Names) -> Callable[[Address, str], str]:
    """Where a person opens a change request in PostHog."""

    def url(address: Address, request: str) -> str:
        return f"{host}/project/{names.scope_ids(address)['project']}/approvals/{request}"

    return url


@dataclass(frozen=True, slots=True)
class Sight:
    """How drift is looked at: since when, what is held, and how people are named."""

    since_s: float | None = None  # seconds back from the server's own clock
    holds: tuple[Hold, ...] = ()
    identities: str = "full"
    only: tuple[str, ...] = ()  # ways in which it came to be; empty: all


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found: the plan that would undo all of it, and the report of it."""

    world: World
    plan: Plan
    report: Plan


def drift(
    reader: Reader,
    head: loader.Loaded,
    options: Options,
    *,
    target: str,
    host: str,
    now: datetime,
    base: Base,
    sight: Sight,
) -> Drift:
    """What differs between the files at a commit and the live side, and who moved it.

    The plan's engine, no other. The log is asked only where something has drifted.
    """
    world = observe(reader, head, options, base=head)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    made = plan(
        world, options, target=target, host=host, created_at=stamp, excerpts=False, base=base
    )
    seen = drifting.report(made, world.desired)
    seen = replace(seen, ignored=tuple(ignored.find(world.desired, world.live, options)))
    if seen.writes:
        seen = _attributed(reader, world, seen, sight, now)
    seen = replace(
        seen,
        changes=holds.held(seen.changes, sight.holds, now, selection.matches),
        findings=(*seen.findings, *findings.over(sight.holds, now)),
        requests=replace(seen.requests, reads=reader.reads),
    )
    return Drift(world, made, seen)


def _attributed(reader: Reader, world: World, made: Plan, sight: Sight, now: datetime) -> Plan:
    """Drift with a name, as far as the log, the requests and the policies tell."""
    since = None
    if sight.since_s is not None:  # entries carry the server's time, so that is what counts
        since = now + timedelta(seconds=(reader.clock_skew_s or 0.0) - sight.since_s)
    spell = naming.speller(world.live)
    trails = Trails(made.writes, spell)
    gaps = tuple(_log(reader, world.live, trails, since))
    requests, blind = history.applied(reader, world.live, trails.gated())
    evidence = attribution.Evidence(
        trails.of,
        Approvals(requests, spell),
        gate_past.Witness(world.live, world.desired).cover,
        {gap.organization: gap.what for gap in gaps},
        blind,
        pages.of_requests(requests, world.live, made.host),
        sight.identities,
    )
    changes, older, others = attribution.attributed(made.changes, evidence), 0, 0
    if since is not None:
        changes, older = window.since(changes, since)
    if sight.only:
        changes, others = window.only(changes, sight.only)
    left_out = (*findings.older(older, since), *findings.others(others))
    said = (*made.findings, *map(findings.gap, gaps), *left_out)
    return replace(made, changes=changes, findings=said)


def _log(reader: Reader, live: Live, trails: Trails, since: datetime | None) -> Iterator[Gap]:
    """Ask the log until every drifted field is explained; what cannot be read is returned.

    With a window first what is in it, then what is before: only so is old told from unknown.
    """
    logs: dict[str, history.Log] = {}
    for asked in trails.asked():
        slug = asked.question.organization
        log = logs.setdefault(slug, history.Log(reader, live, slug))
        for start, end in ((None, None),) if since is None else ((since, None), (None, since)):
            for entry in log.entries(asked.question, since=start, until=end):
                trails.take(entry, log.projects)
                if asked.done:
                    break
            if asked.done:
                break
    for log in logs.values():
        yield from log.gaps


def validate(reader: Reader, loaded: loader.Loaded, options: Options) -> tuple[Finding, ...]:
    """What only the live side can say about the files: names, approvers, plan, scopes."""
    directory = live_room.directory(reader)
    names = directory.project_names()
    desired = build.pick(loader.expand(loaded, names), options)
    pinned = pins(desired, directory)
    live = live_room.read(reader, directory, desired.resources.keys(), pinned)
    live = live_room.read_gates(reader, live, directory, (), pinned)  # who the key acts as
    seen = reach.look(desired, live)
    found = live_checks.findings(
        desired,
        live,
        unresolved=seen.unresolved,
        obstacles=seen.obstacles,
        scopes=key_scopes(reader),
        templates=[
            (one, templates.project_names(one.organization, loaded.declared, names))
            for one in loaded.templates
            if one.organization in names
        ],
    )
    return tuple(excerpt.attach(finding) for finding in found)


def key_scopes(reader: Reader) -> frozenset[str] | None:
    """What the key may do, where the server tells; None elsewhere."""
    try:
        key = reader.get("/api/personal_api_keys/@current/")
    except AuthenticationError:
        raise
    except ApiError:
        return None
    scopes = key.get("scopes") if isinstance(key, dict) else None
    return frozenset(map(str, scopes)) if isinstance(scopes, list) and scopes else None


def journal_path(folder: Path, stamp: str) -> Path:
    """`.reconciler/runs/<time>.jsonl` below the configuration's folder."""
    return folder / ".reconciler" / "runs" / f"{stamp}.jsonl"


def pull(
    reader: Reader, loaded: loader.Loaded, choice: writer_choice.Choice
) -> writer_choice.Pulled:
    """Everything live that `choice` asks for, and the documents that stand for it already."""
    directory = live_room.directory(reader)
    choice.check(directory.projects)
    whole = loader.expand(loaded, directory.project_names())
    picked = {a: r for a, r in whole.resources.items() if choice.covers(a)}
    ids = {
        Address("Project", (slug, name)): writer_choice.first(found)
        for slug, projects in directory.projects.items()
        for name, found in projects.items()
    }
    ids |= pins(whole, directory)
    asked = {*choice.addresses(directory.projects), *picked}
    live = live_room.read(reader, directory, asked, ids)
    closed = {(gap.kind, gap.scope) for gap in live.unreadable}
    pulled = writer_choice.Pulled(unreadable=live.unreadable)
    found, known = lookup.Lookup(live), set()
    spelled = references.spelled(replace(whole, resources=picked), live).resources
    for address, resource in picked.items():
        there = found.candidates(resource)
        if len(there) > 1:
            chosen = writer_choice.first(one.id for one in there)
            there = tuple(one for one in there if one.id == chosen)
        known |= {id(one) for one in there}
        if (address.kind, address.parts[:-1]) in closed or resource.lifecycle.absent:
            continue
        if not there:
            pulled.missing.append(resource)
            continue
        change = three_way.change(spelled[address], None, there[0])
        if address in loaded.declared.resources:
            pulled.declared(resource, there[0], change, is_one=there[0].address not in live.twins)
        else:
            pulled.templated(resource, change)
    pulled.others(live, choice, known)
    return pulled
