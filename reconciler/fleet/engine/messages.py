"""What workflows are given and return. It is kept in the engine's history, where many can read it.

Names, digests, counts, options and places of reports: never a key, a plan or a payload.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import ExitCode, RequestCounts

PREFIX: Final = "reconciler"
DEFAULT_POLL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Hold what is to run for one target.

    Attributes:
        id: the same for all targets of one command; a repeated one is ignored.
        mode: plan, apply or drift.
        target: its name in reconciler.yaml.
        commit: full id of the commit whose files are meant.
        folder: the folder that the command runs in, from the root of the repository.
        words: the options of the command.
        needs: targets of the same command that have to end well before this one starts.
        timeout_s: for the run.
        poll_s: between two looks at the change requests that an apply waits for.
        fairness_key: host and name of the key's variable: the server may share out by it.
        notifies: whether the run itself sends messages to webhooks: nobody waits for it.

    """

    id: str
    mode: str
    target: str
    commit: str
    folder: str = "."
    words: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    timeout_s: float = 1800.0
    poll_s: float = DEFAULT_POLL_S
    fairness_key: str = ""
    notifies: bool = False

    def is_same_run(self, other: "RunRequest") -> bool:
        """Return whether both ask for the same run, so that one is enough."""
        mine = (self.commit, self.folder, self.words, self.needs)
        return mine == (other.commit, other.folder, other.words, other.needs)


@dataclass(frozen=True, slots=True)
class WatchedChange:
    """Name a change request that an apply waits for, and the resource that it is about."""

    id: str
    address: str
    project: str | None = None  # its ID, once it is known


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Hold what became of a run; the rest is in its report.

    Attributes:
        exit_code: of the command; None if it did not run, because of `unmet`, or cancelled.
        seconds: how long it took.
        requests: what it has sent.
        report: the folder of the report, as the worker knows it; None without one.
        digest: of the report's summary, so that another file is never taken for it.
        waiting_for: the change requests that an apply waits for.
        unmet: the target that it needs and that did not end well, if it did not run.
        unmet_code: the exit code of that target; None if it did not run either.

    """

    exit_code: int | None
    seconds: float = 0.0
    requests: RequestCounts = field(default_factory=RequestCounts)
    report: str | None = None
    digest: str = ""
    waiting_for: tuple[WatchedChange, ...] = ()
    unmet: str | None = None
    unmet_code: int | None = None

    @property
    def is_interrupted(self) -> bool:
        """Return whether somebody cancelled the run, before or after it began."""
        was_stopped = self.exit_code is None and self.unmet is None
        return was_stopped or self.exit_code == ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True)
class TargetState:
    """Hold what a workflow hands on when its history is cut: an apply that waits."""

    waiting: RunRequest
    outcome: RunOutcome


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Hold how many requests a key has sent within each window."""

    minute: int = 0
    hour: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Hold which worker sends the requests of a key.

    Attributes:
        key: digest of host and key.
        queue: the name of the worker's own queue.
        use: what the worker that held the lease before has sent.

    """

    key: str
    queue: str
    use: KeyUse = field(default_factory=KeyUse)


@dataclass(frozen=True, slots=True)
class WatchedChanges:
    """Ask whether the change requests of an apply have been decided."""

    request: RunRequest
    changes: tuple[WatchedChange, ...]


@dataclass(frozen=True, slots=True)
class WatchResult:
    """Hold what became of change requests.

    Attributes:
        runs: whether one was approved or rejected, so that a run has something to do or to say.
        open: those that still wait; the others ended in another way, for example expired.

    """

    runs: bool = False
    open: tuple[WatchedChange, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduledFleet:
    """Hold what a schedule runs: a mode for targets, at the newest commit of a branch."""

    mode: str
    branch: str
    folder: str = "."
    patterns: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    timeout_s: float = 1800.0
    poll_s: float = DEFAULT_POLL_S


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """Hold a schedule as the server describes it.

    Attributes:
        id: of the schedule.
        fleet: what it runs.
        every_s: between two ticks.
        next_at: ISO 8601; None if there is no next tick.
        runs: ticks that started a run.
        skipped: ticks that came while a run was under way.

    """

    id: str
    fleet: ScheduledFleet
    every_s: float
    next_at: str | None
    runs: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ScheduledResult:
    """Hold the commit of a scheduled run, and how many targets ended with which exit code."""

    commit: str
    codes: Mapping[str, int] = field(default_factory=dict)


def name_workflow(mode: str, target: str) -> str:
    """Return the ID of the workflow of a target: there is never a second one at a time."""
    return f"{PREFIX}/{mode}/{target}"


def name_key(digest: str) -> str:
    """Return the ID of the workflow that says which worker sends the requests of a key."""
    return f"{PREFIX}/key/{digest}"


def name_schedule(mode: str) -> str:
    """Return the ID of a schedule."""
    return f"{PREFIX}/schedule/{mode}"
