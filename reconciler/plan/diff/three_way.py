"""Find which fields differ, and which side changed them: the three-way comparison."""

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.kinds import KINDS, fold_name
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Cause,
    Change,
    Declared,
    FieldChange,
    Finding,
    Kind,
    Live,
    LiveResource,
    Path,
    Released,
    Resource,
    Spec,
    format_path,
    get_value,
    is_foreign,
    parse_path,
    sort_keys,
)
from reconciler.plan.diff import list_items, matching, secrets, values
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.plan.diff.known_changes import KnownChanges
from reconciler.plan.diff.matching import LiveLookup

Compare = Callable[[Resource, Resource | None, LiveResource | None], Change]


def compare_all(
    desired: Declared,
    base: Declared | None,
    live: Live,
    known: KnownChanges | None = None,
    compare: Compare | None = None,
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Return one change for each declared resource, and what could not be compared.

    A resource without a difference has a change with the action `none`. `known` has changes of an
    earlier comparison, and gets those of this one. `compare` takes the place of
    `compare_resource`.
    """
    compare = compare_resource if compare is None else compare
    known = KnownChanges() if known is None else known
    lookup, base_index = LiveLookup(live), BaseIndex(desired, base)
    result: list[Change] = []
    problems: list[Finding] = []
    closed = {(gap.kind, gap.scope) for gap in live.unreadable}
    for address in sorted(desired.resources):
        resource = desired.resources[address]
        if (address.kind, address.parts[:-1]) in closed:
            continue  # reported once for its scope; nothing is known about the resource
        candidates = lookup.find_candidates(resource)
        live_object = candidates[0] if candidates else None
        is_certain = len(candidates) == 1 and resource.id is None and not live.partial
        problem = None if is_certain else matching.find_problem(resource, candidates, live)
        if problem is not None:
            problems.append(problem)
            continue
        earlier = base_index.find_declaration(resource)
        change = known.find(resource, earlier, live_object)
        if change is None:
            change = compare(resource, earlier, live_object)
            known.remember(earlier, change)
        result.append(change)
    return tuple(result), (
        *problems,
        *matching.find_shared_objects(result),
        *matching.find_incomplete_creates(result),
    )


def compare_resource(
    resource: Resource, base: Resource | None, live: LiveResource | None
) -> Change:
    """Return the change of one resource; `drift` and re-planning during apply call this, too."""
    if resource.lifecycle.absent:
        kind = KINDS[resource.address.kind]
        exists = live is not None and not kind.blank(live.payload)
        action = Action.DELETE if exists else Action.NONE
        return _build_change(resource, action, (), live)
    if live is None:
        return _build_change(
            resource, Action.CREATE, tuple(_list_created_fields(resource, base)), None
        )
    fields = tuple(_compare_fields(resource, base, live))
    if not fields:
        return _build_change(resource, Action.NONE, (), live)
    lists = list_items.find_list_changes(
        live.spec, resource.spec, fields, _list_skipped_paths(resource, live)
    )
    return replace(_build_change(resource, Action.UPDATE, fields, live), lists=lists)


def _build_change(
    resource: Resource, action: Action, fields: tuple[FieldChange, ...], live: LiveResource | None
) -> Change:
    return Change(
        address=resource.address,
        action=action,
        fields=fields,
        live_id=live.id if live else None,
        live_fingerprint=compute_fingerprint(live) if live and action is not Action.NONE else None,
        source=resource.source,
        desired=resource,
        before=live,
    )


def compute_fingerprint(live: LiveResource) -> str:
    """Return a digest of everything that can be managed: it shows that an object has changed.

    Hidden values are left out: the API shows them to one key and not to another.
    """
    text = json.dumps(
        secrets.remove_hidden(live), sort_keys=True, separators=(",", ":"), default=str
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _list_created_fields(resource: Resource, base: Resource | None) -> Iterator[FieldChange]:
    """Yield the fields of a resource to create.

    A value that was already in the base is drift: somebody deleted the live object.
    """
    previous = base if base is not None and not base.lifecycle.absent else None
    for name in _sort_fields(resource.spec, KINDS[resource.address.kind]):
        value = resource.spec[name]
        base_value = previous.spec.get(name, ABSENT) if previous is not None else ABSENT
        value_cause = Cause.UNKNOWN if base is None else find_cause(base_value, ABSENT, value)
        if previous is not None:
            base_value = secrets.mask_base(previous, name, base_value)
        yield FieldChange(name, ABSENT, sort_keys(value), sort_keys(base_value), value_cause)


def _sort_fields(names: Iterable[str], kind: Kind) -> list[str]:
    """Return names in the order of the kind, then by name: their order in a file means nothing."""
    position = {name: number for number, name in enumerate(kind.defaults)}
    return sorted(names, key=lambda name: (position.get(name, len(position)), name))


def _compare_fields(
    resource: Resource, base: Resource | None, live: LiveResource
) -> Iterator[FieldChange]:
    kind = KINDS[resource.address.kind]
    if live.address.name != resource.address.name and kind.key_payload is not None:
        old, new = live.address.name, resource.address.name
        is_intended = resource.lifecycle.renamed_from == old or base is None
        renamed_cause = Cause.UNKNOWN if base is None else Cause.INTENT
        base_and_cause = (ABSENT, renamed_cause) if is_intended else (new, Cause.DRIFT)
        yield FieldChange(f"metadata.{kind.key}", old, new, *base_and_cause)
    unequal = {}
    for name, value in resource.spec.items():
        live_value = live.spec[name] if name in live.spec else kind.defaults.get(name, ABSENT)
        if live_value == value:
            continue
        managed = values.select_managed(
            live_value, value, whole=name in kind.atomic, complete=kind.complete
        )
        if managed != value:
            unequal[name] = managed
    if base is not None:
        yield from _compare_hidden(resource, base, live)
    skipped = _list_skipped_paths(resource, live) if unequal else ()
    for name in _sort_fields(unequal, kind) if unequal else ():
        managed, value = unequal[name], resource.spec[name]
        for path, old, new in values.find_differences(managed, value, (name,)):
            text = format_path(path)
            if not secrets.is_covered(skipped, text):
                before, value_cause = _compare_with_base(base, path, old, new, kind)
                if base is not None:
                    before = secrets.mask_base(base, text, before)
                yield FieldChange(
                    text, sort_keys(old), sort_keys(new), sort_keys(before), value_cause
                )


def _compare_hidden(
    resource: Resource, base: Resource, live: LiveResource
) -> Iterator[FieldChange]:
    """Yield hidden values that the files have changed since the base: live ones are not shown."""
    for text in KINDS[resource.address.kind].hidden(live.payload):
        path = parse_path(text)
        value = get_value(resource.spec, path, ABSENT)
        before = get_value(base.spec, path, ABSENT)
        is_ignored = secrets.is_covered(resource.lifecycle.ignore, text)
        if ABSENT not in (value, before) and not is_ignored and not values.is_same(before, value):
            yield FieldChange(text, secrets.SHOWN, value, secrets.SHOWN, Cause.INTENT)


def _list_skipped_paths(resource: Resource, live: LiveResource) -> set[str]:
    """Return the paths that are not compared."""
    return {*resource.lifecycle.ignore, *KINDS[resource.address.kind].hidden(live.payload)}


def _compare_with_base(
    base: Resource | None, path: Path, live: Any, desired: Any, kind: Kind
) -> tuple[Any, Cause]:
    """Return the value of this field in the base, and which side changed it."""
    if base is None:
        return ABSENT, Cause.UNKNOWN
    value = get_value(base.spec, path, ABSENT)
    is_known = is_decided_by_base(base.spec, path, kind)
    if format_path(path) in kind.sets and (is_known or value is not ABSENT):
        return value, _find_cause_of_set(*map(_to_set, (value, live, desired)))
    return value, find_cause(value, live, desired, is_decided=is_known)


def _to_set(value: Any) -> set[Any]:
    return set(value) if isinstance(value, list) else set()


def _find_cause_of_set(base: set[Any], live: set[Any], desired: set[Any]) -> Cause:
    """Return which side changed a set, item by item; two sides cannot disagree on one item.

    A set between the base and the files is the files' change, written in part. If somebody added
    or removed an item in PostHog, the list is drift, whatever the files add.
    """
    return Cause.INTENT if live ^ desired <= base ^ desired else Cause.DRIFT


def is_decided_by_base(base: Any, path: Path, kind: Kind) -> bool:
    """Return whether the base decides this field although it may have no value for it.

    A list, a complete mapping, or a field that is compared as a whole, is managed as a whole: an
    item that the base lacks was added by one of the sides. Other fields are managed separately.
    """
    if path[0] not in base:
        return False
    if path[0] in kind.atomic:
        return True
    outer = ((path[n - 1], get_value(base, path[:n])) for n in range(1, len(path)))
    return any(
        isinstance(value, list) or (name in kind.complete and isinstance(value, Mapping))
        for name, value in outer
    )


def find_cause(base: Any, live: Any, desired: Any, *, is_decided: bool = False) -> Cause:
    """Return which side changed a value. Only called where `live` and `desired` differ."""
    if base is ABSENT and not is_decided:
        return Cause.INTENT  # newly written in the files
    match not values.is_same(base, desired), not values.is_same(base, live):
        case True, False:
            return Cause.INTENT
        case False, True:
            return Cause.DRIFT
        case _:
            return Cause.CONFLICT


def find_causes(
    resource: Resource, base: Resource, live: LiveResource | None
) -> Mapping[str, Cause]:
    """Return which side changed each field since the base, where live differs from the files."""
    return {field.path: field.cause for field in compare_resource(resource, base, live).fields}


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
    lookup = LiveLookup(live)
    declared_ids = {(change.address.kind, change.live_id) for change in declared_changes}
    declared = {
        fold_name(address) for address in (*desired.resources, *list_old_addresses(desired))
    }
    deletes: list[Change] = []
    unclear: list[Finding] = []
    for address in sorted(base.resources):
        resource = base.resources[address]
        if fold_name(address) in declared or resource.lifecycle.absent or not covers(address):
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


def resolve_conflicts(changes: tuple[Change, ...], prefer: str | None) -> tuple[Change, ...]:
    """Return the changes with conflicts resolved: "git" writes the field, "live" keeps it."""
    if prefer is None:
        return changes
    return tuple(_resolve_conflict(change, prefer) for change in changes)


def _resolve_conflict(change: Change, prefer: str) -> Change:
    if not any(field.cause is Cause.CONFLICT for field in change.fields):
        return change
    if prefer == "git":
        fields = tuple(
            replace(field, cause=Cause.INTENT) if field.cause is Cause.CONFLICT else field
            for field in change.fields
        )
        return replace(change, fields=fields)
    if change.action is Action.CREATE:  # the live side deleted it
        return replace(change, fields=(), action=Action.NONE)
    fields = tuple(field for field in change.fields if field.cause is not Cause.CONFLICT)
    ignored_paths = tuple(field.path for field in change.fields if field.cause is Cause.CONFLICT)
    desired = change.desired
    if desired is not None:  # apply then sends the live value of the fields that are kept
        ignore = (*desired.lifecycle.ignore, *ignored_paths)
        desired = replace(desired, lifecycle=replace(desired.lifecycle, ignore=ignore))
    action = change.action if fields else Action.NONE
    return replace(change, fields=fields, action=action, desired=desired)


def list_old_addresses(desired: Declared) -> Iterator[Address]:
    """Yield the addresses that declared resources had before a rename."""
    for address, resource in desired.resources.items():
        if resource.lifecycle.renamed_from is not None:
            yield Address(address.kind, (*address.parts[:-1], resource.lifecycle.renamed_from))


def find_released(
    changes: Iterable[Change], desired: Declared, base: Declared | None
) -> Iterator[Released]:
    """Yield fields that the base wrote and the files no longer write: reported, never written."""
    base_index = BaseIndex(desired, base)
    for change in changes if base is not None else ():
        if change.before is None or change.desired is None or change.action is Action.DELETE:
            continue
        previous = base_index.find_declaration(change.desired)
        if previous is None or not previous.spec:
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
