"""The sentences of a plan and of an apply, the same in every sink. Plain text: the sink escapes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from reconciler.consent import FILES_ANEW, LAPSED, MAKES_WAY
from reconciler.model import (
    Action,
    Address,
    Approvers,
    Cause,
    Change,
    Confidence,
    Gate,
    Outcome,
    Result,
    Verdict,
)

_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.NONE: " "}
_DRIFTED: Final = {Action.CREATE: "-", Action.DELETE: "+"}  # what happened, not what would mend it
_HAPPENED: Final = {Action.CREATE: "not there", Action.DELETE: "declared absent, but there"}
_NAMED: Final = 6  # people of a role that are named before "and n more"


class Tone(Enum):
    """How loudly something is said."""

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
    page: str = ""  # where a person looks at it; the sink checks it


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 change`, `2 changes`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def approvers(found: Approvers, *, sure: bool = True) -> str:
    """`alice@acme.test, Release managers (alice@acme.test, bob@acme.test)`."""
    roles = (
        f"{name} ({_people(members)})" if members or sure else name
        for name, members in found.roles.items()
    )
    return ", ".join((*found.users, *roles)) or "nobody"


def _people(members: Iterable[str]) -> str:
    named = tuple(members)
    rest = len(named) - _NAMED
    shown = named if rest <= 1 else (*named[:_NAMED], f"and {rest} more")
    return ", ".join(shown) or "nobody"


def gate(change: Change) -> Phrase | None:
    """What the gate does to this change; None where nothing has to be said."""
    found = change.gate
    policy, whom = _policy(change), ask(found)
    notes = tuple(text for text in (_because(found), found.note) if text)
    request = found.change_request or "unknown"
    match found.verdict:
        case Verdict.NONE:
            sure = found.confidence is not Confidence.UNKNOWN
            doubt = Phrase("?", "may wait for approval: this cannot be told", Tone.WAIT, notes)
            said = None if sure else doubt
        case Verdict.APPROVAL:
            said = Phrase("⏸", f"{_waits(found.confidence)}: {policy}, {whom}", Tone.WAIT, notes)
        case Verdict.BYPASS:
            text = f"BYPASSES {policy}: written at once, without the approval of {whom}"
            said = Phrase("‼", text, Tone.LOUD, notes)
        case Verdict.PENDING:
            where = "" if request in found.note else f" in change request {request}"
            text = f"waits already{where}: {policy}, {whom}"
            said = Phrase("⏸", text, Tone.WAIT, notes)
        case Verdict.BLOCKED if makes_way(found):
            anew = f", and files anew: {policy}, {whom}" if files_anew(found) else ""
            text = f"takes back change request {request}{anew}"
            said = Phrase("⏸", text, Tone.WAIT, notes)
        case Verdict.BLOCKED:
            text = f"BLOCKED by change request {request}: {policy}, {whom}"
            look = f"nothing is written; see: reconciler requests show {request}"
            said = Phrase("✗", text, Tone.STOP, (*notes, look))
        case Verdict.REJECTED:
            how = "ASKED TWICE before, last" if LAPSED in found.note else "REJECTED before"
            text = f"{how} in change request {request}: {policy}; not filed again"
            again = "to ask once more, commit the document anew"
            said = Phrase("✗", text, Tone.STOP, (*notes, again))
        case Verdict.SPLIT:
            said = _split(found, policy, whom, notes)
        case _:
            assert_never(found.verdict)
    return said


def makes_way(found: Gate) -> bool:
    """Whether the open request is taken back, so that nothing is blocked by it."""
    return found.verdict is Verdict.BLOCKED and MAKES_WAY in found.note


def files_anew(found: Gate) -> bool:
    """Whether what is written in its place has to be approved as well."""
    return makes_way(found) and FILES_ANEW in found.note


def _split(found: Gate, policy: str, whom: str, notes: tuple[str, ...]) -> Phrase:
    """Several calls: some of them wait, or all pass, perhaps because of whose key it is."""
    if found.waits:
        return Phrase("⏸", f"sent in several calls: {policy}, {whom}", Tone.WAIT, notes)
    if found.policy is not None:
        text = f"sent in several calls that BYPASS {policy}: without the approval of {whom}"
        return Phrase("‼", text, Tone.LOUD, notes)
    return Phrase("⏸", "sent in several calls, of which none has to wait", Tone.WAIT, notes)


def _because(found: Gate) -> str:
    return f"because {found.condition}" if found.condition else ""


def _waits(confidence: Confidence) -> str:
    match confidence:
        case Confidence.CERTAIN:
            return "waits for approval"
        case Confidence.LIKELY:
            return "probably waits for approval"
        case Confidence.UNKNOWN:
            return "may wait for approval"
    assert_never(confidence)


def _policy(change: Change) -> str:
    """The policy by its action where it is of the same project, else by its address."""
    text = change.gate.policy
    if text is None:
        return "an approval policy"
    try:
        found = Address.parse(text)
    except ValueError:
        return text
    return found.name if found.parts[:-1] == change.address.parts[:-1] else text


def ask(found: Gate) -> str:
    """`2 of alice@acme.test, Release managers (…); expires after 14d`."""
    of = approvers(found.approvers, sure=found.confidence is Confidence.CERTAIN)
    text = f"{found.quorum} of {of}" if found.quorum is not None else of
    return f"{text}; expires after {found.expires_after}" if found.expires_after else text


def cause(found: Cause) -> str:
    """The marker of a field in a line; nothing where the cause is unknown."""
    return "" if found is Cause.UNKNOWN else f"  [{found}]"


def sign(action: Action, *, drift: bool = False) -> str:
    """`+`, `~` or `-`: what apply would do, or what happened to the live side."""
    return _DRIFTED.get(action, _SIGNS[action]) if drift else _SIGNS[action]


def drifted(action: Action) -> str:
    """What a change means where the files are taken for the truth."""
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


def outcome(found: Outcome) -> tuple[str, str]:
    """The mark and the word of an outcome."""
    mark, word = _ENDED[found.result]
    if found.result is Result.WAITING and found.problem is not None:
        word = "waits"  # for what is in its way: nobody is asked to approve that for its sake
    if found.result is Result.UNCHANGED and found.attempts:
        word = "is unchanged: PostHog kept nothing of what was sent"
    word = _DONE.get(found.action, word) if found.result is Result.DONE else word
    return mark, f"{word} ({written(found)})" if found.written else word


def written(found: Outcome) -> str:
    """Return `name, filters written`: what is live of a change that is not at its end."""
    return f"{', '.join(found.written)} written" if found.written else ""


def waits_for(row: Outcome, change: Change | None) -> str:
    """`feature_flag.update: 2 of alice@acme.test, …; approved so far by bob@acme.test`.

    As the change request itself says it; as forecast, where that could not be read.
    """
    found = row.awaits
    if found is not None and (found.quorum is not None or found.approvers != Approvers()):
        text = ask(Gate(quorum=found.quorum, approvers=found.approvers))
        if found.approved_by:
            text += f"; approved so far by {', '.join(found.approved_by)}"
        if found.expires_at:
            text += f"; expires {found.expires_at[:16].replace('T', ' ')}"
        return f"{_policy(change)}: {text}" if change is not None else text
    return who_approves(change) if change is not None else ""


def who_approves(change: Change) -> str:
    """`feature_flag.update: 2 of alice@acme.test, …; expires after 14d`, as forecast."""
    if change.gate.quorum is None and change.gate.approvers == Approvers():
        return ""
    return f"{_policy(change)}: {ask(change.gate)}"
