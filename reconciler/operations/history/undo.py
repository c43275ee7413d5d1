"""Plan what reverts earlier runs. The planner compares; what changed since stays as it is.

The previous values are in git, at the commit that was applied before the run. The desired state
is the files at HEAD with these values on top.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.errors import GuardrailError
from reconciler.git.applied_ref import Base
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.model import Address, Cause, Plan, shorten_commit
from reconciler.operations import drift
from reconciler.operations import plan as operations_plan
from reconciler.operations.history import created, previous_values, undo_findings
from reconciler.operations.history.undone import UndoInputs, restore_undone
from reconciler.operations.plan import World
from reconciler.operations.rules import judge as rule_judge
from reconciler.operations.saved_plan import PlannedFiles, check_digest
from reconciler.plan import planner
from reconciler.plan.reversal.files import RevertedFiles, list_addresses
from reconciler.plan.reversal.objects import Reversal
from reconciler.plan.selection import PlanOptions
from reconciler.planfile.codec import Saved
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class UndoResult:
    """The plan that reverts runs, what it is based on, and the files that would agree with it."""

    plan: Plan
    world: World
    files: RevertedFiles
    conflicts: Mapping[Address, tuple[str, ...]]  # paths that have changed since


def run(reader: Reader, given: UndoInputs, options: PlanOptions, facts: RunFacts) -> UndoResult:
    """Return the plan that reverts the runs, where nobody has changed anything since."""
    reads_before = reader.reads
    directory = key_access.read_directory(reader)
    projects = directory.project_names()
    files = given.revert_files(projects)
    planning = limit_options(options, files)
    world = operations_plan.observe_declared(reader, directory, files.desired, files.base, planning)
    planned = _plan(given, planning, world, host=reader.host, created_at=facts.stamp)
    deletes = created.check_journals(given, planned)
    updates = previous_values.list_updates(planned)
    histories = drift.read_histories(
        reader, world.live, (*deletes.unclear, *updates), previous_values.confirms
    )
    kept = created.find_uncreated(reader, given, deletes, histories)
    previous = previous_values.check_values(given, world, updates, histories)
    if kept or previous.contradicted:
        paths = {address: tuple(fields) for address, fields in previous.contradicted.items()}
        given = replace(given, unrestored=paths)
        files = given.revert_files(projects, kept)
        planning = limit_options(options, files)
        world = replace(world, desired=files.desired, base=files.base, compared=None)
        planned = _plan(given, planning, world, host=reader.host, created_at=facts.stamp, kept=kept)
    world = replace(world, reads=reader.reads - reads_before)
    requests = operations_plan.estimate_requests(world, planned.requests.expected_writes)
    notices = undo_findings.find_notices(given, files, planned, world, kept)
    doubts = undo_findings.describe_doubts(given, previous)
    planned = replace(planned, findings=(*planned.findings, *notices, *doubts), requests=requests)
    planned, _ = rule_judge.judge_reverting_plan(
        planned, given.reader.settings, given.reader.target, facts, given.reader.state
    )
    return UndoResult(planned, world, files, dict(_list_conflicts(planning, world)))


def _list_conflicts(
    options: PlanOptions, world: World
) -> Iterator[tuple[Address, tuple[str, ...]]]:
    """Yield the paths of each resource that have changed since the runs."""
    compared = planner.compare_resources(
        desired=world.desired,
        base=world.base,
        live=world.live,
        options=replace(options, prefer=None),
    )
    for change in compared.changes:
        paths = tuple(edit.path for edit in change.fields if edit.cause is Cause.CONFLICT)
        if paths:
            yield change.address, paths


def limit_options(options: PlanOptions, files: RevertedFiles) -> PlanOptions:
    """Return the options of a plan that reverts what `files` revert, and nothing else."""
    return replace(options, only=frozenset(list_addresses(files)), reversal=Reversal.build(files))


def _plan(
    given: UndoInputs,
    options: PlanOptions,
    world: World,
    *,
    host: str,
    created_at: str,
    kept: Collection[Address] = (),
) -> Plan:
    newest = given.runs[0].run
    ref = f"run {shorten_commit(newest.before or 'nothing')}..{shorten_commit(newest.after)}"
    planned = operations_plan.plan(
        world,
        options,
        target=given.reader.target.name,
        host=host,
        created_at=created_at,
        excerpts=False,
        base=Base(ref, newest.after),
        basis=given.build_snapshot(kept, prefer=options.prefer),
    )
    return reword(planned)


def reword(planned: Plan) -> Plan:
    """Return the plan with its conflicts in the words of an undo."""
    return replace(planned, findings=tuple(undo_findings.reword_conflicts(planned)))


def restore_files(
    saved: Saved, settings: Settings, target: Target, facts: RunFacts
) -> tuple[PlannedFiles, RevertedFiles]:
    """Return the files that a saved undo is about; GuardrailError if HEAD is another commit."""
    basis = saved.basis
    assert basis is not None and basis.undo is not None  # noqa: S101, PT018  the caller looked
    given = restore_undone(settings, target, facts, basis.undo)
    head = given.reader.tree.commit
    if head != basis.commit:
        raise GuardrailError(
            f"this plan was made at commit {shorten_commit(basis.commit or '')}",
            why=f"the commit that is checked out is {shorten_commit(head)}",
            fix="make the plan again: reconciler undo … --out FILE",
        )
    kept = frozenset(map(Address.parse, basis.undo.kept))
    files = given.revert_files(basis.project_names, kept)
    check_digest(saved, files.desired)
    return PlannedFiles(files.desired, files.base), files
