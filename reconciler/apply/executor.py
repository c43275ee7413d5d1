"""One thread decides, workers only write. Yields an outcome for every change of the plan."""

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from threading import Event

from reconciler.apply import write
from reconciler.apply.progress import Progress, Tools, begin
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Outcome,
    Plan,
    Problem,
    Result,
    Severity,
)

_Node = tuple[Address, bool]  # the address, and whether it is its late half
_HOW = {
    Result.FAILED: "failed",
    Result.WAITING: "waits for approval",
    Result.SKIPPED: "was skipped",
    Result.REFUSED: "was refused",
}
_STOPS_DEPENDANTS = frozenset(_HOW)
_AGAIN = "run apply again"


@dataclass(frozen=True, slots=True)
class Options:
    """How wide to fan out, and when to start nothing more."""

    workers: int = 8
    stop: Event | None = None
    guarded: frozenset[str] = frozenset()  # codes of findings that refuse, instead of fail


def execute(plan: Plan, tools: Tools, options: Options) -> Iterator[Outcome]:
    """Carry the plan out: dependencies first, independent changes side by side.

    A change that failed, waits, or was refused skips what needs it, and nothing else.
    """
    refused = {
        finding.address: finding
        for finding in plan.findings
        if finding.severity is Severity.ERROR and finding.address is not None
    }
    for change in plan.changes:
        if change.action is Action.NONE:
            yield unchanged(change)
    yield from _Run(plan, tools, options, refused).outcomes()


def unchanged(change: Change) -> Outcome:
    """The outcome of what is as the files say."""
    return Outcome(change.address, change.action, Result.UNCHANGED, id=change.live_id)


class _Run:
    """One run. Shared state is touched by the thread that iterates `outcomes`, by no other."""

    def __init__(
        self, plan: Plan, tools: Tools, options: Options, refused: Mapping[Address, Finding]
    ) -> None:
        self._changes = {change.address: change for change in plan.writes}
        self._tools, self._options, self._refused = tools, options, refused
        self._progress: dict[Address, Progress] = {}
        self._ended: dict[Address, Outcome] = {}
        self._running: dict[Future[Progress], _Node] = {}
        self._ready: list[tuple[int, _Node]] = []  # a heap, in the order of the plan
        self._place = {change.address: number for number, change in enumerate(plan.writes)}
        self._sorter: TopologicalSorter[_Node] = TopologicalSorter(self._graph())

    def _graph(self) -> dict[_Node, set[_Node]]:
        graph: dict[_Node, set[_Node]] = {}
        for address, change in self._changes.items():
            graph[address, False] = {(other, False) for other in change.depends_on}
            if change.late:
                late = {(other, False) for other in change.late}
                graph[address, True] = {(address, False), *late}
        return graph

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome as it comes. No more is in flight than the workers can hold."""
        self._sorter.prepare()
        pool = ThreadPoolExecutor(self._options.workers, thread_name_prefix="apply")
        try:
            while self._sorter.is_active():
                for node in self._sorter.get_ready():
                    heappush(self._ready, (self._place[node[0]], node))
                while self._ready and len(self._running) < self._options.workers:
                    yield from self._start(heappop(self._ready)[1], pool)
                if self._running:
                    finished, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield from self._finish(self._running.pop(future), future.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, node: _Node, pool: ThreadPoolExecutor) -> Iterator[Outcome]:
        """Hand a node to a worker, or end it here and now."""
        address, late = node
        change = self._changes[address]
        if address in self._ended:  # its first half did not succeed
            self._sorter.done(node)
            return
        if (ended := self._not_started(change, late=late)) is not None:
            self._ended[address] = ended
            self._sorter.done(node)
            yield ended
            return
        progress = self._progress.get(address) or begin(change)
        but_last = bool(change.late) and not late
        future = pool.submit(write.advance, self._tools, progress, but_last=but_last)
        self._running[future] = node

    def _finish(self, node: _Node, progress: Progress) -> Iterator[Outcome]:
        address, _ = node
        self._progress[address] = progress
        if progress.id is not None:
            self._tools.names.learn(address, progress.id)
        if progress.outcome is not None:
            self._ended[address] = progress.outcome
            yield progress.outcome
        self._sorter.done(node)

    def _not_started(self, change: Change, *, late: bool) -> Outcome | None:
        """Why nothing (more) is sent for this change, if so."""
        if (finding := self._refused.get(change.address)) is not None:
            problem = Problem(finding.message, finding.why, "not sent", finding.fix)
            guarded = finding.code in self._options.guarded
            return self._outcome(change, Result.REFUSED if guarded else Result.FAILED, problem)
        if (broken := self._tools.journal.broken) is not None:
            problem = Problem("not started", broken.what, "not sent", broken.fix)
            return self._outcome(change, Result.SKIPPED, problem)
        if self._options.stop is not None and self._options.stop.is_set():
            problem = Problem("not started", "the run was interrupted", "not sent", _AGAIN)
            return self._outcome(change, Result.SKIPPED, problem)
        for other in change.late if late else change.depends_on:
            before = self._ended.get(other)
            if before is not None and before.result in _STOPS_DEPENDANTS:
                what = f"needs {other}, which {_HOW[before.result]}"
                why = "what it depends on is not as the files say"
                state = "created; its last call was not sent" if late else "not sent"
                problem = Problem(what, why, state, f"see {other}, then {_AGAIN}")
                return self._outcome(change, Result.SKIPPED, problem)
        return None

    def _outcome(self, change: Change, result: Result, problem: Problem) -> Outcome:
        before = self._progress.get(change.address)
        return Outcome(
            change.address,
            change.action,
            result,
            id=before.id if before is not None else change.live_id,
            attempts=before.attempts if before is not None else 0,
            problem=problem,
        )
