"""Which fields differ, and which side moved. A truth table, and nothing else."""

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.kinds import KINDS, fold
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
    is_foreign,
    ordered,
    print_path,
    value_at,
)
from reconciler.plan.diff import list_items, matching, secrets, values
from reconciler.plan.diff.matching import Lookup


class Earlier:
    """What the base said of a resource, also where it has another name, or its project has."""

    def __init__(self, desired: Declared, base: Declared | None) -> None:
        self._resources = {fold(a): r for a, r in base.resources.items()} if base else None
        self._projects = {
            address.parts: resource.lifecycle.renamed_from
            for address, resource in desired.resources.items()
            if address.kind == "Project" and resource.lifecycle.renamed_from is not None
        }

    def of(self, resource: Resource) -> Resource | None:
        """What was declared; empty where the base knew nothing of it, None without a base."""
        if self._resources is None:
            return None
        for address in self._names(resource):
            if (found := self._resources.get(fold(address))) is not None:
                return found
        return Resource(resource.address, {})

    def _names(self, resource: Resource) -> Iterator[Address]:
        *scope, name = resource.address.parts
        old_project = self._projects.get(resource.address.parts[:2])
        for project in (None, old_project):
            if project is not None and len(scope) > 1:
                scope = [scope[0], project]
            for each in (name, resource.lifecycle.renamed_from):
                if each is not None:
                    yield Address(resource.address.kind, (*scope, each))


def changes(
    desired: Declared, base: Declared | None, live: Live
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """One change for each declared resource, `none` included, and what could not be compared."""
    lookup, earlier = Lookup(live), Earlier(desired, base)
    found: list[Change] = []
    problems: list[Finding] = []
    closed = {(gap.kind, gap.scope) for gap in live.unreadable}
    for address in sorted(desired.resources):
        resource = desired.resources[address]
        if (address.kind, address.parts[:-1]) in closed:
            continue  # reported once for its scope; nothing may be concluded about it
        candidates = lookup.candidates(resource)
        there = candidates[0] if candidates else None
        problem = (
            matching.hidden_people(resource, live)
            or matching.ambiguous(resource, candidates)
            or matching.unknown_id(resource, there, live)
            or (matching.not_creatable(resource) if there is None else None)
        )
        if problem is not None:
            problems.append(problem)
            continue
        found.append(change(resource, earlier.of(resource), there))
    return tuple(found), (*problems, *matching.shared(found), *matching.incomplete(found))


def change(resource: Resource, base: Resource | None, live: LiveResource | None) -> Change:
    """The step of one resource. Also what `drift` and the applier's re-planning call."""
    if resource.lifecycle.absent:
        action = Action.DELETE if live is not None else Action.NONE
        return _change(resource, action, (), live)
    if live is None:
        return _change(resource, Action.CREATE, tuple(_all_fields(resource, base)), None)
    fields = tuple(_fields(resource, base, live))
    if not fields:
        return _change(resource, Action.NONE, (), live)
    lists = list_items.find(live.spec, resource.spec, fields, _skipped(resource, live))
    return replace(_change(resource, Action.UPDATE, fields, live), lists=lists)


def _change(
    resource: Resource, action: Action, fields: tuple[FieldChange, ...], live: LiveResource | None
) -> Change:
    return Change(
        address=resource.address,
        action=action,
        fields=fields,
        live_id=live.id if live else None,
        live_fingerprint=fingerprint(live) if live and action is not Action.NONE else None,
        source=resource.source,
        desired=resource,
        before=live,
    )


def fingerprint(live: LiveResource) -> str:
    """Return a digest of everything that can be managed: it shows that an object has changed.

    What the API hides is left out: it is shown to one key and not to another.
    """
    text = json.dumps(secrets.without(live), sort_keys=True, separators=(",", ":"), default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _all_fields(resource: Resource, base: Resource | None) -> Iterator[FieldChange]:
    """What is to be created. As it was at the base, it has gone from the live side: drift."""
    there = base if base is not None and not base.lifecycle.absent else None
    for name in _in_order(resource.spec, KINDS[resource.address.kind]):
        value = resource.spec[name]
        was = there.spec.get(name, ABSENT) if there is not None else ABSENT
        side = Cause.UNKNOWN if base is None else cause(was, ABSENT, value)
        yield FieldChange(name, ABSENT, ordered(value), ordered(was), side)


def _in_order(names: Iterable[str], kind: Kind) -> list[str]:
    """As the kind lists its fields, then by name: how somebody ordered them says nothing."""
    place = {name: number for number, name in enumerate(kind.defaults)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), name))


def _fields(resource: Resource, base: Resource | None, live: LiveResource) -> Iterator[FieldChange]:
    kind = KINDS[resource.address.kind]
    if live.address.name != resource.address.name and kind.key_payload is not None:
        old, new = live.address.name, resource.address.name
        meant = resource.lifecycle.renamed_from == old or base is None
        unsure = Cause.UNKNOWN if base is None else Cause.INTENT
        moved = (ABSENT, unsure) if meant else (new, Cause.DRIFT)
        yield FieldChange(f"metadata.{kind.key}", old, new, *moved)
    skipped = _skipped(resource, live)
    unequal = {}
    for name, value in resource.spec.items():
        there = live.spec[name] if name in live.spec else kind.defaults.get(name, ABSENT)
        if there == value:
            continue
        mine = values.managed(there, value, whole=name in kind.atomic)
        if mine != value:
            unequal[name] = mine
    for name in _in_order(unequal, kind):
        mine, value = unequal[name], resource.spec[name]
        for path, old, new in values.differences(mine, value, (name,)):
            text = print_path(path)
            if not secrets.covers(skipped, text):
                before, side = _base(base, path, old, new, kind)
                yield FieldChange(text, ordered(old), ordered(new), ordered(before), side)


def _skipped(resource: Resource, live: LiveResource) -> set[str]:
    """Return the paths that are not compared."""
    return {*resource.lifecycle.ignore, *KINDS[resource.address.kind].hidden(live.payload)}


def _base(
    base: Resource | None, path: Path, live: Any, desired: Any, kind: Kind
) -> tuple[Any, Cause]:
    """What the base says of this field, and which side moved away from it."""
    if base is None:
        return ABSENT, Cause.UNKNOWN
    value = value_at(base.spec, path, ABSENT)
    known = _known(base.spec, path, kind.atomic)
    if print_path(path) in kind.sets and (known or value is not ABSENT):
        return value, _cause_of_set(*map(_items, (value, live, desired)))
    return value, cause(value, live, desired, known=known)


def _items(value: Any) -> set[Any]:
    return set(value) if isinstance(value, list) else set()


def _cause_of_set(base: set[Any], live: set[Any], desired: set[Any]) -> Cause:
    """Return which side moved, item by item; two sides cannot disagree on one.

    An item that somebody has moved is drift, and so is the list, whatever the files add to it.
    """
    return Cause.INTENT if live ^ desired <= base ^ desired else Cause.DRIFT


def _known(base: Any, path: Path, atomic: tuple[str, ...]) -> bool:
    """Whether the base decides this place although it may have nothing there.

    A list, and a field that is compared as a whole, are decided by who writes them at all: an item
    that the base lacks was added by one of the sides. Other fields are managed one by one.
    """
    if path[0] not in base:
        return False
    return path[0] in atomic or any(
        isinstance(value_at(base, path[:number]), list) for number in range(1, len(path))
    )


def cause(base: Any, live: Any, desired: Any, *, known: bool = False) -> Cause:
    """Which side moved. Only asked where `live` and `desired` differ."""
    if base is ABSENT and not known:
        return Cause.INTENT  # newly written: the files moved
    match not values.same(base, desired), not values.same(base, live):
        case True, False:
            return Cause.INTENT
        case False, True:
            return Cause.DRIFT
        case _:
            return Cause.CONFLICT


def causes(resource: Resource, base: Resource, live: LiveResource | None) -> Mapping[str, Cause]:
    """Return which side moved each field away from the base, where live is not as wanted.

    A set that lies between the base and the files is the files' change, written in part. One with
    an item of somebody else is theirs as well.
    """
    sets = KINDS[resource.address.kind].sets
    found = {}
    for one in change(resource, base, live).fields:
        found[one.path] = one.cause
        if one.path in sets and one.cause is Cause.INTENT:
            before, now, wanted = map(_items, (one.base, one.live, one.desired))
            if not before & wanted <= now <= before | wanted:
                found[one.path] = Cause.CONFLICT
    return found


def removals(
    desired: Declared,
    base: Declared | None,
    live: Live,
    covers: Callable[[Address], bool],
    meant: Iterable[Change],
    *,
    elsewhere: Container[Address] = (),
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Deletes of what the base declared, no file declares any more, and is live.

    Without a base nothing is deleted: an empty or unreadable side never is a base. Nor is a live
    object deleted that a document means under another address (what lives in a renamed project),
    or that the base only knew by the name before a rename.
    """
    if base is None:
        return (), ()
    lookup = Lookup(live)
    owned = {(change.address.kind, change.live_id) for change in meant}
    kept = {fold(address) for address in (*desired.resources, *old_names(desired))}
    gone: list[Change] = []
    unclear: list[Finding] = []
    for address in sorted(base.resources):
        resource = base.resources[address]
        if fold(address) in kept or resource.lifecycle.absent or not covers(address):
            continue
        if address in elsewhere:  # in a file that this run does not read
            continue
        lifecycle = replace(resource.lifecycle, absent=True, renamed_from=None)
        doomed = replace(resource, lifecycle=lifecycle)
        found = lookup.candidates(doomed)
        if len(found) > 1:
            unclear.append(matching.left_twice(doomed, found))
        elif not found or (address.kind, found[0].id) in owned:
            continue
        elif is_foreign(found[0].spec) and not is_foreign(resource.spec):
            unclear.append(matching.left_to_others(doomed))
        else:
            gone.append(replace(change(doomed, None, found[0]), removed=True))
    return tuple(gone), tuple(unclear)


def settled(changes: tuple[Change, ...], prefer: str | None) -> tuple[Change, ...]:
    """Conflicts decided by the person at the terminal: "git" writes, "live" leaves the field."""
    if prefer is None:
        return changes
    return tuple(_decided(change, prefer) for change in changes)


def _decided(change: Change, prefer: str) -> Change:
    if not any(one.cause is Cause.CONFLICT for one in change.fields):
        return change
    if prefer == "git":
        fields = tuple(
            replace(one, cause=Cause.INTENT) if one.cause is Cause.CONFLICT else one
            for one in change.fields
        )
        return replace(change, fields=fields)
    if change.action is Action.CREATE:  # what is live is that it is gone
        return replace(change, fields=(), action=Action.NONE)
    fields = tuple(one for one in change.fields if one.cause is not Cause.CONFLICT)
    kept = tuple(one.path for one in change.fields if one.cause is Cause.CONFLICT)
    desired = change.desired
    if desired is not None:  # what is left live is put back into what is sent
        ignore = (*desired.lifecycle.ignore, *kept)
        desired = replace(desired, lifecycle=replace(desired.lifecycle, ignore=ignore))
    action = change.action if fields else Action.NONE
    return replace(change, fields=fields, action=action, desired=desired)


def old_names(desired: Declared) -> Iterator[Address]:
    """What declared resources were called before a rename."""
    for address, resource in desired.resources.items():
        if resource.lifecycle.renamed_from is not None:
            yield Address(address.kind, (*address.parts[:-1], resource.lifecycle.renamed_from))


def released(
    changes: Iterable[Change], desired: Declared, base: Declared | None
) -> Iterator[Released]:
    """Fields that the base wrote and the files write no more: told, never written."""
    earlier = Earlier(desired, base)
    for one in changes if base is not None else ():
        if one.before is None or one.desired is None or one.action is Action.DELETE:
            continue
        before = earlier.of(one.desired)
        if before is None or not before.spec:
            continue
        for path, value in left(before.spec, one.desired.spec, KINDS[one.address.kind].atomic):
            text, live = print_path(path), value_at(one.before.spec, path, ABSENT)
            hidden = secrets.covers(secrets.of(one), text)
            sides = (secrets.SHOWN, secrets.SHOWN) if hidden else (value, live)
            yield Released(one.address, text, *map(ordered, sides))


def left(before: Any, now: Any, atomic: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
    """Return the fields that were written before and are not written now, with their values."""
    for name, value in before.items():
        if name not in now:
            yield (name,), value
        elif name not in atomic and isinstance(value, Mapping) and isinstance(now[name], Mapping):
            for path, inner in left(value, now[name], ()):
                yield (name, *path), inner
