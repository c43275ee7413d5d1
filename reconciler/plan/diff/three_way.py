"""Find which fields differ, and which side changed them: the three-way comparison."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Action,
    Cause,
    Change,
    Declared,
    FieldChange,
    Finding,
    Kind,
    ListChange,
    Live,
    LiveResource,
    Path,
    Resource,
    format_path,
    get_value,
    parse_path,
    sort_keys,
)
from reconciler.plan.diff import list_items, matching, secrets, spec_comparison, values
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.plan.diff.known_changes import KnownChanges
from reconciler.plan.diff.matching import LiveLookup

_NONE: Final = Action.NONE  # looked up once: every resource asks for it
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)
_SEVERAL: Final = 2
Compare = Callable[[Resource, Resource | None, LiveResource | None], Change]


def compare_all(
    desired: Declared,
    base: Declared | None,
    live: Live,
    known: KnownChanges | None = None,
    compare: Compare | None = None,
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Return one change for each declared resource, and what could not be compared.

    A resource without a difference has a change with the action `none`. `known` has the changes of
    an earlier comparison. `compare` takes the place of `compare_resource`.
    """
    compare = compare_resource if compare is None else compare
    find_known = known.build_finder() if known is not None else None
    lookup, base_index = LiveLookup(live), BaseIndex(desired, base)
    changes: list[Change] = []
    writes: list[Change] = []
    problems: list[Finding] = []
    has_other_names = False  # whether a live object was found in another way than by its address
    closed = {(gap.kind, gap.scope) for gap in live.unreadable}
    unique = lookup.unique if not live.partial else {}
    for address in sorted(desired.resources):
        resource = desired.resources[address]
        if closed and (address.kind, address.parts[:-1]) in closed:
            continue  # reported once for its scope; nothing is known about the resource
        live_object = unique.get(address) if resource.id is None else None
        if live_object is None:
            candidates = lookup.find_candidates(resource)
            problem = matching.find_problem(resource, candidates, live)
            if problem is not None:
                problems.append(problem)
                continue
            live_object = candidates[0] if candidates else None
            has_other_names = True
        earlier = base_index.find_declaration(resource) if base is not None else None
        change = find_known(resource, earlier, live_object) if find_known is not None else None
        if change is None:
            change = compare(resource, earlier, live_object)
        changes.append(change)
        if change.action is not _NONE:
            writes.append(change)
    return tuple(changes), (
        *problems,
        *(matching.find_shared_objects(changes) if has_other_names else ()),
        *matching.find_incomplete_creates(writes),
    )


def compare_resource(
    resource: Resource, base: Resource | None, live: LiveResource | None
) -> Change:
    """Return the change of one resource; `drift` and re-planning during apply call this, too."""
    if resource.lifecycle.absent:
        kind = KINDS[resource.address.kind]
        exists = live is not None and not kind.blank(live.payload)
        return _build_change(resource, Action.DELETE if exists else _NONE, (), live)
    if live is None:
        return _build_change(
            resource, Action.CREATE, tuple(_list_created_fields(resource, base)), None
        )
    unequal, undeclared = spec_comparison.compare_specs(
        resource.spec, live.spec, KINDS[resource.address.kind]
    )
    skipped = _list_skipped_paths(resource, live) if unequal else frozenset[str]()
    fields = _compare_fields(resource, base, live, unequal, skipped)
    if not fields:
        return _build_change(resource, _NONE, (), live, undeclared=undeclared)
    lists = (
        list_items.find_list_changes(live.spec, resource.spec, fields, skipped) if unequal else ()
    )
    return _build_change(resource, Action.UPDATE, fields, live, undeclared=undeclared, lists=lists)


def _build_change(
    resource: Resource,
    action: Action,
    fields: tuple[FieldChange, ...],
    live: LiveResource | None,
    *,
    undeclared: tuple[str, ...] = (),
    lists: tuple[ListChange, ...] = (),
) -> Change:
    return Change(
        resource.address,
        action,
        fields,
        live_id=live.id if live is not None else None,
        live_fingerprint=compute_fingerprint(live)
        if live is not None and action is not _NONE
        else None,
        source=resource.source,
        desired=resource,
        before=live,
        lists=lists,
        undeclared=undeclared,
    )


def compute_fingerprint(live: LiveResource) -> str:
    """Return a digest of everything that can be managed: it shows that an object has changed.

    Hidden values are left out: the API shows them to one key and not to another.
    """
    text = _ENCODER.encode(secrets.remove_hidden(live))
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


def _sort_fields(names: Collection[str], kind: Kind) -> list[str]:
    """Return names in the order of the kind, then by name: their order in a file means nothing."""
    if len(names) < _SEVERAL:
        return list(names)
    position = {name: number for number, name in enumerate(kind.defaults)}
    return sorted(names, key=lambda name: (position.get(name, len(position)), name))


def _compare_fields(
    resource: Resource,
    base: Resource | None,
    live: LiveResource,
    unequal: Mapping[str, Any],
    skipped: frozenset[str],
) -> tuple[FieldChange, ...]:
    """Return the fields that differ; of most resources none does."""
    old, new = live.address.parts[-1], resource.address.parts[-1]
    # Where the document is as it was at the base, no hidden value has changed either.
    may_hide = base is not None and base is not resource
    if old == new and not (unequal or may_hide):
        return ()
    return (
        *(_compare_names(resource, base, live) if old != new else ()),
        *(_compare_hidden(resource, base, live) if base is not None else ()),
        *_compare_values(resource, base, unequal, skipped),
    )


def _compare_names(
    resource: Resource, base: Resource | None, live: LiveResource
) -> Iterator[FieldChange]:
    """Yield the change of a name, if that is a field of the object."""
    kind = KINDS[resource.address.kind]
    if kind.key_payload is None:
        return
    old, new = live.address.name, resource.address.name
    is_intended = resource.lifecycle.renamed_from == old or base is None
    renamed_cause = Cause.UNKNOWN if base is None else Cause.INTENT
    base_and_cause = (ABSENT, renamed_cause) if is_intended else (new, Cause.DRIFT)
    yield FieldChange(f"metadata.{kind.key}", old, new, *base_and_cause)


def _compare_values(
    resource: Resource, base: Resource | None, unequal: Mapping[str, Any], skipped: frozenset[str]
) -> Iterator[FieldChange]:
    """Yield the changes inside the fields that differ, with what changed them."""
    kind = KINDS[resource.address.kind]
    for name in _sort_fields(unequal, kind):
        managed, value = unequal[name], resource.spec[name]
        for path, old, new in values.find_differences(managed, value, (name,)):
            text = format_path(path)
            if not (skipped and secrets.is_covered(skipped, text)):
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


def _list_skipped_paths(resource: Resource, live: LiveResource) -> frozenset[str]:
    """Return the paths that are not compared."""
    hidden = KINDS[resource.address.kind].hidden(live.payload)
    return frozenset((*resource.lifecycle.ignore, *hidden))


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
