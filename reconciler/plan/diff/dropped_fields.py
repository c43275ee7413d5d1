"""Fields that PostHog drops silently: a write that was dropped is not planned again.

It answers 200 and shows the old value, so such a difference would be planned for ever (9.1).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Cause, Change, FieldChange, Finding, Live, Severity, root

CODE: Final = "not-kept"
Unkept = Mapping[tuple[str, str], tuple[Any, Any]]  # address, field -> value, version of the object


def settle(
    changes: tuple[Change, ...], live: Live, unkept: Unkept
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Leave out what PostHog dropped before; report each field once per organization."""
    said: dict[tuple[str, str], list[Change]] = defaultdict(list)
    settled = []
    for change in changes:
        names = {name for name in KINDS[change.address.kind].droppable if _is_of(change, name)}
        dropped = {name for name in names if _was_dropped(change, name, live, unkept)}
        for name in dropped:
            said[change.address.organization, name].append(change)
        settled.append(_without(change, dropped) if dropped else change)
    return tuple(settled), tuple(_finding(*key, found) for key, found in said.items())


def _is_of(change: Change, name: str) -> bool:
    update = change.action is Action.UPDATE
    return update and any(root(one.path) == name for one in change.fields)


def _was_dropped(change: Change, name: str, live: Live, unkept: Unkept) -> bool:
    """Return whether this value was sent before, and nothing has happened to the object since.

    A journal knows it for certain. Else: the files say what the base says, which was applied, and
    the last to write the object was the user of this key.
    """
    there, wanted = change.before, change.desired
    if there is None or wanted is None:
        return False
    value, version = unkept.get((str(change.address), name), (None, None))
    if value is not None and value == wanted.spec.get(name):
        return bool(version == there.payload.get("version"))
    writer = there.payload.get("last_modified_by")
    mine = isinstance(writer, Mapping) and live.me is not None and writer.get("id") == live.me.id
    return mine and all(_is_as_applied(one) for one in change.fields if root(one.path) == name)


def _is_as_applied(one: FieldChange) -> bool:
    return one.cause is Cause.DRIFT


def _without(change: Change, names: set[str]) -> Change:
    fields = tuple(one for one in change.fields if root(one.path) not in names)
    if fields:
        return replace(change, fields=fields)
    return replace(change, fields=(), action=Action.NONE, live_fingerprint=None)


def _finding(organization: str, name: str, changes: list[Change]) -> Finding:
    first, number = changes[0], len(changes)
    scopes = {change.address.parts[:-1] for change in changes}
    where = organization if len(scopes) > 1 else "/".join(first.address.parts[:-1])
    what = str(first.address) if number == 1 else f"{number:,} flags of {where}"
    return Finding(
        CODE,
        Severity.WARNING,
        f"PostHog does not keep `{name}` of {what}",
        why="it took the write and dropped this field: its switch for evaluation contexts is off",
        fix=f"have PostHog enable it and apply with --prefer git, or remove `{name}` from the file",
        source=first.desired.locate((name,)) if first.desired is not None else None,
        address=first.address,
    )
