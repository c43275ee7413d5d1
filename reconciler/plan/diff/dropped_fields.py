"""Stop planning fields that PostHog drops silently, after a write that was dropped.

It answers 200 and shows the old value, so such a difference would be planned for ever
(contract 9.1).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Cause,
    Change,
    FieldChange,
    Finding,
    Live,
    Severity,
    get_root,
    read_revision,
)

CODE: Final = "not-kept"
Unkept = Mapping[tuple[str, str], tuple[Any, Any]]  # address, field -> value, version of the object


def remove_dropped_fields(
    changes: tuple[Change, ...], live: Live, unkept: Unkept
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Remove the fields that PostHog dropped before; report each once per organization."""
    changes_by_field: dict[tuple[str, str], list[Change]] = defaultdict(list)
    result: list[Change] = []
    update = Action.UPDATE
    for change in changes:
        if change.action is not update:
            result.append(change)
            continue
        names = {
            name for name in KINDS[change.address.kind].droppable if _changes_field(change, name)
        }
        dropped = {name for name in names if _was_dropped(change, name, live, unkept)}
        for name in dropped:
            changes_by_field[change.address.organization, name].append(change)
        result.append(_remove_fields(change, dropped) if dropped else change)
    return tuple(result), tuple(
        _build_finding(*key, dropped_changes) for key, dropped_changes in changes_by_field.items()
    )


def _changes_field(change: Change, name: str) -> bool:
    return any(get_root(field.path) == name for field in change.fields)


def _was_dropped(change: Change, name: str, live: Live, unkept: Unkept) -> bool:
    """Return whether this value was sent before, and nothing has happened to the object since.

    A journal proves it. Without one: the files say what the base says, which was applied, and the
    user of this key was the last to write the object.
    """
    live_object, desired = change.before, change.desired
    if live_object is None or desired is None:
        return False
    value, version = unkept.get((str(change.address), name), (None, None))
    if value is not None and value == desired.spec.get(name):
        return bool(version == read_revision(live_object.payload))
    writer = live_object.payload.get("last_modified_by")
    is_own_write = (
        isinstance(writer, Mapping) and live.me is not None and writer.get("id") == live.me.id
    )
    return is_own_write and all(
        _is_as_applied(field) for field in change.fields if get_root(field.path) == name
    )


def _is_as_applied(field: FieldChange) -> bool:
    return field.cause is Cause.DRIFT


def _remove_fields(change: Change, names: set[str]) -> Change:
    fields = tuple(field for field in change.fields if get_root(field.path) not in names)
    if fields:
        return replace(change, fields=fields)
    return replace(change, fields=(), action=Action.NONE, live_fingerprint=None)


def _build_finding(organization: str, name: str, changes: list[Change]) -> Finding:
    first, number = changes[0], len(changes)
    scopes = {change.address.parts[:-1] for change in changes}
    scope = organization if len(scopes) > 1 else "/".join(first.address.parts[:-1])
    kind = KINDS[first.address.kind]
    plural = kind.plural.replace("_", " ")
    subject = str(first.address) if number == 1 else f"{number:,} {plural} of {scope}"
    return Finding(
        CODE,
        Severity.WARNING,
        f"PostHog does not keep `{name}` of {subject}",
        why=f"it took the write and dropped this field: {kind.droppable[name]}",
        fix=f"have PostHog enable it and apply with --prefer git, or remove `{name}` from the file",
        source=first.desired.locate((name,)) if first.desired is not None else None,
        address=first.address,
    )
