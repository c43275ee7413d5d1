"""Define outcomes: what happened to each change of a plan. Values only."""

from dataclasses import field
from enum import IntEnum, StrEnum

from reconciler.errors import ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.model.address import Address
from reconciler.model.approvals import Awaited
from reconciler.model.plan import Action
from reconciler.model.resources import Payload


class ExitCode(IntEnum):
    """Name the exit codes of commands (docs/exit-codes.md); errors name their own."""

    DONE = 0
    FAILED = 1
    DIFFERENCES = 2
    WAITING = 3
    REFUSED = 4
    INTERRUPTED = 130


class Result(StrEnum):
    """Name the result of a change (docs/apply.md)."""

    DONE = "done"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    FAILED = "failed"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Detail(StrEnum):
    """Name what a result does not say by itself."""

    UNKNOWN = "unknown"  # failed: it is not known whether PostHog carried it out
    NOT_STARTED = "not_started"  # skipped: the run ended before its turn
    GATE_MISSED = "gate_missed"  # done, although approval was forecast: an incident
    GATE_UNFORESEEN = "gate_unforeseen"  # waiting, although no approval was forecast
    MISNAMED = "misnamed"  # failed: it was created with another name
    TURN = "turn"  # waiting: another flag's request has to be decided first


@dataclass(frozen=True, slots=True)
class Problem:
    """Say why an outcome is not `done`, in the four sentences of every error."""

    what: str
    why: str = ""
    state: str = ""
    fix: str = ""


def to_problem(error: ReconcilerError) -> Problem:
    """Return an error as part of an outcome."""
    return Problem(error.what, error.why, error.state, error.fix)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold the result of one change."""

    address: Address
    action: Action
    result: Result
    id: str | None = None
    change_request: str | None = None
    url: str | None = None
    attempts: int = 0  # writes that were sent, whatever the response
    problem: Problem | None = None
    detail: Detail | None = None
    note: str = ""  # worth knowing, but not a problem
    awaits: Awaited | None = None  # what it waits for, if it waits
    written: tuple[str, ...] = ()  # fields that are live although the change is not complete
    filed: Payload | None = field(default=None, compare=False, repr=False)  # its request, if new


def join_sentences(*sentences: str) -> str:
    """Join sentences to a note, each once."""
    return "; ".join(dict.fromkeys(sentence for sentence in sentences if sentence))
