"""Run the targets of a fleet in threads of this process, and yield how each has ended.

Nothing that one target does affects another, or the end of the process: a run that raises is an
error of its target, and one that neither ends nor stops in time is abandoned.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.fleet import target_folder
from reconciler.fleet.target_run import RunControl, TargetRun, TargetRunner
from reconciler.fleet.waves import Skipped, Waves
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ExitCode,
    Problem,
    RequestCounts,
    TargetResult,
    format_duration,
    to_problem,
)

_MARGIN_S: Final = 2.0  # for a run that was stopped, beyond what it says that it takes
_ANOTHER_FOLDER: Final = "name another folder with --out DIR"


@dataclass(frozen=True, slots=True)
class LocalLimits:
    """Hold how many targets run at once, and how long each may take."""

    concurrency: int
    timeout_s: float


@dataclass(slots=True)
class _Running:
    """A run that has started; `deadline` is when it is stopped, or abandoned if it was."""

    run: TargetRun
    started: float
    deadline: float
    control: RunControl = field(default_factory=RunControl)
    has_timed_out: bool = False


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a thread reports: the exit code, or what the runner raised."""

    target: str
    code: int | None
    crash: BaseException | None = None


class LocalFleet:
    """Run targets in threads. `run` yields in the thread that calls it.

    Args:
        runs: the runs by target, in the order of their start.
        waves: which target may start after which.
        runner: carries a run out; called in a thread for each.
        limits: how many at once, and how long.
        clock: monotonic seconds.

    """

    def __init__(
        self,
        runs: Mapping[str, TargetRun],
        waves: Waves,
        runner: TargetRunner,
        limits: LocalLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._waves = waves
        self._runner = runner
        self._limits = limits
        self._clock = clock
        self._messages: SimpleQueue[_Ended | None] = SimpleQueue()  # None: stop
        self._ready: deque[str] = deque()
        self._running: dict[str, _Running] = {}
        self.is_stopped = False
        self.abandoned: list[str] = []  # their threads may still run

    def stop(self) -> None:
        """Start nothing more, and stop what runs. May be called in a signal handler."""
        self._messages.put(None)

    def run(self) -> Iterator[TargetResult]:
        """Run every target, and yield each as it ends or is skipped."""
        self._ready.extend(self._waves.begin())
        left = set(self._runs)
        while left:
            self._start_ready()
            for result in self._wait():
                left.discard(result.target)
                yield result
            if self.is_stopped and not self._running:
                for name in [name for name in self._runs if name in left]:
                    yield self._skip(Skipped(name, "the fleet was interrupted"))
                return

    def _start_ready(self) -> None:
        while self._ready and len(self._running) < self._limits.concurrency:
            if self.is_stopped:
                return
            run = self._runs[self._ready.popleft()]
            now = self._clock()
            running = _Running(run, now, now + self._limits.timeout_s)
            self._running[run.target] = running
            thread = Thread(
                target=self._carry_out, args=(run, running.control), name=run.target, daemon=True
            )
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:  # the system refuses another thread
                self._messages.put(_Ended(run.target, None, error))

    def _carry_out(self, run: TargetRun, control: RunControl) -> None:
        try:
            ended = _Ended(run.target, self._runner(run, control))
        except BaseException as error:  # noqa: BLE001  one target must not end the others
            ended = _Ended(run.target, None, error)
        self._messages.put(ended)

    def _wait(self) -> Iterator[TargetResult]:
        """Wait for the next thing that happens; yield the targets that end with it."""
        until = min((each.deadline for each in self._running.values()), default=self._clock())
        try:
            message = self._messages.get(timeout=max(0.0, until - self._clock()))
        except Empty:
            yield from self._end_late()
            return
        if message is None:
            self._stop_all()
        elif message.target in self._running:  # else it was abandoned
            yield from self._end(self._running.pop(message.target), message)

    def _stop_all(self) -> None:
        self.is_stopped = True
        for running in self._running.values():
            self._stop(running)

    def _stop(self, running: _Running) -> None:
        if not running.control.is_stopped:
            running.control.stop()
            running.deadline = self._clock() + running.control.grace_s + _MARGIN_S

    def _end_late(self) -> Iterator[TargetResult]:
        """Stop the runs that have taken too long, and abandon those that do not stop."""
        now = self._clock()
        for running in [each for each in self._running.values() if each.deadline <= now]:
            if not running.control.is_stopped:
                running.has_timed_out = True
                self._stop(running)
                continue
            del self._running[running.run.target]
            running.control.abandon()
            self.abandoned.append(running.run.target)
            yield from self._end(running, _Ended(running.run.target, None))

    def _end(self, running: _Running, ended: _Ended) -> Iterator[TargetResult]:
        """Yield the result of a run, and of the targets that are skipped because of it."""
        result = TargetResult(
            ended.target,
            ExitCode.FAILED if ended.code is None else ended.code,
            seconds=round(self._clock() - running.started, 3),
            requests=running.control.requests,
            error=self._find_problem(running, ended),
        )
        if running.has_timed_out:
            result = replace(result, exit_code=ExitCode.FAILED)
        elif ended.crash is None and ended.code is None:
            result = replace(result, exit_code=ExitCode.INTERRUPTED, error=None)
        is_whole = ended.code is not None and _has_summary(running.run.report)
        if result.error is not None or not is_whole:
            _keep(running.run, result)
        yield result
        ready, skipped = self._waves.end(ended.target, result.exit_code or 0)
        self._ready.extend(ready)
        if not self.is_stopped:
            yield from map(self._skip, skipped)

    def _find_problem(self, running: _Running, ended: _Ended) -> Problem | None:
        """Return why a run failed, where its own report cannot say it."""
        state = _describe_state(running.control.requests)
        if running.has_timed_out:
            limit = format_duration(self._limits.timeout_s)
            is_over = ended.code is not None
            return Problem(
                f"it took longer than {limit}",
                "it was stopped" if is_over else "it was stopped and did not end",
                state,
                "find out what it waits for, or allow more time with --target-timeout",
            )
        if isinstance(ended.crash, OSError):
            why = explain_refusal(ended.crash)
            return Problem("its report cannot be written", why, state, _ANOTHER_FOLDER)
        if isinstance(ended.crash, ReconcilerError):
            return to_problem(ended.crash)
        if ended.crash is not None:
            name = type(ended.crash).__name__
            return Problem(
                f"reconciler has a defect: {name}",
                "",
                state,
                f"run `reconciler {running.run.mode}` for this target with RECONCILER_DEBUG=1",
            )
        if ended.code is not None and ended.code != ExitCode.INTERRUPTED:
            return (
                None if _has_summary(running.run.report) else _describe_early_end(ended.code, state)
            )
        return None

    def _skip(self, skipped: Skipped) -> TargetResult:
        result = TargetResult(skipped.target, None, skipped_because=skipped.because)
        _keep(self._runs[skipped.target], result)
        return result


def _keep(run: TargetRun, result: TargetResult) -> None:
    """Write the summary of a run that has not written it; without it, the target is an error."""
    with suppress(ReconcilerError):
        target_folder.write_result(run.report, run.mode, result)


def _has_summary(report: Path) -> bool:
    return (report / target_folder.SUMMARY).is_file()


def _describe_state(sent: RequestCounts) -> str:
    if sent.writes:
        return "what was written is in .reconciler/runs"
    return "nothing was written" if sent.reads else "nothing was contacted, nothing was written"


def _describe_early_end(code: int, state: str) -> Problem:
    fix = "read what the command printed; --out DIR keeps it in DIR/TARGET.log"
    return Problem(f"it ended with {code}, and without a report", "", state, fix)
