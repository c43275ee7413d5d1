"""What a plan may not do without being told to: findings that `apply` refuses (4)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Cause, Change, Finding, Live, Severity
from reconciler.plan import lookup, weakening_guard
from reconciler.plan.weakening_guard import USED, WEAKENED

PREVENT_DESTROY: Final = "prevent-destroy"
TOO_MANY_DELETES: Final = "too-many-deletes"
HELD_BACK: Final = "delete-held-back"
CONFLICT: Final = "conflict"
STALE: Final = "stale"  # of a saved plan: the object is not what it was
GATE_MOVED: Final = "gate-moved"  # of a saved plan: its gate would ask fewer people
CODES: Final = frozenset(
    {PREVENT_DESTROY, TOO_MANY_DELETES, CONFLICT, WEAKENED, USED, STALE, GATE_MOVED}
)
FEW: Final = 10  # live resources of a kind from which on the share counts (interface section 4)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the target and the command line allow."""

    max_deletes: int = 5  # of one kind in one run
    max_delete_percent: float = 20  # of the live ones of the kind
    confirm_deletes: int | None = None  # exactly so many, all kinds together: lifts both
    allow_destroy: tuple[str, ...] = ()  # addresses of protected resources
    allow_weakening: bool = False  # policies may get weaker, in a run that does not use it


DEFAULT_LIMITS: Final = Limits()


def find(changes: tuple[Change, ...], live: Live, limits: Limits) -> Iterator[Finding]:
    """Everything that this plan may not do as it is, each with what would lift it."""
    yield from _protected(changes, limits.allow_destroy)
    yield from _too_many(changes, live, limits)
    yield from _conflicts(changes)
    yield from weakening_guard.find(changes, live, allowed=limits.allow_weakening)


def hold_back(
    changes: tuple[Change, ...], problems: Iterable[Finding]
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Without the deletes that a document in error may be the reason of: those of its kind.

    A mistyped project, id or name makes a document mean another object, and the one it meant
    before look as if it had left the files.
    """
    unsure = {
        finding.address.kind: finding
        for finding in problems
        if finding.severity is Severity.ERROR and finding.address is not None
    }
    held = [change for change in changes if change.removed and change.address.kind in unsure]
    if not held:
        return changes, ()
    kept = tuple(change for change in changes if change not in held)
    return kept, tuple(
        Finding(
            code=HELD_BACK,
            severity=Severity.WARNING,
            message=f"{change.address} left the files, and is not deleted in this run",
            why=f"a document of its kind is in error, and may mean it: "
            f"{unsure[change.address.kind].message}",
            fix="mend that document first",
            address=change.address,
        )
        for change in held
    )


def _protected(changes: tuple[Change, ...], allowed: Collection[str]) -> Iterator[Finding]:
    """Deletes of organizations and projects, and of what the file protects.

    `allowed` holds addresses as text, each exact: a pattern would allow too much.
    """
    for change in changes:
        if change.action is not Action.DELETE or str(change.address) in allowed:
            continue
        kind = KINDS[change.address.kind]
        own = change.desired.lifecycle.prevent_destroy if change.desired else None
        if not kind.protected and not own:
            continue
        where = " at the base" if change.removed else ""
        why = "its kind is always protected" if kind.protected else "prevent_destroy is true"
        yield _error(
            PREVENT_DESTROY,
            change,
            f"{change.address} would be deleted, and it is protected",
            why + where,
            f"if it is really meant: --allow-destroy '{change.address}'",
        )


def _too_many(changes: tuple[Change, ...], live: Live, limits: Limits) -> Iterator[Finding]:
    """More deletes of a kind than the limits allow. `state: absent` counts towards neither."""
    removed: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        if change.removed and change.action is Action.DELETE:
            removed[change.address.kind].append(change)
    total = sum(map(len, removed.values()))
    if not removed or limits.confirm_deletes == total:
        return
    there = Counter[str]()
    for (kind, _), number in lookup.population(live).items():
        there[kind] += number
    for kind, gone in sorted(removed.items()):
        share = 100 * len(gone) / max(there[kind], 1)
        over = there[kind] >= FEW and share > limits.max_delete_percent
        if len(gone) <= limits.max_deletes and not over:
            continue
        for change in gone:
            yield _error(
                TOO_MANY_DELETES,
                change,
                f"{change.address} would be deleted, one of {len(gone)} of {there[kind]} "
                f"{kind} ({share:.0f} %)",
                f"they left the files, and the limits are {limits.max_deletes} a run and "
                f"{limits.max_delete_percent:g} % (guardrails in reconciler.yaml)",
                f"if all are really meant: --confirm-deletes {total}",
            )


def _conflicts(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Fields that the files and somebody else moved apart: a person has to decide."""
    for change in changes:
        paths = [one.path for one in change.fields if one.cause is Cause.CONFLICT]
        if paths:
            yield _error(
                CONFLICT,
                change,
                f"{change.address}: {', '.join(paths)} moved on both sides, to different values",
                "the files and PostHog both changed since the base",
                "--prefer git writes what the files say, --prefer live keeps what is live",
            )


def _error(code: str, change: Change, message: str, why: str, fix: str) -> Finding:
    address: Address = change.address
    source = None if change.removed else change.source
    return Finding(code, Severity.ERROR, message, why, fix, source, address)
