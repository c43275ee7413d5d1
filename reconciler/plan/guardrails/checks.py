"""What a plan may not do without being told to: findings that `apply` refuses (4)."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Cause, Change, Declared, Finding, Live, Severity
from reconciler.plan.diff.three_way import BaseIndex
from reconciler.plan.guardrails import deletes, weakening
from reconciler.plan.guardrails.weakening import USED, WEAKENED
from reconciler.plan.weakening.partial_apply import StartedCommits

PREVENT_DESTROY: Final = "prevent-destroy"
HELD_BACK: Final = "delete-held-back"
CONFLICT: Final = "conflict"
STALE: Final = "stale"  # of a saved plan: the object is not what it was
GATE_MOVED: Final = "gate-moved"  # of a saved plan: its gate would ask fewer people
ROLLBACK: Final = "rollback"  # of the commit as a whole: it is not the newest
WHOLE: Final = frozenset({ROLLBACK})  # concern no resource of their own: --continue changes nothing
CODES: Final = frozenset(
    {PREVENT_DESTROY, CONFLICT, WEAKENED, USED, STALE, GATE_MOVED, *WHOLE, *deletes.CODES}
)

_PLACES: Final = frozenset({"Project", "Organization"})  # what other resources live in


@dataclass(frozen=True, slots=True)
class Limits:
    """What the target and the command line allow."""

    on_deletes: deletes.Limits = deletes.DEFAULT_LIMITS
    allow_destroy: tuple[str, ...] = ()  # addresses of protected resources
    allow_weakening: bool = False  # policies may get weaker, in a run that does not use it


DEFAULT_LIMITS: Final = Limits()
_NOTHING: Final = Declared({}, "")


def find(
    changes: tuple[Change, ...],
    live: Live,
    limits: Limits,
    *,
    desired: Declared = _NOTHING,
    base: Declared | None = None,
    started: StartedCommits | None = None,
) -> Iterator[Finding]:
    """Everything that this plan may not do as it is, each with what would lift it."""
    yield from _protected(changes, BaseIndex(desired, base), limits.allow_destroy)
    yield from deletes.find(changes, desired, base, live, limits.on_deletes)
    yield from _conflicts(changes)
    yield from weakening.find(changes, live, allowed=limits.allow_weakening, started=started)


def hold_back(
    changes: tuple[Change, ...], problems: Iterable[Finding]
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Leave out the deletes that a document in error may be the reason of: those of its kind.

    A mistyped project, id or name makes a document mean another object, and the one it meant
    before look as if it had left the files. With a project or an organization in error, so does
    everything in its organization.
    """
    unsure = {
        finding.address.kind: finding
        for finding in problems
        if finding.severity is Severity.ERROR and finding.address is not None
    }
    places = {
        finding.address.organization: finding
        for finding in problems
        if finding.severity is Severity.ERROR
        and finding.address is not None
        and finding.address.kind in _PLACES
    }
    held: dict[Address, tuple[Change, Finding]] = {}
    for change in deletes.implied(changes):
        reason = unsure.get(change.address.kind) or places.get(change.address.organization)
        if reason is not None:
            held[change.address] = (change, reason)
    if not held:
        return changes, ()
    kept = tuple(change for change in changes if change.address not in held)
    return kept, tuple(
        Finding(
            code=HELD_BACK,
            severity=Severity.WARNING,
            message=f"{change.address} is in no file any more, and is not deleted in this run",
            why=f"a document that is in error may mean it, or where it lives: {reason.message}",
            fix="correct that document first",
            address=change.address,
        )
        for change, reason in held.values()
    )


def _protected(
    changes: tuple[Change, ...], earlier: BaseIndex, allowed: Collection[str]
) -> Iterator[Finding]:
    """Deletes of organizations and projects, and of what the files protect, or did at the base.

    `allowed` holds addresses as text, each exact: a pattern would allow too much.
    """
    for change in changes:
        if change.action is not Action.DELETE or str(change.address) in allowed:
            continue
        if why := _protection(change, earlier):
            yield _error(
                PREVENT_DESTROY,
                change,
                f"{change.address} would be deleted, and it is protected",
                why,
                f"if it is really meant: --allow-destroy '{change.address}'",
            )


def _protection(change: Change, earlier: BaseIndex) -> str:
    """Why it may not be deleted. What the base protected is, until a commit says otherwise."""
    kind = KINDS[change.address.kind]
    if kind.protected:
        return f"a {kind.name} is never deleted unless its address is named"
    own = change.desired
    if own is None or own.lifecycle.prevent_destroy is False:
        return ""
    then = own if change.removed else earlier.find_declaration(own)
    if own.lifecycle.prevent_destroy and not change.removed:
        return "prevent_destroy is true"
    if then is not None and then.lifecycle.prevent_destroy:
        place = f" ({then.source})" if then.source is not None else ""
        return f"prevent_destroy was true at the base{place}; apply without it first"
    return ""


def _conflicts(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Fields that the files and somebody else moved apart: a person has to decide."""
    for change in changes:
        paths = [one.path for one in change.fields if one.cause is Cause.CONFLICT]
        if paths and change.action is Action.CREATE:
            yield _error(
                CONFLICT,
                change,
                f"{change.address} is gone from PostHog, and the files moved {', '.join(paths)}",
                "the files and PostHog both changed since the base",
                "--prefer git creates it again, --prefer live leaves it gone; plan shows either",
            )
        elif paths:
            yield _error(
                CONFLICT,
                change,
                f"{change.address}: {', '.join(paths)} moved on both sides, to different values",
                "the files and PostHog both changed since the base",
                "--prefer git writes what the files say, --prefer live keeps what is live; "
                "plan shows either",
            )


def _error(code: str, change: Change, message: str, why: str, fix: str) -> Finding:
    address: Address = change.address
    source = None if change.removed or change.pruned else change.source
    return Finding(code, Severity.ERROR, message, why, fix, source, address)
