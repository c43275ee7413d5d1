"""Deletes that nobody wrote down, and which of them are too much: findings, each with its numbers.

Written down is `state: absent`; that counts nowhere here. What left the files does, and what
`--prune` takes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.kinds import KINDS, fold
from reconciler.model import Action, Change, Declared, Finding, Live, Severity
from reconciler.plan.diff import matching, three_way

TOO_MANY: Final = "too-many-deletes"
LAST: Final = "last-of-kind"
FILE_GONE: Final = "file-vanished"
KIND_GONE: Final = "kind-vanished"
CODES: Final = frozenset({TOO_MANY, LAST, FILE_GONE, KIND_GONE})
FEW: Final = 10  # live resources of a kind from which on the share counts
SEVERAL: Final = 2  # one document that goes is an ordinary day, whatever else was in its file


@dataclass(frozen=True, slots=True)
class Limits:
    """How many deletes a run may imply, and where that is set, for people."""

    most: int = 5  # of one kind in one run
    percent: float = 20  # of the live ones of the kind
    most_at: str = "the default of guardrails.max_deletes"
    percent_at: str = "the default of guardrails.max_delete_percent"
    confirmed: int | None = None  # exactly so many, all kinds together: lifts everything here


DEFAULT_LIMITS: Final = Limits()


def implied(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The deletes that no document asks for."""
    return tuple(
        change
        for change in changes
        if change.action is Action.DELETE and (change.removed or change.pruned)
    )


def find(
    changes: tuple[Change, ...],
    desired: Declared,
    base: Declared | None,
    live: Live,
    limits: Limits,
) -> Iterator[Finding]:
    """What of the implied deletes has to be confirmed, one finding a delete and reason."""
    gone = implied(changes)
    if not gone or limits.confirmed == len(gone):
        return
    found = (
        *_too_many(gone, live, limits),
        *_last(gone, changes, live),
        *_files_gone(gone, desired, base),
        *_kinds_gone(gone, desired),
    )
    fix = _fix(gone)
    for code, change, why in found:
        how = "in no file" if change.pruned else "left the files"
        message = f"{change.address} would be deleted: {how}"
        yield Finding(code, Severity.ERROR, message, why, fix, address=change.address)


def _fix(gone: tuple[Change, ...]) -> str:
    """The exact number; and that yesterday's does not cover today's."""
    number = len(gone)
    what = "this delete is" if number == 1 else f"all {number} deletes of this run are"
    return f"if {what} meant: --confirm-deletes {number}"


_Found = tuple[str, Change, str]


def _too_many(gone: tuple[Change, ...], live: Live, limits: Limits) -> Iterator[_Found]:
    """Over the number or the share of the kind."""
    there = Counter[str]()
    for (kind, _), number in matching.count_live_objects(live).items():
        there[kind] += number
    for kind, doomed in sorted(_by_kind(gone).items()):
        share = 100 * len(doomed) / max(there[kind], 1)
        over = []
        if len(doomed) > limits.most:
            over.append(f"{limits.most:,} ({limits.most_at})")
        if there[kind] >= FEW and share > limits.percent:
            over.append(f"{limits.percent:g} % ({limits.percent_at})")
        if not over:
            continue
        why = (
            f"{len(doomed):,} of {there[kind]:,} live {kind} ({share:.0f} %) would go in one run; "
            f"the limit is {' and '.join(over)}"
        )
        for change in doomed:
            yield TOO_MANY, change, why


def _by_kind(gone: Iterable[Change]) -> Mapping[str, list[Change]]:
    found: dict[str, list[Change]] = defaultdict(list)
    for change in gone:
        found[change.address.kind].append(change)
    return found


def _last(gone: tuple[Change, ...], changes: Iterable[Change], live: Live) -> Iterator[_Found]:
    """None of the kind would be left where it lives: in its project, or its organization."""
    balance = matching.count_live_objects(live)
    doomed_scopes = set()
    for change in changes:
        place = (change.address.kind, change.address.parts[:-1])
        if change.action is Action.DELETE:
            balance[place] -= 1
            doomed_scopes.add(change.address.parts)
        elif change.action is Action.CREATE:
            balance[place] += 1
    for change in gone:
        kind, scope = change.address.kind, change.address.parts[:-1]
        if balance[kind, scope] > 0 or scope in doomed_scopes or KINDS[kind].protected:
            continue  # what it lives in goes as well, and that is asked for by its address
        yield LAST, change, f"no {kind} would be left in {'/'.join(scope)} (always asked)"


def _files_gone(
    gone: Iterable[Change], desired: Declared, base: Declared | None
) -> Iterator[_Found]:
    """Whole files of the base of which nothing is declared any more, in whatever file."""
    left = {
        fold(address) for address in (*desired.resources, *three_way.list_old_addresses(desired))
    }
    files, kept = Counter[str](), set[str]()
    for address, resource in (base.resources if base is not None else {}).items():
        if resource.source is None or resource.lifecycle.absent:
            continue
        files[resource.source.file] += 1
        if fold(address) in left:
            kept.add(resource.source.file)
    by_file: dict[str, list[Change]] = defaultdict(list)
    for change in gone:
        if change.removed and change.source is not None:
            by_file[change.source.file].append(change)
    for file, doomed in sorted(by_file.items()):
        if len(doomed) >= SEVERAL and file not in kept:
            why = f"{file} declared {files[file]:,} resources at the base, and none is left"
            yield from ((FILE_GONE, change, f"{why} (always asked)") for change in doomed)


def _kinds_gone(gone: Iterable[Change], desired: Declared) -> Iterator[_Found]:
    """Whole kinds of the base of which nothing is declared any more."""
    kinds = {address.kind for address in desired.resources}
    for kind, doomed in sorted(_by_kind(change for change in gone if change.removed).items()):
        if len(doomed) >= SEVERAL and kind not in kinds:
            why = f"the files declared {kind} at the base, and declare none any more"
            yield from ((KIND_GONE, change, f"{why} (always asked)") for change in doomed)
