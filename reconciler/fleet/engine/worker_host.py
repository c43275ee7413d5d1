"""Run targets on a worker's machine, and look at their change requests. Knows no engine.

Files come from a checkout of the commit, keys from the worker's environment, and each report goes
to a folder of the artifact store.
"""

import asyncio
import hashlib
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from reconciler.config.settings import Settings, load_settings
from reconciler.config.targets import Target
from reconciler.errors import ReconcilerError
from reconciler.fleet import target_folder
from reconciler.fleet.engine import request_watch, run_requests
from reconciler.fleet.engine.checkouts import Checkouts, keep_markers
from reconciler.fleet.engine.messages import (
    KeyUse,
    RunOutcome,
    RunRequest,
    ScheduledFleet,
    WatchedChange,
    WatchedChanges,
    WatchResult,
)
from reconciler.fleet.engine.slots import FairSlots
from reconciler.fleet.local import LocalFleet, LocalLimits
from reconciler.fleet.target_run import RunControl, TargetRun, TargetRunner
from reconciler.fleet.waves import Waves
from reconciler.lazy_dataclass import dataclass
from reconciler.model import ExitCode, FleetMode, RequestCounts, Result, TargetResult, to_problem
from reconciler.posthog import client, credentials
from reconciler.posthog.credentials import Credentials
from reconciler.posthog.rate_limit import KeyRateLimit, RateLimiter

_LOOKS: Final = 10  # the part of a budget that looks at change requests may take: a tenth
_SETTINGS: Final = 8  # that are kept for further targets
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Hold where a worker works.

    Attributes:
        root: the root of its clone of the repository.
        store: the folder for reports.
        concurrency: runs at a time.
        environ: its environment, with the keys.

    """

    root: Path
    store: Path
    concurrency: int
    environ: Mapping[str, str]


class HostControl:
    """Let the engine stop a run, and see what it has sent. Used by the event loop and a thread."""

    def __init__(self) -> None:
        self._run = RunControl()
        self._lock = Lock()
        self._stop: Callable[[], object] = lambda: None
        self._is_stopped = False
        self.has_begun = False  # else it waits for its turn

    @property
    def requests(self) -> RequestCounts:
        """Return what the run has sent so far."""
        return self._run.requests

    @property
    def retry_s(self) -> float | None:
        """Return after how long a run that was turned away may succeed; None for other ends."""
        return self._run.retry_s

    def stop(self) -> None:
        """End the run as Ctrl-C ends a command."""
        with self._lock:
            is_first, self._is_stopped = not self._is_stopped, True
        if is_first:
            self._stop()

    def handle_stop(self, stop: Callable[[], object]) -> None:
        """Call this from now on; at once if the run was stopped before."""
        with self._lock:
            self._stop = stop
            is_late = self._is_stopped
        if is_late:
            stop()

    def watch(self, runner: TargetRunner) -> TargetRunner:
        """Return a runner whose run is seen here."""

        def carry_out(run: TargetRun, control: RunControl) -> int:
            self._run, self.has_begun = control, True
            return runner(run, control)

        return carry_out


class WorkerHost:
    """Do what the activities of a worker need."""

    def __init__(self, options: WorkerOptions, runner: TargetRunner) -> None:
        self._options = options
        self._runner = runner
        self._checkouts = Checkouts(options.root)
        self._slots = FairSlots(options.concurrency)
        self._budgets: dict[str, RateLimiter] = {}  # of keys, by their digests
        self._paces: dict[str, RateLimiter] = {}  # of the looks at change requests
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._busy: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._settings: OrderedDict[tuple[str, str], Settings] = OrderedDict()  # of commit, folder
        self._loading = Lock()
        self._runs = ThreadPoolExecutor(options.concurrency, thread_name_prefix="target")
        self._small = ThreadPoolExecutor(4, thread_name_prefix="small")

    def take_over(self, key: str, use: KeyUse) -> None:
        """Count what the workers before this one have sent with a key."""
        if key in self._budgets:
            self._budgets[key].raise_used(use.minute, use.hour)

    def count_use(self, key: str, ahead_s: float = 0.0) -> KeyUse:
        """Return what was sent with a key, and about what will be sent in the next seconds."""
        if key not in self._budgets:
            return KeyUse()
        return KeyUse(*self._budgets[key].count_used(ahead_s))

    async def identify_key(self, request: RunRequest) -> str | None:
        """Return a digest of the host and the key of a target; None if the key is not here.

        Also None for files that cannot be read: the run itself reports why.
        """
        return await self._call_small(lambda: self._identify_key(request))

    async def run(
        self, request: RunRequest, key: str, control: HostControl
    ) -> tuple[RunOutcome, float | None]:
        """Run a target; return also after how many seconds a retry may succeed, if one may."""
        turn = asyncio.ensure_future(self._slots.take(key))
        control.handle_stop(turn.cancel)
        try:
            await turn
        except asyncio.CancelledError:
            return RunOutcome(None), None
        try:
            async with self._busy[request.mode, request.target]:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._runs, self._run, request, control)
        finally:
            self._slots.release(key)

    async def check(self, watched: WatchedChanges, key: str) -> WatchResult:
        """Look whether change requests have been decided.

        The looks of all targets with a key take a tenth of its budget at most.
        """
        if key in self._budgets:
            limits = [max(1, most // _LOOKS) for _, most in self._budgets[key].count_left()]
            pace = self._paces.setdefault(key, RateLimiter(*limits))
            async with self._looking[key]:  # one after the other
                await asyncio.sleep(pace.compute_wait_s())
                pace.acquire()
                pace.release()
        return await self._call_small(lambda: self._check(watched))

    async def list_scheduled(self, fleet: ScheduledFleet, id_: str) -> list[RunRequest]:
        """Return the runs of a schedule, at the newest commit of its branch."""
        return await self._call_small(lambda: self._list_scheduled(fleet, id_))

    def close(self) -> None:
        """Remove the checkouts; runs have ended before."""
        self._runs.shutdown(cancel_futures=True)
        self._small.shutdown(cancel_futures=True)
        self._checkouts.close()

    async def _call_small(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._small, function)

    def _identify_key(self, request: RunRequest) -> str | None:
        try:
            target = self._find_target(request)
            allowed = self._find_credentials(target)
        except ReconcilerError:
            return None
        text = f"{allowed.host}\0{allowed.key.digest()}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        self._budgets[digest] = client.reserve_budget(allowed, _read_limit(target), {})
        return digest

    def _find_target(self, request: RunRequest) -> Target:
        with self._checkouts.open(request.commit):
            return self._load_settings(request.commit, request.folder).select_target(request.target)

    def _find_credentials(self, target: Target) -> Credentials:
        return credentials.resolve(
            environ=self._options.environ,
            target_host=target.host,
            api_key_env=target.api_key_env,
            where=target.describe_source,
        )

    def _load_settings(self, commit: str, folder: str) -> Settings:
        """Return the settings of a commit that is checked out; all of its targets share them."""
        with self._loading:
            settings = self._settings.get((commit, folder))
            if settings is None:
                root = self._checkouts.find_folder(commit)
                settings = load_settings(root / folder, environ=self._options.environ)
                self._settings[commit, folder] = settings
                if len(self._settings) > _SETTINGS:
                    self._settings.popitem(last=False)
            return settings

    def _run(self, request: RunRequest, control: HostControl) -> tuple[RunOutcome, float | None]:
        report = self._name_report(request)
        mode = FleetMode(request.mode)
        try:
            with self._checkouts.open(request.commit) as root:
                run = TargetRun(
                    mode,
                    request.target,
                    tuple(request.words),
                    root / request.folder,
                    report,
                    request.notifies,
                )
                fleet = LocalFleet(
                    {request.target: run},
                    Waves(mode, {request.target: ()}),
                    control.watch(self._runner),
                    LocalLimits(1, request.timeout_s),
                )
                control.handle_stop(fleet.stop)
                with self._keep_markers(request, root):
                    deque(fleet.run(), maxlen=0)
        except ReconcilerError as error:
            result = TargetResult(request.target, ExitCode.FAILED, error=to_problem(error))
            target_folder.write_result(report, mode, result)
        return self._read_outcome(request), control.retry_s

    def _keep_markers(self, request: RunRequest, root: Path) -> AbstractContextManager[None]:
        if not request.notifies:
            return nullcontext()
        folder = self._load_settings(request.commit, request.folder).folder or root
        if not folder.is_relative_to(root):
            return nullcontext()
        return keep_markers(self._options.root / folder.relative_to(root), folder)

    def _name_report(self, request: RunRequest) -> Path:
        return self._options.store / request.mode / request.id / request.target

    def _read_outcome(self, request: RunRequest) -> RunOutcome:
        """Return the facts of a report that the engine needs, and where the rest is."""
        report = self._name_report(request)
        result, details = target_folder.read_target(report, request.target, FleetMode(request.mode))
        waits = [each for each in details.outcomes if each.result is Result.WAITING]
        return RunOutcome(
            result.exit_code,
            result.seconds,
            result.requests,
            str(report),
            run_requests.digest_report(report),
            tuple(
                WatchedChange(each.change_request, str(each.address))
                for each in waits
                if each.change_request is not None
            ),
        )

    def _check(self, watched: WatchedChanges) -> WatchResult:
        target = self._find_target(watched.request)
        return request_watch.check_requests(
            self._find_credentials(target), _read_limit(target), watched.changes
        )

    def _list_scheduled(self, fleet: ScheduledFleet, id_: str) -> list[RunRequest]:
        commit = self._checkouts.fetch_branch(fleet.branch)
        with self._checkouts.open(commit):
            settings = self._load_settings(commit, fleet.folder)
        return run_requests.make_scheduled(settings, fleet, commit, id_)


def _read_limit(target: Target) -> KeyRateLimit:
    return KeyRateLimit(target.rate_limit.per_minute, target.rate_limit.per_hour)
