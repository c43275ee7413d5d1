"""The main steps of the commands: observe, plan, apply, validate.

The rooms do not know each other. It brings them together, with what is built on it (`watch`,
`resume`, `adopt`) and what it hands to `apply` (`counsel`, `voters`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import live as live_room
from reconciler.basis import Basis
from reconciler.config import authors, excerpt, git, loader, templates
from reconciler.config.base import Base
from reconciler.errors import ApiError, AuthenticationError
from reconciler.kind import instant
from reconciler.model import (
    Address,
    ChangeRequest,
    Declared,
    Finding,
    Live,
    Outcome,
    Plan,
    Requests,
)
from reconciler.plan import (
    build,
    evasion_history,
    footing,
    pages,
    reach,
    references,
)
from reconciler.plan.build import Options
from reconciler.plan.partial_apply import Begun
from reconciler.posthog.client import Reader, Writer
from reconciler.posthog.pacing import RateLimit
from reconciler.source import Source
from reconciler.walk import policy_history, voters

if TYPE_CHECKING:  # what most commands do without is imported where it is needed
    from reconciler.apply import executor
    from reconciler.apply.journal import Journal
    from reconciler.apply.names import Names
    from reconciler.config.lineage import Lineage


@dataclass(frozen=True, slots=True)
class World:
    """What was read once, at one moment, and is never read again."""

    desired: Declared
    base: Declared | None
    live: Live
    reads: int  # GET requests that reading it took
    pace: RateLimit  # what the server allows whoever writes to it
    said: tuple[Finding, ...] = ()  # why there is no base, though a commit was found
    compared: build.Comparison | None = None  # with `live` as it was before gates were read
    past: tuple[Declared, ...] = ()  # what the files said at the last commits, where it matters
    lineage: "Lineage | None" = None  # who wrote what they say
    begun: Begun | None = None  # what they said since the base, where a gate would get weaker


# What the files said at the last commits, oldest first: of documents with one of these words in
# them, or of all.
Past = Callable[[Collection[str] | None], Sequence[loader.Loaded]]


def observe(
    reader: Reader,
    loaded: loader.Loaded,
    options: Options,
    base: loader.Loaded | None = None,
    past: Past | None = None,
    *,
    since: policy_history.Since | None = None,
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
    wanted = build.concerned(desired, based, options)
    live = live_room.read(
        reader,
        directory,
        wanted,
        pins(desired, directory),
        named=references.conditions(wanted, desired, based),
    )
    compared = build.compare(desired=desired, base=based, live=live, options=options)
    asked = build.gated_projects(compared)
    if asked or options.prune or build.needs_me(compared):  # who prunes must know who they are
        renamed = pins(desired, directory)
        live = live_room.read_gates(
            reader, live, directory, asked.written, renamed, watched=asked.watched
        )
        live = replace(live, rejections=tuple(standing(live, desired)))
    told: tuple[Declared, ...] = ()
    if past is not None and (steps := evasion_history.wanted(compared.changes, live)):
        told = tuple(steps.cut(loader.expand(one, names)) for one in past(steps.names))
    begun = policy_history.look(reader, compared, desired, live, since=since, names=names)
    reads = reader.reads - before
    return World(desired, based, live, reads, reader.rate_limit, said, compared, told, begun=begun)


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
    """Requests that ended unapplied and still count: until the document moves in git.

    What its own requester took back is no rejection. Outside git every one of them stands.
    """
    me = live.me.id if live.me is not None else None
    touched = cache(_last_commit)
    for request in live.rejections:
        against = [v for v in request.payload.get("approvals") or () if v["decision"] == "rejected"]
        voters = {(vote.get("created_by") or {}).get("id") for vote in against}
        if me is not None and request.requester_id == me and voters == {me}:
            continue
        ended = str(request.payload.get("updated_at") or request.expires_at)
        voted = [at for vote in against if (at := instant(vote.get("created_at"))) is not None]
        at = max(voted, default=instant(ended))
        address = Address("FeatureFlag", (request.organization, request.project, request.flag_key))
        resource = desired.resources.get(address)
        if resource is None or resource.source is None or at is None:
            yield request
            continue
        if not _moved_since(resource.source, at, touched):
            yield request


def _moved_since(source: Source, moment: datetime, touched: Callable[[str], str | None]) -> bool:
    """Whether a document was committed later; its file, which is asked once, tells most often."""
    if not _is_later(touched(source.file), moment):
        return False
    return _is_later(authors.written_at(source.file, source.line, cwd=Path.cwd()), moment)


def _is_later(at: str | None, moment: datetime) -> bool:
    found = instant(at)
    return found is not None and found > moment


def _last_commit(file: str) -> str | None:
    """When a file was committed last; None outside git, or if it never was."""
    path = Path.cwd() / file
    if git.root(path) is None:
        return None
    touch = git.last_commit_touching(path, cwd=path)
    return touch.at if touch is not None else None


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
    digested: bool = True,
) -> Plan:
    """What apply would do, and why.

    `excerpts` quotes lines of the working tree; not for what was read from a commit. `said` are
    findings from before the plan, such as a base that cannot be read. With `basis`, which says
    what was asked for, the plan can be saved and applied later. A digest of everything declared
    takes a while; who does not show it does without.
    """
    made = build.build(
        desired=world.desired,
        base=world.base,
        live=world.live,
        options=options,
        compared=world.compared,
        past=world.past,
        begun=world.begun,
    )
    asked = (*world.live.change_requests, *world.live.rejections)
    made = pages.linked(made, world.live, host)
    return replace(
        made,
        target=target,
        host=host,
        created_at=created_at,
        base_ref=base.ref if base is not None and world.base is not None else None,
        base_commit=base.commit if base is not None and world.base is not None else None,
        desired_digest=footing.digest(world.desired) if digested else "",
        findings=(
            *said,
            *world.said,
            *(map(excerpt.attach, made.findings) if excerpts else made.findings),
            *_voters(world, created_at).findings(asked),
        ),
        requests=cost(world, made.requests.expected_writes),
        basis=footing.of(made.changes, world.desired, world.live, basis) if basis else None,
    )


def cost(world: World, writes: int) -> Requests:
    """What was read so far, and what so many writes will take; reads between them come on top."""
    return Requests(world.reads, writes, world.pace.seconds(writes))


def _voters(world: World, created_at: str) -> voters.Voters:
    now = instant(created_at)
    return voters.Voters(world.desired, world.base, world.live, world.lineage, now)


def looked_back(reader: Reader, made: Plan, world: World) -> Plan:
    """The plan, with what is to be said of approvals since the base: who approved their own."""
    found = tuple(_voters(world, made.created_at).applied(reader, made))
    return replace(made, findings=(*made.findings, *found)) if found else made


def apply(
    made: Plan,
    world: World,
    writer: Writer,
    journal: "Journal",
    *,
    options: "executor.Options",
) -> Iterator[Outcome]:
    """Carry the plan out. `world` is what it was made from."""
    from reconciler.apply import executor
    from reconciler.apply.names import Names
    from reconciler.apply.progress import Tools
    from reconciler.walk import counsel

    names = Names(world.live)
    for change in made.changes:
        if change.live_id is not None:  # also of what is renamed, and of one among namesakes
            names.learn(change.address, change.live_id)
    remark = _voters(world, made.created_at).remark
    advisor = counsel.Planner(made, base=world.base, live=world.live, remark=remark)
    tools = Tools(writer, journal, names, advisor, request_url(made.host, names))
    for outcome in executor.execute(made, tools, options):
        if outcome.id is not None:
            advisor.learn(outcome.address, outcome.id)
        yield outcome


def request_url(host: str, names: "Names") -> Callable[[Address, str], str]:
    """Where a person opens a change request in PostHog."""

    def url(address: Address, request: str) -> str:
        return f"{host}/project/{names.scope_ids(address)['project']}/approvals/{request}"

    return url


def validate(reader: Reader, loaded: loader.Loaded, options: Options) -> tuple[Finding, ...]:
    """What only the live side can say about the files: names, approvers, plan, scopes."""
    from reconciler.config import live_checks

    directory = live_room.directory(reader)
    names = directory.project_names()
    desired = build.pick(loader.expand(loaded, names), options)
    pinned = pins(desired, directory)
    asked = desired.resources.keys()
    named = references.conditions(asked, desired)
    live = live_room.read(reader, directory, asked, pinned, named=named)
    live = live_room.read_gates(reader, live, directory, (), pinned)  # who the key acts as
    seen = reach.look(desired, live)
    found = live_checks.findings(
        desired,
        live,
        unresolved=seen.unresolved,
        refused=seen.refused,
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
