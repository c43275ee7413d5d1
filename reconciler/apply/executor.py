"""Carry a plan out: one thread decides, workers only write."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field, replace
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from queue import SimpleQueue
from threading import BoundedSemaphore, Event
from typing import Final

from reconciler import worker_pool
from reconciler.apply import after_approval, change_writer
from reconciler.apply.gate_check import PolicyTurns
from reconciler.apply.progress import (
    Progress,
    WorkerContext,
    begin_change,
    list_partly_written,
)
from reconciler.apply.status import RunStatus
from reconciler.errors import APPLY_AGAIN, ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Change,
    Detail,
    Finding,
    Outcome,
    Payload,
    Plan,
    Problem,
    Result,
    to_problem,
)
from reconciler.planfile import results
from reconciler.posthog.approval_polling import RequestKey, Watch

_Node = tuple[Address, bool]  # the address, and whether it is its late half
_HOW: Final = {
    Result.FAILED: "failed",
    Result.WAITING: "waits for approval",
    Result.SKIPPED: "was skipped",
    Result.REFUSED: "was refused",
}
_STOPS_DEPENDANTS: Final = frozenset(_HOW)
_MORE_HANDS: Final = 4  # one more for so many workers
_PROBES: Final = 2  # of a host that does not answer, half a minute apart
_INTERRUPTED: Final = Problem("not started", "the run was interrupted", "not sent", APPLY_AGAIN)


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """How wide to fan out, how long to wait for people, and when to start nothing more."""

    workers: int = 8  # calls in flight
    stop: Event | None = None
    guarded: frozenset[str] = frozenset()  # codes of findings that refuse, instead of fail
    wait_s: float = 0.0  # for approvals; what they let through is sent in the same run
    status: RunStatus = field(default_factory=RunStatus)


def execute_plan(plan: Plan, tools: WorkerContext, options: ExecutorOptions) -> Iterator[Outcome]:
    """Carry the plan out: dependencies first, independent changes side by side.

    A change that failed, waits, or was refused skips what needs it, and nothing else. One that
    waits while the run waits with it is yielded each time it waits, and once more when it ends;
    the last outcome of an address is the one that counts.
    """
    refused = results.find_stopped(plan)
    for change in plan.changes:
        if change.action is Action.NONE:
            yield report_unchanged(change)
    yield from _Run(plan, tools, options, refused).outcomes()


def report_unchanged(change: Change) -> Outcome:
    """Return the outcome of a resource that already is as the files say."""
    return Outcome(change.address, change.action, Result.UNCHANGED, id=change.live_id)


class _Run:
    """One run. Shared state is touched by the thread that iterates `outcomes`, by no other."""

    def __init__(
        self,
        plan: Plan,
        tools: WorkerContext,
        options: ExecutorOptions,
        refused: Mapping[Address, Finding],
    ) -> None:
        self._changes = {change.address: change for change in plan.writes}
        self._tools = replace(tools, slots=BoundedSemaphore(options.workers))
        self._options, self._refused = options, refused
        # While some wait for an answer, others have the journal written and the next call ready.
        self._hands = options.workers + options.workers // _MORE_HANDS
        self._progress: dict[Address, Progress] = {}
        self._ended: dict[Address, Outcome] = {}
        self._running: dict[Future[Progress], _Node] = {}
        self._finished: SimpleQueue[Future[Progress]] = SimpleQueue()
        self._parked: dict[_Node, RequestKey] = {}
        self._ready: list[tuple[int, int, _Node]] = []  # a heap: troubles of its scope, its place
        self._place = {change.address: number for number, change in enumerate(plan.writes)}
        self._turns = PolicyTurns()
        self._troubles: Counter[tuple[str, ...]] = Counter()
        self._probes = 0
        self._halt: Problem | None = None
        self._watch: Watch | None = None
        self._sorter: TopologicalSorter[_Node] = TopologicalSorter(self._graph())
        options.status.planned = len(self._changes)

    def _graph(self) -> dict[_Node, set[_Node]]:
        graph: dict[_Node, set[_Node]] = {}
        for address, change in self._changes.items():
            graph[address, False] = {
                (other, self._is_whole(change, other)) for other in change.depends_on
            }
            if change.late:
                late = {(other, False) for other in change.late}
                graph[address, True] = {(address, False), *late}
        return graph

    def _is_whole(self, change: Change, other: Address) -> bool:
        """Return whether all of the other goes first: a policy names the default role."""
        dependency = self._changes.get(other)
        return dependency is not None and not set(dependency.late).isdisjoint(change.depends_on)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield every outcome as it comes. No more calls are in flight than there are workers."""
        self._sorter.prepare()
        pool = worker_pool.start_pool(self._hands, "apply")
        try:
            while self._sorter.is_active():
                for node in self._sorter.get_ready():
                    self._queue(node)
                yield from self._launch(pool)
                if self._running:
                    future = self._finished.get()
                    node = self._running.pop(future)
                    yield from self._finish(node, self._take_result(node, future))
                elif self._parked and not self._ready:
                    yield from self._wait_for_people(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _queue(self, node: _Node) -> None:
        """Queue a node; projects with failed calls come last: they must not delay others."""
        troubles = self._troubles[_get_scope(node[0])]
        heappush(self._ready, (troubles, self._place[node[0]], node))

    def _launch(self, pool: ThreadPoolExecutor) -> Iterator[Outcome]:
        """Start what may start now; end what will never start."""
        aside = []
        while self._ready and len(self._running) < self._hands:
            troubles, _, node = heappop(self._ready)
            if troubles < self._troubles[_get_scope(node[0])]:
                self._queue(node)
                continue
            change = self._changes[node[0]]
            if node[0] in self._ended:  # its first half did not succeed
                self._sorter.done(node)
            elif (ended := self._refuse_start(change, late=node[1])) is not None:
                yield ended
                self._end(node, ended)
            elif not self._turns.may_start(change):
                aside.append(node)
            elif self._is_open(troubled=troubles > 0):
                self._start(node, pool)
            else:
                self._queue(node)
                break
        for node in aside:
            self._queue(node)

    def _is_open(self, *, troubled: bool) -> bool:
        """Return whether calls may be sent; after too many failures, one change at a time.

        A project that has not failed yet is worth half a minute: the rest may work.
        """
        pause = self._tools.writer.circuit_open_for_s()
        if not pause:
            self._probes = 0
            return True
        if self._running:
            return False
        if troubled or self._probes == _PROBES:
            why = "too many calls in a row have failed: PostHog, or the way to it, is not well"
            self._halt = Problem("not started", why, "not sent", APPLY_AGAIN)
            return False
        self._probes += 1
        return self._tools.writer.sleep(pause)

    def _start(self, node: _Node, pool: ThreadPoolExecutor) -> None:
        """Hand a node to a worker."""
        address, late = node
        change = self._changes[address]
        progress = self._progress.get(address) or begin_change(change)
        self._turns.start(change)
        self._options.status.mark_started(address, self._tools.writer.clock())
        but_last = bool(change.late) and not late
        self._watch_future(
            node,
            pool.submit(change_writer.advance_change, self._tools, progress, but_last=but_last),
        )

    def _watch_future(self, node: _Node, future: Future[Progress]) -> None:
        self._running[future] = node
        future.add_done_callback(self._finished.put)

    def _take_result(self, node: _Node, future: Future[Progress]) -> Progress:
        """Return what became of a change; what the program itself failed of ends the run.

        Whether the call was carried out is then unknown. Every other change gets its outcome.
        """
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001  MemoryError and all else that stops a thread
            what = f"the program failed while it wrote this: {type(error).__name__}"
            trouble = Problem(what, "a limit of this machine, or a defect", "unknown", APPLY_AGAIN)
            change = self._changes[node[0]]
            ended = replace(
                self._make_outcome(change, Result.FAILED, trouble), detail=Detail.UNKNOWN
            )
            before = self._progress.get(node[0]) or begin_change(change)
            return replace(before, outcome=ended, halt=trouble)

    def _finish(self, node: _Node, progress: Progress) -> Iterator[Outcome]:
        address, _ = node
        self._progress[address] = progress
        self._turns.end(self._changes[address], progress.outcome)
        self._troubles[_get_scope(address)] += progress.troubled
        if progress.halt is not None:
            self._halt = progress.halt
        if progress.id is not None:
            self._tools.names.learn(address, progress.id)
        if progress.deferred:
            self._options.status.mark_paused(address)
            self._queue(node)
            return
        if progress.outcome is not None:
            yield progress.outcome
            self._end(node, progress.outcome)
        else:
            self._options.status.mark_paused(address)
            self._sorter.done(node)

    def _end(self, node: _Node, outcome: Outcome) -> None:
        """Close a node, unless it waits for approval and the run waits with it."""
        if self._options.wait_s and after_approval.can_continue(outcome):
            before = self._progress.get(node[0]) or begin_change(self._changes[node[0]])
            self._progress[node[0]] = replace(before, outcome=outcome)
            project = self._tools.names.scope_ids(node[0])["project"]
            self._parked[node] = (project, str(outcome.change_request))
            self._options.status.mark_waiting(outcome)
        else:
            self._close(node, outcome)

    def _close(self, node: _Node, outcome: Outcome) -> None:
        self._ended[outcome.address] = outcome
        self._options.status.mark_ended(outcome)
        self._sorter.done(node)

    def _wait_for_people(self, pool: ThreadPoolExecutor) -> Iterator[Outcome]:
        """Poll the requests that changes wait for until one is decided or time is up."""
        if self._watch is None:
            self._watch = Watch(self._tools.writer, timeout_s=self._options.wait_s)
            self._options.status.set_wait_until(self._tools.writer.clock() + self._watch.left_s)
        waiting = set(self._parked.values())
        try:
            goes_on = not self._is_stopping() and self._watch.sleep(waiting)
            decided = self._watch.poll(waiting) if goes_on or not self._is_stopping() else {}
        except ReconcilerError as error:  # the key is not accepted any more
            goes_on, decided, self._halt = False, {}, to_problem(error)
        for node, request in list(self._parked.items()):
            if request in decided:
                del self._parked[node]
                self._turns.release(node[0].parts[:-1])
                self._resume(node, decided[request], pool)
            else:
                self._update_votes(node, self._watch.still_open.get(request))
        if not goes_on and not self._running:
            for node in list(self._parked):
                del self._parked[node]
                outcome = self._progress[node[0]].outcome
                if outcome is not None:
                    yield outcome
                    self._close(node, outcome)

    def _update_votes(self, node: _Node, request: Payload | None) -> None:
        """Update whom a request still waits for, after votes in the meantime."""
        progress = self._progress[node[0]]
        if request is None or progress.outcome is None:
            return
        awaits = self._tools.replanner.describe_awaited(progress.change, request)
        if awaits != progress.outcome.awaits:
            outcome = replace(progress.outcome, awaits=awaits)
            self._progress[node[0]] = replace(progress, outcome=outcome)
            self._options.status.mark_waiting(outcome)

    def _resume(self, node: _Node, request: Mapping[str, object], pool: ThreadPoolExecutor) -> None:
        progress = self._progress[node[0]]
        self._options.status.mark_started(node[0], self._tools.writer.clock())
        self._watch_future(
            node, pool.submit(after_approval.resume_change, self._tools, progress, request)
        )

    def _is_stopping(self) -> bool:
        return self._options.stop is not None and self._options.stop.is_set()

    def _refuse_start(self, change: Change, *, late: bool) -> Outcome | None:
        """Return the outcome of a change for which nothing more is sent, or None."""
        if (finding := self._refused.get(change.address)) is not None:
            return results.end_by_finding(change, finding, guarded=self._options.guarded)
        for other in change.late if late else change.depends_on:
            before = self._ended.get(other)
            if before is not None and before.result in _STOPS_DEPENDANTS:
                what = f"needs {other}, which {_HOW[before.result]}"
                why = "what it depends on is not as the files say"
                state = "created; its last call was not sent" if late else "not sent"
                trouble = Problem(what, why, state, f"see {other}, then run apply again")
                refused = before.result is Result.REFUSED
                return self._make_outcome(
                    change, Result.REFUSED if refused else Result.SKIPPED, trouble
                )
        if (broken := self._tools.journal.broken) is not None:
            self._halt = to_problem(broken)
        if self._is_stopping():
            return self._end_unstarted(change, _INTERRUPTED)
        if self._halt is not None:
            why = self._halt.why or self._halt.what
            return self._end_unstarted(
                change, Problem("not started", why, "not sent", self._halt.fix)
            )
        refusal = self._turns.refuse(change)
        return refusal and replace(refusal, id=change.live_id)

    def _end_unstarted(self, change: Change, trouble: Problem) -> Outcome:
        """Return the outcome of a change that the run did not reach."""
        outcome = self._make_outcome(change, Result.SKIPPED, trouble)
        if outcome.attempts:  # its first half was sent
            return outcome
        return replace(outcome, detail=Detail.NOT_STARTED)

    def _make_outcome(self, change: Change, result: Result, trouble: Problem) -> Outcome:
        before = self._progress.get(change.address)
        return Outcome(
            change.address,
            change.action,
            result,
            id=before.id if before is not None else change.live_id,
            attempts=before.attempts if before is not None else 0,
            problem=trouble,
            written=list_partly_written(before, result) if before is not None else (),
        )


def _get_scope(address: Address) -> tuple[str, ...]:
    """Return the project or organization of an object: what can fail without the rest."""
    return address.parts[:-1] or address.parts
