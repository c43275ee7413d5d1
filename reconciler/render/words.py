"""The sentences of a plan and of an apply, the same in every sink. Plain text: the sink escapes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from reconciler import planfile
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Approvers,
    Cause,
    Change,
    Confidence,
    Finding,
    Gate,
    Outcome,
    Plan,
    Released,
    Result,
    Severity,
    Verdict,
)
from reconciler.render import values

_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.NONE: " "}
_DRIFTED: Final = {Action.CREATE: "-", Action.DELETE: "+"}  # what happened, not what would mend it
_HAPPENED: Final = {Action.CREATE: "not there", Action.DELETE: "there, though it should not be"}
_SEVERITIES: Final = tuple(Severity)
_ABOUT_FIELDS: Final = "unmanaged-field"  # findings of this code are counted, not listed
_NAMED: Final = 6  # people of a role that are named before "and n more"


class Tone(Enum):
    """How loudly something is said."""

    WAIT = "wait"
    LOUD = "loud"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Said:
    """What the gate does to one change: a mark, a sentence, and what is worth adding."""

    mark: str
    text: str
    tone: Tone
    more: tuple[str, ...] = ()


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 change`, `2 changes`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def approvers(found: Approvers) -> str:
    """`alice@acme.test, Release managers (alice@acme.test, bob@acme.test)`."""
    roles = (f"{name} ({_people(members)})" for name, members in found.roles.items())
    return ", ".join((*found.users, *roles)) or "nobody"


def _people(members: Iterable[str]) -> str:
    named = tuple(members)
    rest = len(named) - _NAMED
    shown = named if rest <= 1 else (*named[:_NAMED], f"and {rest} more")
    return ", ".join(shown) or "nobody"


def gate(change: Change) -> Said | None:
    """What the gate does to this change; None where nothing has to be said."""
    found = change.gate
    policy, ask = _policy(change), _ask(found)
    notes = tuple(text for text in (_because(found), found.note) if text)
    request = found.change_request or "unknown"
    match found.verdict:
        case Verdict.NONE:
            sure = found.confidence is not Confidence.UNKNOWN
            doubt = Said("?", "may wait for approval: this cannot be told", Tone.WAIT, notes)
            said = None if sure else doubt
        case Verdict.APPROVAL:
            said = Said("⏸", f"{_waits(found.confidence)}: {policy}, {ask}", Tone.WAIT, notes)
        case Verdict.BYPASS:
            text = f"BYPASSES {policy}: written at once, without the approval of {ask}"
            said = Said("‼", text, Tone.LOUD, notes)
        case Verdict.PENDING:
            where = "" if request in found.note else f" in change request {request}"
            text = f"waits already{where}: {policy}, {ask}"
            said = Said("⏸", text, Tone.WAIT, notes)
        case Verdict.BLOCKED:
            text = f"BLOCKED by change request {request}: {policy}, {ask}"
            look = f"nothing is written; see: reconciler requests show {request}"
            said = Said("✗", text, Tone.STOP, (*notes, look))
        case Verdict.REJECTED:
            text = f"REJECTED before in change request {request}: {policy}; not filed again"
            again = "to ask once more, commit the document anew"
            said = Said("✗", text, Tone.STOP, (*notes, again))
        case Verdict.SPLIT:
            said = Said("⏸", f"sent in several calls: {policy}, {ask}", Tone.WAIT, notes)
        case _:
            assert_never(found.verdict)
    return said


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


def _ask(found: Gate) -> str:
    """`2 of alice@acme.test, Release managers (…); expires after 14d`."""
    of = approvers(found.approvers)
    text = f"{found.quorum} of {of}" if found.quorum is not None else of
    return f"{text}; expires after {found.expires_after}" if found.expires_after else text


def doubts(plan: Plan) -> Mapping[str, int]:
    """What may hold back writes that are taken to pass, and how many: said once, not each time."""
    return Counter(
        change.gate.note
        for change in plan.writes
        if change.gate.verdict is Verdict.NONE
        and change.gate.confidence is Confidence.LIKELY
        and change.gate.note
    )


def base(plan: Plan, *, drift: bool = False) -> str:
    """What the causes of the plan refer to; nothing where there is nothing to explain."""
    if plan.base_ref is not None or plan.base_commit is not None:
        commit = f" ({planfile.redact(plan.base_commit)[:12]})" if plan.base_commit else ""
        return f"base: {plan.base_ref or 'commit'}{commit}"
    if not drift and any(change.action is Action.UPDATE for change in plan.changes):
        return "no base: causes are unknown, so nothing is marked as drift"
    return ""


def totals(plan: Plan) -> str:
    """The last line of a plan."""
    number = planfile.summary(plan)
    if not plan.writes:
        return _nothing(plan, number["none"])
    parts = [f"{number[one]:,} to {one}" for one in ("create", "update", "delete")]
    line = f"Plan: {', '.join(parts)}, {number['none']:,} unchanged."
    return " ".join((line, *_held(plan), *_moved(number)))


def _nothing(plan: Plan, number: int) -> str:
    if plan.errors:
        return f"No changes could be planned. {count(number, 'resource')} compared."
    verb = "matches" if number == 1 else "match"
    return f"No changes. {count(number, 'resource')} {verb}."


def _held(plan: Plan) -> Iterable[str]:
    verdicts = Counter(change.gate.verdict for change in plan.writes)
    waiting = sum(verdicts[one] for one in (Verdict.APPROVAL, Verdict.SPLIT, Verdict.PENDING))
    if waiting:
        yield f"{waiting:,} will wait for approval."
    if number := verdicts[Verdict.BYPASS]:
        yield f"{number:,} will BYPASS approval."
    if number := verdicts[Verdict.BLOCKED]:
        yield f"{number:,} blocked by other change requests."
    if number := verdicts[Verdict.REJECTED]:
        yield f"{number:,} rejected before."


def _moved(number: Mapping[str, int]) -> Iterable[str]:
    if number["drift"]:
        yield f"{number['drift']:,} with drift."
    if number["conflict"]:
        yield f"{number['conflict']:,} in CONFLICT."


def cause(found: Cause) -> str:
    """The marker of a field in a line; nothing where the cause is unknown."""
    return "" if found is Cause.UNKNOWN else f"  [{found}]"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is worth knowing and changes nothing; a quiet one may be shown as its title alone."""

    title: str
    rows: tuple[str, ...]
    quiet: bool = False


def notices(plan: Plan) -> Iterator[Notice]:
    """What nobody manages, and what left the files."""
    if plan.unmanaged:
        title = f"{count(len(plan.unmanaged), 'resource')} live but in no file; left alone"
        yield Notice(title, tuple(map(str, plan.unmanaged)))
    if plan.released:
        title = f"{count(len(plan.released), 'field')} left the files; not written"
        yield Notice(title, tuple(map(_released, plan.released)))
    if fields := tuple(one.message for one in plan.findings if one.code == _ABOUT_FIELDS):
        title = f"{count(len(fields), 'field')} set in PostHog and written in no file"
        yield Notice(title, fields, quiet=True)


def _released(one: Released) -> str:
    stays = values.flow(None if one.live is ABSENT else one.live)
    return f"{one.address}: {one.path} stays {stays}"


def findings(plan: Plan) -> tuple[Finding, ...]:
    """All that are shown one by one, worst first, then by place."""
    shown = (one for one in plan.findings if one.code != _ABOUT_FIELDS)
    return tuple(sorted(shown, key=lambda one: (_SEVERITIES.index(one.severity), one.sort_key)))


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
    return mark, _DONE.get(found.action, word) if found.result is Result.DONE else word


def who_approves(change: Change) -> str:
    """`feature_flag.update: 2 of alice@acme.test, …; expires after 14d`, as forecast."""
    if change.gate.quorum is None and change.gate.approvers == Approvers():
        return ""
    return f"{_policy(change)}: {_ask(change.gate)}"


def drift_totals(plan: Plan) -> str:
    """The last line of a drift report."""
    number = planfile.summary(plan)
    if not plan.writes:
        return _nothing(plan, number["none"]).replace("No changes.", "No drift.")
    parts = (
        (number["update"], "changed"),
        (number["create"], "not there"),
        (number["delete"], "there, though they should not be"),
    )
    shown = ", ".join(f"{found:,} {word}" for found, word in parts if found)
    verb = "matches" if number["none"] == 1 else "match"
    return f"Drift: {shown}; {number['none']:,} {verb}."
