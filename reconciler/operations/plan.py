"""Observe what is live, then plan.

Reading files, reading PostHog and planning do not know each other: this brings them together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache

from reconciler.config import loaded as config_loaded
from reconciler.config.lineage import Lineage
from reconciler.files import excerpts as files_excerpts
from reconciler.files.run_folder import find_run_folder
from reconciler.git import blame, repository
from reconciler.git.applied_ref import Base
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.live import reader as live_reader
from reconciler.live import references as live_references
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
    parse_time,
)
from reconciler.operations import self_approval, started_commits
from reconciler.operations.inputs import Inputs
from reconciler.operations.policy_history import History
from reconciler.operations.rules import judge as rule_judge
from reconciler.operations.rules import sources as rule_sources
from reconciler.operations.rules.judge import RuleJudge
from reconciler.plan import links, planner, selection
from reconciler.plan.diff import references
from reconciler.plan.evasion import incremental
from reconciler.plan.saved import snapshot
from reconciler.plan.selection import PlanOptions
from reconciler.plan.weakening.partial_apply import StartedCommits
from reconciler.posthog.client import Reader
from reconciler.posthog.rate_limit import KeyRateLimit


@dataclass(frozen=True, slots=True)
class World:
    """What was read once, at one moment, and is never read again."""

    desired: Declared
    base: Declared | None
    live: Live
    reads: int  # GET requests that reading it took
    rate_limit: KeyRateLimit  # what the server allows for writes
    findings: tuple[Finding, ...] = ()  # why there is no base, though a commit was found
    compared: planner.Comparison | None = None  # with `live` as it was before gates were read
    past: tuple[Declared, ...] = ()  # what the files said at the last commits, where it matters
    lineage: Lineage | None = None  # who wrote what they say
    begun: StartedCommits | None = None  # what they said since the base, for weaker gates
    judge: RuleJudge | None = None  # of changes that are planned again while they are applied


def run(
    reader: Reader,
    inputs: Inputs,
    options: PlanOptions,
    *,
    findings: tuple[Finding, ...] = (),
    basis: PlanSnapshot | None = None,
    has_digest: bool = True,
) -> tuple[Plan, World]:
    """Read the live side, and plan what apply would do; see `plan`.

    Args:
        reader: a client that can read.
        inputs: what was read before.
        options: what part of it to plan, and the limits.
        findings: what else the plan has to report.
        basis: what was asked for, if the plan may be saved.
        has_digest: whether the plan needs a digest of everything declared.

    """
    world = observe(reader, inputs.loaded, options, inputs.base_loaded, history=inputs.history)
    planned = plan(
        world,
        options,
        target=inputs.target.name,
        host=reader.host,
        created_at=inputs.facts.stamp,
        base=inputs.base,
        findings=(*inputs.findings, *findings),
        basis=basis,
        has_digest=has_digest,
    )
    return judge_by_rules(planned, world, inputs)


def judge_by_rules(planned: Plan, world: World, inputs: Inputs) -> tuple[Plan, World]:
    """Return the plan with what the rules of the target say, and what judges later changes."""
    sources = rule_sources.read_sources(
        inputs.settings,
        inputs.target,
        inputs.facts,
        inputs.repository,
        own=inputs.rules,
        commit=inputs.base_commit,
        is_named=inputs.names_base,
    )
    planned, judge = rule_judge.judge_plan(planned, sources, inputs.facts.now)
    return planned, replace(world, judge=judge)


def observe(
    reader: Reader,
    loaded: config_loaded.Loaded,
    options: PlanOptions,
    base: config_loaded.Loaded | None = None,
    *,
    history: History | None = None,
) -> World:
    """Read the live side of what the files declare. All that planning may look at.

    Policies and open change requests are read only where a gated kind is about to change: a
    clean plan costs one listing of organizations and the declared collections, nothing else.
    """
    reads_before = reader.reads
    directory = key_access.read_directory(reader)
    names = directory.project_names()
    desired = config_loaded.expand_templates(loaded, names)
    base_declared, findings = config_loaded.expand_base(base, names)
    world = observe_declared(reader, directory, desired, base_declared, options, history=history)
    return replace(world, reads=reader.reads - reads_before, findings=findings)


def observe_declared(
    reader: Reader,
    directory: key_access.Directory,
    desired: Declared,
    base_declared: Declared | None,
    options: PlanOptions,
    *,
    history: History | None = None,
) -> World:
    """Read the live side of resources; `directory` has been read for them before."""
    reads_before, names = reader.reads, directory.project_names()
    wanted = selection.list_concerned(desired, base_declared, options)
    live = live_reader.read_live(
        reader,
        directory,
        wanted,
        find_pins(desired, directory),
        named=references.list_id_references(wanted, desired, base_declared),
        scheduled=True,
        detailed=live_references.list_detailed(wanted, desired, base_declared),
    )
    compared = planner.compare_resources(
        desired=desired, base=base_declared, live=live, options=options
    )
    gated = planner.find_gated_projects(compared)
    # A run that prunes must know the key's user.
    if gated or options.prune or planner.needs_key_user(compared):
        renamed = find_pins(desired, directory)
        live = read_gates(reader, live, directory, gated, renamed)
        live = replace(live, rejections=tuple(active_rejections(live, desired)))
    begun = started_commits.find_started_commits(
        reader, compared, desired, live, history=history, projects=names
    )
    return World(
        desired,
        base_declared,
        live,
        reader.reads - reads_before,
        reader.rate_limit,
        compared=compared,
        past=tuple(_read_past(history, compared, live, names)),
        lineage=history.lineage if history is not None else None,
        begun=begun,
    )


def _read_past(
    history: History | None,
    compared: planner.Comparison,
    live: Live,
    projects: Mapping[str, Sequence[str]],
) -> Iterator[Declared]:
    """Yield what the files said at the last commits, where several steps may evade a gate."""
    if history is None:
        return
    if needed := incremental.find_needed_history(compared.writes, live):
        for state in history.read_recent(needed.names):
            yield needed.restrict(config_loaded.expand_templates(state, projects))


def read_gates(
    reader: Reader,
    live: Live,
    directory: key_access.Directory,
    gated: planner.GatedProjects,
    pins: Mapping[Address, str],
) -> Live:
    """Add what decides whether the changes of these projects wait for approval."""
    return live_reader.read_gates(
        reader,
        live,
        directory,
        gated.written,
        pins,
        watched=gated.watched,
        rewriting=gated.rewriting,
        guarding=gated.guarding,
    )


def find_pins(desired: Declared, directory: key_access.Directory) -> dict[Address, str]:
    """Return the live ids that names do not say: `metadata.id`, and those of renamed projects."""
    pins: dict[Address, str] = {}
    for address, resource in desired.resources.items():
        if resource.id is not None:
            pins[address] = resource.id
        elif address.kind == "Project" and (old := resource.lifecycle.renamed_from) is not None:
            projects = directory.projects.get(address.organization, {})
            if address.name not in projects and len(projects.get(old, ())) == 1:
                pins[address] = projects[old][0]
    return pins


def active_rejections(live: Live, desired: Declared) -> Iterator[ChangeRequest]:
    """Yield requests that ended unapplied and still count: until the document changes in git.

    What its requester cancelled is not a rejection. Outside git each of them counts.
    """
    find_last_commit = cache(_find_last_commit)
    for request in live.rejections:
        against = [v for v in request.payload.get("approvals") or () if v["decision"] == "rejected"]
        voted_by = {(vote.get("created_by") or {}).get("id") for vote in against}
        if request.requester_id is not None and voted_by == {request.requester_id}:
            continue
        ended = str(request.payload.get("updated_at") or request.expires_at)
        voted = [at for vote in against if (at := parse_time(vote.get("created_at"))) is not None]
        at = max(voted, default=parse_time(ended))
        resource = desired.resources.get(request.address)
        if resource is None or resource.source is None or at is None:
            yield request
            continue
        if not _has_changed_since(resource.source, at, find_last_commit):
            yield request


def _has_changed_since(
    source: Source, moment: datetime, find_last_commit: Callable[[str], str | None]
) -> bool:
    """Return whether a document was committed later. The time of its file mostly answers it."""
    if not _is_later(find_last_commit(source.file), moment):
        return False
    at = blame.read_commit_time(source.file, source.line, cwd=find_run_folder())
    return _is_later(at, moment)


def _is_later(at: str | None, moment: datetime) -> bool:
    committed = parse_time(at)
    return committed is not None and committed > moment


def _find_last_commit(file: str) -> str | None:
    """Return when a file was committed last; None outside git, or if it never was."""
    path = find_run_folder() / file
    if repository.find_root(path) is None:
        return None
    touch = repository.find_last_commit_touching(path, cwd=path)
    return touch.at if touch is not None else None


def plan(
    world: World,
    options: PlanOptions,
    *,
    target: str,
    host: str,
    created_at: str,
    excerpts: bool = True,
    base: Base | None = None,
    findings: tuple[Finding, ...] = (),
    basis: PlanSnapshot | None = None,
    has_digest: bool = True,
) -> Plan:
    """Return what apply would do, and why.

    `excerpts` quotes lines of the working tree; not for what was read from a commit. `findings`
    are from before the plan, such as a base that cannot be read. With `basis`, which says what was
    asked for, the plan can be saved and applied later. A digest of everything declared takes a
    while: it is left out where nobody sees it.
    """
    planned = planner.build_plan(
        desired=world.desired,
        base=world.base,
        live=world.live,
        options=options,
        compared=world.compared,
        past=world.past,
        started=world.begun,
    )
    requests = (*world.live.change_requests, *world.live.rejections)
    planned = links.add_links(planned, world.live, host)
    return replace(
        planned,
        target=target,
        host=host,
        created_at=created_at,
        base_ref=base.ref if base is not None and world.base is not None else None,
        base_commit=base.commit if base is not None and world.base is not None else None,
        desired_digest=snapshot.compute_digest(world.desired) if has_digest else "",
        findings=(
            *findings,
            *world.findings,
            *(
                map(files_excerpts.attach_excerpt, planned.findings)
                if excerpts
                else planned.findings
            ),
            *check_self_approval(world, created_at).find_approved(requests),
        ),
        requests=estimate_requests(world, planned.requests.expected_writes),
        basis=snapshot.complete_snapshot(planned.changes, world.desired, world.live, basis)
        if basis
        else None,
    )


def estimate_requests(world: World, writes: int) -> Requests:
    """Return what was read so far, and what so many writes will take.

    Reads between the writes come on top.
    """
    return Requests(world.reads, writes, world.rate_limit.estimate_seconds(writes))


def check_self_approval(world: World, created_at: str) -> self_approval.SelfApprovalCheck:
    """Return the check whether somebody approved what they wrote, for a plan of this time."""
    now = parse_time(created_at)
    return self_approval.SelfApprovalCheck(
        world.desired, world.base, world.live, world.lineage, now
    )


def add_past_approvals(reader: Reader, planned: Plan, world: World) -> Plan:
    """Return the plan with findings about approvals since the base: who approved their own."""
    findings = tuple(check_self_approval(world, planned.created_at).find_applied(reader, planned))
    if not findings:
        return planned
    return replace(planned, findings=(*planned.findings, *findings))
