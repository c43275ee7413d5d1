"""The main steps of the commands: observe, plan, apply, validate.

The rooms do not know each other. It brings them together, with what is built on it (`watch`,
`resume`, `adopt`) and what it hands to `apply` (`counsel`, `voters`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path

from reconciler.config import loaded as config_loaded
from reconciler.config.lineage import Lineage
from reconciler.files import excerpts as files_excerpts
from reconciler.git import blame, repository
from reconciler.git.applied_ref import Base
from reconciler.live import key_access
from reconciler.live import reader as live_reader
from reconciler.model import (
    Address,
    ChangeRequest,
    Declared,
    Finding,
    Live,
    Plan,
    PlanSnapshot,
    Requests,
    Source,
    instant,
)
from reconciler.operations import policy_history, self_approval
from reconciler.plan import links, planner, selection
from reconciler.plan.diff import references
from reconciler.plan.evasion import incremental
from reconciler.plan.saved import snapshot
from reconciler.plan.selection import Options
from reconciler.plan.weakening.partial_apply import Begun
from reconciler.posthog.client import Reader
from reconciler.posthog.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class World:
    """What was read once, at one moment, and is never read again."""

    desired: Declared
    base: Declared | None
    live: Live
    reads: int  # GET requests that reading it took
    pace: RateLimit  # what the server allows whoever writes to it
    said: tuple[Finding, ...] = ()  # why there is no base, though a commit was found
    compared: planner.Comparison | None = None  # with `live` as it was before gates were read
    past: tuple[Declared, ...] = ()  # what the files said at the last commits, where it matters
    lineage: Lineage | None = None  # who wrote what they say
    begun: Begun | None = None  # what they said since the base, where a gate would get weaker


# What the files said at the last commits, oldest first: of documents with one of these words in
# them, or of all.
Past = Callable[[Collection[str] | None], Sequence[config_loaded.Loaded]]


def observe(
    reader: Reader,
    loaded: config_loaded.Loaded,
    options: Options,
    base: config_loaded.Loaded | None = None,
    past: Past | None = None,
    *,
    since: policy_history.Since | None = None,
) -> World:
    """Read the live side of what the files declare. All that planning may look at.

    Policies and open change requests are read only where a gated kind is about to change: a
    clean plan costs one listing of organizations and the declared collections, nothing else.
    """
    before = reader.reads
    directory = key_access.directory(reader)
    names = directory.project_names()
    desired = config_loaded.expand(loaded, names)
    based, said = config_loaded.expand_base(base, names)
    wanted = selection.concerned(desired, based, options)
    live = live_reader.read(
        reader,
        directory,
        wanted,
        pins(desired, directory),
        named=references.list_id_references(wanted, desired, based),
    )
    compared = planner.compare(desired=desired, base=based, live=live, options=options)
    asked = planner.gated_projects(compared)
    if asked or options.prune or planner.needs_me(compared):  # who prunes must know who they are
        renamed = pins(desired, directory)
        live = live_reader.read_gates(
            reader, live, directory, asked.written, renamed, watched=asked.watched
        )
        live = replace(live, rejections=tuple(active_rejections(live, desired)))
    told: tuple[Declared, ...] = ()
    if past is not None and (steps := incremental.wanted(compared.changes, live)):
        told = tuple(steps.cut(config_loaded.expand(one, names)) for one in past(steps.names))
    begun = policy_history.look(reader, compared, desired, live, since=since, names=names)
    reads = reader.reads - before
    return World(desired, based, live, reads, reader.rate_limit, said, compared, told, begun=begun)


def pins(desired: Declared, directory: key_access.Directory) -> dict[Address, str]:
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


def active_rejections(live: Live, desired: Declared) -> Iterator[ChangeRequest]:
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
    return _is_later(blame.written_at(source.file, source.line, cwd=Path.cwd()), moment)


def _is_later(at: str | None, moment: datetime) -> bool:
    found = instant(at)
    return found is not None and found > moment


def _last_commit(file: str) -> str | None:
    """When a file was committed last; None outside git, or if it never was."""
    path = Path.cwd() / file
    if repository.root(path) is None:
        return None
    touch = repository.last_commit_touching(path, cwd=path)
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
    basis: PlanSnapshot | None = None,
    digested: bool = True,
) -> Plan:
    """What apply would do, and why.

    `excerpts` quotes lines of the working tree; not for what was read from a commit. `said` are
    findings from before the plan, such as a base that cannot be read. With `basis`, which says
    what was asked for, the plan can be saved and applied later. A digest of everything declared
    takes a while; who does not show it does without.
    """
    made = planner.build_plan(
        desired=world.desired,
        base=world.base,
        live=world.live,
        options=options,
        compared=world.compared,
        past=world.past,
        begun=world.begun,
    )
    asked = (*world.live.change_requests, *world.live.rejections)
    made = links.linked(made, world.live, host)
    return replace(
        made,
        target=target,
        host=host,
        created_at=created_at,
        base_ref=base.ref if base is not None and world.base is not None else None,
        base_commit=base.commit if base is not None and world.base is not None else None,
        desired_digest=snapshot.digest(world.desired) if digested else "",
        findings=(
            *said,
            *world.said,
            *(map(files_excerpts.attach, made.findings) if excerpts else made.findings),
            *_voters(world, created_at).findings(asked),
        ),
        requests=cost(world, made.requests.expected_writes),
        basis=snapshot.of(made.changes, world.desired, world.live, basis) if basis else None,
    )


def cost(world: World, writes: int) -> Requests:
    """What was read so far, and what so many writes will take; reads between them come on top."""
    return Requests(world.reads, writes, world.pace.seconds(writes))


def _voters(world: World, created_at: str) -> self_approval.SelfApprovalCheck:
    now = instant(created_at)
    return self_approval.SelfApprovalCheck(
        world.desired, world.base, world.live, world.lineage, now
    )


def looked_back(reader: Reader, made: Plan, world: World) -> Plan:
    """The plan, with what is to be said of approvals since the base: who approved their own."""
    found = tuple(_voters(world, made.created_at).applied(reader, made))
    return replace(made, findings=(*made.findings, *found)) if found else made
