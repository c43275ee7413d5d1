"""Find out whether a run created an object: only then may reverting the run delete it.

A document may also have begun to describe an object that was there before, as after `pull`.
"""

from collections.abc import Mapping
from datetime import timedelta

from reconciler.drift.activity_replay import WHOLE, ObjectHistory
from reconciler.git import repository
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Change, LogAction, Plan
from reconciler.operations.history.undone import UndoInputs
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class PlannedDeletes:
    """The deletes of a plan that the run may not have created.

    Attributes:
        uncreated: what the run did not create, according to the journals.
        unclear: what the journals do not know.

    """

    uncreated: frozenset[Address]
    unclear: tuple[Change, ...]


def check_journals(given: UndoInputs, planned: Plan) -> PlannedDeletes:
    """Return the deletes of a plan, without those of objects that the runs created."""
    doomed = {
        change.address: change for change in planned.changes if change.action is Action.DELETE
    }
    uncreated = {address for address in doomed if KINDS[address.kind].cannot_create}
    unclear, commits = doomed.keys() - uncreated, given.list_commits()
    journals = [run for run in given.journals if run.commit is None or run.commit in commits]
    for run in journals:
        unclear -= run.created
    denied = unclear & frozenset[Address]().union(*(run.ended for run in journals))
    denied -= frozenset[Address]().union(*(run.unanswered for run in journals))
    changes = tuple(doomed[address] for address in sorted(unclear - denied))
    return PlannedDeletes(frozenset(uncreated | denied), changes)


def find_uncreated(
    reader: Reader,
    given: UndoInputs,
    deletes: PlannedDeletes,
    histories: Mapping[Address, ObjectHistory],
) -> frozenset[Address]:
    """Return what the plan would delete although nothing says that the runs created it.

    Where the journals do not know it, the activity log does: if an object is younger than the
    commit that began to declare it, a run created it.
    """
    if not deletes.unclear:
        return deletes.uncreated
    skew = timedelta(seconds=reader.clock_skew_s or 0.0)
    times = [
        at
        for undone in given.runs
        if (at := repository.read_commit_time(undone.run.after, cwd=given.reader.state.root))
    ]
    uncreated = set(deletes.uncreated)
    for change in deletes.unclear:
        event = histories[change.address].events.get(WHOLE)
        is_younger = (
            event is not None
            and event.action is LogAction.CREATED
            and bool(times)
            and event.entry.at >= max(times) + skew
        )
        if not is_younger:
            uncreated.add(change.address)
    return frozenset(uncreated)
