"""What became of the targets of a fleet, in words. Plain text: each format escapes it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    DriftCause,
    ExitCode,
    FleetMode,
    FleetReport,
    TargetDetails,
    TargetResult,
    WaitingRequest,
    shorten_commit,
)
from reconciler.render.shared import values
from reconciler.render.shared.identities import Initials
from reconciler.render.shared.phrases import count, shorten_id
from reconciler.render.shared.sanitize import is_page_of

LoadDetails = Callable[[str], TargetDetails]  # name of a target -> the rest of its report
_NAMED: Final = 5  # targets or people that are named before "and n more"


class State(Enum):
    """How the run of a target ended, the most urgent first; the value is for filters."""

    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    WAITING = "waiting"
    CHANGES = "changes"
    HELD = "held"
    CLEAN = "clean"


MARKS: Final = {
    State.FAILED: "✗",
    State.REFUSED: "✗",
    State.INTERRUPTED: "✗",
    State.SKIPPED: "»",
    State.WAITING: "⏸",
    State.CHANGES: "~",
    State.HELD: "~",
    State.CLEAN: "✓",
}
_CHANGED: Final = {
    FleetMode.PLAN: "with changes",
    FleetMode.APPLY: "changed",
    FleetMode.DRIFT: "with drift",
    FleetMode.STATUS: "behind or waiting",
}
_CLEAN: Final = {
    FleetMode.VALIDATE: "valid",
    FleetMode.PLAN: "without changes",
    FleetMode.APPLY: "without changes",
    FleetMode.DRIFT: "without drift",
    FleetMode.STATUS: "up to date",
}
# Totals of the documents of each command: the key, and the words behind its number.
_TOTALS: Final[Mapping[FleetMode, tuple[tuple[str, str], ...]]] = {
    FleetMode.PLAN: (
        ("create", "to create"),
        ("update", "to update"),
        ("delete", "to delete"),
        ("gated", "gated"),
        ("conflict", "in CONFLICT"),
    ),
    FleetMode.APPLY: (
        ("done", "done"),
        ("waiting", "waiting"),
        ("failed", "failed"),
        ("refused", "refused"),
        ("skipped", "skipped"),
        ("partly_written", "partly written"),
    ),
    FleetMode.DRIFT: (
        ("update", "changed"),
        ("create", "missing"),
        ("delete", "declared absent but live"),
    ),
}
_REVERTED: Final = (  # by `drift --revert`, whose totals are outcomes
    ("done", "reverted"),
    ("waiting", "waiting"),
    ("failed", "failed"),
    ("refused", "refused"),
    ("skipped", "skipped"),
    ("partly_written", "partly written"),
)
_NOUNS: Final[Mapping[FleetMode, tuple[tuple[str, str], ...]]] = {
    FleetMode.VALIDATE: (("resources", "resource"), ("errors", "error"), ("warnings", "warning")),
    FleetMode.STATUS: (
        ("commits_since", "commit to apply"),
        ("dirty", "file not committed"),
        ("requests", "open request"),
    ),
}
_NOTHING: Final = {
    FleetMode.VALIDATE: "nothing was checked",
    FleetMode.PLAN: "no changes",
    FleetMode.APPLY: "no changes",
    FleetMode.DRIFT: "no drift",
    FleetMode.STATUS: "nothing to apply, no open request",
}


@dataclass(frozen=True, slots=True)
class TargetView:
    """How one target is shown: its state, and a phrase that says what became of it."""

    result: TargetResult
    state: State
    text: str

    @property
    def mark(self) -> str:
        """Return the sign before its name."""
        return MARKS[self.state]


def list_views(report: FleetReport) -> tuple[TargetView, ...]:
    """Return the targets in the order of the report."""
    return tuple(
        TargetView(result, classify(report.mode, result), describe_result(report.mode, result))
        for result in report.targets
    )


def classify(mode: FleetMode, result: TargetResult) -> State:
    """Return the state of a target."""
    known: dict[int | None, State] = {
        None: State.SKIPPED,
        ExitCode.INTERRUPTED: State.INTERRUPTED,
        ExitCode.WAITING: State.WAITING,
        ExitCode.REFUSED: State.REFUSED,
        ExitCode.DIFFERENCES: State.CHANGES,
    }
    if result.exit_code == ExitCode.DONE:
        names = [name for name, _ in (*_TOTALS.get(mode, ()), *_NOUNS.get(mode, ()))]
        if mode not in _CHANGED or not any(result.summary.get(name) for name in names):
            return State.CLEAN
        return State.HELD if mode is FleetMode.DRIFT else State.CHANGES
    return known.get(result.exit_code, State.FAILED)


def describe_result(mode: FleetMode, result: TargetResult) -> str:
    """Return `2 to create, 1 gated`, or why there is nothing to count."""
    if result.skipped_because is not None:
        return f"skipped: {result.skipped_because}"
    totals = ", ".join(_list_totals(mode, result.summary))
    if result.error is not None:
        return f"{totals}; {result.error.what}" if totals else result.error.what
    if result.exit_code == ExitCode.INTERRUPTED:
        return f"interrupted; {totals}" if totals else "interrupted"
    if not totals and result.exit_code not in {ExitCode.DONE, ExitCode.DIFFERENCES}:
        return f"exit code {result.exit_code}"
    if classify(mode, result) is State.HELD:
        return f"{totals}, on hold"
    return totals or _NOTHING[mode]


def _list_totals(mode: FleetMode, summary: Mapping[str, Any]) -> Iterator[str]:
    reverted = _REVERTED if mode is FleetMode.DRIFT else ()
    for name, words in (*_TOTALS.get(mode, ()), *reverted):
        if number := _read_number(summary, name):
            yield f"{number:,} {words}"
    for name, noun in _NOUNS.get(mode, ()):
        if number := _read_number(summary, name):
            yield _pluralize(number, noun)


def _pluralize(number: int, noun: str) -> str:
    """Return `2 commits to apply`: the plural is that of the first word, or of the second."""
    first, _, rest = noun.partition(" ")
    if first == "open":
        return count(number, noun)
    return f"{count(number, first)} {rest}".rstrip()


def _read_number(summary: Mapping[str, Any], name: str) -> int:
    number = summary.get(name, 0)
    return number if isinstance(number, int) else 0


def describe_title(report: FleetReport) -> str:
    """Return `fleet plan: 30 targets at commit 1234567890, shard 1/3`."""
    where = f" at commit {shorten_commit(report.commit)}" if report.commit else ""
    if report.is_dirty:
        where += " with uncommitted changes"
    shard = report.shard
    part = f", shard {shard.index}/{shard.count}" if shard is not None else ""
    return f"fleet {report.mode}: {count(len(report.targets), 'target')}{where}{part}"


def describe_next_step(report: FleetReport) -> str:
    """Return how to see the changes of a target; nothing where no target has any."""
    shows = report.mode in {FleetMode.PLAN, FleetMode.DRIFT}
    if not shows or all(state is State.CLEAN for state, _ in count_states(report)):
        return ""
    return f"To see the changes of a target: reconciler {report.mode} --target NAME"


def describe_state(mode: FleetMode, state: State) -> str:
    """Return the words for targets in a state, behind their number."""
    if state is State.CHANGES:
        return _CHANGED.get(mode, "with changes")
    if state is State.CLEAN:
        return _CLEAN[mode]
    if state is State.HELD:
        return "with drift on hold"
    return "waiting for approval" if state is State.WAITING else state.value


def count_states(report: FleetReport) -> tuple[tuple[State, int], ...]:
    """Return how many targets are in each state that occurs, the most urgent first."""
    counted = Counter(classify(report.mode, result) for result in report.targets)
    return tuple((state, counted[state]) for state in State if counted[state])


def describe_totals(report: FleetReport) -> str:
    """Return `30 targets: 1 failed, 29 without changes. 412 reads, 0 writes.`."""
    parts = [
        f"{number:,} {describe_state(report.mode, state)}" for state, number in count_states(report)
    ]
    listed = f": {', '.join(parts)}" if parts else ""
    return f"{count(len(report.targets), 'target')}{listed}. {describe_requests(report)}"


def describe_requests(report: FleetReport) -> str:
    """Return `412 reads, 0 writes.`: what the whole fleet has sent."""
    reads = sum(result.requests.reads for result in report.targets)
    writes = sum(result.requests.writes for result in report.targets)
    return f"{count(reads, 'read')}, {count(writes, 'write')}."


def describe_cause(cause: DriftCause) -> str:
    """Return `dana@acme.test set filters.groups[0].rollout_percentage to 100`."""
    who, value = cause.person, values.format_flow(cause.live)
    if who is None:
        what = f"{cause.path} is {value}" if cause.path else _describe_existence(cause)
        return f"{what}; who changed it is not known"
    if cause.path:
        return f"{who} set {cause.path} to {value}"
    return f"{who} deleted it" if cause.live is None else f"{who} created it again"


def _describe_existence(cause: DriftCause) -> str:
    return "it is missing" if cause.live is None else "it exists, but is declared absent"


def describe_extent(cause: DriftCause) -> str:
    """Return `3 of the kind FeatureFlag in 12 targets: eu-1, eu-2 and 10 more`."""
    where = f"{count(len(cause.targets), 'target')}: {list_some(cause.targets)}"
    return f"{count_resources(cause)} in {where}"


def count_resources(cause: DriftCause) -> str:
    """Return `12 resources of the kind FeatureFlag`, or the address of the only one."""
    number = len(cause.addresses)
    return f"{number:,} of the kind {cause.kind}" if number > 1 else str(cause.addresses[0])


def describe_waiting(request: WaitingRequest) -> str:
    """Return who can still approve, and how many approvals are needed."""
    people = list_some(request.waiting_for) or "people whom this key cannot see"
    number = request.quorum
    left = max(number - len(request.approved_by), 1) if number is not None else None
    need = "approval" if left is None else count(left, "approval")
    given = f"; approved by {list_some(request.approved_by)}" if request.approved_by else ""
    return f"{need} from {people}{given}"


def describe_request(request: WaitingRequest) -> str:
    """Return the beginning of the ID of a request, or that `apply` will file it."""
    return f"request {shorten_id(request.id)}" if request.id else "not filed yet"


def list_some(names: Iterable[str], most: int = _NAMED) -> str:
    """Return `a, b and 3 more`."""
    every = tuple(names)
    more = len(every) - most
    if more <= 1:
        return ", ".join(every)
    return f"{', '.join(every[:most])} and {more:,} more"


def find_page(request: WaitingRequest) -> str:
    """Return the page of a request if it is safe to link to, else nothing."""
    url = request.url or ""
    host = "/".join(url.split("/", 3)[:3])
    return url if host and is_page_of(url, host) else ""


def mask_people(report: FleetReport, initials: Initials) -> FleetReport:
    """Return a report that names people by initials."""
    return replace(
        report,
        targets=tuple(_mask_result(result, initials) for result in report.targets),
        causes=tuple(
            replace(cause, person=initials.name(cause.person) if cause.person else None)
            for cause in report.causes
        ),
        waiting=tuple(
            replace(
                request,
                waiting_for=tuple(map(initials.name, request.waiting_for)),
                approved_by=tuple(map(initials.name, request.approved_by)),
            )
            for request in report.waiting
        ),
    )


def _mask_result(result: TargetResult, initials: Initials) -> TargetResult:
    problem = result.error
    if problem is None:
        return result
    texts = (initials.mask_text(getattr(problem, name)) for name in ("what", "why", "state", "fix"))
    return replace(result, error=type(problem)(*texts))
