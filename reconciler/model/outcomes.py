"""Outcomes: what happened to each change of a plan. Values only."""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.address import Address
from reconciler.model.approvals import Awaited
from reconciler.model.plan import Action


class Result(StrEnum):
    """What became of a change (docs/apply.md)."""

    DONE = "done"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    FAILED = "failed"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Detail(StrEnum):
    """What a result does not say by itself."""

    UNKNOWN = "unknown"  # failed: whether PostHog carried it out could not be found out
    NOT_STARTED = "not_started"  # skipped: the run ended before its turn
    GATE_MISSED = "gate_missed"  # done, although approval was forecast: an incident
    GATE_UNFORESEEN = "gate_unforeseen"  # waiting, although no approval was forecast
    MISNAMED = "misnamed"  # failed: it was created, under another name than was asked for
    TURN = "turn"  # waiting: another flag's request has to be decided first


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an outcome is not `done`, in the four sentences of every error."""

    what: str
    why: str = ""
    state: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change."""

    address: Address
    action: Action
    result: Result
    id: str | None = None
    change_request: str | None = None
    url: str | None = None
    attempts: int = 0  # writes that were sent, however they were answered
    problem: Problem | None = None
    detail: Detail | None = None
    note: str = ""  # what is worth knowing and is no problem
    awaits: Awaited | None = None  # of what waits: whom it waits for
    written: tuple[str, ...] = ()  # fields that are live although the change is not at its end


def joined(*sentences: str) -> str:
    """A note of several sentences, each once."""
    return "; ".join(dict.fromkeys(sentence for sentence in sentences if sentence))
