"""The sentences of plan and apply that all formats share. Plain text: each format escapes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from reconciler.model import (
    REPLACES,
    Action,
    Address,
    Approvers,
    Awaited,
    Cause,
    Change,
    Confidence,
    Gate,
    Outcome,
    RequestPlan,
    Result,
    Unappliable,
    Verdict,
)

_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.NONE: " "}
_DRIFTED: Final = {Action.CREATE: "-", Action.DELETE: "+"}  # what happened, not what would undo it
_HAPPENED: Final = {
    Action.CREATE: "missing",
    Action.DELETE: "declared absent, but live",
    Action.NONE: "as declared",
}
_NAMED: Final = 6  # people of a role that are named before "and n more"


class Tone(Enum):
    """How urgent a phrase is."""

    WAIT = "wait"
    LOUD = "loud"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Phrase:
    """What the gate does to one change: a mark, a sentence, and what is worth adding."""

    mark: str
    text: str
    tone: Tone
    more: tuple[str, ...] = ()
    page: str = ""  # where a person looks at it; each format checks it
    short: str = ""  # what happens, without the policy and its people: for lists


def count(number: int, noun: str, plural: str = "") -> str:
    """Return `1 change`, `2 changes`."""
    return f"{number:,} {choose(number, noun, plural or f'{noun}s')}"


def choose(number: int, singular: str, plural: str) -> str:
    """Return the word that agrees with a number: the only place that decides on a plural."""
    return singular if number == 1 else plural


def describe_approvers(approvers: Approvers, *, sure: bool = True) -> str:
    """Return `alice@acme.test, Release managers (alice@acme.test, bob@acme.test)`."""
    roles = (
        f"{name} ({_list_people(members)})" if members or sure else name
        for name, members in approvers.roles.items()
    )
    return ", ".join((*approvers.users, *roles)) or "nobody"


def _list_people(members: Iterable[str]) -> str:
    named = tuple(members)
    rest = len(named) - _NAMED
    shown = named if rest <= 1 else (*named[:_NAMED], f"and {rest} more")
    return ", ".join(shown) or "nobody"


def describe_gate(change: Change) -> Phrase | None:
    """Return what the gate does to this change; None where nothing has to be said."""
    gate = change.gate
    policy, whom = _name_policy(change), describe_quorum(gate)
    notes = tuple(text for text in (_describe_condition(gate), gate.note) if text)
    request = gate.change_request or "unknown"
    match gate.verdict:
        case Verdict.NONE:
            sure = gate.confidence is not Confidence.UNKNOWN
            doubt = _make_phrase(
                "?", "may wait for approval", "this is not known", Tone.WAIT, notes
            )
            phrase = None if sure else doubt
        case Verdict.APPROVAL:
            phrase = _make_phrase(
                "⏸", _describe_wait(gate.confidence), f"{policy}, {whom}", Tone.WAIT, notes
            )
        case Verdict.BYPASS:
            text = f"written at once, without the approval of {whom}"
            phrase = _make_phrase("‼", f"BYPASSES {policy}", text, Tone.LOUD, notes)
        case Verdict.PENDING:
            where = "" if gate.note else f" in change request {request}"  # the note names it
            phrase = _make_phrase(
                "⏸", f"waits already{where}", f"{policy}, {whom}", Tone.WAIT, notes
            )
        case Verdict.BLOCKED:
            phrase = _describe_blocked(gate, f"{policy}, {whom}", notes)
        case Verdict.REJECTED:
            exhausted = gate.request_plan is RequestPlan.EXHAUSTED
            how = "REQUESTED TWICE before, last" if exhausted else "REJECTED before"
            text = f"{how} in change request {request}"
            again = "to request approval again, commit the document again"
            phrase = _make_phrase(
                "✗", text, f"{policy}; not filed again", Tone.STOP, (*notes, again)
            )
        case Verdict.SPLIT:
            phrase = _describe_split(gate, policy, whom, notes)
        case _:
            assert_never(gate.verdict)
    return phrase


def _make_phrase(mark: str, short: str, rest: str, tone: Tone, more: tuple[str, ...]) -> Phrase:
    return Phrase(mark, f"{short}: {rest}" if rest else short, tone, more, short=short)


def _describe_blocked(gate: Gate, whose: str, notes: tuple[str, ...]) -> Phrase:
    """Return what an open request does: it is canceled, or people have to decide it first."""
    request = gate.change_request or "unknown"
    if gate.request_plan is RequestPlan.REPLACE_AND_WAIT:
        text = f"cancels change request {request} and files a new one"
        return _make_phrase("⏸", text, whose, Tone.WAIT, notes)
    if gate.request_plan in REPLACES:
        return _make_phrase("⏸", f"cancels change request {request}", "", Tone.WAIT, notes)
    look = f"nothing is written; see: reconciler requests show {request}"
    return _make_phrase(
        "✗", f"BLOCKED by change request {request}", whose, Tone.STOP, (*notes, look)
    )


def _describe_split(gate: Gate, policy: str, whom: str, notes: tuple[str, ...]) -> Phrase:
    """Return what becomes of several calls: some wait, or all pass, perhaps by bypass."""
    if gate.waits:
        return _make_phrase("⏸", "sent in several calls", f"{policy}, {whom}", Tone.WAIT, notes)
    if gate.bypassed:
        text = f"sent in several calls that BYPASS {policy}"
        return _make_phrase("‼", text, f"without the approval of {whom}", Tone.LOUD, notes)
    return _make_phrase(
        "⏸", "sent in several calls, of which none has to wait", "", Tone.WAIT, notes
    )


def _describe_condition(gate: Gate) -> str:
    return f"because {gate.condition}" if gate.condition else ""


def _describe_wait(confidence: Confidence) -> str:
    match confidence:
        case Confidence.CERTAIN:
            return "waits for approval"
        case Confidence.LIKELY:
            return "probably waits for approval"
        case Confidence.UNKNOWN:
            return "may wait for approval"
    assert_never(confidence)


def _name_policy(change: Change) -> str:
    """Return the action of a policy of the same project, else its address."""
    text = change.gate.policy
    if text is None:
        return "an approval policy"
    try:
        address = Address.parse(text)
    except ValueError:
        return text
    return address.name if address.parts[:-1] == change.address.parts[:-1] else text


def describe_quorum(gate: Gate) -> str:
    """Return `2 of alice@acme.test, Release managers (…); expires after 14d`."""
    of = describe_approvers(gate.approvers, sure=gate.confidence is Confidence.CERTAIN)
    text = f"{gate.quorum} of {of}" if gate.quorum is not None else of
    return f"{text}; expires after {gate.expires_after}" if gate.expires_after else text


def mark_cause(cause: Cause) -> str:
    """Return the marker of a field in a line; nothing where the cause is unknown."""
    return "" if cause is Cause.UNKNOWN else f"  [{cause}]"


def choose_sign(action: Action, *, drift: bool = False) -> str:
    """Return `+`, `~` or `-`: what apply would do, or what happened to the live side."""
    return _DRIFTED.get(action, _SIGNS[action]) if drift else _SIGNS[action]


def describe_drift(action: Action) -> str:
    """Return what happened to the live side, compared with the files."""
    return _HAPPENED.get(action, "changed")


_ENDED: Final = {
    Result.DONE: ("✓", "done"),
    Result.UNCHANGED: ("=", "is already as wanted"),
    Result.WAITING: ("⏸", "waits for approval"),
    Result.FAILED: ("✗", "failed"),
    Result.SKIPPED: ("»", "skipped"),
    Result.REFUSED: ("✗", "refused"),
}
_DONE: Final = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted"}


def describe_outcome(outcome: Outcome) -> tuple[str, str]:
    """Return the mark and the word of an outcome."""
    mark, word = _ENDED[outcome.result]
    if outcome.result is Result.WAITING and outcome.problem is not None:
        word = "waits"  # for what is in its way, and not for an approval of its own
    if outcome.result is Result.UNCHANGED and outcome.attempts:
        word = "is unchanged: PostHog kept nothing of what was sent"
    word = _DONE.get(outcome.action, word) if outcome.result is Result.DONE else word
    return mark, f"{word} ({list_written_fields(outcome)})" if outcome.written else word


def list_written_fields(outcome: Outcome) -> str:
    """Return `name, filters written`: what is live of a change that is not at its end."""
    return f"{', '.join(outcome.written)} written" if outcome.written else ""


def describe_approval(row: Outcome, change: Change | None) -> str:
    """Return `feature_flag.update: 2 of alice@acme.test, …; approved so far by bob@acme.test`.

    As the change request itself says it; as forecast, where that could not be read.
    """
    awaits = row.awaits
    if awaits is not None and (awaits.quorum is not None or awaits.approvers != Approvers()):
        text = describe_awaited(awaits)
        return f"{_name_policy(change)}: {text}" if change is not None else text
    return describe_forecast(change) if change is not None else ""


def describe_awaited(awaits: Awaited) -> str:
    """Return `2 of alice@acme.test, …; approved so far by bob@acme.test; expires …`."""
    text = describe_quorum(Gate(quorum=awaits.quorum, approvers=awaits.approvers))
    if awaits.approved_by:
        text += f"; approved so far by {', '.join(awaits.approved_by)}"
    if awaits.expires_at:
        text += f"; expires {awaits.expires_at[:16].replace('T', ' ')}"
    if awaits.unappliable is not None:
        text += f"; {describe_unappliable(awaits.unappliable)}"
    return text


def describe_unappliable(trouble: Unappliable) -> str:
    """Return why a change request cannot be applied, and who has to do what."""
    return f"it cannot be applied ({trouble.why}): {trouble.fix}"


def describe_forecast(change: Change) -> str:
    """Return `feature_flag.update: 2 of alice@acme.test, …; expires after 14d`, as forecast."""
    if change.gate.quorum is None and change.gate.approvers == Approvers():
        return ""
    return f"{_name_policy(change)}: {describe_quorum(change.gate)}"
