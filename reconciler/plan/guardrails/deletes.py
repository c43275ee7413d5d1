"""Limits for deletes that no document asks for: findings, each with its numbers.

Counted are objects that were removed from the files, and those that `--prune` deletes. What is
declared with `state: absent` does not count.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.kinds import KINDS, fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Change, Declared, Finding, Live, Severity, select_written
from reconciler.plan.diff import matching, removals

TOO_MANY: Final = "too-many-deletes"
LAST: Final = "last-of-kind"
FILE_GONE: Final = "file-vanished"
KIND_GONE: Final = "kind-vanished"
CODES: Final = frozenset({TOO_MANY, LAST, FILE_GONE, KIND_GONE})
FEW: Final = 10  # the share counts if a kind has at least this many live resources
SEVERAL: Final = 2  # removing a single document is ordinary, even if its file is then empty


@dataclass(frozen=True, slots=True)
class DeleteLimits:
    """How many deletes a run may imply, and where that is set, for messages."""

    most: int = 5  # deletes of one kind in one run
    percent: float = 20  # of the live ones of the kind
    most_at: str = "the default of guardrails.max_deletes"
    percent_at: str = "the default of guardrails.max_delete_percent"
    confirmed: int | None = None  # exactly this many deletes of all kinds: lifts every limit here


DEFAULT_DELETE_LIMITS: Final = DeleteLimits()


def select_implied(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the deletes that no document asks for."""
    return tuple(
        [
            change
            for change in select_written(changes)
            if change.action is Action.DELETE and (change.removed or change.pruned)
        ]
    )


def find_excess(
    changes: tuple[Change, ...],
    desired: Declared,
    base: Declared | None,
    live: Live,
    limits: DeleteLimits,
) -> Iterator[Finding]:
    """Find the implied deletes that have to be confirmed, one finding per delete and reason."""
    deleted = select_implied(changes)
    if not deleted or limits.confirmed == len(deleted):
        return
    excess = (
        *_check_numbers(deleted, live, limits),
        *_check_last(deleted, changes, live),
        *_check_files(deleted, desired, base),
        *_check_kinds(deleted, desired),
    )
    fix = _suggest_confirmation(deleted)
    for code, change, why in excess:
        cause = "not in any file" if change.pruned else "removed from the files"
        message = f"{change.address} would be deleted: {cause}"
        yield Finding(code, Severity.ERROR, message, why, fix, address=change.address)


def _suggest_confirmation(deleted: tuple[Change, ...]) -> str:
    """Return the option with the exact number: a number from an earlier run may not fit."""
    number = len(deleted)
    what = "this delete is" if number == 1 else f"all {number} deletes of this run are"
    return f"if {what} intended: --confirm-deletes {number}"


_Excess = tuple[str, Change, str]


def _check_numbers(
    deleted: tuple[Change, ...], live: Live, limits: DeleteLimits
) -> Iterator[_Excess]:
    """Find deletes beyond the number or the share of their kind."""
    live_counts = Counter[str]()
    for (kind, _), number in matching.count_live_objects(live).items():
        live_counts[kind] += number
    for kind, doomed in sorted(_group_by_kind(deleted).items()):
        share = 100 * len(doomed) / max(live_counts[kind], 1)
        over = []
        if len(doomed) > limits.most:
            over.append(f"{limits.most:,} ({limits.most_at})")
        if live_counts[kind] >= FEW and share > limits.percent:
            over.append(f"{limits.percent:g} % ({limits.percent_at})")
        if not over:
            continue
        why = (
            f"{len(doomed):,} of {live_counts[kind]:,} live {kind} resources ({share:.0f} %) would "
            f"be deleted in one run; the limit is {' and '.join(over)}"
        )
        for change in doomed:
            yield TOO_MANY, change, why


def _group_by_kind(changes: Iterable[Change]) -> Mapping[str, list[Change]]:
    by_kind: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_kind[change.address.kind].append(change)
    return by_kind


def _check_last(
    deleted: tuple[Change, ...], changes: Iterable[Change], live: Live
) -> Iterator[_Excess]:
    """Find deletes that leave none of a kind in its project, or its organization."""
    balance = matching.count_live_objects(live)
    doomed_scopes = set()
    for change in changes:
        place = (change.address.kind, change.address.parts[:-1])
        if change.action is Action.DELETE:
            balance[place] -= 1
            doomed_scopes.add(change.address.parts)
        elif change.action is Action.CREATE:
            balance[place] += 1
    for change in deleted:
        kind, scope = change.address.kind, change.address.parts[:-1]
        if balance[kind, scope] > 0 or scope in doomed_scopes or KINDS[kind].protected:
            continue  # its container is deleted as well, or it is confirmed by its address
        why = f"no {kind} would be left in {'/'.join(scope)} (always needs confirmation)"
        yield LAST, change, why


def _check_files(
    deleted: Iterable[Change], desired: Declared, base: Declared | None
) -> Iterator[_Excess]:
    """Find deletes of everything that a file declared at the base."""
    declared = {
        fold_name(address)
        for address in (*desired.resources, *removals.list_old_addresses(desired))
    }
    files, kept = Counter[str](), set[str]()
    for address, resource in (base.resources if base is not None else {}).items():
        if resource.source is None or resource.lifecycle.absent:
            continue
        files[resource.source.file] += 1
        if fold_name(address) in declared:
            kept.add(resource.source.file)
    by_file: dict[str, list[Change]] = defaultdict(list)
    for change in deleted:
        if change.removed and change.source is not None:
            by_file[change.source.file].append(change)
    for file, doomed in sorted(by_file.items()):
        if len(doomed) >= SEVERAL and file not in kept:
            why = f"{file} declared {files[file]:,} resources at the base, and none is left"
            yield from (
                (FILE_GONE, change, f"{why} (always needs confirmation)") for change in doomed
            )


def _check_kinds(deleted: Iterable[Change], desired: Declared) -> Iterator[_Excess]:
    """Find deletes of a kind that the base declared, and that no file declares now."""
    kinds = {address.kind for address in desired.resources}
    for kind, doomed in sorted(
        _group_by_kind(change for change in deleted if change.removed).items()
    ):
        if len(doomed) >= SEVERAL and kind not in kinds:
            why = f"the files declared {kind} at the base, and no longer declare any"
            yield from (
                (KIND_GONE, change, f"{why} (always needs confirmation)") for change in doomed
            )
