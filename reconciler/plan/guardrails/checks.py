"""Findings for which `apply` refuses a change (exit code 4) unless an option allows it."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Cause, Change, Declared, Finding, Live, Severity
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.plan.guardrails import deletes, lockout, weakening
from reconciler.plan.guardrails.lockout import LOCKOUT
from reconciler.plan.guardrails.weakening import USED, WEAKENED
from reconciler.plan.rules import findings as rule_findings
from reconciler.plan.weakening.partial_apply import StartedCommits

PREVENT_DESTROY: Final = "prevent-destroy"
HELD_BACK: Final = "delete-held-back"
CONFLICT: Final = "conflict"
STALE: Final = "stale"  # of a saved plan: the object has changed since
GATE_MOVED: Final = "gate-moved"  # of a saved plan: its gate now requires fewer people
ROLLBACK: Final = "rollback"  # about the commit as a whole: a newer one is known
WHOLE: Final = frozenset(  # about the whole run: --continue changes nothing
    {ROLLBACK, rule_findings.INVALID}
)
CODES: Final = frozenset(
    {
        *(PREVENT_DESTROY, CONFLICT, LOCKOUT, WEAKENED, USED, STALE, GATE_MOVED),
        *(*WHOLE, *deletes.CODES, *rule_findings.REFUSALS),
    }
)

_CONTAINERS: Final = frozenset({"Project", "Organization"})  # what other resources live in


@dataclass(frozen=True, slots=True)
class GuardrailLimits:
    """Limits from the settings of the target and the command line."""

    on_deletes: deletes.DeleteLimits = deletes.DEFAULT_DELETE_LIMITS
    allow_destroy: tuple[str, ...] = ()  # addresses of protected resources
    allow_lockout: tuple[str, ...] = ()  # addresses of organizations that may shut people out
    allow_weakening: bool = False  # policies may get weaker, if no flag of the run depends on it


DEFAULT_GUARDRAIL_LIMITS: Final = GuardrailLimits()
_NOTHING: Final = Declared({}, "")


def find_refusals(
    changes: tuple[Change, ...],
    live: Live,
    limits: GuardrailLimits,
    *,
    desired: Declared = _NOTHING,
    base: Declared | None = None,
    started: StartedCommits | None = None,
) -> Iterator[Finding]:
    """Find what this plan may not do without an option, each with the option that allows it."""
    yield from _check_protection(changes, BaseIndex(desired, base), limits.allow_destroy)
    yield from deletes.find_excess(changes, desired, base, live, limits.on_deletes)
    yield from _check_conflicts(changes)
    yield from lockout.find_lockouts(changes, live, limits.allow_lockout)
    allowed = limits.allow_weakening
    yield from weakening.find_weakenings(changes, live, allowed=allowed, started=started)


def hold_back_deletes(
    changes: tuple[Change, ...], problems: Iterable[Finding]
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Leave out deletes that may be due to a document with an error: those of its kind.

    With a mistyped project, id or name, a document means another object, and the object that it
    meant before seems to be removed from the files. If the document of a project or an
    organization has an error, this applies to everything in its organization.
    """
    unclear_kinds = {
        finding.address.kind: finding
        for finding in problems
        if finding.severity is Severity.ERROR and finding.address is not None
    }
    unclear_organizations = {
        finding.address.organization: finding
        for finding in problems
        if finding.severity is Severity.ERROR
        and finding.address is not None
        and finding.address.kind in _CONTAINERS
    }
    held: dict[Address, tuple[Change, Finding]] = {}
    for change in deletes.select_implied(changes):
        reason = unclear_kinds.get(change.address.kind)
        reason = reason or unclear_organizations.get(change.address.organization)
        if reason is not None:
            held[change.address] = (change, reason)
    if not held:
        return changes, ()
    kept = tuple(change for change in changes if change.address not in held)
    return kept, tuple(
        Finding(
            code=HELD_BACK,
            severity=Severity.WARNING,
            message=f"{change.address} was removed from the files, but is not deleted in this run",
            why=f"a document with an error may mean it, or the place it is in: {reason.message}",
            fix="correct that document first",
            address=change.address,
        )
        for change, reason in held.values()
    )


def _check_protection(
    changes: tuple[Change, ...], earlier: BaseIndex, allowed: Collection[str]
) -> Iterator[Finding]:
    """Find deletes of organizations, projects, and what the files protect, or did at the base.

    `allowed` holds exact addresses as text: a pattern would allow too much.
    """
    for change in changes:
        if change.action is not Action.DELETE or str(change.address) in allowed:
            continue
        if why := _explain_protection(change, earlier):
            yield _error(
                PREVENT_DESTROY,
                change,
                f"{change.address} is protected, but would be deleted",
                why,
                f"to delete it anyway: --allow-destroy '{change.address}'",
            )


def _explain_protection(change: Change, earlier: BaseIndex) -> str:
    """Return why the object may not be deleted; "" if it may.

    What the base protects stays protected until a commit that lifts this is applied.
    """
    kind = KINDS[change.address.kind]
    if kind.protected:
        return (
            f"a resource of kind {kind.name} is deleted only if --allow-destroy names its address"
        )
    resource = change.desired
    if resource is None or resource.lifecycle.prevent_destroy is False:
        return ""
    at_base = resource if change.removed else earlier.find_declaration(resource)
    if resource.lifecycle.prevent_destroy and not change.removed:
        return "prevent_destroy is true"
    if at_base is not None and at_base.lifecycle.prevent_destroy:
        place = f" ({at_base.source})" if at_base.source is not None else ""
        return f"prevent_destroy was true at the base{place}; first apply a commit without it"
    return ""


def _check_conflicts(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Find fields that the files and somebody else changed to different values."""
    for change in changes:
        paths = ", ".join(edit.path for edit in change.fields if edit.cause is Cause.CONFLICT)
        if paths and change.action is Action.CREATE:
            yield _error(
                CONFLICT,
                change,
                f"{change.address} was deleted in PostHog, and the files changed {paths}",
                "the files and PostHog both changed since the base",
                "--prefer git creates it again, --prefer live leaves it deleted; "
                "plan shows the result",
            )
        elif paths:
            yield _error(
                CONFLICT,
                change,
                f"{change.address}: {paths} changed on both sides, to different values",
                "the files and PostHog both changed since the base",
                "--prefer git writes what the files say, --prefer live keeps what is live; "
                "plan shows the result",
            )


def _error(code: str, change: Change, message: str, why: str, fix: str) -> Finding:
    address: Address = change.address
    source = None if change.removed or change.pruned else change.source
    return Finding(code, Severity.ERROR, message, why, fix, source, address)
