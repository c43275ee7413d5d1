"""The sentences of plan and apply that all formats share. Plain text: each format escapes it."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final, assert_never

from reconciler.lazy_dataclass import dataclass
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
    format_time,
)

_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.NONE: " "}
_DRIFTED: Final = {Action.CREATE: "-", Action.DELETE: "+"}  # what happened, not what would undo it
_HAPPENED: Final = {
    Action.CREATE: "missing",
    Action.DELETE: "declared absent, but live",
    Action.NONE: "as declared",
}
_NEEDS: Final = {
    Confidence.CERTAIN: "needs",
    Confidence.LIKELY: "probably needs",
    Confidence.UNKNOWN: "may need",
}
_WHEN: Final = ("now", "after approval", "after the second approval")  # by approvals before it
_ID: Final = 8  # characters of an ID
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


def shorten_id(id_: str) -> str:
    """Return the beginning of the ID of a change request, which every command accepts."""
    return id_[:_ID]


def describe_span(seconds: float) -> str:
    """Return whole days from two days on, whole hours from two hours on, else minutes."""
    for noun, size, least in (("day", 86_400, 2), ("hour", 3_600, 2), ("minute", 60, 1)):
        if seconds >= size * least:
            return count(int(seconds // size), noun)
    return "less than a minute"


def choose(number: int, singular: str, plural: str) -> str:
    """Return the word that agrees with a number: the only place that decides on a plural."""
    return singular if number == 1 else plural


def describe_approvers(approvers: Approvers, *, sure: bool = True) -> str:
    """Return `alice@acme.test or Release managers (alice@acme.test, bob@acme.test)`."""
    roles = (
        f"{name} ({_list_people(members)})" if members or sure else name
        for name, members in approvers.roles.items()
    )
    *others, last = (*approvers.users, *roles, "")[:-1] or ("nobody",)
    return f"{', '.join(others)} or {last}" if others else last


def _list_people(members: Iterable[str]) -> str:
    named = tuple(members)
    rest = len(named) - _NAMED
    shown = named if rest <= 1 else (*named[:_NAMED], f"and {rest} more")
    return ", ".join(shown) or "nobody"


def describe_gate(change: Change) -> Phrase | None:
    """Return what the gate does to this change; None where nothing has to be said."""
    gate = change.gate
    if gate.verdict is Verdict.NONE and gate.confidence is not Confidence.UNKNOWN:
        return None
    policy, whom = _name_policy(change, gate.policy), describe_quorum(gate)
    steps = _describe_steps(change)
    notes = tuple(text for text in (_describe_condition(gate), *steps, gate.note) if text)
    request = gate.change_request or "unknown"
    match gate.verdict:
        case Verdict.NONE:
            phrase = _make_phrase(
                "?", "may wait for approval", "this is not known", Tone.WAIT, notes
            )
        case Verdict.APPROVAL:
            phrase = _describe_need(gate, policy, notes)
        case Verdict.BYPASS:
            text = f"written immediately, without {whom}"
            phrase = _make_phrase("‼", f"BYPASSES {policy}", text, Tone.LOUD, notes)
        case Verdict.PENDING:
            where = "" if gate.note else f" in change request {request}"  # the note names it
            phrase = _make_phrase(
                "⏸", f"already waits{where}", f"{policy}: {whom}", Tone.WAIT, notes
            )
        case Verdict.BLOCKED:
            phrase = _describe_blocked(gate, f"{policy}: {whom}", notes)
        case Verdict.REJECTED:
            exhausted = gate.request_plan is RequestPlan.EXHAUSTED
            how = "REQUESTED TWICE before, last" if exhausted else "REJECTED before"
            text = f"{how} in change request {request}"
            again = "to request approval again, change the document in a new commit"
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
        return _describe_need(gate, policy, notes)
    if gate.bypassed:
        text = f"BYPASSES {policy} in steps"
        return _make_phrase("‼", text, f"written immediately, without {whom}", Tone.LOUD, notes)
    return _make_phrase("⏸", "written in steps, without approval", "", Tone.WAIT, notes)


def _describe_need(gate: Gate, policy: str, notes: tuple[str, ...]) -> Phrase:
    """Return `feature_flag.update: needs 2 approvals from …; expires after 14d`."""
    verb = _NEEDS[gate.confidence]
    short = f"{verb} {_count_approvals(gate.quorum)}"
    text = f"{policy}: {verb} {describe_quorum(gate)}"
    return Phrase("⏸", text, Tone.WAIT, notes, short=short)


def _count_approvals(quorum: int | None) -> str:
    return "approval" if quorum is None else count(quorum, "approval")


def _describe_steps(change: Change) -> Iterator[str]:
    """Yield the further policies of a write that is sent in steps, and the steps."""
    steps, waited = change.gate.steps, 0
    for step in steps:
        if step.verdict is Verdict.APPROVAL and step.policy != change.gate.policy:
            gate = Gate(
                quorum=step.quorum, approvers=step.approvers, expires_after=step.expires_after
            )
            yield f"then {_name_policy(change, step.policy)}: {describe_quorum(gate)}"
    shown: list[tuple[str, str]] = []  # when, and what; calls that pass one after another are one
    for step in steps:
        waited += step.verdict is Verdict.APPROVAL
        when, what = _WHEN[min(waited, len(_WHEN) - 1)], ", ".join(step.fields)
        if change.action is Action.CREATE and not shown:
            what = "create (inactive)"
        if shown and step.verdict is not Verdict.APPROVAL:
            when, what = shown[-1][0], f"{shown.pop()[1]}, {what}"
        shown.append((when, what))
    if len(shown) > 1:
        yield "; ".join(f"step {n} {when}: {what}" for n, (when, what) in enumerate(shown, start=1))


def find_gated_fields(change: Change) -> frozenset[str]:
    """Return the fields whose write needs approval; none if the whole change needs it."""
    return frozenset(
        name
        for step in change.gate.steps
        if step.verdict is Verdict.APPROVAL
        for name in step.fields
    )


def _describe_condition(gate: Gate) -> str:
    return f"because {gate.condition.replace(' -> ', ' → ')}" if gate.condition else ""


def _name_policy(change: Change, text: str | None) -> str:
    """Return the action of a policy of the same project, else its address."""
    if text is None:
        return "an approval policy"
    try:
        address = Address.parse(text)
    except ValueError:
        return text
    return address.name if address.parts[:-1] == change.address.parts[:-1] else text


def describe_quorum(gate: Gate) -> str:
    """Return `2 approvals from alice@acme.test or Release managers (…); expires after 14d`."""
    people = describe_approvers(gate.approvers, sure=gate.confidence is Confidence.CERTAIN)
    text = f"{_count_approvals(gate.quorum)} from {people}"
    return f"{text}; expires after {gate.expires_after}" if gate.expires_after else text


def mark_cause(cause: Cause) -> str:
    """Return the marker of a field in a line; nothing for what the files changed, or unknown."""
    return "" if cause in {Cause.INTENT, Cause.UNKNOWN} else f"  # {cause}"


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
        word = "waits"  # for another request, and not for its own approval
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
        return f"{_name_policy(change, change.gate.policy)}: {text}" if change is not None else text
    return describe_forecast(change) if change is not None else ""


def describe_awaited(awaits: Awaited) -> str:
    """Return `2 of alice@acme.test, …; approved so far by bob@acme.test; expires …`."""
    text = describe_quorum(Gate(quorum=awaits.quorum, approvers=awaits.approvers))
    if awaits.approved_by:
        text += f"; approved so far by {', '.join(awaits.approved_by)}"
    if awaits.expires_at:
        text += f"; expires {format_time(awaits.expires_at)}"
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
    return f"{_name_policy(change, change.gate.policy)}: {describe_quorum(change.gate)}"
