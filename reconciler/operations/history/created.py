"""Find out whether a run created an object: only then may reverting the run delete it.

A document may also have begun to describe an object that was there before, as after `pull`.
"""

from collections.abc import Collection, Iterator
from datetime import timedelta

from reconciler.drift.activity_replay import WHOLE
from reconciler.git import repository
from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, LogAction, Plan
from reconciler.operations import drift
from reconciler.operations.history.undone import UndoInputs
from reconciler.operations.plan import World
from reconciler.posthog.client import Reader


def find_uncreated(
    reader: Reader, given: UndoInputs, planned: Plan, world: World
) -> frozenset[Address]:
    """Return what the plan would delete although nothing says that the runs created it.

    Journals are asked first, then the activity log: if an object is younger than the commit that
    began to declare it, a run created it.
    """
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
    unclear -= denied
    changes = [doomed[address] for address in sorted(unclear)]
    logged = _find_logged(reader, given, changes, world) if changes else ()
    return frozenset(uncreated | denied | (unclear - {*logged}))


def _find_logged(
    reader: Reader, given: UndoInputs, unclear: Collection[Change], world: World
) -> Iterator[Address]:
    """Yield objects that the activity log says were created after the commits were made."""
    histories = drift.read_histories(reader, world.live, unclear)
    skew = timedelta(seconds=reader.clock_skew_s or 0.0)
    times = [
        at
        for undone in given.runs
        if (at := repository.read_commit_time(undone.run.after, cwd=given.reader.state.root))
    ]
    for address, history in histories.items():
        event = history.events.get(WHOLE)
        if event is None or event.action is not LogAction.CREATED or not times:
            continue
        if event.entry.at >= max(times) + skew:
            yield address
