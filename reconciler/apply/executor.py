"""One thread decides, workers only write. Yields an outcome for every change of the plan."""

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from threading import Event

from reconciler.apply import write
from reconciler.apply.progress import Progress, Tools, begin
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Live,
    Outcome,
    Plan,
    Problem,
    Result,
    Severity,
)

_Node = tuple[Address, bool]  # the address, and whether it is its late half
_STOPS_DEPENDANTS = frozenset({Result.FAILED, Result.WAITING, Result.SKIPPED, Result.REFUSED})


@dataclass(frozen=True, slots=True)
class Options:
    """How wide to fan out, and when to start nothing more."""

    workers: int = 8
    stop: Event | None = None


def execute(plan: Plan, live: Live, tools: Tools, options: Options) -> Iterator[Outcome]:
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
            yield _unchanged(change)
    yield from _Run(plan, live, tools, options, refused).outcomes()


def _unchanged(change: Change) -> Outcome:
    return Outcome(change.address, change.action, Result.UNCHANGED, id=change.live_id)


class _Run:
    """One run. Shared state is touched by the thread that iterates `outcomes`, by no other."""

    def __init__(
        self,
        plan: Plan,
        live: Live,
        tools: Tools,
        options: Options,
        refused: Mapping[Address, Finding],
    ) -> None:
        self._changes = {change.address: change for change in plan.writes}
        self._live, self._tools, self._options, self._refused = live, tools, options, refused
        self._progress: dict[Address, Progress] = {}
        self._ended: dict[Address, Outcome] = {}
        self._running: dict[Future[Progress], _Node] = {}
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
        self._sorter.prepare()
        with ThreadPoolExecutor(self._options.workers, thread_name_prefix="apply") as pool:
            while self._sorter.is_active():
                for node in sorted(self._sorter.get_ready()):
                    yield from self._start(node, pool)
                if not self._running:
                    continue
                finished, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield from self._finish(self._running.pop(future), future.result())

    def _start(self, node: _Node, pool: ThreadPoolExecutor) -> Iterator[Outcome]:
        """Hand a node to a worker, or end it here and now."""
        address, late = node
        change = self._changes[address]
        if address in self._ended:  # its first half did not succeed
            self._sorter.done(node)
            return
        if (skip := self._skip(change, late=late)) is not None:
            self._ended[address] = skip
            self._sorter.done(node)
            yield skip
            return
        progress = self._progress.get(address) or begin(change, self._live.resources.get(address))
        but_last = bool(change.late) and not late
        future = pool.submit(write.advance, self._tools, progress, but_last=but_last)
        self._running[future] = node

    def _finish(self, node: _Node, progress: Progress) -> Iterator[Outcome]:
        address, _ = node
        self._progress[address] = progress
        if progress.id is not None and progress.change.action is Action.CREATE:
            self._tools.names.learn(address, progress.id)
        if progress.outcome is not None:
            self._ended[address] = progress.outcome
            yield progress.outcome
        self._sorter.done(node)

    def _skip(self, change: Change, *, late: bool) -> Outcome | None:
        """Why this change is not started, if it is not."""
        if (finding := self._refused.get(change.address)) is not None:
            problem = Problem(finding.message, finding.why, "not sent", finding.fix)
            return Outcome(change.address, change.action, Result.FAILED, problem=problem)
        if self._options.stop is not None and self._options.stop.is_set():
            problem = Problem(
                "not started", "the run was interrupted", "not sent", "run apply again"
            )
            return Outcome(change.address, change.action, Result.SKIPPED, problem=problem)
        for other in change.late if late else change.depends_on:
            before = self._ended.get(other)
            if before is not None and before.result in _STOPS_DEPENDANTS:
                how = "waits for approval" if before.result is Result.WAITING else before.result
                problem = Problem(
                    f"needs {other}, which {how}"
                    if before.result is Result.WAITING
                    else f"needs {other}, which was {how}",
                    "what it depends on is not as the files say",
                    "not sent",
                    f"see {other}, then run apply again",
                )
                return Outcome(change.address, change.action, Result.SKIPPED, problem=problem)
        return None
