"""Find what has left the files since the base: resources to delete, fields that are released."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Change,
    Declared,
    Finding,
    Kind,
    Live,
    Path,
    Released,
    Spec,
    format_path,
    get_value,
    is_foreign,
    sort_keys,
)
from reconciler.plan.diff import matching, secrets
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.plan.diff.matching import FoldedAddresses, LiveLookup
from reconciler.plan.diff.three_way import compare_resource


def find_removals(
    desired: Declared,
    base: Declared | None,
    live: Live,
    covers: Callable[[Address], bool],
    declared_changes: Iterable[Change],
    *,
    declared_elsewhere: Container[Address] = (),
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Return the deletes of live resources that the base declared and no file declares any more.

    Without a base nothing is deleted: an empty or unreadable side is never a base. A live object
    is not deleted either if a document refers to it under another address (as in a renamed
    project), or if the base only knew it by the name before a rename.
    """
    if base is None:
        return (), ()
    gone = sorted(base.resources.keys() - desired.resources.keys())
    if not gone:
        return (), ()
    lookup = LiveLookup(live)
    declared_ids = {(change.address.kind, change.live_id) for change in declared_changes}
    declared = FoldedAddresses(desired.resources)
    renamed = FoldedAddresses(frozenset(list_old_addresses(desired)))
    deletes: list[Change] = []
    unclear: list[Finding] = []
    for address in gone:
        resource = base.resources[address]
        if declared.find_equal(address) or renamed.find_equal(address):
            continue
        if resource.lifecycle.absent or not covers(address):
            continue
        if address in declared_elsewhere:  # in a file that this run does not read
            continue
        lifecycle = replace(resource.lifecycle, absent=True, renamed_from=None)
        deleted = replace(resource, lifecycle=lifecycle)
        candidates = lookup.find_candidates(deleted)
        if len(candidates) > 1:
            unclear.append(matching.report_unclear_delete(deleted, candidates))
        elif not candidates or (address.kind, candidates[0].id) in declared_ids:
            continue
        elif is_foreign(candidates[0].spec) and not is_foreign(resource.spec):
            unclear.append(matching.report_foreign_delete(deleted))
        else:
            deletes.append(replace(compare_resource(deleted, None, candidates[0]), removed=True))
    return tuple(deletes), tuple(unclear)


def list_old_addresses(desired: Declared) -> Iterator[Address]:
    """Yield the addresses that declared resources had before a rename."""
    for address, resource in desired.resources.items():
        if resource.lifecycle.renamed_from is not None:
            yield Address(address.kind, (*address.parts[:-1], resource.lifecycle.renamed_from))


def find_released(
    changes: Iterable[Change], desired: Declared, base: Declared | None
) -> Iterator[Released]:
    """Yield fields that the base wrote and the files no longer write: reported, never written."""
    base_index, delete = BaseIndex(desired, base), Action.DELETE
    for change in changes if base is not None else ():
        if change.before is None or change.desired is None or change.action is delete:
            continue
        previous = base_index.find_declaration(change.desired)
        if previous is None or previous is change.desired or not previous.spec:
            continue
        kind = KINDS[change.address.kind]
        for path, value in find_removed_fields(previous.spec, change.desired.spec, kind):
            text, live = format_path(path), get_value(change.before.spec, path, ABSENT)
            hidden = (*secrets.find_hidden_paths(change), *secrets.list_hidden(previous))
            is_hidden = secrets.is_covered(hidden, text)
            sides = (secrets.SHOWN, secrets.SHOWN) if is_hidden else (value, live)
            yield Released(change.address, text, *map(sort_keys, sides))


def find_removed_fields(old: Spec, new: Spec, kind: Kind) -> Iterator[tuple[Path, Any]]:
    """Yield the fields that were written before and are not written now, with their values.

    A key that a complete mapping no longer has is a difference, not an unmanaged field.
    """
    return _find_removed(old, new, kind.atomic, kind.complete)


def _find_removed(
    old: Any, new: Any, atomic: Container[str], complete: Container[str]
) -> Iterator[tuple[Path, Any]]:
    for name, value in old.items():
        if name not in new:
            yield (name,), value
        elif name in atomic or name in complete:
            continue
        elif isinstance(value, Mapping) and isinstance(new[name], Mapping):
            for path, inner in _find_removed(value, new[name], (), complete):
                yield (name, *path), inner
